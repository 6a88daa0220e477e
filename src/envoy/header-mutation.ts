import { boolean, list, object, string, strings, type JsonObject } from '../formats/envoy-json.js';
import { formatted } from './format.js';
import type { HttpRequest, OpenPart } from './face.js';
import type { Stream } from './stream.js';

/** Headers of the request as the upstream gets them; `unknown` tells those that could not be worked out. */
interface Mutated {
  readonly headers: HttpRequest['headers'];
  readonly unknown: readonly OpenPart[];
}

/** Holders of `request_headers_to_add` and `…_to_remove`, in the order in which Envoy applies them. */
function holders(stream: Stream): readonly JsonObject[] {
  const found = [
    stream.cluster?.value,
    stream.route?.value,
    stream.virtualHost?.value,
    stream.table?.entry.value,
  ].filter((item) => item !== undefined);
  const last = boolean(stream.table?.entry.value['most_specific_header_mutations_wins'] ?? false) === true;
  return last ? found.reverse() : found;
}

/** True where the route changes this header of the request on its way to the upstream. */
export function mutates(stream: Stream, name: string): boolean {
  return holders(stream).some(
    (holder) =>
      list(holder['request_headers_to_add']).some(
        (item) => string(object(object(item)['header'])['key'])?.toLowerCase() === name,
      ) || strings(holder['request_headers_to_remove']).some((item) => item.toLowerCase() === name),
  );
}

/** A part of the request that what comes after this Envoy gets, and whose value is not known. */
export function openPart(name: string, reason: string): OpenPart {
  return { name, fact: `${name} of the request as the upstream gets it`, reason };
}

/** Stands for every header in a list of open parts: all but host and the pseudo headers. */
export const EVERY_HEADER = '*';

/** The part of a request that is open under this name; null where it is none. */
export function openIn(parts: readonly OpenPart[] | undefined, name: string): OpenPart | null {
  if (parts === undefined) return null;
  const every = !name.startsWith(':') && name !== 'host';
  return parts.find((part) => part.name === name || (every && part.name === EVERY_HEADER)) ?? null;
}

/** envoy 1.40 source/common/router/header_parser.cc: removals of one level before its additions. */
export function mutatedHeaders(stream: Stream): Mutated {
  let headers: Record<string, string> | null = null;
  const unknown: OpenPart[] = [];
  const { connection, request } = stream;
  const open = (name: string): boolean => stream.headers.open(name) !== null;
  for (const holder of holders(stream)) {
    for (const name of strings(holder['request_headers_to_remove'])) {
      headers ??= { ...request.headers };
      delete headers[name.toLowerCase()];
    }
    for (const item of list(holder['request_headers_to_add']).map(object)) {
      const header = object(item['header']);
      const name = (string(header['key']) ?? '').toLowerCase();
      const value = formatted(string(header['value']) ?? '', {
        connection,
        request,
        absent: '',
        open,
        openMetadata: stream.openMetadata,
      });
      headers ??= { ...request.headers };
      if (value === null) {
        const known = !open(name) && !unknown.some((part) => part.name === name);
        if (known && leaves(actionOf(item), headers[name] !== undefined)) continue;
        unknown.push(openPart(name, `the value of header ${name} that the route adds is not known`));
        delete headers[name];
        continue;
      }
      if (value === '' && item['keep_empty_value'] !== true) continue;
      const before = headers[name];
      switch (actionOf(item)) {
        case 'append':
          headers[name] = before === undefined ? value : `${before},${value}`;
          break;
        case 'add':
          headers[name] = before ?? value;
          break;
        case 'overwrite':
          headers[name] = value;
          break;
        case 'replace':
          if (before !== undefined) headers[name] = value;
          break;
      }
    }
  }
  return { headers: headers ?? request.headers, unknown };
}

/** Whatever the value: only where there is none yet, or only where there is one. */
function leaves(action: Action, present: boolean): boolean {
  return (action === 'add' && present) || (action === 'replace' && !present);
}

type Action = 'append' | 'add' | 'overwrite' | 'replace';

function actionOf(item: JsonObject): Action {
  if (item['append'] !== undefined) return boolean(item['append']) === true ? 'append' : 'overwrite';
  switch (string(item['append_action'])) {
    case 'ADD_IF_ABSENT':
      return 'add';
    case 'OVERWRITE_IF_EXISTS_OR_ADD':
      return 'overwrite';
    case 'OVERWRITE_IF_EXISTS':
      return 'replace';
    default:
      return 'append';
  }
}
