import type { Evidence } from '../formats/evidence.js';
import { object, objectOrNull, type JsonObject } from '../formats/envoy-json.js';
import type { Ip } from '../formats/ip.js';
import type { ClusterModel } from './cluster.js';
import type { Connection, Payload } from './connection.js';
import type { Engine } from './engine.js';
import type { HttpRequest } from './face.js';
import type { Filter } from './listener.js';
import type { Route, RouteTable, VirtualHost } from './routes.js';
import type { Headers } from './strings.js';
import type { Doubt } from './tri.js';

/** One request (or CONNECT) inside an HTTP connection manager. Immutable: filters hand on a changed copy. */
export interface Stream {
  readonly engine: Engine;
  readonly connection: Connection;
  readonly hcm: Filter;
  readonly evidence: Evidence;
  readonly request: HttpRequest;
  readonly headers: Headers;
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
