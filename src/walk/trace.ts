import type { Evidence, Unknown } from '../formats/evidence.js';

/** The result of `meshpath trace`, field by field as the contract of `-o json` has it. */
export interface Trace {
  readonly apiVersion: 'meshpath.dev/v1';
  readonly kind: 'Trace';
  readonly source: Party;
  readonly destination: Party;
  readonly request: TraceRequest;
  readonly paths: readonly Path[];
  readonly expected: { readonly paths: readonly Path[] };
  readonly findings: readonly Finding[];
  readonly unknowns: readonly Unknown[];
}

export interface Party {
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly ip: string | null;
  readonly node?: string | null;
  readonly mode?: string | null;
  readonly port?: number | null;
  readonly host?: string | null;
  /** Context of its cluster, where the snapshot holds several. */
  readonly cluster?: string;
}

export interface TraceRequest {
  readonly protocol: 'http' | 'tcp' | 'udp';
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * delivered: the application gets it · denied: a policy refuses (STRICT included) · dropped: silence, the client hangs ·
 * refused: a RST or ICMP error · error: a proxy's own refusal (no route, no healthy upstream, TLS garbage) ·
 * unknown: `unknowns` says which fact would decide.
 */
export type Verdict = 'delivered' | 'denied' | 'dropped' | 'refused' | 'error' | 'unknown';

export interface Path {
  readonly probability: number | null;
  readonly verdict: Verdict;
  readonly reason: string;
  /** Null where nothing left the source's own proxy. */
  readonly encryption: 'mtls' | 'plaintext' | 'mixed' | null;
  readonly stops: readonly Stop[];
  readonly links: readonly Link[];
  readonly hops: readonly Hop[];
}

export type StopRole = 'workload' | 'ztunnel' | 'sidecar' | 'waypoint' | 'gateway' | 'external' | 'node';

export interface Stop {
  readonly role: StopRole;
  /** Empty for what has none: a process on a node, a host outside the cluster. */
  readonly namespace: string;
  /** The pod's name; `node/<name>` for a process on a node, `outside` for a host outside the cluster. */
  readonly name: string;
  /** Empty outside the cluster. */
  readonly node: string;
  /** Other pods that share this way. */
  readonly also?: readonly { readonly namespace: string; readonly name: string; readonly node: string }[];
}

export interface Link {
  readonly protocol: 'tcp' | 'tls' | 'hbone' | 'udp';
  /** `ip:port` of the connection on this link. */
  readonly to: string;
  /** The same for the other endpoints that share this way. */
  readonly also?: readonly string[];
  readonly via?: string;
  /** Absent between a workload and its own proxy. */
  readonly encrypted?: boolean;
  /** CONNECT authority inside HBONE. */
  readonly inner?: string;
  /** True between a workload and its own proxy. */
  readonly own?: boolean;
  /** Form of the endpoint's address in the client's EDS, where an Envoy chose it. */
  readonly endpointAddressType?: string;
}

export type HopKind =
  'send' | 'netfilter' | 'route' | 'tunnel' | 'wire' | 'intercept' | 'proxy' | 'connect' | 'deliver';

export interface Hop {
  readonly node: string | null;
  /** `pod/<ns>/<name>` or `node/<name>`. */
  readonly netns: string;
  readonly kind: HopKind;
  readonly summary: string;
  /** Which packet of the connection this is about; absent for a process's decision. */
  readonly packet?: {
    readonly src: string;
    readonly dst: string;
    readonly protocol: string;
    readonly mark: string;
    readonly dev: string | null;
  };
  /** `request`: the first packet · `reply`: the answer to it · `later`: the packets that follow. */
  readonly phase?: 'request' | 'reply' | 'later';
  /** True for a routine step (the main table's route, the two ends of a veth): no reader needs it at first sight. */
  readonly detail?: true;
  /** Index into `stops` of the process before which (packets) or in which (decisions) it happens. */
  readonly stop: number;
  readonly basis: 'observed' | 'derived' | 'assumed';
  readonly evidence: readonly Evidence[];
}

export type Severity = 'error' | 'warning' | 'info';

export interface Finding {
  readonly code: string;
  readonly severity: Severity;
  readonly title: string;
  readonly subject: { readonly kind: string; readonly namespace: string | null; readonly name: string };
  readonly message: string;
  readonly fix: string;
  readonly docs: string;
  readonly evidence: readonly Evidence[];
}
