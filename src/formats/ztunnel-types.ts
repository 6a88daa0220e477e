import type { PresentedCertificate } from './certificate.js';
import type { Evidence, ParseProblem, Unknown } from './evidence.js';

/**
 * What a ztunnel config_dump holds, in one shape for all releases from 1.23 (lists) back to 1.19 (maps keyed by
 * address). Fields that a release did not have carry the default that ztunnel itself gives them. Enumerations that are
 * not known are null: whoever needs the value must answer unknown.
 * Source: istio/ztunnel src/state/workload.rs, src/state/service.rs, src/rbac.rs.
 */
export interface NetworkAddress {
  readonly network: string;
  /** Shortest form, without brackets. */
  readonly ip: string;
}

/** Waypoint or network gateway reference (`GatewayAddress`). */
export interface GatewayAddress {
  readonly destination:
    | ({ readonly kind: 'address' } & NetworkAddress)
    | {
        readonly kind: 'hostname';
        /** Null where an old dump wrote the bare hostname. */
        readonly namespace: string | null;
        readonly hostname: string;
      };
  readonly port: number;
}

export interface ApplicationTunnel {
  readonly protocol: 'NONE' | 'PROXY';
  readonly port: number | null;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface DumpWorkload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  /** `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
  readonly identity: string;
  readonly network: string;
  readonly node: string;
  readonly clusterId: string;
  readonly locality: Locality;
  /** In the dump's order, which decides where families tie. */
  readonly ips: readonly string[];
  readonly hostname: string;
  readonly protocol: 'TCP' | 'HBONE' | null;
  readonly hostNetwork: boolean;
  readonly nativeTunnel: boolean;
  readonly waypoint: GatewayAddress | null;
  readonly networkGateway: GatewayAddress | null;
  readonly applicationTunnel: ApplicationTunnel | null;
  /** `ip:port` that overrides where to connect, up to 1.22 and only from a static configuration. */
  readonly gatewayAddress: string | null;
  /** Keys `ns/name` of selector policies. */
  readonly policies: readonly string[];
  readonly capacity: number;
  /** Of its owner (a waypoint's is the Gateway's name). */
  readonly workloadName: string;
  /** `ns/hostname` of the Services that select it (1.24+; not with a local configuration). */
  readonly services: readonly string[];
  /** `Healthy` | `Unhealthy`, as printed. */
  readonly status: string;
  readonly evidence: Evidence;
  /** Something of it could not be read: what hangs on this workload is not known. */
  readonly unread: Unknown | null;
}

export type LoadBalancerMode = 'Standard' | 'Strict' | 'Failover' | 'Passthrough';
export type RoutingScope = 'Region' | 'Zone' | 'Subzone' | 'Node' | 'Cluster' | 'Network';

export interface LoadBalancer {
  readonly mode: LoadBalancerMode | null;
  readonly preferences: readonly (RoutingScope | null)[];
  readonly allowUnhealthy: boolean;
}

export interface DumpEndpoint {
  readonly workloadUid: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly evidence: Evidence;
}

export interface DumpService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly NetworkAddress[];
  readonly cidrVips: readonly { readonly network: string; readonly cidr: string }[];
  /** Service port → target port; 0: named, only the endpoint knows. */
  readonly ports: Readonly<Record<string, number>>;
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | null;
  readonly weightedWaypoints: readonly { readonly destination: GatewayAddress; readonly weight: number }[];
  readonly loadBalancer: LoadBalancer | null;
  readonly ipFamilies: 'Dual' | 'IPv4' | 'IPv6' | null;
  readonly canonical: boolean;
  /** 1.31: to which clients it exists at all; null where the value is not known. */
  readonly visibility: 'Public' | 'Namespace' | null;
  readonly evidence: Evidence;
  /** Something of it but its endpoints could not be read. */
  readonly unread: Unknown | null;
  /** Read on demand: most of a large dump is endpoints. */
  endpoints(): readonly DumpEndpoint[];
  /** Something of its endpoints could not be read. */
  endpointsUnread(): Unknown | null;
  hasEndpoint(uid: string): boolean;
  endpoint(uid: string): DumpEndpoint | null;
}

export type StringMatch =
  | { readonly kind: 'exact' | 'prefix' | 'suffix'; readonly value: string }
  | { readonly kind: 'presence' }
  /** A form that is not known: neither matches nor misses. */
  | { readonly kind: 'unknown' };

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** One `RbacMatch`: every list that is not empty must match, and its negation must miss. */
export interface PolicyMatch {
  readonly namespaces: readonly StringMatch[];
  readonly notNamespaces: readonly StringMatch[];
  readonly serviceAccounts: readonly ServiceAccountMatch[];
  readonly notServiceAccounts: readonly ServiceAccountMatch[];
  readonly principals: readonly StringMatch[];
  readonly notPrincipals: readonly StringMatch[];
  readonly sourceIps: readonly string[];
  readonly notSourceIps: readonly string[];
  readonly destinationIps: readonly string[];
  readonly notDestinationIps: readonly string[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
  /** Names of fields that this program does not know; null where the object itself could not be read. */
  readonly unknownFields: readonly string[] | null;
}

export interface DumpPolicy {
  /** `namespace/name`. */
  readonly key: string;
  readonly name: string;
  readonly namespace: string;
  readonly scope: 'Global' | 'Namespace' | 'WorkloadSelector' | null;
  readonly action: 'Allow' | 'Deny' | null;
  /** OR of rules → AND of clauses → OR (1.18: AND) of matches; null where it could not be read. */
  readonly rules: readonly (readonly (readonly PolicyMatch[])[])[] | null;
  readonly dryRun: boolean;
  readonly evidence: Evidence;
  /** Something of it besides its rules could not be read, or is not known to this program. */
  readonly uncertain: boolean;
}

export interface DumpCertificate extends PresentedCertificate {
  /** `spiffe://…` as printed. */
  readonly identity: string;
  /** `Available`, `Initializing` or `Unavailable: <error>`. */
  readonly state: string;
}

export interface DumpPodState {
  readonly uid: string;
  readonly state: string;
  readonly info: { readonly namespace: string; readonly name: string; readonly serviceAccount: string } | null;
  readonly evidence: Evidence;
}

/** The keys of `config` that decide something; defaults are those of Z:src/config.rs. */
export interface DumpConfig {
  readonly network: string;
  readonly localNode: string | null;
  readonly localIp: string | null;
  readonly clusterDomain: string;
  readonly proxyMode: 'Shared' | 'Dedicated' | null;
  /** `inpodEnabled` (1.21–1.23); later releases know no other mode. */
  readonly inpod: boolean;
  readonly inboundPort: number;
  readonly illegalPorts: readonly number[];
  /** null: best effort, which succeeds where ztunnel has CAP_NET_ADMIN, as it always has in Istio's charts. */
  readonly requireOriginalSource: boolean | null;
  readonly localhostAppTunnel: boolean;
  readonly onDemand: boolean;
  readonly dnsProxy: boolean;
  readonly ipv6Enabled: boolean;
  readonly preferredServiceNamespace: string | null;
  /** `proxyWorkloadInformation` of dedicated mode (1.24+). */
  readonly dedicatedFor: { readonly namespace: string; readonly name: string; readonly serviceAccount: string } | null;
}

/** Which of the layouts that config_dump has had through the releases. */
export type DumpShape = 'ip-maps' | 'flat-stores' | 'maps' | 'lists';

export interface ZtunnelDump {
  readonly file: string;
  readonly shape: DumpShape;
  /** `1.30.3`, null where the dump prints no release. */
  readonly version: string | null;
  readonly config: DumpConfig;
  readonly workloads: readonly DumpWorkload[];
  readonly services: readonly DumpService[];
  readonly policies: readonly DumpPolicy[];
  readonly certificates: readonly DumpCertificate[];
  readonly pods: readonly DumpPodState[] | null;
  /**
   * Up to 1.22 the dump prints ztunnel's own indexes by address (`network/ip`): which of several entries is found is
   * then known. Null: the index must be made from the lists.
   */
  readonly workloadByAddress: ReadonlyMap<string, DumpWorkload> | null;
  readonly serviceByVip: ReadonlyMap<string, DumpService> | null;
  /** 1.18 only: VIP table and workloads with waypoint addresses. */
  readonly legacy: LegacyState | null;
  /** Sections that are missing or damaged: what is not found in them may exist. */
  readonly gaps: {
    readonly workloads: Unknown | null;
    readonly services: Unknown | null;
    readonly policies: Unknown | null;
    /** `workloadState`: which pods it serves. */
    readonly pods: Unknown | null;
    readonly certificates: Unknown | null;
    /** Without the configuration neither network nor node is known: nothing can be said. */
    readonly config: Unknown | null;
  };
  readonly problems: readonly ParseProblem[];
}

/** istio 1.18: workloads keyed by bare IP, VIPs keyed by `ip:port` (Z@1.18.2:src/workload.rs). */
export interface LegacyState {
  readonly workloads: ReadonlyMap<string, LegacyWorkload>;
  readonly vips: ReadonlyMap<string, LegacyVip>;
  /** Namespace ("" = global) → policy keys. */
  readonly policiesByNamespace: ReadonlyMap<string, readonly string[]>;
  /** Something of it could not be read. */
  readonly unread: Unknown | null;
}

export interface LegacyVip {
  readonly endpoints: readonly { readonly ip: string; readonly port: number }[];
  readonly evidence: Evidence;
}

export interface LegacyWorkload {
  readonly ip: string;
  readonly name: string;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly node: string;
  readonly protocol: 'TCP' | 'HBONE' | null;
  readonly nativeHbone: boolean;
  readonly waypointAddresses: readonly string[];
  /** `ip:port`, only from a static configuration. */
  readonly gatewayAddress: string | null;
  readonly policies: readonly string[];
  readonly evidence: Evidence;
}
