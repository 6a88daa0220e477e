import type { Evidence } from '../formats/evidence.js';
import { number, object, objectOrNull, string } from '../formats/envoy-json.js';
import { joinHostPort } from '../formats/ip.js';
import { metadataPath, type ClusterModel } from './cluster.js';
import { ipAddress, type Address, type End, type Known } from './connection.js';
import type { Engine } from './engine.js';
import { lookup } from './metadata.js';
import { step, stepsKept, type Path } from './path.js';
import { transport } from './transport.js';
import { connected, noUpstream, unknownEnd, type Upstream } from './upstream-end.js';

const ORIGINAL_DST_STATE = 'envoy.network.transport_socket.original_dst_address';

/** envoy 1.40 source/extensions/clusters/original_dst/original_dst_cluster.cc: filter state, header, metadata, address. */
export function originalDestination(
  engine: Engine,
  cluster: ClusterModel,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const { connection } = upstream;
  const config = object(cluster.entry.value['original_dst_lb_config']);
  let chosen: Address | null = null;
  let why = 'the original destination';
  const state = connection.filterState.get(ORIGINAL_DST_STATE);
  if (state === null) {
    unknownEnd(upstream, `filter state ${ORIGINAL_DST_STATE}`, 'its value is not known', evidence, path, end);
    return;
  }
  if (state !== undefined) {
    chosen = ipAddress(state);
    why = `filter state ${ORIGINAL_DST_STATE}`;
  }
  if (chosen === null && config['use_http_header'] === true) {
    const name = string(config['http_header_name']) ?? 'x-envoy-original-dst-host';
    const value = upstream.headers[name.toLowerCase()];
    if (upstream.changesHeader(name.toLowerCase())) {
      unknownEnd(upstream, `header ${name}`, 'the route changes it', evidence, path, end);
      return;
    }
    chosen = value === undefined ? null : ipAddress(value);
    if (chosen !== null) why = `header ${name}`;
  }
  const key = objectOrNull(config['metadata_key']);
  if (chosen === null && key !== null) {
    const namespace = string(key['key']) ?? '';
    const value = lookup(object(connection.metadata.get(namespace)), metadataPath(key));
    chosen = typeof value === 'string' ? ipAddress(value) : null;
    if (chosen !== null) why = `metadata ${namespace}`;
  }
  if (chosen === null && connection.localRestored && connection.local.kind === 'ip') chosen = connection.local;
  if (chosen?.kind !== 'ip') {
    noUpstream(upstream, evidence, step(path, 'no original destination is known for this connection', evidence), end);
    return;
  }
  const port = number(config['upstream_port_override']) ?? chosen.port;
  const to = joinHostPort(chosen.host, port);
  const socket = transport(cluster, null);
  const next = stepsKept(step(path, `connects to ${why}: ${to}`, evidence), socket.step);
  const fields: Partial<Known> = {
    endpoint: to,
    endpointAddressType: 'original_dst',
    to,
    decidedBy: evidence,
  };
  connected(cluster, socket, upstream, fields, next, end);
}
