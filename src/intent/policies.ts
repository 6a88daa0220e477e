import type { Evidence, Unknown } from '../formats/evidence.js';
import type { AuthorizationPolicy, Gateway, Pod, PolicyRule } from '../formats/kubernetes-types.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Mesh } from '../mesh/model.js';
import { l4RuleMatches } from './policy-l4.js';
import { or, ruleMatches, type Seen, type Truth } from './policy-match.js';

export type PolicyAnswer =
  | { readonly answer: 'allow'; readonly evidence: readonly Evidence[] }
  | {
      readonly answer: 'deny';
      readonly policy: string | null;
      readonly reason: string;
      readonly evidence: readonly Evidence[];
    }
  | {
      readonly answer: 'unknown';
      readonly reason: string;
      readonly evidence: readonly Evidence[];
      readonly unknowns: readonly Unknown[];
    };

/** Policies that select a pod: of its namespace, and of the root namespace for the whole mesh. Never those with targets. */
export function policiesOfPod(mesh: Mesh, pod: Pod): readonly AuthorizationPolicy[] {
  const root = mesh.rootNamespace() ?? mesh.istioNamespace();
  return mesh
    .list('authorizationPolicies')
    .items.filter((policy) => policy.targets.length === 0)
    .filter((policy) => policy.namespace === pod.namespace || policy.namespace === root)
    .filter((policy) => policy.selector === null || labelsMatch(policy.selector, pod.labels));
}

/** What a waypoint enforces: policies that name it, its class (root namespace only) or the Service (in its namespace). */
export function policiesOfWaypoint(
  mesh: Mesh,
  gateway: Gateway,
  target: { readonly kind: 'Service' | 'ServiceEntry'; readonly namespace: string; readonly name: string } | null,
): readonly AuthorizationPolicy[] {
  const root = mesh.rootNamespace() ?? mesh.istioNamespace();
  return mesh.list('authorizationPolicies').items.filter((policy) =>
    policy.targets.some((ref) => {
      if (ref.kind === 'GatewayClass') return policy.namespace === root && ref.name === gateway.className;
      if (ref.kind === 'Gateway') return policy.namespace === gateway.namespace && ref.name === gateway.name;
      return (
        target !== null && ref.kind === target.kind && ref.name === target.name && policy.namespace === target.namespace
      );
    }),
  );
}

/** ztunnel: DENY, then ALLOW; no CUSTOM, no AUDIT, nothing of HTTP. */
export function ztunnelAnswer(mesh: Mesh, pod: Pod, seen: Seen): PolicyAnswer {
  const policies = policiesOfPod(mesh, pod).filter((policy) => policy.action === 'ALLOW' || policy.action === 'DENY');
  return decide(mesh, policies, (policy, rule) => l4RuleMatches(policy, rule, { ...seen, http: null }), 'ztunnel');
}

/** Envoy: CUSTOM, DENY, ALLOW. */
export function envoyAnswer(mesh: Mesh, policies: readonly AuthorizationPolicy[], seen: Seen): PolicyAnswer {
  return decide(mesh, policies, (policy, rule) => ruleMatches(rule, seen, policy.namespace), 'envoy');
}

function decide(
  mesh: Mesh,
  all: readonly AuthorizationPolicy[],
  test: (policy: AuthorizationPolicy, rule: PolicyRule) => Truth,
  proxy: 'ztunnel' | 'envoy',
): PolicyAnswer {
  const missing = mesh.unknownOf('authorizationPolicies', 'AuthorizationPolicies');
  if (missing !== null) {
    return { answer: 'unknown', reason: 'the AuthorizationPolicies are not known', evidence: [], unknowns: [missing] };
  }
  const policies = [...all].filter((policy) => !policy.dryRun).sort((a, b) => (key(a) < key(b) ? -1 : 1));
  const matches = (policy: AuthorizationPolicy): Truth => or(policy.rules.map((rule) => test(policy, rule)));
  for (const action of ['CUSTOM', 'DENY'] as const) {
    for (const policy of policies.filter((entry) => entry.action === action)) {
      const match = matches(policy);
      if (match === false) continue;
      if (action === 'CUSTOM') return open(policy, 'an external authorizer decides');
      if (match === null) return open(policy, 'it denies if it matches');
      return {
        answer: 'deny',
        policy: key(policy),
        reason: `denied by AuthorizationPolicy ${key(policy)}`,
        evidence: ruleEvidence(policy, test),
      };
    }
  }
  const allows = policies.filter((policy) => policy.action === 'ALLOW');
  if (allows.length === 0) return { answer: 'allow', evidence: [] };
  const results = allows.map((policy) => ({ policy, match: matches(policy) }));
  const allowed = results.find(({ match }) => match === true);
  if (allowed !== undefined) return { answer: 'allow', evidence: ruleEvidence(allowed.policy, test) };
  const undecided = results.find(({ match }) => match === null);
  if (undecided !== undefined) return open(undecided.policy, 'it allows if it matches');
  const names = allows.map(key).join(', ');
  const words = proxy === 'ztunnel' ? 'allow policies exist, but none allowed' : 'no ALLOW policy matches';
  return {
    answer: 'deny',
    policy: null,
    reason: `denied: ${words} (${names})`,
    evidence: allows.map((policy) => policy.evidence),
  };
}

function key(policy: AuthorizationPolicy): string {
  return `${policy.namespace}/${policy.name}`;
}

function ruleEvidence(
  policy: AuthorizationPolicy,
  test: (policy: AuthorizationPolicy, rule: PolicyRule) => Truth,
): readonly Evidence[] {
  const rule = policy.rules.find((entry) => test(policy, entry) === true);
  return [rule?.evidence ?? policy.evidence];
}

function open(policy: AuthorizationPolicy, why: string): PolicyAnswer {
  const reason = `AuthorizationPolicy ${key(policy)}: ${why}`;
  const unknown = { fact: `AuthorizationPolicy ${key(policy)}`, reason: why };
  return { answer: 'unknown', reason, evidence: [policy.evidence], unknowns: [unknown] };
}
