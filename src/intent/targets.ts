import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Pod, Service, ServicePort } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';

/** One address that traffic can end at. `pod` null: no pod has it. */
export interface Target {
  readonly pod: Pod | null;
  readonly ip: string;
  readonly port: number;
  readonly evidence: readonly Evidence[];
}

export type Targets = { readonly targets: readonly Target[] } | { readonly unknown: Unknown };

/** Ready endpoints of one port of a Service, each with the port that its EndpointSlice gives. */
export function targetsOfService(mesh: Mesh, service: Service, servicePort: ServicePort): Targets {
  const endpoints = mesh.endpointsOf(service).filter((endpoint) => endpoint.ready);
  const targets = endpoints.flatMap((endpoint) => {
    const found = endpoint.ports.find(
      (port) => (port.name ?? '') === (servicePort.name ?? '') && port.protocol === servicePort.protocol,
    );
    if (found?.port == null) return [];
    return [targetAt(mesh, endpoint.ip, found.port, [endpoint.evidence])];
  });
  if (targets.length > 0) return { targets };
  const unknown =
    mesh.unknownOf('endpointSlices', `endpoints of Service ${service.namespace}/${service.name}`, service.namespace) ??
    mesh.unknownOf('pods', `pods of Service ${service.namespace}/${service.name}`, service.namespace);
  // the legacy list stands in for the slices where it was read
  if (unknown !== null && mesh.list('endpoints').state !== 'read') return { unknown };
  return { targets };
}

/** What the name of a headless Service resolves to: its ready endpoints, on the port that the client asked for. */
export function headlessTargets(mesh: Mesh, service: Service, port: number): Targets {
  const targets = mesh
    .endpointsOf(service)
    .filter((endpoint) => endpoint.ready || service.publishNotReadyAddresses)
    .map((endpoint) => targetAt(mesh, endpoint.ip, port, [endpoint.evidence]));
  const unknown = mesh.unknownOf(
    'endpointSlices',
    `endpoints of Service ${service.namespace}/${service.name}`,
    service.namespace,
  );
  return targets.length === 0 && unknown !== null ? { unknown } : { targets };
}

export function targetAt(mesh: Mesh, ip: string, port: number, evidence: readonly Evidence[] = []): Target {
  const own = mesh.podsByIp(ip)[0];
  if (own !== undefined) return { pod: own, ip, port, evidence };
  const onHost = mesh.hostNetworkPodsByIp(ip);
  const listening = onHost.find((pod) =>
    pod.containers.some((container) => container.ports.some((p) => p.port === port)),
  );
  return { pod: listening ?? null, ip, port, evidence };
}
