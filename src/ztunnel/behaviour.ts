import type { DumpShape } from '../formats/ztunnel-types.js';

/**
 * What changed in ztunnel between releases, as data. Fields that a release did not have are absent from its dump and need
 * no entry here; 1.18, whose stores are keyed by bare addresses, has a module of its own (legacy.ts).
 */
export interface Behaviour {
  /** The local workload: looked up by address, or by what the CNI said of the pod. */
  readonly localWorkload: 'address' | 'pod';
  /**
   * `node`: 1.19–1.21, one ztunnel serves a node: fast path on the same node, waypoint of the workload for every call,
   * policies skipped for the waypoint, everyone else refused (`bypassed waypoint`), plaintext sent to the waypoint.
   * `client`: from 1.22 the client's side alone sees to it that a waypoint is passed.
   */
  readonly waypoints: 'node' | 'client';
  /** Endpoints without the port are left out before the draw, instead of ending in a passthrough. */
  readonly portFilter: boolean;
  /** A Service addressed without usable endpoint is an error, not a passthrough. */
  readonly noHealthyUpstream: boolean;
  /** An address of several of one workload: any · the one asked for, else any · that or the same family. */
  readonly addressChoice: 'any' | 'asked' | 'family';
  /** How a waypoint may be referred to: address · Service hostname · also the hostname of a workload. */
  readonly waypointBy: 'address' | 'service' | 'workload';
  /** ztunnel's words where a waypoint cannot be resolved. */
  readonly waypointWords: 'workload' | 'upstream' | 'address' | 'debug';
  /** Network in which a Service's waypoint address is looked up. */
  readonly serviceWaypointNetwork: 'own' | 'reference';
  /** An application tunnel with a port makes up for a port that the waypoint Service lacks. */
  readonly tunnelPort: boolean;
  /** Several workloads with one address: the last inserted, or ranked (pods and HBONE first). */
  readonly sharedAddress: 'last' | 'ranked';
  /** Several Services with one VIP: the last inserted, or by the client's namespace and `canonical`. */
  readonly sharedVip: 'last' | 'best';
  /** Several Services with one hostname, inbound: own namespace and else the last; or also `canonical`. */
  readonly sharedHost: 'namespace' | 'best';
  /** Another network: not looked at · double HBONE with the target port · with the Service port, waypoints as well. */
  readonly otherNetworks: 'ignored' | 'target-port' | 'service-port';
  /** Endpoints that only a gateway reaches are left out inside their own network. */
  readonly addresslessFilter: boolean;
  /** A workload without address may still be reached through its gateway. */
  readonly gatewayWithoutAddress: boolean;
  /** Shares follow `capacity`. */
  readonly capacity: boolean;
  /** A CONNECT authority may be a hostname. */
  readonly hostnameAuthority: boolean;
  /** PROXY tunnels go to localhost where the configuration says so. */
  readonly localhostTunnel: boolean;
  /** Any application tunnel lifts the check of the authority against the pod's address. */
  readonly tunnelLiftsCheck: boolean;
  /** Outbound calls refused as recursive. */
  readonly outboundSelfCall: 'own-address' | 'none' | 'loopback';
  /** Inbound ports refused: never · in in-pod mode · in Shared mode · always. */
  readonly illegalPorts: 'never' | 'inpod' | 'shared' | 'always';
  /** When inbound HBONE looks at them: after the look-up · first · when the authority is resolved. */
  readonly illegalPortsWhen: 'looked-up' | 'first' | 'resolved';
  /** What a rejection says: HTTP status only · that a policy rejects · which one. */
  readonly rejection: 'status' | 'policy' | 'named';
  /** Dry-run policies are left out of enforcement. */
  readonly dryRun: boolean;
  /** Matches of a clause are alternatives; in 1.18 all had to match. */
  readonly clauseJoin: 'any' | 'all';
  /** A first preference `Network` that matches outweighs all others, and one that does not stops nothing. */
  readonly networkFirstRank: boolean;
  /** DNS: of several Services with one name, outside the client's namespace. Null: the release's DNS is not followed. */
  readonly dnsShared: 'first' | 'preferred' | 'canonical' | null;
  /** The client's address is kept on outbound connections. */
  readonly outboundKeepsSource: boolean;
}

interface Row {
  readonly since: string;
  readonly where: string;
  readonly set: Partial<Behaviour>;
}

/** 1.19; of 1.18 only what legacy.ts asks for. */
const BASE: Behaviour = {
  localWorkload: 'address',
  waypoints: 'node',
  portFilter: false,
  noHealthyUpstream: false,
  addressChoice: 'any',
  waypointBy: 'address',
  waypointWords: 'workload',
  serviceWaypointNetwork: 'reference',
  tunnelPort: false,
  sharedAddress: 'last',
  sharedVip: 'last',
  sharedHost: 'namespace',
  otherNetworks: 'ignored',
  addresslessFilter: false,
  gatewayWithoutAddress: false,
  capacity: false,
  hostnameAuthority: false,
  localhostTunnel: false,
  tunnelLiftsCheck: false,
  outboundSelfCall: 'own-address',
  illegalPorts: 'never',
  illegalPortsWhen: 'looked-up',
  rejection: 'status',
  dryRun: false,
  clauseJoin: 'all',
  networkFirstRank: false,
  dnsShared: null,
  outboundKeepsSource: true,
};

/** Sorted by release; `where` is the file of that tag in which the change was read. */
export const CHANGES: readonly Row[] = [
  { since: '1.19.0', where: 'src/rbac.rs Authorization::matches', set: { clauseJoin: 'any' } },
  {
    since: '1.22.0',
    where: 'src/proxy/outbound.rs build_request',
    set: { waypoints: 'client', waypointWords: 'upstream', serviceWaypointNetwork: 'own' },
  },
  { since: '1.22.0', where: 'src/proxy/inbound.rs serve_connect', set: { illegalPorts: 'inpod', rejection: 'policy' } },
  {
    since: '1.22.1',
    where: 'src/state.rs fetch_waypoint',
    set: { waypointWords: 'address', serviceWaypointNetwork: 'reference' },
  },
  {
    since: '1.22.2',
    where: 'src/state.rs load_balance, src/proxy/outbound.rs build_request',
    set: { portFilter: true, noHealthyUpstream: true, addressChoice: 'asked' },
  },
  {
    since: '1.23.0',
    where: 'src/state.rs fetch_waypoint, pick_workload_destination_or_resolve, find_upstream_from_service',
    set: { waypointBy: 'service', waypointWords: 'debug', addressChoice: 'family', tunnelPort: true },
  },
  {
    since: '1.23.0',
    where: 'src/proxy/inbound.rs serve_connect, src/proxy/outbound.rs proxy_to',
    set: { illegalPorts: 'shared', outboundSelfCall: 'none', outboundKeepsSource: false },
  },
  { since: '1.23.0', where: 'src/dns/server.rs find_server', set: { dnsShared: 'first' } },
  {
    since: '1.24.0',
    where: 'src/proxy.rs LocalWorkloadInformation, AuthorizationRejectionError',
    set: { localWorkload: 'pod', rejection: 'named' },
  },
  {
    since: '1.24.0',
    where: 'src/proxy/inbound.rs validate_destination, src/state.rs find_hostname',
    set: { tunnelLiftsCheck: true, illegalPortsWhen: 'first', waypointBy: 'workload' },
  },
  {
    since: '1.24.1',
    where: 'src/proxy/outbound.rs proxy_to, src/proxy/inbound.rs validate_destination',
    set: { outboundSelfCall: 'loopback', illegalPorts: 'always' },
  },
  { since: '1.24.3', where: 'src/state/workload.rs WorkloadByAddr', set: { sharedAddress: 'ranked' } },
  {
    since: '1.26.0',
    where: 'src/state.rs load_balance, pick_workload_destination_or_resolve, src/proxy/outbound.rs build_request',
    set: { capacity: true, gatewayWithoutAddress: true, otherNetworks: 'target-port' },
  },
  {
    since: '1.26.0',
    where: 'src/proxy/inbound.rs find_inbound_upstream, serve_connect',
    set: { hostnameAuthority: true, localhostTunnel: true, illegalPortsWhen: 'resolved' },
  },
  { since: '1.27.0', where: 'src/dns/server.rs find_server', set: { dnsShared: 'preferred' } },
  {
    since: '1.27.0',
    where: 'src/proxy/outbound.rs build_request_through_gateway, src/state.rs load_balance',
    set: { otherNetworks: 'service-port', addresslessFilter: true },
  },
  { since: '1.29.0', where: 'src/state.rs assert_rbac', set: { dryRun: true } },
  { since: '1.29.0', where: 'src/dns/server.rs find_server', set: { dnsShared: 'canonical' } },
  { since: '1.29.1', where: 'src/state/service.rs get_best_by_host', set: { sharedHost: 'best' } },
  { since: '1.30.0', where: 'src/state/service.rs get_best_by_vip', set: { sharedVip: 'best' } },
  { since: '1.31.0-alpha.0', where: 'src/state.rs load_balance', set: { networkFirstRank: true } },
];

/** Releases that a layout of the dump can come from: first, and first that can not. */
const SHAPES: Readonly<Record<DumpShape, readonly [string, string]>> = {
  'ip-maps': ['1.18.0', '1.19.0'],
  'flat-stores': ['1.19.0', '1.22.0'],
  maps: ['1.22.0', '1.23.0'],
  lists: ['1.23.0', '99.0.0'],
};

const STAGES = ['alpha', 'beta', 'rc'];

function versionParts(text: string): readonly number[] {
  const match = /^(\d+)\.(\d+)\.(\d+)(?:-(alpha|beta|rc)\.(\d+))?/.exec(text);
  if (match === null) return [0, 0, 0, 0, 0];
  const stage = match[4] === undefined ? STAGES.length : STAGES.indexOf(match[4]);
  return [Number(match[1]), Number(match[2]), Number(match[3]), stage, Number(match[5] ?? 0)];
}

/** Negative, zero, positive; a pre-release is older than its release. */
export function compareVersions(a: string, b: string): number {
  const right = versionParts(b);
  for (const [index, value] of versionParts(a).entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function behaviourOf(version: string): Behaviour {
  return CHANGES.filter((row) => compareVersions(row.since, version) <= 0).reduce(
    (behaviour, row) => ({ ...behaviour, ...row.set }),
    BASE,
  );
}

/**
 * The behaviours that a dump may stand for: one where it names its release, else all that its layout allows. The engine
 * answers with certainty only what all of them say. A release that its own layout contradicts is not believed.
 */
export function behavioursOf(shape: DumpShape, version: string | null): readonly Behaviour[] {
  const [first, end] = SHAPES[shape];
  const fits = version !== null && compareVersions(version, first) >= 0 && compareVersions(version, end) < 0;
  // a pre-release of the first release with a layout may already have it
  const early = version !== null && version.startsWith(`${first}-`);
  if (version !== null && (fits || early)) return [behaviourOf(fits ? version : first)];
  const starts = new Set(CHANGES.map((row) => row.since).filter((since) => compareVersions(since, first) > 0));
  return [first, ...starts].filter((since) => compareVersions(since, end) < 0).map(behaviourOf);
}
