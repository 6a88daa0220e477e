import type { Evidence } from '../formats/evidence.js';
import { object, objectOrNull, type JsonObject } from '../formats/envoy-json.js';
import type { Ip } from '../formats/ip.js';
import type { ClusterModel } from './cluster.js';
import type { Connection, Payload } from './connection.js';
import type { Engine } from './engine.js';
import type { HttpRequest, OpenPart } from './face.js';
import type { Filter } from './listener.js';
import type { Route, RouteTable, VirtualHost } from './routes.js';
import { openIn } from './header-mutation.js';
import type { Headers } from './strings.js';
import { all, doubt, type Doubt, type Tri } from './tri.js';

/** One request (or CONNECT) inside an HTTP connection manager. Immutable: filters hand on a changed copy. */
export interface Stream {
  readonly engine: Engine;
  readonly connection: Connection;
  readonly hcm: Filter;
  readonly evidence: Evidence;
  readonly request: HttpRequest;
  readonly headers: Headers;
  /** The headers by which the route was chosen, and finds its cluster: filters change `headers` only. */
  readonly routedBy: Headers;
  readonly isConnect: boolean;
  /** Bytes inside the CONNECT. */
  readonly inner: Payload | null;
  readonly grpc: boolean;
  readonly scheme: string;
  readonly remoteIp: Ip | null | Doubt;
  /** Namespaces of dynamic metadata that filters of unknown outcome may have written. */
  readonly openMetadata: ReadonlySet<string>;
  /** Set by the istio.alpn filter. */
  readonly alpn: ((cluster: ClusterModel) => readonly string[] | null) | null;
  readonly depth: number;
  readonly table: RouteTable | null;
  readonly virtualHost: VirtualHost | null;
  /** Null: nothing matches (404). */
  readonly route: Route | null;
  /** The chosen one of weighted clusters, with what it overrides. */
  readonly cluster: WeightedChoice | null;
}

export interface WeightedChoice {
  readonly name: string;
  readonly value: JsonObject;
}

/** Headers by lower-case name; `host` is another name of `:authority`. */
export function headersOf(request: HttpRequest, scheme: string, open: Headers['open']): Headers {
  return {
    open,
    get: (name) => {
      switch (name) {
        case ':authority':
        case 'host':
          return request.authority;
        case ':method':
          return request.method;
        case ':path':
          return request.method === 'CONNECT' && request.path === '' ? null : request.path;
        case ':scheme':
          return scheme;
        case 'x-forwarded-proto':
          return request.headers[name] ?? scheme;
        default:
          return Object.hasOwn(request.headers, name) ? (request.headers[name] ?? null) : null;
      }
    },
  };
}

/**
 * The stream behind a filter: headers `gone` are removed, `parts` are open from here on, for what comes after this
 * Envoy as well. A name in both is open.
 */
export function withHeaders(stream: Stream, gone: readonly string[], parts: readonly OpenPart[]): Stream {
  const { headers: before, request } = stream;
  const lost = gone.filter((name) => before.get(name) !== null || before.open(name) !== null);
  if (lost.length === 0 && parts.length === 0) return stream;
  const left: Record<string, string> = { ...request.headers };
  for (const name of lost) delete left[name];
  const removed = new Set(lost);
  const came = (request.open ?? []).filter(
    ({ name }) => !removed.has(name) && !parts.some((part) => part.name === name),
  );
  const headers: Headers = {
    open: (name) => {
      const part = openIn(parts, name);
      if (part !== null) return { present: null, reason: part.reason };
      return removed.has(name) ? null : before.open(name);
    },
    get: (name) => (removed.has(name) ? null : before.get(name)),
  };
  return { ...stream, headers, request: { ...request, headers: left, open: [...came, ...parts] } };
}

/** Whether the request has a header of this name, or may have one. */
export function mayHave(headers: Headers, name: string): boolean {
  return mayBe(headers, name, () => true);
}

/** Whether a header has a value that passes the test, or may have one. */
export function mayBe(headers: Headers, name: string, test: (value: string) => boolean): boolean {
  const open = headers.open(name);
  if (open !== null) return open.present !== false;
  const value = headers.get(name);
  return value !== null && test(value);
}

/** A preflight request of CORS. */
export function isPreflight({ request, headers }: Stream): Tri {
  if (request.method !== 'OPTIONS') return false;
  return all(['origin', 'access-control-request-method'], (name) => {
    const open = headers.open(name);
    if (open === null) return headers.get(name) !== null;
    return open.present ?? doubt(`request has header ${name}`, open.reason);
  });
}

/** `typed_per_filter_config` of the route before that of the virtual host, by the filter's name. */
export function perRoute(stream: Stream, filter: Filter): JsonObject | null {
  for (const holder of [
    stream.cluster?.value,
    stream.route?.value,
    stream.virtualHost?.value,
    stream.table?.entry.value,
  ]) {
    const found = objectOrNull(object(holder?.['typed_per_filter_config'])[filter.name]);
    if (found !== null) return found;
  }
  return null;
}
