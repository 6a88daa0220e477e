import type { Check } from './context.js';
import { aroundWaypoint, askedWaypoint, BINDING_FILES } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** A label asks for a waypoint that istiod cannot give: it leaves the waypoint out and traffic goes straight to the pods. */
export const check: Check = {
  code: 'MP4003',
  title: 'Waypoint is asked for, but not there',
  severity: 'error',
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
    if (found === null) return results.result();
    const { binding, subject, waypoint } = found;
    if (binding.state !== 'missing' && binding.state !== 'not-ready') return results.result();
    // Pods that are there and not ready are another story, with another fix (MP4004).
    if (binding.state === 'not-ready' && binding.pods.length > 0) return results.result();
    const others = context.mesh
      .list('gateways')
      .items.filter((gateway) => gateway.namespace === waypoint.namespace && /waypoint/.test(gateway.className));
    const hint =
      binding.state === 'missing' && others.length > 0
        ? ` There is ${others.map((gateway) => `${gateway.namespace}/${gateway.name}`).join(', ')}: is the name misspelt?`
        : '';
    results.find({
      subject,
      message: `${subject.kind} ${keyOf(subject)} is to go through waypoint ${keyOf(waypoint)}, but ${binding.reason}. istiod then publishes it without a waypoint: traffic goes straight to the pods, and the waypoint's policies and routes silently do not apply.${hint}`,
      fix:
        binding.state === 'missing'
          ? `Correct the label istio.io/use-waypoint, or create the waypoint: \`istioctl waypoint apply -n ${waypoint.namespace} --name ${waypoint.name}\`. Until then fence the pods with an L4 AuthorizationPolicy.`
          : `See why the Gateway gets no address: \`kubectl describe gateways.gateway.networking.k8s.io -n ${waypoint.namespace} ${waypoint.name}\` (class not accepted, istio.io/rev of no revision, pods that do not start).`,
      evidence: [
        ...binding.evidence,
        ...(binding.gateway === null
          ? [{ file: context.mesh.list('gateways').file, text: `no Gateway ${keyOf(waypoint)}` }]
          : [binding.gateway.evidence]),
      ],
      effect: { verdicts: ['error', 'refused', 'dropped', 'denied'], at: aroundWaypoint(context, binding) },
    });
    return results.result();
  },
};
