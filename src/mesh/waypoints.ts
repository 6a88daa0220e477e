import type { Evidence, Unknown } from '../formats/evidence.js';
import type { ApiObject, Gateway, Pod, Service } from '../formats/kubernetes-types.js';
import { selectorMatches } from './labels.js';
import { findGateway, NO_WAYPOINT, podsOfGateway, serviceOfGateway } from './gateways.js';
import { nameOf } from './order.js';
import type { Mesh, WaypointBinding } from './model.js';
import { labelEvidence } from './proxies.js';
import { atLeast } from './release.js';
import { legacyWaypointOfPod, legacyWaypointOfService } from './waypoints-legacy.js';

const USE = 'istio.io/use-waypoint';
const USE_NAMESPACE = 'istio.io/use-waypoint-namespace';
const WAYPOINT_FOR = 'istio.io/waypoint-for';
const MANAGED = 'gateway.istio.io/managed';

/**
 * The waypoint of traffic that is addressed to a Service (its VIP or name). Service label, then namespace label, never a
 * pod's (istio 1.30.3 pilot/pkg/serviceregistry/ambient/waypoints.go:fetchWaypointForTarget; before 1.22 by Gateway and
 * service account).
 */
export function waypointOfService(mesh: Mesh, service: Service): WaypointBinding {
  const labels = usesLabels(mesh);
  if (labels === null) return unknownRelease();
  if (!labels) return legacyWaypointOfService(mesh, service);
  if (service.labels[MANAGED] !== undefined) {
    return {
      ...NO_WAYPOINT,
      reason: 'it is the Service of a waypoint or gateway',
      evidence: [labelEvidence(service, MANAGED)],
    };
  }
  return bind(mesh, service, service.namespace, 'service');
}

/** The waypoint of traffic that is addressed to a pod's own IP. Pod label, then namespace label, never a Service's. */
export function waypointOfPod(mesh: Mesh, pod: Pod): WaypointBinding {
  const labels = usesLabels(mesh);
  if (labels === null) return unknownRelease();
  if (!labels) return legacyWaypointOfPod(mesh, pod);
  if (pod.labels[MANAGED] !== undefined) {
    return { ...NO_WAYPOINT, reason: 'it is a waypoint or gateway itself', evidence: [labelEvidence(pod, MANAGED)] };
  }
  return bind(mesh, pod, pod.namespace, 'workload');
}

/** The waypoint of any other object with labels: a ServiceEntry (as a Service), a WorkloadEntry (as a pod). */
export function waypointOfObject(mesh: Mesh, object: ApiObject, traffic: 'service' | 'workload'): WaypointBinding {
  const labels = usesLabels(mesh);
  if (labels === null) return unknownRelease();
  if (!labels) return { ...NO_WAYPOINT, reason: 'before 1.22 only pods have waypoints' };
  return bind(mesh, object, object.namespace ?? 'default', traffic);
}

/** 1.22+ binds by label; null: the release is not known. */
function usesLabels(mesh: Mesh): boolean | null {
  const release = mesh.release('istiod') ?? mesh.release('ztunnel');
  return release === null ? null : atLeast(release, 22);
}

function unknownRelease(): WaypointBinding {
  const unknown = { fact: 'release of istiod', reason: 'waypoints are bound in another way before 1.22' };
  return { ...NO_WAYPOINT, state: 'unknown', reason: 'the release of istiod is not known', unknowns: [unknown] };
}

type Request = { readonly namespace: string; readonly name: string; readonly evidence: Evidence };

function requestOf(mesh: Mesh, object: ApiObject, namespace: string): Request | 'opt-out' | null {
  const name = object.labels[USE];
  if (name === undefined) return null;
  if (name === 'none') return 'opt-out';
  const release = mesh.release('istiod');
  const elsewhere = release === null || atLeast(release, 23) ? object.labels[USE_NAMESPACE] : undefined;
  return { namespace: elsewhere ?? namespace, name, evidence: labelEvidence(object, USE) };
}

function bind(mesh: Mesh, object: ApiObject, namespace: string, traffic: 'service' | 'workload'): WaypointBinding {
  const own = requestOf(mesh, object, namespace);
  if (own === 'opt-out') {
    return { ...NO_WAYPOINT, reason: 'its label opts out', evidence: [labelEvidence(object, USE)] };
  }
  if (own !== null) return resolve(mesh, own, namespace, traffic);
  const owner = mesh.namespace(namespace);
  if (owner === null) {
    const unknown = mesh.unknownOf('namespaces', `labels of namespace ${namespace}`) ?? {
      fact: `labels of namespace ${namespace} (${mesh.list('namespaces').file})`,
      reason: 'the list does not hold this namespace',
    };
    return {
      ...NO_WAYPOINT,
      state: 'unknown',
      reason: 'the labels of its namespace are not known',
      unknowns: [unknown],
    };
  }
  const request = requestOf(mesh, owner, namespace);
  if (request === null || request === 'opt-out') {
    const evidence = request === null ? [] : [labelEvidence(owner, USE)];
    return { ...NO_WAYPOINT, reason: 'no label asks for a waypoint', evidence };
  }
  return resolve(mesh, request, namespace, traffic);
}

/** Gateway found, ready, admits the namespace and takes this traffic: in the order in which istiod asks. */
function resolve(mesh: Mesh, request: Request, namespace: string, traffic: 'service' | 'workload'): WaypointBinding {
  const requested = { namespace: request.namespace, name: request.name };
  const wanted = `waypoint ${requested.namespace}/${requested.name}`;
  const missing = mesh.unknownOf('gateways', `Gateway ${requested.namespace}/${requested.name}`);
  const gateway = findGateway(mesh, requested.namespace, requested.name);
  const base = { requested, gateway, service: null, pods: [], evidence: [request.evidence], unknowns: [] };
  if (gateway === null) {
    if (missing !== null) {
      return {
        ...base,
        state: 'unknown',
        reason: `${wanted} is asked for, the Gateways are not known`,
        unknowns: [missing],
      };
    }
    return { ...base, state: 'missing', reason: `${wanted} is asked for, but there is no such Gateway` };
  }
  const found = {
    ...base,
    service: serviceOfGateway(mesh, gateway),
    pods: podsOfGateway(mesh, gateway),
    evidence: [request.evidence, gateway.evidence],
  };
  if (gateway.addresses.length === 0) {
    return { ...found, state: 'not-ready', reason: `${wanted} has no address: none of its pods was ever ready` };
  }
  const admits = admitsNamespace(mesh, gateway, namespace);
  if (admits === false) {
    return { ...found, state: 'denied', reason: `${wanted} does not admit namespace ${namespace} (allowedRoutes)` };
  }
  if (admits !== true) return { ...found, state: 'unknown', reason: admits.reason, unknowns: [admits] };
  const type = trafficTypeOf(mesh, gateway);
  if (typeof type !== 'string') return { ...found, state: 'unknown', reason: type.reason, unknowns: [type] };
  if (type !== 'all' && type !== traffic) {
    const addressed = traffic === 'service' ? 'Services' : 'pods';
    return {
      ...found,
      state: 'wrong-type',
      reason: `${wanted} is for ${type}, not for traffic addressed to ${addressed}`,
    };
  }
  return { ...found, state: 'ready', reason: `${wanted} takes it` };
}

/** allowedRoutes of the HBONE listener on 15008; without one, the Gateway's own namespace. */
function admitsNamespace(mesh: Mesh, gateway: Gateway, namespace: string): boolean | Unknown {
  const listener = gateway.listeners.find((entry) => entry.protocol === 'HBONE' && entry.port === 15008);
  const from = listener?.allowFrom ?? 'Same';
  switch (from) {
    case 'All':
      return true;
    case 'Same':
      return gateway.namespace === namespace;
    case 'None':
      return false;
    case 'Selector': {
      const labels = mesh.namespace(namespace)?.labels;
      if (labels === undefined || listener === undefined || listener.allowSelector === null) {
        return { fact: `labels of namespace ${namespace}`, reason: 'allowedRoutes of the waypoint selects by them' };
      }
      const match = selectorMatches(listener.allowSelector, labels);
      return match ?? { fact: `allowedRoutes of Gateway ${nameOf(gateway)}`, reason: 'an operator in it is not known' };
    }
    default:
      return { fact: `allowedRoutes of Gateway ${nameOf(gateway)}`, reason: `"${from}" is not known` };
  }
}

/** Label of the Gateway, then (1.24+) of its class, then `service`. */
function trafficTypeOf(mesh: Mesh, gateway: Gateway): string | Unknown {
  const own = gateway.labels[WAYPOINT_FOR];
  if (own !== undefined) return own;
  const release = mesh.release('istiod');
  if (release !== null && !atLeast(release, 24)) return 'service';
  const className = gateway.className;
  const found = mesh.list('gatewayClasses').items.find((entry) => entry.name === className);
  if (found === undefined) return mesh.unknownOf('gatewayClasses', `GatewayClass ${className}`) ?? 'service';
  return found.labels[WAYPOINT_FOR] ?? 'service';
}
