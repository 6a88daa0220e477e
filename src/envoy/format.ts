import { string, object, objectOrNull, type JsonObject } from '../formats/envoy-json.js';
import { addressText, type Connection, type StateValue } from './connection.js';
import type { HttpRequest } from './face.js';
import { lookup } from './metadata.js';

/** What a format string can see. */
interface FormatContext {
  readonly connection: Connection;
  readonly request: HttpRequest | null;
  /** What stands for a value that there is none of: `-`, but nothing in headers. */
  readonly absent?: string;
  /** Headers whose value is not known, whatever the client sent. */
  readonly open?: (name: string) => boolean;
  /** Namespaces of dynamic metadata that may hold more than is known. */
  readonly openMetadata?: ReadonlySet<string>;
}

/**
 * Envoy's substitution format (`%COMMAND(ARGUMENT)%`), for the commands that steer traffic in a mesh. Null where a
 * command is not known to this program or its value is not in the dump.
 */
export function formatted(template: string, context: FormatContext): StateValue {
  let result = '';
  let at = 0;
  while (at < template.length) {
    const open = template.indexOf('%', at);
    if (open < 0) return result + template.slice(at);
    result += template.slice(at, open);
    if (template[open + 1] === '%') {
      result += '%';
      at = open + 2;
      continue;
    }
    const match = /^%([A-Z0-9_]+)(?:\(([^)]*)\))?%/.exec(template.slice(open));
    if (match === null) return null;
    const value = command(match[1] ?? '', match[2] ?? '', context);
    if (value === null) return null;
    result += value;
    at = open + match[0].length;
  }
  return result;
}

/** Inline text of a SubstitutionFormatString; null where it is given in another form. */
export function template(value: JsonObject): string | null {
  const source = object(value['text_format_source']);
  return string(source['inline_string']) ?? string(value['text_format']);
}

/** Value of a header of the request, of the other one where it has none (`A?B`); null where Envoy itself writes it. */
function header({ request, open, absent = '-' }: FormatContext, argument: string): StateValue {
  if (request === null) return null;
  for (const written of argument.split('?')) {
    const name = written.toLowerCase();
    if (open?.(name) === true) return null;
    const found = headerOf(request, name);
    if (found !== undefined) return found;
  }
  return absent;
}

function headerOf(request: HttpRequest, name: string): string | undefined {
  switch (name) {
    case ':authority':
    case 'host':
      return request.authority;
    case ':method':
      return request.method;
    case ':path':
      return request.path;
    default:
      return request.headers[name];
  }
}

function command(name: string, argument: string, context: FormatContext): StateValue {
  const { connection, absent = '-' } = context;
  switch (name) {
    case 'REQ':
      return header(context, argument);
    case 'DOWNSTREAM_LOCAL_ADDRESS':
      return addressText(connection.local);
    case 'DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT':
      return connection.local.kind === 'ip' ? connection.local.host : null;
    case 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS':
      return connection.direct === null ? null : addressText(connection.direct);
    case 'DOWNSTREAM_REMOTE_ADDRESS':
      return connection.remote === null ? null : addressText(connection.remote);
    case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
      return connection.remote?.kind === 'ip' ? connection.remote.host : null;
    case 'DOWNSTREAM_PEER_URI_SAN':
      return connection.terminated === undefined ? absent : (connection.terminated.peer ?? absent);
    case 'REQUESTED_SERVER_NAME':
      return connection.sni === '' ? absent : connection.sni;
    case 'FILTER_STATE': {
      const [key = '', form] = argument.split(':');
      if (form !== 'PLAIN') return null;
      const found = connection.filterState.get(key);
      return found === undefined ? absent : found;
    }
    case 'DYNAMIC_METADATA': {
      const [space = '', ...path] = argument.split(':');
      if (context.openMetadata?.has(space) === true) return null;
      const found = lookup(objectOrNull(connection.metadata.get(space)) ?? {}, path);
      return found === undefined ? absent : typeof found === 'string' ? found : JSON.stringify(found);
    }
    default:
      return null;
  }
}
