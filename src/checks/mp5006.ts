import type { AuthorizationPolicy } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check } from './context.js';
import { selectingPolicies } from './policies.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** ztunnel compares principals without the scheme, Envoy's rule gets the scheme twice: `spiffe://…` never matches. */
export const check: Check = {
  code: 'MP5006',
  title: 'Principal is spelled as a URL',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: ({ mesh, subjects }) => {
    const results = new Results();
    const told = new Set<string>();
    for (const pod of subjects.destinations) {
      if (!['ambient', 'sidecar'].includes(modeOf(mesh, pod).mode)) continue;
      results.open(mesh.unknownOf('authorizationPolicies', `AuthorizationPolicies of pod ${keyOf(pod)}`));
      for (const policy of selectingPolicies(mesh, pod)) {
        const principal = spelledAsUrl(policy);
        if (principal === null || told.has(keyOf(policy))) continue;
        told.add(keyOf(policy));
        results.find({
          subject: { kind: 'AuthorizationPolicy', namespace: policy.namespace, name: policy.name },
          message: `AuthorizationPolicy ${keyOf(policy)} names the principal ${principal}: principals are written without spiffe://, so this one matches nobody${policy.action === 'ALLOW' ? ' and whom it is to admit is refused' : ' and whom it is to refuse is let in'}.`,
          fix: `Strip the scheme, ${principal.slice('spiffe://'.length)}: \`kubectl edit authorizationpolicy -n ${policy.namespace} ${policy.name}\`.`,
          evidence: [policy.evidence],
          effect: policy.action === 'ALLOW' ? { verdicts: ['denied', 'error'], at: [keyOf(pod)] } : null,
        });
      }
    }
    return results.result();
  },
};

function spelledAsUrl(policy: AuthorizationPolicy): string | null {
  for (const rule of policy.rules) {
    const named = [
      ...rule.from.flatMap((from) => [...from.principals, ...from.notPrincipals]),
      ...rule.when
        .filter((when) => when.key === 'source.principal')
        .flatMap((when) => [...when.values, ...when.notValues]),
    ];
    const found = named.find((name) => name.startsWith('spiffe://'));
    if (found !== undefined) return found;
  }
  return null;
}
