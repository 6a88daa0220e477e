import type { Check } from './context.js';
import { askedWaypoint, BINDING_FILES } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** The waypoint takes only traffic to Services, and a pod's own address is called; or the other way round. */
export const check: Check = {
  code: 'MP4006',
  title: 'Waypoint is for another kind of address',
  severity: 'warning',
  depth: 0,
  inputs: BINDING_FILES,
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/endpoints.json',
    'kubernetes/gatewayclasses.gateway.networking.k8s.io.json',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    const found = askedWaypoint(context, (unknown) => results.open(unknown));
    if (found === null || found.binding.state !== 'wrong-type') return results.result();
    const { binding, subject, waypoint } = found;
    const called = subject.kind === 'Pod' ? "a pod's own address is called" : 'a Service is called';
    results.find({
      // The default: waypoints are for Services, and a pod's own address goes past them by design.
      severity: subject.kind === 'Pod' ? 'info' : 'warning',
      subject,
      message: `Waypoint ${keyOf(waypoint)} is asked for, but ${called}, and ${binding.reason}: the traffic goes straight to the pod, past the waypoint's policies and routes.`,
      fix: `Let the waypoint take both: \`kubectl label gateways.gateway.networking.k8s.io -n ${waypoint.namespace} ${waypoint.name} istio.io/waypoint-for=all\`; or call the Service.`,
      evidence: [...binding.evidence, ...(binding.gateway === null ? [] : [binding.gateway.evidence])],
      effect: null,
    });
    return results.result();
  },
};
