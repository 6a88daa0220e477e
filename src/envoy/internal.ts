import type { Evidence } from '../formats/evidence.js';
import { object, objectOrNull, type JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import { hostEvidence, type Host } from './host.js';
import {
  addressText,
  eachEnding,
  ending,
  newConnection,
  withAlpn,
  type Connection,
  type End,
  type Ending,
  type Payload,
  type StateValue,
} from './connection.js';
import type { Engine } from './engine.js';
import type { Path } from './path.js';
import type { Transport } from './transport.js';
import { alpnOf, localStatus, unknownEnd, type Upstream } from './upstream-end.js';

const MAX_DEPTH = 8;

/** Filter state and metadata that the internal connection starts with. */
function inherit(
  cluster: ClusterModel,
  host: Host,
  socket: Transport,
  from: Connection,
): Pick<Connection, 'filterState' | 'metadata' | 'shared'> {
  const filterState = new Map<string, StateValue>();
  for (const [key, value] of from.filterState) if (from.shared.has(key)) filterState.set(key, value);
  const metadata = new Map<string, JsonObject>();
  const own = object(object(cluster.entry.value['metadata'])['filter_metadata']);
  for (const { kind, name } of socket.passthrough) {
    const source = kind === 'host' ? host.metadata : kind === 'cluster' ? own : null;
    const value = objectOrNull(source?.[name]);
    if (value !== null) metadata.set(name, { ...metadata.get(name), ...value });
  }
  return { filterState, metadata, shared: new Set() };
}

/** The connection goes to a listener of the same Envoy; what that one does with it completes the outcome. */
export function toInternal(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  listener: string,
  socket: Transport,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const from = upstream.connection;
  if (upstream.depth >= MAX_DEPTH) {
    const evidence: Evidence = { ...hostEvidence(host, engine.dump.file), text: 'endpoint' };
    unknownEnd(upstream, 'end of a chain of internal listeners', 'more than 8 in a row', evidence, path, end);
    return;
  }
  const payload: Payload =
    socket.tls === 'tls' || socket.tls === 'mtls'
      ? {
          tls: { sni: socket.upstreamTls?.sni ?? null, alpn: socket.upstreamTls?.alpn ?? [], peer: null },
          app: upstream.payload.app,
        }
      : upstream.payload;
  const inner = newConnection({
    payload,
    local: { kind: 'internal', listener, id: host.name },
    // envoy://internal_client_address/ until original_dst puts the client's back
    remote: { kind: 'internal', listener: 'internal_client_address', id: '' },
    ...inherit(cluster, host, socket, from),
    listener,
  });
  engine.toInternal(listener, inner, path, upstream.depth + 1, (result, last) => {
    if (upstream.terminates) return end(result, last);
    eachEnding(result, last, (one, branch) => end(compose(upstream, cluster, socket, one), branch));
  });
}

/** The outer decision with the address that the inner listener connected to. */
function compose(upstream: Upstream, cluster: ClusterModel, socket: Transport, inner: Ending): Ending {
  if (inner.action === 'forward') {
    return ending(upstream.connection, 'forward', upstream.fields.decidedBy ?? null, {
      ...upstream.fields,
      to: inner.to,
      tls: socket.tls,
      upstreamTls: withAlpn(socket.upstreamTls, alpnOf(cluster, upstream)),
      hbone: inner.hbone,
      ...(inner.hbone === null || inner.hboneTls === undefined ? {} : { hboneTls: inner.hboneTls }),
      ...(inner.certificate === undefined ? {} : { certificate: inner.certificate }),
      sourceBind: inner.sourceBind,
    });
  }
  const status = upstream.http ? localStatus(503, upstream.grpc) : null;
  return ending(upstream.connection, inner.action, inner.decidedBy, {
    ...upstream.fields,
    reason: `${addressTextOf(upstream)}: ${inner.reason ?? inner.action}`,
    status: inner.action === 'error' ? status : inner.status,
    policy: inner.policy,
  });
}

function addressTextOf(upstream: Upstream): string {
  return upstream.fields.endpoint ?? addressText(upstream.connection.local);
}
