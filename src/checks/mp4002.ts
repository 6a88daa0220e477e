import { modeOf } from '../mesh/modes.js';
import { labelEvidence } from '../mesh/proxies.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfService } from '../mesh/waypoints.js';
import type { Service } from '../formats/kubernetes-types.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';
import { waypointBurden } from './waypoint-burden.js';

const LABEL = 'istio.io/ingress-use-waypoint';

/** A gateway goes through a Service's waypoint only where a label asks for it (1.24+); never in 1.22 and 1.23. */
export const check: Check = {
  code: 'MP4002',
  title: 'Gateway skips the waypoint',
  severity: 'warning',
  depth: 1,
  inputs: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/configmaps.json',
    'kubernetes/gateways.gateway.networking.k8s.io.json',
    'kubernetes/grpcroutes.gateway.networking.k8s.io.json',
    'kubernetes/httproutes.gateway.networking.k8s.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'kubernetes/services.json',
    'kubernetes/virtualservices.networking.istio.io.json',
  ],
  mayRead: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/gateways.gateway.networking.k8s.io.json',
    'kubernetes/grpcroutes.gateway.networking.k8s.io.json',
    'kubernetes/httproutes.gateway.networking.k8s.io.json',
    'kubernetes/virtualservices.networking.istio.io.json',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects, paths } = context;
    const results = new Results();
    const clients = [...(subjects.source === null ? [] : [subjects.source]), ...subjects.proxies];
    const gateway = clients.find((pod) => modeOf(mesh, pod).mode === 'gateway');
    const past = paths.filter(
      (path) => path.verdict !== 'unknown' && path.stops.some((stop) => stop.role === 'gateway'),
    );
    if (gateway === undefined || past.length === 0) return results.result();
    if (past.some((path) => path.stops.some((stop) => stop.role === 'waypoint'))) return results.result();
    for (const service of servicesBehind(context)) {
      const binding = waypointOfService(mesh, service);
      for (const unknown of binding.unknowns) results.open(unknown);
      if (binding.state !== 'ready' || binding.requested === null) continue;
      const burden = waypointBurden(mesh, binding, service);
      for (const unknown of burden.unknowns) results.open(unknown);
      const release = mesh.release('istiod');
      const namespace = mesh.namespace(service.namespace);
      const own = service.labels[LABEL];
      const asked =
        own === 'true' ||
        (own === undefined && namespace?.labels[LABEL] === 'true' && release !== null && atLeast(release, 25));
      results.find({
        severity: burden.policies.length > 0 ? 'error' : 'warning',
        subject: { kind: 'Service', namespace: service.namespace, name: service.name },
        message:
          `Service ${keyOf(service)} has the waypoint ${keyOf(binding.requested)}, but gateway ${keyOf(gateway)} sends straight to the pods: ` +
          (asked
            ? `the label ${LABEL}=true is there, yet its endpoints do not lead to the waypoint.`
            : `the label ${LABEL}=true is missing.`) +
          (burden.policies.length > 0
            ? ' Policies that the waypoint enforces are not enforced for what comes through the gateway.'
            : ''),
        fix: asked
          ? 'Restart the gateway so that it fetches its endpoints anew; Istio before 1.31.0 loses the binding of services that run in several clusters.'
          : release !== null && !atLeast(release, 24)
            ? 'Upgrade to Istio 1.24 or later, which lets a gateway go through waypoints.'
            : `Ask for it: \`kubectl label service -n ${service.namespace} ${service.name} ${LABEL}=true\`.`,
        evidence: [labelEvidence(service, LABEL), ...binding.evidence, ...burden.policies].slice(0, 6),
        effect: null,
      });
    }
    return results.result();
  },
};

/** Services of the destination pods; where the hops name some of them, those. */
function servicesBehind(context: CheckContext): readonly Service[] {
  const all = new Map<string, Service>();
  for (const pod of context.subjects.destinations)
    for (const service of context.mesh.servicesOf(pod)) all.set(keyOf(service), service);
  const told = context.paths.flatMap((path) =>
    path.hops.flatMap((hop) => [hop.summary, ...hop.evidence.map((entry) => entry.text)]),
  );
  const named = [...all.values()].filter((service) =>
    told.some((text) => text.includes(`${service.name}.${service.namespace}.svc.`)),
  );
  return named.length > 0 ? named : [...all.values()];
}
