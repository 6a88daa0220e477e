import type { Evidence } from '../formats/evidence.js';
import type { JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import { ending, withAlpn, type Connection, type End, type Known, type Payload } from './connection.js';
import { withUnknown, type Path } from './path.js';
import type { Transport } from './transport.js';

/** A connection (or request) on its way to a cluster. */
export interface Upstream {
  readonly connection: Connection;
  /** What runs to the upstream, without the transport's TLS. */
  readonly payload: Payload;
  /** `envoy.lb` metadata that picks a subset, null without. */
  readonly criteria: JsonObject | null;
  /** What the outcome already knows: route, rewritten request. */
  readonly fields: Known;
  /** HTTP statuses instead of flags. */
  readonly http: boolean;
  readonly grpc: boolean;
  /** Lower-case request headers, for `use_http_header`. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether the route sets or removes this header before the upstream is chosen. */
  readonly changesHeader: (name: string) => boolean;
  /** ALPN that the istio.alpn filter puts in place of the cluster's, by upstream protocol. */
  readonly alpn: ((cluster: ClusterModel) => readonly string[] | null) | null;
  /** Status of a cluster that does not exist. */
  readonly notFoundStatus: number;
  /** True where the CONNECT ends here: the inner connection is what the outcome is about. */
  readonly terminates: boolean;
  readonly depth: number;
  /** A cluster that does not exist is asked for (ODCDS). */
  readonly onDemand?: boolean;
}

/** Local replies to gRPC requests are HTTP 200 with the error in grpc-status. */
export function localStatus(status: number, grpc: boolean): number {
  return grpc ? 200 : status;
}

export function noUpstream(upstream: Upstream, evidence: Evidence, path: Path, end: End): void {
  const fields = upstream.http
    ? { reason: 'no_healthy_upstream', status: localStatus(503, upstream.grpc) }
    : { reason: 'UH', status: null };
  end(ending(upstream.connection, 'error', evidence, { ...upstream.fields, ...fields, sourceBind: null }), path);
}

export function unknownEnd(
  upstream: Upstream,
  fact: string,
  reason: string,
  evidence: Evidence,
  path: Path,
  end: End,
): void {
  end(
    ending(upstream.connection, 'unknown', evidence, { ...upstream.fields, reason }),
    withUnknown(path, fact, reason),
  );
}

/** ALPN that the istio.alpn filter puts in place of the cluster's, null without. */
export function alpnOf(cluster: ClusterModel, upstream: Upstream): readonly string[] | null {
  return upstream.alpn === null ? null : upstream.alpn(cluster);
}

/** Ends with a connection to a real address. */
export function connected(
  cluster: ClusterModel,
  socket: Transport,
  upstream: Upstream,
  fields: Partial<Known>,
  path: Path,
  end: End,
): void {
  if (socket.unknown !== null) {
    const open = { ...upstream, fields: { ...upstream.fields, ...fields } };
    return unknownTransport(open, socket.unknown, fields.decidedBy ?? null, path, end);
  }
  const { certificate } = socket;
  end(
    ending(upstream.connection, 'forward', fields.decidedBy ?? null, {
      ...upstream.fields,
      ...fields,
      tls: socket.tls,
      upstreamTls: withAlpn(socket.upstreamTls, alpnOf(cluster, upstream)),
      ...(certificate === null ? {} : { certificate }),
    }),
    path,
  );
}

/** Ends where the transport to the endpoint is not known, and with it whether there is a connection at all. */
export function unknownTransport(
  upstream: Upstream,
  reason: string,
  evidence: Evidence | null,
  path: Path,
  end: End,
): void {
  const { fields, connection } = upstream;
  const to = fields.to ?? fields.endpoint ?? '?';
  end(ending(connection, 'unknown', evidence, { ...fields, reason }), withUnknown(path, `transport to ${to}`, reason));
}
