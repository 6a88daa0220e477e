import type { Evidence } from '../formats/evidence.js';
import type { WaypointBinding } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { bindingOf } from './destination.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';
import { waypointBurden } from './waypoint-burden.js';

/** Since 1.22 istiod never sends a sidecar through a waypoint: what the waypoint enforces is not enforced for it. */
export const check: Check = {
  code: 'MP4001',
  title: 'Sidecar skips the waypoint',
  severity: 'warning',
  depth: 1,
  inputs: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/configmaps.json',
    'kubernetes/endpointslices.discovery.k8s.io.json',
    'kubernetes/gateways.gateway.networking.k8s.io.json',
    'kubernetes/grpcroutes.gateway.networking.k8s.io.json',
    'kubernetes/httproutes.gateway.networking.k8s.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'kubernetes/services.json',
    'kubernetes/virtualservices.networking.istio.io.json',
  ],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/endpoints.json',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    const { source } = context.subjects;
    if (source === null || modeOf(context.mesh, source).mode !== 'sidecar') return results.result();
    const found = bindingOf(context, (unknown) => results.open(unknown));
    if (found === null || found.binding.state !== 'ready' || found.binding.requested === null) return results.result();
    if (!bypasses(context, found.binding)) return results.result();
    const burden = waypointBurden(context.mesh, found.binding, found.service);
    for (const unknown of burden.unknowns) results.open(unknown);
    const { namespace, name } = found.binding.requested;
    const gateway = `${namespace}/${name}`;
    results.find({
      severity: burden.policies.length > 0 ? 'error' : 'warning',
      subject: found.subject,
      message:
        `${found.subject.kind} ${keyOf(found.subject)} has the waypoint ${gateway}, but pod ${keyOf(source)} has a sidecar, and istiod sends no sidecar through a waypoint: it goes straight to the pods. ` +
        burdenText(burden.policies, burden.routes),
      fix: `Move ${keyOf(source)} to ambient first; until then fence the pods with an AuthorizationPolicy (ALLOW, selector) that admits the waypoint's identity and the sidecar clients that may skip it.`,
      evidence: [...found.binding.evidence, ...burden.policies, ...burden.routes].slice(0, 6),
      effect: null,
    });
    return results.result();
  },
};

function bypasses(context: CheckContext, binding: WaypointBinding): boolean {
  const waypoints = new Set(binding.pods.map(keyOf));
  const reached = context.paths.filter((path) => path.verdict !== 'unknown' && path.stops.length > 2);
  return (
    reached.length > 0 &&
    reached.every((path) => !path.stops.some((stop) => stop.role === 'waypoint' || waypoints.has(keyOf(stop))))
  );
}

function burdenText(policies: readonly Evidence[], routes: readonly Evidence[]): string {
  if (policies.length > 0) {
    return `${String(policies.length)} AuthorizationPolic${policies.length === 1 ? 'y' : 'ies'} that the waypoint enforces ${policies.length === 1 ? 'is' : 'are'} not enforced for it.`;
  }
  if (routes.length > 0) return 'The waypoint carries routes; the sidecar applies those that it knows by itself.';
  return 'The waypoint carries neither policies nor routes for it now; what is attached later will not hold for this client.';
}
