import type { Check } from './context.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** Nobody is behind the Service, or it has no such port. */
export const check: Check = {
  code: 'MP6009',
  title: 'Service has no such port or no ready endpoint',
  severity: 'error',
  depth: 0,
  inputs: [],
  run: ({ mesh, question, paths }) => {
    const results = new Results();
    const { service, port } = question;
    if (service === null || service.type === 'ExternalName') return results.result();
    if (!paths.some((path) => path.verdict !== 'delivered' && path.verdict !== 'unknown')) return results.result();
    const subject = { kind: 'Service', namespace: service.namespace, name: service.name };
    const at = paths.flatMap((path) => path.stops.map(keyOf));
    const verdicts = ['error', 'refused', 'dropped'] as const;
    if (port !== null && !service.headless && !service.ports.some((entry) => entry.port === port)) {
      results.find({
        title: 'Service has no such port',
        subject,
        message: `Service ${keyOf(service)} has no port ${String(port)}; it has ${service.ports.map((entry) => String(entry.port)).join(', ') || 'none'}.`,
        fix: `Call one of its ports, or add this one: \`kubectl edit service -n ${service.namespace} ${service.name}\`.`,
        evidence: [service.evidence],
        effect: { verdicts, at },
      });
      return results.result();
    }
    const open = mesh.unknownOf('endpointSlices', `endpoints of Service ${keyOf(service)}`, service.namespace);
    const endpoints = mesh.endpointsOf(service);
    const ready = endpoints.filter((endpoint) => endpoint.ready);
    if (ready.length > 0) return results.result();
    if (open !== null) {
      results.open(open);
      return results.result();
    }
    const waiting = endpoints.flatMap((endpoint) =>
      endpoint.targetRef === null
        ? []
        : [`${endpoint.targetRef.namespace ?? service.namespace}/${endpoint.targetRef.name}`],
    );
    results.find({
      title: 'Service has no ready endpoint',
      subject,
      message: `Service ${keyOf(service)} has no ready endpoint${waiting.length > 0 ? `: ${waiting.join(', ')} ${waiting.length === 1 ? 'is' : 'are'} not ready` : service.selector === null ? '' : ': its selector takes no pod that runs'}.`,
      fix: `See why: \`kubectl get endpointslices -n ${service.namespace} -l kubernetes.io/service-name=${service.name}\`, its selector, and the readiness of its pods.`,
      evidence: [service.evidence, ...endpoints.map((endpoint) => endpoint.evidence)].slice(0, 5),
      effect: { verdicts, at },
    });
    return results.result();
  },
};
