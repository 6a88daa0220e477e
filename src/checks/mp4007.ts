import type { Check } from './context.js';
import { aroundWaypoint, askedWaypoint, BINDING_FILES } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** The waypoint of another namespace does not admit this one: istiod leaves it out and traffic goes direct. */
export const check: Check = {
  code: 'MP4007',
  title: 'Waypoint does not admit the namespace',
  severity: 'error',
  depth: 0,
  inputs: BINDING_FILES,
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/endpoints.json',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    const found = askedWaypoint(context, (unknown) => results.open(unknown));
    if (found === null || found.binding.state !== 'denied') return results.result();
    const { binding, subject, waypoint } = found;
    results.find({
      subject,
      message: `${subject.kind} ${keyOf(subject)} asks for waypoint ${keyOf(waypoint)} of another namespace, but ${binding.reason}: traffic goes straight to the pods, past the waypoint's policies and routes.`,
      fix: `Admit namespace ${subject.namespace} in allowedRoutes of the HBONE listener: \`kubectl edit gateways.gateway.networking.k8s.io -n ${waypoint.namespace} ${waypoint.name}\`.`,
      evidence: [...binding.evidence, ...(binding.gateway === null ? [] : [binding.gateway.evidence])],
      effect: { verdicts: ['error', 'refused', 'dropped'], at: aroundWaypoint(context, binding) },
    });
    return results.result();
  },
};
