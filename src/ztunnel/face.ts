import type { Evidence, Unknown } from '../formats/evidence.js';

/** The face of the ztunnel engine: one connection (or one CONNECT) arrives; the distinct decisions of ztunnel come out. */
export interface ZtunnelConnection {
  readonly direction: 'outbound' | 'inbound' | 'inbound-plaintext';
  /** IP of the source (the pod, or the peer for inbound). */
  readonly src: string;
  /** `ip:port` (IPv6 in brackets), for `inbound` the CONNECT authority, which may be `host:port`. */
  readonly dst: string;
  /** SPIFFE identity of the peer (`inbound`). */
  readonly identity: string | null;
  /**
   * For `inbound`: the address on which the connection arrived, where known (checked against the authority).
   * Null: taken to be the authority's address, as the contract of `eval` has it.
   */
  readonly arrivedAt: string | null;
  /**
   * The pod for which ztunnel handles the connection, where known from the CNI (1.24+ finds the source workload by it,
   * not by IP). Null: found from `workloadState` and `src` or `dst`.
   */
  readonly pod: { readonly namespace: string; readonly name: string; readonly serviceAccount: string | null } | null;
}

export type ZtunnelAction = 'forward' | 'deny' | 'error' | 'unknown';

export interface ZtunnelOutcome {
  readonly probability: number | null;
  /** True where the choice is random once per process (which of several DENY policies is named), not per connection. */
  readonly perProcess: boolean;
  readonly action: ZtunnelAction;
  /** Null unless `forward`. */
  readonly protocol: 'hbone' | 'tcp' | 'double-hbone' | null;
  /** TCP address that it connects to, `ip:port`. For `inbound*`: the application's address. */
  readonly to: string | null;
  /** CONNECT authority; null for tcp. */
  readonly target: string | null;
  /** `ns/name` of the waypoint (or its address) where `to` is one. */
  readonly waypoint: string | null;
  /** uid of the chosen workload; null for passthrough. */
  readonly workload: string | null;
  /** Identity that it expects of the peer (the workload's own). */
  readonly identity: string | null;
  /** All SANs that it accepts of the peer. */
  readonly identities: readonly string[];
  /** `ns/hostname` of the destination Service, where service-addressed. */
  readonly service: string | null;
  /** For `deny`: `ns/name`, or `none allowed`. */
  readonly policy: string | null;
  /** For `deny` and `error`: ztunnel's own words, to grep for. */
  readonly error: string | null;
  /** A recognisable part of the log line that ztunnel writes for this outcome, or null where it writes none. */
  readonly log: string | null;
  /** True where the source address is kept on the outgoing connection (ztunnel spoofs the client's address). */
  readonly keepsSource: boolean;
  /**
   * True where an outbound decision ends inside this same ztunnel (1.18–1.21, node mode, same node: "node local fast
   * path"): there is no HBONE; `to` is the application's address, the destination's policies are already applied.
   */
  readonly viaFastPath?: boolean;
  readonly decidedBy: Evidence | null;
  /** Every decision in order: service found, endpoint filter, load balancing, waypoint, protocol, policies considered. */
  readonly steps: readonly { readonly summary: string; readonly evidence: readonly Evidence[] }[];
  readonly unknowns: readonly Unknown[];
}

/** What the dump says of one pod's handling (1.21+). */
export interface ZtunnelPodState {
  readonly uid: string;
  readonly state: string;
  readonly info: { readonly namespace: string; readonly name: string; readonly serviceAccount: string } | null;
  readonly evidence: Evidence;
}

/** A name that an application asks ztunnel's DNS server (15053) for. */
export interface ZtunnelDnsQuestion {
  readonly src: string;
  readonly pod: ZtunnelConnection['pod'];
  readonly name: string;
  /** `A`, `AAAA`; every other type is forwarded. */
  readonly type: string;
}

/**
 * answer: from ztunnel's own state, authoritative (no addresses: the name exists without records of this type) ·
 * forward: to the resolvers of ztunnel's own resolv.conf · failure: SERVFAIL, it does not know its own workload ·
 * off: no DNS server · unknown: `unknowns` says which fact would decide.
 */
export interface ZtunnelDnsAnswer {
  readonly kind: 'answer' | 'forward' | 'failure' | 'off' | 'unknown';
  /** In any order: ztunnel shuffles them. */
  readonly addresses: readonly string[];
  /** CNAME from the name that was asked to the name without its search domain. */
  readonly canonicalName: string | null;
  /** `ns/hostname` of the Service that answers. */
  readonly service: string | null;
  readonly summary: string;
  readonly decidedBy: Evidence | null;
  readonly unknowns: readonly Unknown[];
}

/** One ztunnel, indexed from its config_dump. */
export interface Ztunnel {
  readonly file: string;
  /** istio release as the dump prints it, null where it does not. */
  readonly version: string | null;
  /** Dump shape: decides algorithms that changed between releases. */
  readonly era: string;
  readonly localNode: string | null;
  /** False where the file is no config_dump: then every question is answered `unknown`. */
  readonly usable: boolean;
  readonly pods: readonly ZtunnelPodState[] | null;
  /** Fields that are not known to this program: kept and reported. */
  readonly problems: readonly Unknown[];
  decide(connection: ZtunnelConnection): readonly ZtunnelOutcome[];
  /** What the DNS server of this ztunnel answers (1.23 on; `unknown` for 1.19–1.22, which ask ztunnel's resolv.conf). */
  resolve(question: ZtunnelDnsQuestion): ZtunnelDnsAnswer;
}
