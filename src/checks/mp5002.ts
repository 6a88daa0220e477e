import type { Check } from './context.js';
import { bothSides, enforcedByZtunnel, isL7, l7Fields, sourcePolicy } from './policies.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';
import { policiesFor } from './ztunnel-facts.js';

/** ALLOW with HTTP fields only: ztunnel gets it without rules, so it allows nothing, and everything is refused. */
export const check: Check = {
  code: 'MP5002',
  title: 'ALLOW policy is reduced to deny-all',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh } = context;
    const results = new Results();
    const hit = new Map<string, string[]>();
    const enforced = enforcedByZtunnel(context, results);
    for (const { pod, dump } of enforced) {
      for (const policy of policiesFor(dump, pod)) {
        if (policy.action === 'Allow' && policy.rules?.length === 0 && !policy.dryRun)
          hit.set(policy.key, [...(hit.get(policy.key) ?? []), keyOf(pod)]);
      }
    }
    for (const [key, pods] of hit) {
      const source = sourcePolicy(mesh, key);
      if (source === null)
        results.open(mesh.unknownOf('authorizationPolicies', `AuthorizationPolicy ${key} as it was written`));
      // Written without rules it is an "allow nothing" on purpose.
      if (source === null || source.rules.length === 0 || !source.rules.some(isL7)) continue;
      const compiled = enforced.flatMap(({ dump }) => dump.policies).find((policy) => policy.key === key);
      results.find({
        subject: { kind: 'AuthorizationPolicy', namespace: source.namespace, name: source.name },
        message: `AuthorizationPolicy ${key} (ALLOW) asks only for what HTTP shows (${listed([...new Set(source.rules.flatMap(l7Fields))])}); ztunnel cannot evaluate that, its rules are dropped, and an ALLOW policy without rules allows nothing: everything to ${listed(pods)} is refused.`,
        fix: `Attach the policy to a waypoint by targetRefs, or use L4 fields only: \`kubectl edit authorizationpolicy -n ${source.namespace} ${source.name}\`.`,
        evidence: compiled === undefined ? [source.evidence] : bothSides(source, compiled.evidence),
        effect: { verdicts: ['denied', 'error'], at: pods },
      });
    }
    return results.result();
  },
};
