import type { Evidence, Unknown } from '../formats/evidence.js';
import type { MeshConfig } from '../formats/kubernetes-mesh-config.js';
import type {
  ApiObject,
  AuthorizationPolicy,
  ConfigMap,
  DestinationRule,
  EndpointSlice,
  Endpoint,
  Gateway,
  GatewayClass,
  NetworkPolicy,
  Node,
  PeerAuthentication,
  Pod,
  Route,
  SelectedObject,
  Service,
  ServiceEntry,
  VirtualService,
  WorkloadEntry,
  WorkloadObject,
} from '../formats/kubernetes-types.js';
import type { Snapshot } from '../snapshot/snapshot.js';

/** The kinds that are read, by the name that the model gives them; `kubernetes/<file>.json` holds each. */
export interface KindMap {
  readonly pods: Pod;
  readonly nodes: Node;
  readonly namespaces: ApiObject;
  readonly services: Service;
  readonly endpointSlices: EndpointSlice;
  /** Legacy Endpoints objects, in the shape of one slice each. */
  readonly endpoints: EndpointSlice;
  readonly serviceAccounts: ApiObject;
  readonly configMaps: ConfigMap;
  readonly deployments: WorkloadObject;
  readonly daemonSets: WorkloadObject;
  readonly statefulSets: WorkloadObject;
  readonly replicaSets: WorkloadObject;
  readonly jobs: WorkloadObject;
  readonly gateways: Gateway;
  readonly gatewayClasses: GatewayClass;
  readonly httpRoutes: Route;
  readonly grpcRoutes: Route;
  readonly tcpRoutes: Route;
  readonly tlsRoutes: Route;
  readonly referenceGrants: SelectedObject;
  readonly istioGateways: SelectedObject;
  readonly virtualServices: VirtualService;
  readonly destinationRules: DestinationRule;
  readonly serviceEntries: ServiceEntry;
  readonly workloadEntries: WorkloadEntry;
  readonly sidecars: SelectedObject;
  readonly envoyFilters: SelectedObject;
  readonly proxyConfigs: SelectedObject;
  readonly authorizationPolicies: AuthorizationPolicy;
  readonly peerAuthentications: PeerAuthentication;
  readonly requestAuthentications: SelectedObject;
  readonly telemetries: SelectedObject;
  readonly wasmPlugins: SelectedObject;
  readonly networkPolicies: NetworkPolicy;
  readonly injectionWebhooks: SelectedObject;
  readonly events: ApiObject;
}

export type Kind = keyof KindMap;

/**
 * One list of objects. read: whole · partial: the file is damaged, `items` are those that could be read whole ·
 * missing: not in the snapshot · unusable: in it, but nothing of it can be read. Only `read` with no items means "there
 * are none"; the others leave it unknown, and `reason` says why.
 */
export interface KindList<T> {
  readonly state: 'read' | 'partial' | 'missing' | 'unusable';
  readonly file: string;
  readonly reason: string | null;
  readonly items: readonly T[];
  /** Of a partial list that is whole for these namespaces: the others may not be read. */
  readonly wholeIn?: ReadonlySet<string>;
}

/**
 * The cluster as its API objects describe it. Each list is read when it is first asked for and never again; nothing here
 * knows of rules, sets or dumps. Look-ups give null or an empty list where nothing fits: ask `list(kind).state` (or
 * `unknownOf(kind, …)`) whether that means "there is none" or "not known".
 */
export interface Mesh {
  readonly snapshot: Snapshot;
  list<K extends Kind>(kind: K): KindList<KindMap[K]>;
  /**
   * An Unknown that names the file where `kind` was not read whole, null where it was. `fact`: what was looked for;
   * `namespace`: the only one in which it can be.
   */
  unknownOf(kind: Kind, fact: string, namespace?: string | null): Unknown | null;
  /** One entry per file that could not be used whole, of the files asked for so far, in order of their paths. */
  problems(): readonly MeshProblem[];

  podByName(namespace: string, name: string): Pod | null;
  /** Pods with this address that are not terminated and have a network namespace of their own, ready ones first. */
  podsByIp(ip: string): readonly Pod[];
  /** hostNetwork pods with this address (the node's), not terminated. */
  hostNetworkPodsByIp(ip: string): readonly Pod[];
  /** Not terminated, in order of name. */
  podsOn(node: string): readonly Pod[];
  /** The ztunnels of a node, the one that serves it first; terminated ones left out. */
  ztunnelsOn(node: string): readonly Pod[];
  nodeByName(name: string): Node | null;
  /** By InternalIP. */
  nodeByIp(ip: string): Node | null;
  /** By podCIDR, for addresses of pods that are not in the lists. */
  nodeByPodCidr(ip: string): Node | null;
  namespace(name: string): ApiObject | null;
  service(namespace: string, name: string): Service | null;
  /** By clusterIP, externalIP or load-balancer ingress address. */
  servicesByIp(ip: string): readonly Service[];
  /** Of EndpointSlices; where that list is missing, of the legacy Endpoints. Sorted by ip. */
  endpointsOf(service: Service): readonly Endpoint[];
  /** Services whose selector takes this pod. */
  servicesOf(pod: Pod): readonly Service[];
  /** ServiceEntries with this address (exact or CIDR, allocated addresses too). */
  serviceEntriesByIp(ip: string): readonly ServiceEntry[];
  /** ServiceEntries with this host, exact or by wildcard, exact ones first. */
  serviceEntriesByHost(host: string): readonly ServiceEntry[];
  /** Controller of a pod: through its ReplicaSet to the Deployment, through its Job to nothing further. */
  ownerOf(pod: Pod): Owner | null;

  /** ConfigMap `istio` of the mesh (revisioned names too, the default one first); null: missing or not understood. */
  config(): { readonly config: MeshConfig; readonly evidence: Evidence } | null;
  /** `cluster.local` where the configuration says nothing; null where the configuration could not be read. */
  trustDomain(): string | null;
  /** MeshConfig rootNamespace; `istioNamespace()` where it says nothing. */
  rootNamespace(): string | null;
  /** Namespace of istiod (the one that runs it); null where nothing shows it. */
  istioNamespace(): string | null;
  /** `cluster.local` unless istiod's `--domain` says otherwise. */
  clusterDomain(): string;
  /** Releases by image tag (istiod, istio-cni, ztunnel) and, where no image says it, by the manifest. */
  release(component: 'istiod' | 'cni' | 'ztunnel'): Release | null;
}

export interface MeshProblem {
  readonly file: string;
  readonly line?: number;
  readonly pointer?: string;
  /** What is wrong, and what was expected there. */
  readonly message: string;
}

export interface Owner {
  readonly kind: string;
  readonly name: string;
}

export interface Release {
  /** `1.30.3`, as the image tag or the manifest has it. */
  readonly text: string;
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  readonly evidence: Evidence;
}

/**
 * What the mesh treats a pod as. sidecar: annotation `sidecar.istio.io/status` · ambient: annotation
 * `ambient.istio.io/redirection` says enabled or pending · waypoint, gateway, ztunnel: by labels and the proxy's command ·
 * hostNetwork: shares its node's namespace, in no mesh · plain: none of these (`expected` says whether it was to be
 * enrolled).
 */
export type Mode = 'ambient' | 'sidecar' | 'gateway' | 'waypoint' | 'plain' | 'hostNetwork' | 'ztunnel';

/**
 * sidecar-and-ambient: status annotation and redirection annotation · sidecar-hides-label: labels ask for ambient, the
 * sidecar wins · sidecar-without-status: a proxy container, no annotation: istio-cni does not see it ·
 * status-without-sidecar: the annotation, but no proxy container: ambient stays off for nothing · not-redirected: labels
 * ask for ambient, the annotation is absent · redirected-unasked: annotation without labels · pending: istio-cni has set
 * the rules, ztunnel has not taken the pod.
 */
export type ModeConflict =
  | 'sidecar-and-ambient'
  | 'sidecar-hides-label'
  | 'sidecar-without-status'
  | 'status-without-sidecar'
  | 'not-redirected'
  | 'redirected-unasked'
  | 'pending';

export interface PodMode {
  readonly mode: Mode;
  /** The label, annotation or container that decides, with the object that carries it. */
  readonly decidedBy: Evidence;
  readonly reason: string;
  /** Annotation `ambient.istio.io/redirection` as written; null: absent. */
  readonly redirection: string | null;
  /** What labels and release ask for. `enrolled` null: `unknowns` names what would decide. */
  readonly expected: {
    readonly enrolled: boolean | null;
    readonly reason: string;
    readonly evidence: readonly Evidence[];
  };
  readonly conflicts: readonly { readonly kind: ModeConflict; readonly message: string; readonly evidence: Evidence }[];
  readonly unknowns: readonly Unknown[];
}

/**
 * ready: published, traffic goes through it · none: nothing asks for one, or `none` opts out · not-ready: the Gateway has
 * no address · missing: no such Gateway · denied: its allowedRoutes do not admit the namespace · wrong-type: istio.io/
 * waypoint-for does not take this traffic · unknown: a list is missing.
 * All but `ready` fail open: the traffic goes direct (istio pilot/pkg/serviceregistry/ambient/waypoints.go).
 */
export type WaypointState = 'ready' | 'none' | 'not-ready' | 'missing' | 'denied' | 'wrong-type' | 'unknown';

export interface WaypointBinding {
  readonly state: WaypointState;
  /** What was asked for, whether or not it exists; null for `none` and `unknown`. */
  readonly requested: { readonly namespace: string; readonly name: string } | null;
  readonly gateway: Gateway | null;
  /** The Service that carries it (VIP:15008), where it exists. */
  readonly service: Service | null;
  /** Its pods: not terminated, ready ones first. */
  readonly pods: readonly Pod[];
  readonly reason: string;
  /** The label that asks, and the Gateway. */
  readonly evidence: readonly Evidence[];
  readonly unknowns: readonly Unknown[];
}

/** PeerAuthentication that holds for one port of one pod. */
export interface EffectivePeerAuthentication {
  /** Null: `unknowns` names the list that is missing. */
  readonly mode: 'DISABLE' | 'PERMISSIVE' | 'STRICT' | null;
  /** Empty: nothing set it, PERMISSIVE is the default. */
  readonly evidence: readonly Evidence[];
  readonly reason: string;
  readonly unknowns: readonly Unknown[];
}
