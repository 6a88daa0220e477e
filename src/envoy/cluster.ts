import { list, object, objectOrNull, string, typed, type JsonObject } from '../formats/envoy-json.js';
import type { DumpEntry, EnvoyDump } from '../formats/envoy-dump.js';
import type { ClustersFile } from '../formats/envoy-clusters.js';
import type { Evidence } from '../formats/evidence.js';
import { openFields } from './open-fields.js';
import type { Balance } from './balance.js';
import type { Way } from './connection.js';
import { ownMetadata, readHosts, writtenMetadata, type HostSet } from './host.js';
import { lazy } from './lazy.js';
import { stepOf, type Step } from './path.js';
import { PASSIVE_HTTP } from './passive-filters.js';
import { readTransport, type Transport } from './transport.js';
import { doubt, type Doubt } from './tri.js';

export type Discovery =
  | 'STATIC'
  | 'STRICT_DNS'
  | 'LOGICAL_DNS'
  | 'EDS'
  | 'ORIGINAL_DST'
  | { readonly custom: string; readonly config: JsonObject };

interface Socket {
  /** Read on first use: the endpoints of a cluster share its few sockets. */
  transport(): Transport;
}

interface SocketMatch extends Socket {
  readonly match: JsonObject;
}

/** A choice among the hosts with the ways to them: the same for every request. */
export interface Balanced {
  readonly choice: Balance;
  /** Of each host of the choice; null where its way depends on the connection. */
  readonly all: readonly (Way | null)[];
  /** The same, where all of them are known before the connection is. */
  readonly ways: readonly Way[] | null;
  /** Some host is an internal listener: what the connection shares with the next one may change its way. */
  readonly internal: boolean;
}

export interface ClusterModel {
  readonly entry: DumpEntry;
  readonly name: string;
  readonly discovery: Discovery;
  /** `transport_socket_matches`, in order. */
  readonly sockets: readonly SocketMatch[];
  /** Where none of them fits. */
  readonly own: Socket;
  readonly protocol: 'http1' | 'http2' | 'http3' | 'downstream' | 'auto';
  readonly sourceBind: string | null;
  /** Null: the dump has no endpoints of it. */
  hosts(): HostSet | null;
  /** Choices by subset criteria (JSON), kept for the next request. */
  readonly balanced: Map<string, Balanced>;
  readonly evidence: Evidence;
  /** That it is the cluster of the connection or request. */
  readonly step: Step;
  /** It has a field that is not understood. */
  readonly open: Doubt | null;
  /** It has filters of its own for HTTP that are not understood. */
  readonly openFilters: Doubt | null;
}

const TYPES: Readonly<Record<string, 'STATIC' | 'STRICT_DNS' | 'LOGICAL_DNS' | 'EDS' | 'ORIGINAL_DST'>> = {
  STATIC: 'STATIC',
  STRICT_DNS: 'STRICT_DNS',
  LOGICAL_DNS: 'LOGICAL_DNS',
  EDS: 'EDS',
  ORIGINAL_DST: 'ORIGINAL_DST',
  'envoy.cluster.static': 'STATIC',
  'envoy.cluster.strict_dns': 'STRICT_DNS',
  'envoy.cluster.logical_dns': 'LOGICAL_DNS',
  'envoy.cluster.dns': 'STRICT_DNS',
  'envoy.clusters.dns': 'STRICT_DNS',
  'envoy.cluster.eds': 'EDS',
  'envoy.cluster.original_dst': 'ORIGINAL_DST',
};

function discovery(value: JsonObject): Discovery {
  const custom = objectOrNull(value['cluster_type']);
  if (custom === null) return TYPES[string(value['type']) ?? 'STATIC'] ?? 'STATIC';
  const config = typed(custom['typed_config']);
  const name = string(custom['name']) ?? '';
  return TYPES[name] ?? { custom: config.type === '' ? name : config.type, config: config.value };
}

function socket(dump: EnvoyDump, name: string, value: JsonObject | null, pointer: string): Socket {
  return { transport: lazy(() => readTransport(dump, name, value, pointer)) };
}

function sockets(value: JsonObject, pointer: string, dump: EnvoyDump): readonly SocketMatch[] {
  return list(value['transport_socket_matches']).map((item, i) => {
    const entry = object(item);
    const at = `${pointer}/transport_socket_matches/${i}`;
    const { transport } = socket(dump, string(entry['name']) ?? '', object(entry['transport_socket']), at);
    return { match: object(entry['match']), transport };
  });
}

function ownSocket(value: JsonObject, pointer: string, dump: EnvoyDump): Socket {
  const own = objectOrNull(value['transport_socket']);
  return socket(dump, string(own?.['name']) ?? '', own, own === null ? pointer : `${pointer}/transport_socket`);
}

/** HTTP filters behind the choice of the cluster (`HttpProtocolOptions.http_filters`) may refuse or change the request. */
function openFilters(value: JsonObject, name: string): Doubt | null {
  const options = object(object(value['typed_extension_protocol_options'])[HTTP_OPTIONS]);
  const filters = list(options['http_filters']).map((item) => typed(object(item)['typed_config']).type);
  const other = filters.filter((type) => !PASSIVE_HTTP.has(type));
  if (other.length === 0) return null;
  return doubt(`upstream HTTP filters of cluster ${name} let the request pass`, `${other.join(', ')} is not known`);
}

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

function protocol(value: JsonObject): ClusterModel['protocol'] {
  const options = objectOrNull(object(value['typed_extension_protocol_options'])[HTTP_OPTIONS]);
  if (options === null) return value['http2_protocol_options'] !== undefined ? 'http2' : 'http1';
  if (options['use_downstream_protocol_config'] !== undefined) return 'downstream';
  if (options['auto_config'] !== undefined) return 'auto';
  const explicit = object(options['explicit_http_config']);
  if (explicit['http2_protocol_options'] !== undefined) return 'http2';
  return explicit['http3_protocol_options'] !== undefined ? 'http3' : 'http1';
}

function bind(value: JsonObject): string | null {
  const source = object(object(value['upstream_bind_config'])['source_address']);
  return string(source['address']);
}

export function clusterModel(entry: DumpEntry, dump: EnvoyDump, health: ClustersFile | null): ClusterModel {
  const { value, name } = entry;
  const kind = discovery(value);
  const assignment = (): DumpEntry | null => {
    const service = string(object(value['eds_cluster_config'])['service_name']) ?? '';
    const printed = (service !== '' ? dump.endpoints.get(service) : undefined) ?? dump.endpoints.get(name);
    const inline = objectOrNull(value['load_assignment']);
    if (printed !== undefined) {
      // The list of endpoints tells only a part of the policy (seen of envoy 1.40: not weighted_priority_health).
      const policy = { ...object(inline?.['policy']), ...object(printed.value['policy']) };
      return inline === null ? printed : { ...printed, value: { ...printed.value, policy } };
    }
    if (inline !== null && kind === 'STATIC')
      return { name, value: inline, pointer: `${entry.pointer}/load_assignment` };
    if (kind === 'STATIC') return { name, value: {}, pointer: entry.pointer };
    // With include_eds every cluster is listed, those without hosts too.
    return null;
  };
  const evidence: Evidence = { file: dump.file, pointer: entry.pointer, text: `cluster ${name}` };
  return {
    entry,
    name,
    evidence,
    step: stepOf(evidence.text, evidence),
    open: openFields('cluster', value, entry.pointer),
    openFilters: openFilters(value, name),
    discovery: kind,
    sockets: sockets(value, entry.pointer, dump),
    own: ownSocket(value, entry.pointer, dump),
    protocol: protocol(value),
    sourceBind: bind(value),
    balanced: new Map(),
    hosts: lazy(() => {
      const found = assignment();
      if (found === null) return null;
      const inline = objectOrNull(value['load_assignment']);
      // Envoy lists endpoints without it, and istiod gives localities none (pilot/pkg/xds/endpoints, 1.18 to 1.31).
      const listed = inline === null ? ownMetadata : writtenMetadata(inline);
      const own = found.pointer.startsWith(entry.pointer);
      return readHosts(found, dump.file, health?.hosts.get(name) ?? [], own ? ownMetadata : listed);
    }),
  };
}

/** `["a", "b"]` of repeated `{key}` path segments, as MetadataKey writes them. */
export function metadataPath(value: JsonObject): readonly string[] {
  return list(value['path']).map((item) => string(object(item)['key']) ?? '');
}
