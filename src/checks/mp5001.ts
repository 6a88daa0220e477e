import type { Check } from './context.js';
import { bothSides, enforcedByZtunnel, isL7, l7Fields, sourcePolicy } from './policies.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';
import { isEmptyMatch, policiesFor } from './ztunnel-facts.js';

/** DENY with HTTP fields only: at ztunnel its matches are empty, and an empty match never matches. */
export const check: Check = {
  code: 'MP5001',
  title: 'DENY policy that can never fire',
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
    const results = new Results();
    const told = new Set<string>();
    for (const { pod, ztunnel, dump } of enforcedByZtunnel(context, results)) {
      for (const policy of policiesFor(dump, pod)) {
        if (policy.action !== 'Deny' || policy.rules === null || policy.rules.length === 0 || told.has(policy.key))
          continue;
        const dead = policy.rules.every((rule) =>
          rule.some((clause) => clause.length > 0 && clause.every(isEmptyMatch)),
        );
        if (!dead) continue;
        const source = sourcePolicy(context.mesh, policy.key);
        if (source !== null && !source.rules.some(isL7)) continue;
        told.add(policy.key);
        const fields = source === null ? [] : [...new Set(source.rules.flatMap(l7Fields))];
        results.find({
          subject: { kind: 'AuthorizationPolicy', namespace: policy.namespace, name: policy.name },
          message: `AuthorizationPolicy ${policy.key} is to deny, but ztunnel ${keyOf(ztunnel)} cannot evaluate what its rules ask for${fields.length === 0 ? '' : ` (${listed(fields)})`}: what is left matches nothing, so the policy denies nothing for ${keyOf(pod)}, whatever its status says.`,
          fix: `Attach the policy to a waypoint or Service by targetRefs, or write it with L4 fields only: \`kubectl edit authorizationpolicy -n ${policy.namespace} ${policy.name}\`.`,
          evidence: bothSides(source, policy.evidence),
          effect: null,
        });
      }
    }
    return results.result();
  },
};
