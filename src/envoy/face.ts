import type { PresentedCertificate } from '../formats/certificate.js';
import type { Evidence, Unknown } from '../formats/evidence.js';

/** The face of the Envoy engine: one connection and (for HTTP) request arrives; the distinct decisions come out. */
export interface EnvoyRequest {
  /** Address that it was delivered to (`0.0.0.0:15001`), as the socket that took it is bound. */
  readonly listener: string;
  readonly src: string;
  /** Original destination `ip:port`. */
  readonly dst: string;
  /** TLS that arrives, null for plain text. `peer`: SPIFFE identity of the client certificate, null without one. */
  readonly tls: { readonly sni: string | null; readonly alpn: readonly string[]; readonly peer: string | null } | null;
  /**
   * The connection is HBONE on 15008: `tls` is the outer TLS, this is the CONNECT, and `http`/`innerTls` what runs inside.
   * Null: not HBONE.
   */
  readonly connect: { readonly authority: string; readonly headers: Readonly<Record<string, string>> } | null;
  readonly innerTls: {
    readonly sni: string | null;
    readonly alpn: readonly string[];
    readonly peer: string | null;
  } | null;
  /** Null for plain TCP. */
  readonly http: HttpRequest | null;
}

export interface HttpRequest {
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What of it is not known, because an Envoy on the way wrote it. Absent: all of it is known. */
  readonly open?: readonly OpenPart[];
}

/** A header by its lower-case name, `:path` or `:authority`, whose value is not known; `*`: every header but host. */
export interface OpenPart extends Unknown {
  readonly name: string;
}

/** What an Envoy sends where its own routing is not what is asked about. */
export interface EnvoyOrigin {
  /** The downstream connection's ends, `ip:port`: what `original_src` and ORIGINAL_DST clusters look at. */
  readonly src: string;
  readonly dst: string;
  /** Null for plain TCP. */
  readonly http: HttpRequest | null;
}

export type EnvoyAction = 'forward' | 'deny' | 'respond' | 'error' | 'unknown';

/** Form of the endpoint's address in EDS (or STATIC, DNS …). `original_dst`: the cluster has no endpoints of its own. */
export type EndpointAddressType = 'socket_address' | 'envoy_internal_address' | 'pipe' | 'original_dst';

export interface EnvoyOutcome {
  readonly probability: number | null;
  readonly action: EnvoyAction;
  /** Names of what took it, null where it got no further. */
  readonly listener: string | null;
  readonly filterChain: string | null;
  /** `<virtual host>/<route name>` (`httpbin.bar.svc.cluster.local:8000/default`); null for TCP and unnamed routes. */
  readonly route: string | null;
  readonly cluster: string | null;
  /** Chosen address in the cluster; `internal:connect_originate/10.244.2.7:80` for an internal address. */
  readonly endpoint: string | null;
  readonly endpointAddressType: EndpointAddressType | null;
  /** TCP address finally connected to, `ip:port`. */
  readonly to: string | null;
  /** Transport of the connection to the endpoint itself (inside HBONE where there is one). */
  readonly tls: 'none' | 'tls' | 'mtls' | null;
  readonly upstreamTls: {
    readonly sni: string | null;
    readonly alpn: readonly string[];
    readonly sans: readonly string[];
  } | null;
  readonly hbone: { readonly to: string; readonly authority: string } | null;
  /** TLS of the outer HBONE connection: its SANs are what the peer on 15008 must show. Absent without HBONE. */
  readonly hboneTls?: {
    readonly tls: 'none' | 'tls' | 'mtls' | null;
    readonly upstreamTls: EnvoyOutcome['upstreamTls'];
  };
  /** Double HBONE: authority of the CONNECT inside `hbone`. */
  readonly innerAuthority?: string;
  /** Name of the certificate (SDS secret) that is shown upstream, on the outermost TLS. */
  readonly certificate?: string;
  /** SPIFFE identity of that certificate, where it is the proxy's own (`default`) and the dump tells it. */
  readonly identity?: string;
  /** The request as the upstream gets it (host and path rewrites). */
  readonly upstreamHttp: HttpRequest | null;
  /** Source address that the cluster binds (`127.0.0.6` of InboundPassthroughCluster), null: the kernel's choice. */
  readonly sourceBind: string | null;
  /** True where it keeps the client's address (`original_src`). */
  readonly keepsSource: boolean;
  /** For `deny`. */
  readonly policy: string | null;
  /** For `respond`: HTTP status; for `deny` 403 at HTTP, null at network level. */
  readonly status: number | null;
  /** For `error`, `deny`, `respond`: Envoy's own words (`no_healthy_upstream`, `NR filter_chain_not_found`, `route_not_found`). */
  readonly reason: string | null;
  readonly decidedBy: Evidence | null;
  /** listener → filter chain → filters → route → cluster → endpoint → transport, in order. */
  readonly steps: readonly { readonly summary: string; readonly evidence: readonly Evidence[] }[];
  /** What a fork depends on ("ext_authz answers OK"). */
  readonly conditions: readonly string[];
  readonly unknowns: readonly Unknown[];
}

/** One Envoy, indexed from its config_dump (and clusters.json for health). */
export interface Envoy {
  readonly file: string;
  /** `sidecar~10.244.1.5~sleep-1.foo~foo.svc.cluster.local` of the bootstrap, null where the dump has none. */
  readonly nodeId: string | null;
  readonly istioVersion: string | null;
  /** Node metadata of the bootstrap (`ENABLE_HBONE`, `ISTIO_VERSION`, …). */
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly problems: readonly Unknown[];
  /** False where the file is no config dump at all: every answer is unknown. */
  readonly usable: boolean;
  /** Names of listeners, to tell what it can take (`connect_terminate`, `main_internal`, …), and of clusters. */
  readonly listeners: readonly string[];
  readonly clusters: readonly string[];
  /** Every endpoint of a cluster with its address type, for checks. */
  endpoints(cluster: string): readonly EnvoyEndpoint[];
  /** What the proxy shows as its workload's certificate; null: not in the dump. */
  workloadCertificate(): PresentedCertificate | null;
  decide(request: EnvoyRequest): readonly EnvoyOutcome[];
  /** From the cluster on: what a request or connection meets that some route has given to it. */
  originate(cluster: string, origin: EnvoyOrigin): readonly EnvoyOutcome[];
}

export interface EnvoyEndpoint {
  readonly addressType: EndpointAddressType;
  /** `ip:port` for socket_address; endpoint_id for an internal address. */
  readonly address: string;
  readonly internalListener: string | null;
  /** Metadata that steers HBONE: `local`, `waypoint` (1.20+), or `tunnel.address`, `tunnel.destination` (1.18, 1.19). */
  readonly tunnel: { readonly address: string | null; readonly destination: string | null } | null;
  readonly transportSocketMatch: Readonly<Record<string, string>>;
  readonly health: string;
  readonly weight: number;
  readonly evidence: Evidence;
}
