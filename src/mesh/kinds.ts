import {
  parseConfigMap,
  parseEndpoints,
  parseEndpointSlice,
  parseNode,
  parsePod,
  parseService,
  parseWorkloadObject,
} from '../formats/kubernetes-core.js';
import { parseGateway, parseGatewayClass, parseRoute } from '../formats/kubernetes-gateway.js';
import {
  parseAuthorizationPolicy,
  parseDestinationRule,
  parsePeerAuthentication,
  parseServiceEntry,
  parseVirtualService,
  parseWorkloadEntry,
} from '../formats/kubernetes-istio.js';
import { parseNetworkPolicy } from '../formats/kubernetes-network-policy.js';
import { parseSelectedObject } from '../formats/kubernetes-object.js';
import type { ApiObject } from '../formats/kubernetes-types.js';
import type { Kind, KindMap } from './model.js';

interface KindSpec<T> {
  /** `<plural>[.<group>]`: the file is `kubernetes/<resource>.json`. */
  readonly resource: string;
  readonly kind: string;
  readonly parse: (object: ApiObject) => T;
}

const same = (object: ApiObject): ApiObject => object;

/** Where each kind of the model is found in a snapshot, and its parser. */
export const KINDS: { readonly [K in Kind]: KindSpec<KindMap[K]> } = {
  pods: { resource: 'pods', kind: 'Pod', parse: parsePod },
  nodes: { resource: 'nodes', kind: 'Node', parse: parseNode },
  namespaces: { resource: 'namespaces', kind: 'Namespace', parse: same },
  services: { resource: 'services', kind: 'Service', parse: parseService },
  endpointSlices: { resource: 'endpointslices.discovery.k8s.io', kind: 'EndpointSlice', parse: parseEndpointSlice },
  endpoints: { resource: 'endpoints', kind: 'Endpoints', parse: parseEndpoints },
  serviceAccounts: { resource: 'serviceaccounts', kind: 'ServiceAccount', parse: same },
  configMaps: { resource: 'configmaps', kind: 'ConfigMap', parse: parseConfigMap },
  deployments: { resource: 'deployments.apps', kind: 'Deployment', parse: parseWorkloadObject },
  daemonSets: { resource: 'daemonsets.apps', kind: 'DaemonSet', parse: parseWorkloadObject },
  statefulSets: { resource: 'statefulsets.apps', kind: 'StatefulSet', parse: parseWorkloadObject },
  replicaSets: { resource: 'replicasets.apps', kind: 'ReplicaSet', parse: parseWorkloadObject },
  jobs: { resource: 'jobs.batch', kind: 'Job', parse: parseWorkloadObject },
  gateways: { resource: 'gateways.gateway.networking.k8s.io', kind: 'Gateway', parse: parseGateway },
  gatewayClasses: {
    resource: 'gatewayclasses.gateway.networking.k8s.io',
    kind: 'GatewayClass',
    parse: parseGatewayClass,
  },
  httpRoutes: { resource: 'httproutes.gateway.networking.k8s.io', kind: 'HTTPRoute', parse: parseRoute },
  grpcRoutes: { resource: 'grpcroutes.gateway.networking.k8s.io', kind: 'GRPCRoute', parse: parseRoute },
  tcpRoutes: { resource: 'tcproutes.gateway.networking.k8s.io', kind: 'TCPRoute', parse: parseRoute },
  tlsRoutes: { resource: 'tlsroutes.gateway.networking.k8s.io', kind: 'TLSRoute', parse: parseRoute },
  referenceGrants: {
    resource: 'referencegrants.gateway.networking.k8s.io',
    kind: 'ReferenceGrant',
    parse: parseSelectedObject,
  },
  istioGateways: { resource: 'gateways.networking.istio.io', kind: 'Gateway', parse: parseSelectedObject },
  virtualServices: {
    resource: 'virtualservices.networking.istio.io',
    kind: 'VirtualService',
    parse: parseVirtualService,
  },
  destinationRules: {
    resource: 'destinationrules.networking.istio.io',
    kind: 'DestinationRule',
    parse: parseDestinationRule,
  },
  serviceEntries: { resource: 'serviceentries.networking.istio.io', kind: 'ServiceEntry', parse: parseServiceEntry },
  workloadEntries: {
    resource: 'workloadentries.networking.istio.io',
    kind: 'WorkloadEntry',
    parse: parseWorkloadEntry,
  },
  sidecars: { resource: 'sidecars.networking.istio.io', kind: 'Sidecar', parse: parseSelectedObject },
  envoyFilters: { resource: 'envoyfilters.networking.istio.io', kind: 'EnvoyFilter', parse: parseSelectedObject },
  proxyConfigs: { resource: 'proxyconfigs.networking.istio.io', kind: 'ProxyConfig', parse: parseSelectedObject },
  authorizationPolicies: {
    resource: 'authorizationpolicies.security.istio.io',
    kind: 'AuthorizationPolicy',
    parse: parseAuthorizationPolicy,
  },
  peerAuthentications: {
    resource: 'peerauthentications.security.istio.io',
    kind: 'PeerAuthentication',
    parse: parsePeerAuthentication,
  },
  requestAuthentications: {
    resource: 'requestauthentications.security.istio.io',
    kind: 'RequestAuthentication',
    parse: parseSelectedObject,
  },
  telemetries: { resource: 'telemetries.telemetry.istio.io', kind: 'Telemetry', parse: parseSelectedObject },
  wasmPlugins: { resource: 'wasmplugins.extensions.istio.io', kind: 'WasmPlugin', parse: parseSelectedObject },
  networkPolicies: { resource: 'networkpolicies.networking.k8s.io', kind: 'NetworkPolicy', parse: parseNetworkPolicy },
  injectionWebhooks: {
    resource: 'mutatingwebhookconfigurations.admissionregistration.k8s.io',
    kind: 'MutatingWebhookConfiguration',
    parse: parseSelectedObject,
  },
  events: { resource: 'events', kind: 'Event', parse: same },
};

export function fileOf(kind: Kind): string {
  return `kubernetes/${KINDS[kind].resource}.json`;
}
