import type { Check } from './context.js';
import { enforcedByZtunnel } from './policies.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';
import { policiesFor } from './ztunnel-facts.js';

/** Behind a waypoint the destination's ztunnel sees the waypoint's identity: ALLOW policies must name it. */
export const check: Check = {
  code: 'MP5004',
  title: "The waypoint's identity is not allowed at the workload",
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const results = new Results();
    // Denied by the ztunnel right behind a waypoint: the walk has asked ztunnel's own rules.
    const denied = context.paths.filter(
      (path) =>
        path.verdict === 'denied' && path.stops.at(-1)?.role === 'ztunnel' && path.stops.at(-2)?.role === 'waypoint',
    );
    const waypoint = denied[0]?.stops.at(-2);
    if (waypoint === undefined) return results.result();
    const pod = context.mesh.podByName(waypoint.namespace, waypoint.name);
    const identity =
      pod === null
        ? `the identity of ${keyOf(waypoint)}`
        : `${context.mesh.trustDomain() ?? 'cluster.local'}/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
    for (const { pod: destination, dump } of enforcedByZtunnel(context, results)) {
      const applying = policiesFor(dump, destination).filter((policy) => !policy.dryRun);
      const told = denied.map((path) => `${path.reason} ${path.hops.at(-1)?.summary ?? ''}`).join(' ');
      // A DENY that names the waypoint is another finding.
      if (applying.some((policy) => policy.action === 'Deny' && told.includes(policy.key))) continue;
      const allow = applying.filter((policy) => policy.action === 'Allow');
      const first = allow[0];
      if (first === undefined) continue;
      results.find({
        subject: { kind: 'AuthorizationPolicy', namespace: first.namespace, name: first.name },
        message: `${listed(allow.map((policy) => `AuthorizationPolicy ${policy.key}`))} (ALLOW) ${allow.length === 1 ? 'holds' : 'hold'} for ${keyOf(destination)}, but what comes through the waypoint carries the waypoint's identity, and none of them names it: ztunnel refuses it.`,
        fix: `Add the principal ${identity} to the policy: \`kubectl edit authorizationpolicy -n ${first.namespace} ${first.name}\`; or let istiod add it (PILOT_AUTO_ALLOW_WAYPOINT_POLICY).`,
        evidence: allow.map((policy) => policy.evidence),
        effect: { verdicts: ['denied', 'error'], at: [keyOf(destination), keyOf(waypoint)] },
      });
    }
    return results.result();
  },
};
