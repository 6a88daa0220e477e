import { list, number, object, string, strings, unknownFields, type JsonObject } from '../formats/envoy-json.js';
import { cidrContains, parseCidr, type Cidr, type Ip } from '../formats/ip.js';
import type { Connection } from './connection.js';

/**
 * FilterChainMatch as Envoy's FilterChainManagerImpl searches it (envoy 1.40 source/common/listener_manager/
 * filter_chain_manager_impl.cc): criterion after criterion, each time the most specific value that any chain names for
 * this connection, and never back: a chain that is more specific early and fails late leaves the default chain only.
 */
export interface ChainMatch {
  /** 0: any. */
  readonly port: number;
  /** Null: any. */
  readonly prefixes: readonly Cidr[] | null;
  readonly serverNames: readonly string[];
  readonly transport: string;
  readonly protocols: readonly string[];
  readonly directSources: readonly Cidr[] | null;
  readonly sourceType: string;
  readonly sources: readonly Cidr[] | null;
  readonly sourcePorts: readonly number[];
  /** It names nothing: every connection fits. */
  readonly any: boolean;
  /** Fields that this program does not know: the chain may match or not. */
  readonly unsupported: readonly string[];
}

const FIELDS = new Set([
  'destination_port',
  'prefix_ranges',
  'server_names',
  'transport_protocol',
  'application_protocols',
  'direct_source_prefix_ranges',
  'source_type',
  'source_prefix_ranges',
  'source_ports',
]);

function ranges(value: JsonObject[string]): readonly Cidr[] | null {
  const items = list(value);
  if (items.length === 0) return null;
  const found: Cidr[] = [];
  for (const item of items) {
    const range = object(item);
    const cidr = parseCidr(`${string(range['address_prefix']) ?? ''}/${number(range['prefix_len']) ?? 0}`);
    if (cidr !== null) found.push(cidr);
  }
  return found;
}

export function chainMatch(value: JsonObject): ChainMatch {
  const names = strings(value['server_names']).map((name) => (name.startsWith('*.') ? name.slice(1) : name));
  const protocols = strings(value['application_protocols']);
  const ports = list(value['source_ports']).map((port) => number(port) ?? 0);
  return {
    port: number(value['destination_port']) ?? 0,
    prefixes: ranges(value['prefix_ranges']),
    serverNames: names.length === 0 ? [''] : names.map((name) => (name === '*' ? '' : name)),
    transport: string(value['transport_protocol']) ?? '',
    protocols: protocols.length === 0 ? [''] : protocols,
    directSources: ranges(value['direct_source_prefix_ranges']),
    sourceType: string(value['source_type']) ?? 'ANY',
    sources: ranges(value['source_prefix_ranges']),
    sourcePorts: ports.length === 0 ? [0] : ports,
    any: Object.keys(value).length === 0,
    unsupported: unknownFields(value, FIELDS),
  };
}

/** What Envoy takes for the address of a connection that has none (internal listeners). */
const NO_IP: Ip = { family: 4, value: 0xffffffff };

function longest<T>(chains: readonly T[], of: (chain: T) => readonly Cidr[] | null, ip: Ip): readonly T[] {
  let best = -1;
  let found: T[] = [];
  for (const chain of chains) {
    const prefixes = of(chain);
    let length = prefixes === null ? 0 : -1;
    if (prefixes !== null) {
      for (const cidr of prefixes) if (cidr.prefix > length && cidrContains(cidr, ip)) length = cidr.prefix;
    }
    if (length < 0 || length < best) continue;
    if (length > best) {
      best = length;
      found = [];
    }
    found.push(chain);
  }
  return found;
}

function having<T>(chains: readonly T[], of: (chain: T) => readonly string[], value: string): readonly T[] {
  return chains.filter((chain) => of(chain).includes(value));
}

/** The first of the values that any chain names. */
function firstNamed<T>(
  chains: readonly T[],
  of: (chain: T) => readonly string[],
  values: Iterable<string>,
): readonly T[] {
  for (const value of values) {
    const found = having(chains, of, value);
    if (found.length > 0) return found;
  }
  return [];
}

/** `www.example.com`, `.example.com`, `.com`, and last the chains without a name. */
function* serverNames(sni: string): Iterable<string> {
  if (sni !== '') {
    yield sni;
    for (let dot = sni.indexOf('.', 1); dot >= 0 && dot < sni.length - 1; dot = sni.indexOf('.', dot + 1)) {
      yield sni.slice(dot);
    }
  }
  yield '';
}

/** Utility::isSameIpOrLoopback: loopback is 127.0.0.1 and ::1 alone, not 127.0.0.0/8. */
export function isLocal({ local, remote }: Connection): boolean {
  if (remote?.kind !== 'ip') return false;
  if (remote.host === '127.0.0.1' || remote.host === '::1') return true;
  return local.kind === 'ip' && local.host === remote.host;
}

interface Chain {
  readonly match: ChainMatch;
}

/** The chains that the search ends with: at most one in a configuration that Envoy accepted. */
export function findChain<T extends Chain>(chains: readonly T[], connection: Connection): readonly T[] {
  const { local, remote } = connection;
  let left = chains;
  if (local.kind === 'ip') {
    const exact = left.filter((chain) => chain.match.port === local.port);
    left = exact.length > 0 ? exact : left.filter((chain) => chain.match.port === 0);
  } else {
    left = left.filter((chain) => chain.match.port === 0);
  }
  left = longest(left, (chain) => chain.match.prefixes, local.kind === 'ip' ? local.ip : NO_IP);
  left = firstNamed(left, (chain) => chain.match.serverNames, serverNames(connection.sni));
  left = firstNamed(left, (chain) => [chain.match.transport], [connection.transport, '']);
  left = firstNamed(left, (chain) => chain.match.protocols, [...connection.alpn, '']);
  const direct = connection.direct?.kind === 'ip' ? connection.direct.ip : NO_IP;
  left = longest(left, (chain) => chain.match.directSources, direct);
  const type = isLocal(connection) ? 'SAME_IP_OR_LOOPBACK' : 'EXTERNAL';
  left = firstNamed(left, (chain) => [chain.match.sourceType], [type, 'ANY']);
  left = longest(left, (chain) => chain.match.sources, remote?.kind === 'ip' ? remote.ip : NO_IP);
  const port = remote?.kind === 'ip' ? remote.port : 0;
  const exact = left.filter((chain) => chain.match.sourcePorts.includes(port));
  return exact.length > 0 ? exact : left.filter((chain) => chain.match.sourcePorts.includes(0));
}
