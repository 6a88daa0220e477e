import type { Evidence } from './evidence.js';

/** A JSON object of which nothing is known yet; narrowed with kubernetes-narrow.ts, never with `as`. */
export type JsonObject = Readonly<Record<string, unknown>>;

export type Labels = Readonly<Record<string, string>>;

/** What every API object has. Unknown fields stay in `raw`. */
export interface ApiObject {
  /** `Pod`, `AuthorizationPolicy`; from the object, else from the list that it was found in. */
  readonly kind: string;
  /** Null for cluster-scoped objects. */
  readonly namespace: string | null;
  readonly name: string;
  readonly uid: string | null;
  readonly labels: Labels;
  readonly annotations: Labels;
  /** RFC 3339, as written; null where the object has none. */
  readonly created: string | null;
  readonly owners: readonly { readonly kind: string; readonly name: string; readonly controller: boolean }[];
  /** `kubernetes/pods.json` and the pointer `/items/3`. */
  readonly evidence: Evidence;
  readonly raw: JsonObject;
}

export interface ContainerPort {
  readonly name: string | null;
  readonly port: number;
  readonly hostPort: number | null;
  readonly protocol: string;
}

export interface Probe {
  readonly type: 'liveness' | 'readiness' | 'startup';
  readonly handler: 'httpGet' | 'tcpSocket' | 'grpc' | 'exec' | 'unknown';
  /** Number, or a name of a container port; null for exec. */
  readonly port: number | string | null;
  readonly path: string | null;
}

export interface Container {
  readonly name: string;
  readonly image: string;
  /** True for an initContainer; `restartable`: a native sidecar (restartPolicy Always). */
  readonly init: boolean;
  readonly restartable: boolean;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | null>>;
  readonly ports: readonly ContainerPort[];
  readonly probes: readonly Probe[];
  /** Of the container, else of the pod's security context; null: the image's. */
  readonly runAsUser: number | null;
  readonly runAsGroup: number | null;
}

export interface Pod extends ApiObject {
  readonly namespace: string;
  /** status.podIPs (status.podIP where that is all), one spelling per address, first is the primary. */
  readonly ips: readonly string[];
  readonly hostIps: readonly string[];
  readonly node: string | null;
  readonly hostNetwork: boolean;
  readonly serviceAccount: string;
  /** `Running`, `Pending`, `Succeeded`, `Failed`, `Unknown`; null: not in the object. */
  readonly phase: string | null;
  /** Condition Ready; null: not in the object. */
  readonly ready: boolean | null;
  /** It has a deletionTimestamp. */
  readonly deleting: boolean;
  /** Containers and initContainers (see `init`). */
  readonly containers: readonly Container[];
  readonly startTime: string | null;
  readonly readinessGates: readonly string[];
}

export interface Node extends ApiObject {
  readonly internalIps: readonly string[];
  readonly podCidrs: readonly string[];
}

export interface ServicePort {
  readonly name: string | null;
  readonly port: number;
  readonly protocol: string;
  readonly appProtocol: string | null;
  /** Number, or the name of a container port; equals `port` where the object has none. */
  readonly targetPort: number | string;
  readonly nodePort: number | null;
}

export interface Service extends ApiObject {
  readonly namespace: string;
  /** `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`. */
  readonly type: string;
  /** Without `None`. */
  readonly clusterIps: readonly string[];
  readonly headless: boolean;
  readonly externalIps: readonly string[];
  /** status.loadBalancer.ingress[].ip */
  readonly loadBalancerIps: readonly string[];
  readonly externalName: string | null;
  readonly ports: readonly ServicePort[];
  /** Null: no selector (endpoints by hand). */
  readonly selector: Labels | null;
  readonly publishNotReadyAddresses: boolean;
  readonly internalTrafficPolicy: string | null;
  readonly externalTrafficPolicy: string | null;
  readonly sessionAffinity: string | null;
  readonly trafficDistribution: string | null;
}

/** One address of one EndpointSlice (or of a legacy Endpoints object) with its ports. */
export interface Endpoint {
  readonly ip: string;
  readonly ports: readonly {
    readonly name: string | null;
    readonly port: number | null;
    readonly protocol: string;
    readonly appProtocol: string | null;
  }[];
  /** conditions.ready; absent means true (API: "nil should be interpreted as true"). */
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node: string | null;
  readonly zone: string | null;
  readonly targetRef: { readonly kind: string; readonly namespace: string | null; readonly name: string } | null;
  readonly evidence: Evidence;
}

export interface EndpointSlice extends ApiObject {
  readonly namespace: string;
  /** Label `kubernetes.io/service-name`. */
  readonly service: string | null;
  readonly addressType: string;
  readonly endpoints: readonly Endpoint[];
}

export interface ConfigMap extends ApiObject {
  readonly namespace: string;
  readonly data: Readonly<Record<string, string>>;
}

/** Deployment, DaemonSet, StatefulSet, ReplicaSet, Job, ReplicationController. */
export interface WorkloadObject extends ApiObject {
  readonly namespace: string;
  readonly replicas: number | null;
  readonly selector: LabelSelector | null;
  readonly containers: readonly Container[];
  readonly templateLabels: Labels;
  readonly templateAnnotations: Labels;
}

export interface LabelSelector {
  readonly matchLabels: Labels;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values: readonly string[];
  }[];
}

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string | null;
  readonly message: string | null;
}

export interface GatewayListener {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname: string | null;
  /** allowedRoutes.namespaces.from: `Same` where the object says nothing. */
  readonly allowFrom: string;
  readonly allowSelector: LabelSelector | null;
  readonly tlsMode: string | null;
  readonly evidence: Evidence;
}

/** gateways.gateway.networking.k8s.io */
export interface Gateway extends ApiObject {
  readonly namespace: string;
  readonly className: string;
  readonly listeners: readonly GatewayListener[];
  /** status.addresses, empty: not ready. */
  readonly addresses: readonly { readonly type: string; readonly value: string }[];
  readonly conditions: readonly Condition[];
}

export interface GatewayClass extends ApiObject {
  readonly controller: string;
}

export interface ParentRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly sectionName: string | null;
  readonly port: number | null;
}

export interface BackendRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
  readonly port: number | null;
  /** 1 where the object says nothing. */
  readonly weight: number;
}

export interface RouteRule {
  readonly matches: readonly JsonObject[];
  readonly filters: readonly JsonObject[];
  readonly backends: readonly BackendRef[];
  readonly evidence: Evidence;
}

/** HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, UDPRoute. */
export interface Route extends ApiObject {
  readonly namespace: string;
  readonly hostnames: readonly string[];
  readonly parents: readonly ParentRef[];
  readonly rules: readonly RouteRule[];
}

export interface TargetRef {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string | null;
  readonly name: string;
}

export interface PolicySource {
  readonly principals: readonly string[];
  readonly notPrincipals: readonly string[];
  readonly requestPrincipals: readonly string[];
  readonly notRequestPrincipals: readonly string[];
  readonly namespaces: readonly string[];
  readonly notNamespaces: readonly string[];
  readonly serviceAccounts: readonly string[];
  readonly notServiceAccounts: readonly string[];
  readonly ipBlocks: readonly string[];
  readonly notIpBlocks: readonly string[];
  readonly remoteIpBlocks: readonly string[];
  readonly notRemoteIpBlocks: readonly string[];
}

export interface PolicyOperation {
  readonly hosts: readonly string[];
  readonly notHosts: readonly string[];
  readonly ports: readonly string[];
  readonly notPorts: readonly string[];
  readonly methods: readonly string[];
  readonly notMethods: readonly string[];
  readonly paths: readonly string[];
  readonly notPaths: readonly string[];
}

export interface PolicyRule {
  /** Empty: any source. */
  readonly from: readonly PolicySource[];
  /** Empty: any operation. */
  readonly to: readonly PolicyOperation[];
  readonly when: readonly {
    readonly key: string;
    readonly values: readonly string[];
    readonly notValues: readonly string[];
  }[];
  readonly evidence: Evidence;
}

export interface AuthorizationPolicy extends ApiObject {
  readonly namespace: string;
  readonly action: 'ALLOW' | 'DENY' | 'CUSTOM' | 'AUDIT';
  /** Null: no selector. */
  readonly selector: Labels | null;
  readonly targets: readonly TargetRef[];
  readonly rules: readonly PolicyRule[];
  readonly dryRun: boolean;
  readonly conditions: readonly Condition[];
}

export type MtlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface PeerAuthentication extends ApiObject {
  readonly namespace: string;
  /** Null: no selector (namespace-wide, or mesh-wide in the root namespace). */
  readonly selector: Labels | null;
  readonly mode: MtlsMode;
  readonly portModes: ReadonlyMap<number, MtlsMode>;
}

export interface DestinationRule extends ApiObject {
  readonly namespace: string;
  readonly host: string;
  readonly trafficPolicy: JsonObject | null;
  readonly subsets: readonly {
    readonly name: string;
    readonly labels: Labels;
    readonly trafficPolicy: JsonObject | null;
  }[];
  /** Empty: everywhere. */
  readonly exportTo: readonly string[];
  /** Client workloads that it is for; null: all. */
  readonly workloadSelector: Labels | null;
}

export interface VirtualService extends ApiObject {
  readonly namespace: string;
  readonly hosts: readonly string[];
  /** Empty means `mesh`. */
  readonly gateways: readonly string[];
  readonly http: readonly JsonObject[];
  readonly tls: readonly JsonObject[];
  readonly tcp: readonly JsonObject[];
  readonly exportTo: readonly string[];
}

export interface ServiceEntry extends ApiObject {
  readonly namespace: string;
  readonly hosts: readonly string[];
  /** IPs and CIDRs. */
  readonly addresses: readonly string[];
  /** status.addresses[].value: auto-allocated VIPs. */
  readonly allocatedAddresses: readonly string[];
  readonly ports: readonly {
    readonly number: number;
    readonly name: string | null;
    readonly protocol: string | null;
    readonly targetPort: number | null;
  }[];
  readonly location: string | null;
  /** NONE where the object says nothing. */
  readonly resolution: string;
  readonly endpoints: readonly {
    readonly address: string | null;
    readonly ports: Readonly<Record<string, number>>;
    readonly labels: Labels;
    readonly serviceAccount: string | null;
    readonly network: string | null;
    readonly weight: number | null;
    readonly evidence: Evidence;
  }[];
  readonly workloadSelector: Labels | null;
  readonly exportTo: readonly string[];
}

export interface WorkloadEntry extends ApiObject {
  readonly namespace: string;
  readonly address: string | null;
  readonly workloadLabels: Labels;
  readonly serviceAccount: string | null;
  readonly network: string | null;
  readonly ports: Readonly<Record<string, number>>;
}

/** Objects of which only the selector is narrowed (Sidecar, RequestAuthentication, Telemetry, EnvoyFilter, …). */
export interface SelectedObject extends ApiObject {
  readonly selector: Labels | null;
  readonly targets: readonly TargetRef[];
  readonly spec: JsonObject;
}

export interface NetworkPolicy extends ApiObject {
  readonly namespace: string;
  readonly podSelector: LabelSelector;
  readonly policyTypes: readonly string[];
  readonly ingress: readonly NetworkPolicyRule[];
  readonly egress: readonly NetworkPolicyRule[];
}

export interface NetworkPolicyRule {
  /** Empty: all peers. */
  readonly peers: readonly {
    readonly podSelector: LabelSelector | null;
    readonly namespaceSelector: LabelSelector | null;
    readonly ipBlock: { readonly cidr: string; readonly except: readonly string[] } | null;
  }[];
  /** Empty: all ports. */
  readonly ports: readonly {
    readonly protocol: string;
    readonly port: number | string | null;
    readonly endPort: number | null;
  }[];
  readonly evidence: Evidence;
}
