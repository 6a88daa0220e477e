import type { Gateway, Pod, Service } from '../formats/kubernetes-types.js';
import { byReadiness, isTerminated } from './order.js';
import type { Mesh, WaypointBinding } from './model.js';

/** What a binding holds where there is no waypoint. */
export const NO_WAYPOINT: Omit<WaypointBinding, 'reason'> = {
  state: 'none',
  requested: null,
  gateway: null,
  service: null,
  pods: [],
  evidence: [],
  unknowns: [],
};

export function findGateway(mesh: Mesh, namespace: string, name: string): Gateway | null {
  return mesh.list('gateways').items.find((entry) => entry.namespace === namespace && entry.name === name) ?? null;
}

const GATEWAY_NAME_LABELS: readonly string[] = ['gateway.networking.k8s.io/gateway-name', 'istio.io/gateway-name'];

/** Pods of a Gateway that istiod deployed; the label was `istio.io/gateway-name` until 1.20. Ready ones first. */
export function podsOfGateway(mesh: Mesh, gateway: Gateway): readonly Pod[] {
  return mesh
    .list('pods')
    .items.filter((pod) => pod.namespace === gateway.namespace && !isTerminated(pod))
    .filter((pod) => GATEWAY_NAME_LABELS.some((label) => pod.labels[label] === gateway.name))
    .sort(byReadiness);
}

/** The Service that carries a Gateway's listeners: owned by it, or selecting its pods by the Gateway's name. */
export function serviceOfGateway(mesh: Mesh, gateway: Gateway): Service | null {
  const services = mesh.list('services').items.filter((service) => service.namespace === gateway.namespace);
  return (
    services.find((service) =>
      service.owners.some((owner) => owner.kind === 'Gateway' && owner.name === gateway.name),
    ) ??
    services.find((service) => GATEWAY_NAME_LABELS.some((label) => service.selector?.[label] === gateway.name)) ??
    null
  );
}
