/**
 * Reading protobuf-JSON as Envoy's admin port prints it: fields in snake_case, default values left out, wrapper
 * types either bare or as `{"value": …}`, 64-bit numbers as strings.
 */
export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json | undefined;
}

type Field = Json | undefined;

const EMPTY: JsonObject = {};
const NONE: readonly Json[] = [];

/** Parsed text, or the parser's message. */
export function parseJson(text: string): { readonly value: Json } | { readonly message: string } {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    return { message: error instanceof Error ? error.message : String(error) };
  }
}

function isObject(value: Field): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectOrNull(value: Field): JsonObject | null {
  return isObject(value) ? value : null;
}

/** The object, or an empty one: for messages whose absence means "all defaults". */
export function object(value: Field): JsonObject {
  return isObject(value) ? value : EMPTY;
}

export function list(value: Field): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : NONE;
}

export function string(value: Field): string | null {
  if (typeof value === 'string') return value;
  if (isObject(value) && typeof value['value'] === 'string') return value['value'];
  return null;
}

export function strings(value: Field): readonly string[] {
  return list(value).filter((item) => typeof item === 'string');
}

/** A number, a numeric string (64-bit integers) or a wrapper of either. An empty wrapper is the default value 0. */
export function number(value: Field): number | null {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return value !== '' && Number.isFinite(Number(value)) ? Number(value) : null;
  if (isObject(value)) return value['value'] === undefined ? 0 : number(value['value']);
  return null;
}

/** A boolean or BoolValue; null where the field is absent. */
export function boolean(value: Field): boolean | null {
  if (typeof value === 'boolean') return value;
  if (isObject(value)) return value['value'] === true;
  return null;
}

/** The first of the names that the object carries, for `oneof` fields. */
export function oneof<T extends string>(value: JsonObject, names: readonly T[]): T | null {
  for (const name of names) if (value[name] !== undefined && value[name] !== null) return name;
  return null;
}

/** Names of fields outside the list: what the reader would otherwise skip in silence. */
export function unknownFields(value: JsonObject, known: ReadonlySet<string>): readonly string[] {
  const found: string[] = [];
  for (const key in value) if (!known.has(key)) found.push(key);
  return found;
}

interface TypedConfig {
  /** Full message name without the `type.googleapis.com/` prefix; of a TypedStruct, the type that it stands for. */
  readonly type: string;
  readonly value: JsonObject;
  /** Tokens to append to the pointer of the Any for what `value` is (`/value` for a TypedStruct). */
  readonly inner: string;
}

function typeName(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1);
}

/** An Any, with `udpa.type.v1.TypedStruct` and `xds.type.v3.TypedStruct` seen through. */
export function typed(value: Field): TypedConfig {
  const any = object(value);
  const type = typeName(string(any['@type']) ?? '');
  if (type === 'udpa.type.v1.TypedStruct' || type === 'xds.type.v3.TypedStruct') {
    return { type: typeName(string(any['type_url']) ?? ''), value: object(any['value']), inner: '/value' };
  }
  return { type, value: any, inner: '' };
}

/** Address of a socket, or of an internal listener, or a pipe. Null where it is none of them. */
export type DumpAddress =
  | { readonly kind: 'socket'; readonly host: string; readonly port: number; readonly udp: boolean }
  | { readonly kind: 'internal'; readonly listener: string; readonly id: string }
  | { readonly kind: 'pipe'; readonly path: string };

export function address(value: Field): DumpAddress | null {
  const any = object(value);
  const socket = objectOrNull(any['socket_address']);
  if (socket !== null) {
    const host = string(socket['address']);
    if (host === null || socket['named_port'] !== undefined) return null;
    return {
      kind: 'socket',
      host,
      port: number(socket['port_value']) ?? 0,
      udp: socket['protocol'] === 'UDP',
    };
  }
  const internal = objectOrNull(any['envoy_internal_address']);
  if (internal !== null) {
    const listener = string(internal['server_listener_name']);
    return listener === null ? null : { kind: 'internal', listener, id: string(internal['endpoint_id']) ?? '' };
  }
  const pipe = objectOrNull(any['pipe']);
  return pipe === null ? null : { kind: 'pipe', path: string(pipe['path']) ?? '' };
}
