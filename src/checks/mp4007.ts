import type { Check } from './context.js';
import { aroundWaypoint, bindingOf, clientUsesWaypoints } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** The waypoint of another namespace does not admit this one: istiod leaves it out and traffic goes direct. */
export const check: Check = {
  code: 'MP4007',
  title: 'Waypoint does not admit the namespace',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/endpointslices.discovery.k8s.io.json',
    'kubernetes/gateways.gateway.networking.k8s.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'kubernetes/services.json',
  ],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/endpoints.json',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    if (!clientUsesWaypoints(context)) return results.result();
    const found = bindingOf(context, (unknown) => results.open(unknown));
    if (found === null || found.binding.state !== 'denied' || found.binding.requested === null) return results.result();
    const { binding, subject } = found;
    results.find({
      subject,
      message: `${subject.kind} ${keyOf(subject)} asks for waypoint ${keyOf(found.binding.requested)} of another namespace, but ${binding.reason}: traffic goes straight to the pods, past the waypoint's policies and routes.`,
      fix: `Admit namespace ${subject.namespace} in allowedRoutes of the HBONE listener: \`kubectl edit gateways.gateway.networking.k8s.io -n ${found.binding.requested.namespace} ${found.binding.requested.name}\`.`,
      evidence: [...binding.evidence, ...(binding.gateway === null ? [] : [binding.gateway.evidence])],
      effect: { verdicts: ['error', 'refused', 'dropped'], at: aroundWaypoint(context, binding) },
    });
    return results.result();
  },
};
