/**
 * The kinds that a snapshot holds (contract: `kubernetes/<plural>[.<group>].json`). Secrets are not among them and never
 * will be: what is not listed here cannot be asked for (see allow.ts).
 */
export interface Kind {
  readonly plural: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly kind: string;
  readonly namespaced: boolean;
  /**
   * config: small and needed whole, since any object of it can take part (policies, routes, namespaces) · scoped: grows
   * with the workloads, so a trace reads the namespaces of its path only · events: only a capture reads them.
   */
  readonly size: 'config' | 'scoped' | 'events';
}

function kind(plural: string, group: string, name: string, size: Kind['size'], namespaced = true): Kind {
  return { plural, group, kind: name, namespaced, size };
}

const NETWORKING = 'networking.istio.io';
const SECURITY = 'security.istio.io';
const GATEWAY = 'gateway.networking.k8s.io';

export const KINDS: readonly Kind[] = [
  kind('pods', '', 'Pod', 'scoped'),
  kind('nodes', '', 'Node', 'config', false),
  kind('namespaces', '', 'Namespace', 'config', false),
  kind('services', '', 'Service', 'scoped'),
  kind('endpoints', '', 'Endpoints', 'scoped'),
  kind('endpointslices', 'discovery.k8s.io', 'EndpointSlice', 'scoped'),
  kind('serviceaccounts', '', 'ServiceAccount', 'scoped'),
  kind('configmaps', '', 'ConfigMap', 'scoped'),
  kind('events', '', 'Event', 'events'),
  kind('deployments', 'apps', 'Deployment', 'scoped'),
  kind('daemonsets', 'apps', 'DaemonSet', 'scoped'),
  kind('statefulsets', 'apps', 'StatefulSet', 'scoped'),
  kind('replicasets', 'apps', 'ReplicaSet', 'scoped'),
  kind('replicationcontrollers', '', 'ReplicationController', 'scoped'),
  kind('jobs', 'batch', 'Job', 'scoped'),
  kind('networkpolicies', 'networking.k8s.io', 'NetworkPolicy', 'config'),
  kind('ingresses', 'networking.k8s.io', 'Ingress', 'config'),
  kind(
    'mutatingwebhookconfigurations',
    'admissionregistration.k8s.io',
    'MutatingWebhookConfiguration',
    'config',
    false,
  ),
  kind('virtualservices', NETWORKING, 'VirtualService', 'config'),
  kind('destinationrules', NETWORKING, 'DestinationRule', 'config'),
  kind('gateways', NETWORKING, 'Gateway', 'config'),
  kind('serviceentries', NETWORKING, 'ServiceEntry', 'config'),
  kind('workloadentries', NETWORKING, 'WorkloadEntry', 'config'),
  kind('workloadgroups', NETWORKING, 'WorkloadGroup', 'config'),
  kind('sidecars', NETWORKING, 'Sidecar', 'config'),
  kind('envoyfilters', NETWORKING, 'EnvoyFilter', 'config'),
  kind('proxyconfigs', NETWORKING, 'ProxyConfig', 'config'),
  kind('authorizationpolicies', SECURITY, 'AuthorizationPolicy', 'config'),
  kind('peerauthentications', SECURITY, 'PeerAuthentication', 'config'),
  kind('requestauthentications', SECURITY, 'RequestAuthentication', 'config'),
  kind('telemetries', 'telemetry.istio.io', 'Telemetry', 'config'),
  kind('wasmplugins', 'extensions.istio.io', 'WasmPlugin', 'config'),
  kind('trafficextensions', 'extensions.istio.io', 'TrafficExtension', 'config'),
  kind('gatewayclasses', GATEWAY, 'GatewayClass', 'config', false),
  kind('gateways', GATEWAY, 'Gateway', 'config'),
  kind('httproutes', GATEWAY, 'HTTPRoute', 'config'),
  kind('grpcroutes', GATEWAY, 'GRPCRoute', 'config'),
  kind('tcproutes', GATEWAY, 'TCPRoute', 'config'),
  kind('tlsroutes', GATEWAY, 'TLSRoute', 'config'),
  kind('udproutes', GATEWAY, 'UDPRoute', 'config'),
  kind('referencegrants', GATEWAY, 'ReferenceGrant', 'config'),
  kind('backendtlspolicies', GATEWAY, 'BackendTLSPolicy', 'config'),
  kind('listenersets', GATEWAY, 'ListenerSet', 'config'),
];

/** `kubernetes/pods.json`, `kubernetes/gateways.networking.istio.io.json`. */
export function kindFile(of: Kind): string {
  return `kubernetes/${of.plural}${of.group === '' ? '' : `.${of.group}`}.json`;
}

const BY_FILE = new Map(KINDS.map((k) => [kindFile(k), k]));

export function kindOfFile(file: string): Kind | null {
  return BY_FILE.get(file) ?? null;
}

/** Groups that are part of every API server: their version is known without asking. */
const BUILT_IN: Readonly<Record<string, string>> = {
  '': 'v1',
  apps: 'v1',
  batch: 'v1',
  'discovery.k8s.io': 'v1',
  'networking.k8s.io': 'v1',
  'admissionregistration.k8s.io': 'v1',
};

/** `v1` for a built-in group; null: only discovery knows. */
export function builtInVersion(group: string): string | null {
  return BUILT_IN[group] ?? null;
}
