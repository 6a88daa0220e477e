import type { Gateway, Pod, Service } from '../formats/kubernetes-types.js';
import { nameOf } from './order.js';
import type { Mesh, WaypointBinding } from './model.js';
import { annotationEvidence } from './proxies.js';
import { atLeast } from './release.js';
import { NO_WAYPOINT, podsOfGateway, serviceOfGateway } from './gateways.js';

const FOR_SERVICE_ACCOUNT = 'istio.io/for-service-account';
const MANAGED = 'gateway.istio.io/managed';

/**
 * Before 1.22 a Gateway of class `istio-waypoint` takes all traffic to the pods of its namespace, or to those of one
 * service account (annotation), whether it was addressed to a Service or to a pod. The scope of an account wins over that
 * of the namespace (istio 1.18.2 pilot/pkg/serviceregistry/kube/controller/ambientindex.go).
 */
export function legacyWaypointOfPod(mesh: Mesh, pod: Pod): WaypointBinding {
  if (pod.labels[MANAGED] !== undefined) return { ...NO_WAYPOINT, reason: 'it is a waypoint or gateway itself' };
  const missing = mesh.unknownOf('gateways', `waypoints of namespace ${pod.namespace}`);
  const gateways = mesh
    .list('gateways')
    .items.filter((entry) => entry.namespace === pod.namespace && entry.className === 'istio-waypoint');
  const gateway =
    gateways.find((entry) => entry.annotations[FOR_SERVICE_ACCOUNT] === pod.serviceAccount) ??
    gateways.find((entry) => (entry.annotations[FOR_SERVICE_ACCOUNT] ?? '') === '');
  if (gateway === undefined) {
    if (missing === null) return { ...NO_WAYPOINT, reason: 'no Gateway of class istio-waypoint is for it' };
    return { ...NO_WAYPOINT, state: 'unknown', reason: 'the Gateways are not known', unknowns: [missing] };
  }
  return stateOf(mesh, gateway);
}

function stateOf(mesh: Mesh, gateway: Gateway): WaypointBinding {
  const requested = { namespace: gateway.namespace, name: gateway.name };
  const pods = podsOfGateway(mesh, gateway);
  const service = serviceOfGateway(mesh, gateway);
  const evidence = [annotationEvidence(gateway, FOR_SERVICE_ACCOUNT), ...pods.slice(0, 1).map((pod) => pod.evidence)];
  const base = { requested, gateway, service, pods, evidence, unknowns: [] };
  const missing = mesh.unknownOf('pods', `pods of waypoint ${nameOf(gateway)}`);
  if (missing !== null && pods.length === 0) {
    return { ...base, state: 'unknown', reason: 'the pods of the waypoint are not known', unknowns: [missing] };
  }
  const release = mesh.release('istiod');
  if (pods.some((pod) => pod.ready === true)) {
    return { ...base, state: 'ready', reason: `waypoint ${nameOf(gateway)} takes it` };
  }
  if (release === null || !atLeast(release, 19) || gateway.addresses.length === 0) {
    // 1.18 publishes the addresses of ready waypoint pods: without one the workloads have no waypoint
    return { ...base, state: 'not-ready', reason: `no pod of waypoint ${nameOf(gateway)} is ready` };
  }
  const unknown = {
    fact: `whether istiod still publishes waypoint ${nameOf(gateway)}`,
    reason: 'no pod of it is ready, its Gateway has an address; the dump of a ztunnel would show it',
  };
  return { ...base, state: 'unknown', reason: unknown.reason, unknowns: [unknown] };
}

/** All pods behind a Service have the same waypoint, or the answer differs by endpoint and nothing holds for all. */
export function legacyWaypointOfService(mesh: Mesh, service: Service): WaypointBinding {
  const pods = mesh.endpointsOf(service).flatMap((endpoint) => mesh.podsByIp(endpoint.ip));
  const bindings = pods.map((pod) => legacyWaypointOfPod(mesh, pod));
  const first = bindings[0];
  if (first === undefined) return { ...NO_WAYPOINT, reason: 'no pod is behind it' };
  const same = bindings.every(
    (binding) => binding.state === first.state && binding.requested?.name === first.requested?.name,
  );
  if (same) return first;
  const unknown = { fact: `waypoint of Service ${nameOf(service)}`, reason: 'its pods have different ones' };
  return { ...NO_WAYPOINT, state: 'unknown', reason: unknown.reason, unknowns: [unknown] };
}
