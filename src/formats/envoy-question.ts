import { object, objectOrNull, parseJson, type Json, type JsonObject } from './envoy-json.js';
import { parseIp, splitHostPort } from './ip.js';

interface QuestionTls {
  readonly sni: string | null;
  readonly alpn: readonly string[];
  readonly peer: string | null;
}

/** One question of `meshpath eval envoy`; `connect` and `innerTls` (HBONE) go beyond the contract. */
interface EnvoyQuestion {
  readonly listener: string;
  readonly src: string;
  readonly dst: string;
  readonly tls: QuestionTls | null;
  readonly connect: { readonly authority: string; readonly headers: Readonly<Record<string, string>> } | null;
  readonly innerTls: QuestionTls | null;
  readonly http: {
    readonly method: string;
    readonly authority: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
  } | null;
}

type QuestionRead =
  | { readonly id: string | number; readonly question: EnvoyQuestion }
  | { readonly id: string | number | null; readonly error: string };

class Malformed extends Error {}

function fail(message: string): never {
  throw new Malformed(message);
}

function socket(value: JsonObject, field: string): string {
  const text = value[field];
  const split = typeof text === 'string' ? splitHostPort(text) : null;
  if (typeof text !== 'string' || split === null || parseIp(split.host) === null) {
    return fail(`"${field}" must be an address with a port ("10.0.0.1:80", "[fd00::1]:80")`);
  }
  return text;
}

function textField(value: JsonObject, field: string, where: string): string {
  const found = value[field];
  return typeof found === 'string' ? found : fail(`"${where}.${field}" must be a string`);
}

function optionalText(value: JsonObject, field: string, where: string): string | null {
  const found = value[field];
  if (found === undefined || found === null) return null;
  return typeof found === 'string' ? found : fail(`"${where}.${field}" must be a string or null`);
}

function part(value: JsonObject, field: string): JsonObject | null {
  const found = value[field];
  if (found === undefined || found === null) return null;
  return objectOrNull(found) ?? fail(`"${field}" must be an object or null`);
}

function tls(value: JsonObject, field: string): QuestionTls | null {
  const found = part(value, field);
  if (found === null) return null;
  const alpn: Json = found['alpn'] ?? [];
  if (!Array.isArray(alpn) || !alpn.every((item) => typeof item === 'string')) {
    return fail(`"${field}.alpn" must be a list of strings`);
  }
  return { sni: optionalText(found, 'sni', field), alpn, peer: optionalText(found, 'peer', field) };
}

/** A header given more than once may be a list. */
function headers(value: JsonObject, where: string): Readonly<Record<string, string>> {
  const found = value['headers'];
  if (found === undefined || found === null) return {};
  const written = objectOrNull(found) ?? fail(`"${where}.headers" must be an object`);
  const result: Record<string, string> = {};
  for (const [name, item] of Object.entries(written)) {
    if (typeof item === 'string') result[name] = item;
    else if (Array.isArray(item) && item.every((entry) => typeof entry === 'string')) result[name] = item.join(',');
    else fail(`header "${name}" must be a string`);
  }
  return result;
}

function http(value: JsonObject): EnvoyQuestion['http'] {
  const found = part(value, 'http');
  if (found === null) return null;
  return {
    method: textField(found, 'method', 'http'),
    authority: textField(found, 'authority', 'http'),
    path: textField(found, 'path', 'http'),
    headers: headers(found, 'http'),
  };
}

function connect(value: JsonObject): EnvoyQuestion['connect'] {
  const found = part(value, 'connect');
  if (found === null) return null;
  return { authority: textField(found, 'authority', 'connect'), headers: headers(found, 'connect') };
}

/** Reads one line; never throws. */
export function readEnvoyQuestion(line: string): QuestionRead {
  const parsed = parseJson(line);
  if ('message' in parsed) return { id: null, error: `not JSON: ${parsed.message}` };
  const value = object(parsed.value);
  const written = value['id'];
  const id = typeof written === 'string' || typeof written === 'number' ? written : null;
  if (objectOrNull(parsed.value) === null) return { id, error: 'a question must be a JSON object' };
  if (id === null) return { id, error: '"id" must be a string or a number' };
  try {
    const question: EnvoyQuestion = {
      listener: socket(value, 'listener'),
      src: socket(value, 'src'),
      dst: socket(value, 'dst'),
      tls: tls(value, 'tls'),
      connect: connect(value),
      innerTls: tls(value, 'innerTls'),
      http: http(value),
    };
    return { id, question };
  } catch (error) {
    if (error instanceof Malformed) return { id, error: error.message };
    throw error;
  }
}
