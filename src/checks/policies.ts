import { isUnknown, type Evidence } from '../formats/evidence.js';
import type { AuthorizationPolicy, Pod, PolicyRule } from '../formats/kubernetes-types.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import type { CheckContext } from './context.js';
import type { Results } from './result.js';

/** Keys of `when` that ztunnel evaluates; every other key, connection.sni among them, counts as L7. */
const L4_KEYS: ReadonlySet<string> = new Set([
  'source.ip',
  'source.namespace',
  'source.principal',
  'destination.ip',
  'destination.port',
]);

/** Whether a rule says something that only HTTP shows (istio pilot/pkg/serviceregistry/ambient/authorization.go). */
export function isL7(rule: PolicyRule): boolean {
  return l7Fields(rule).length > 0;
}

/** The fields of a rule that ztunnel cannot evaluate, by name. */
export function l7Fields(rule: PolicyRule): readonly string[] {
  const fields = new Set<string>();
  const add = (name: string, list: readonly string[]): void => {
    if (list.length > 0) fields.add(name);
  };
  for (const to of rule.to) {
    add('hosts', to.hosts);
    add('notHosts', to.notHosts);
    add('methods', to.methods);
    add('notMethods', to.notMethods);
    add('paths', to.paths);
    add('notPaths', to.notPaths);
  }
  for (const from of rule.from) {
    add('remoteIpBlocks', from.remoteIpBlocks);
    add('notRemoteIpBlocks', from.notRemoteIpBlocks);
    add('requestPrincipals', from.requestPrincipals);
    add('notRequestPrincipals', from.notRequestPrincipals);
  }
  for (const when of rule.when) if (!L4_KEYS.has(when.key)) fields.add(`when ${when.key}`);
  return [...fields];
}

/** Policies that ztunnel or a sidecar enforces for a pod: selector, namespace or root namespace, none with targetRefs. */
export function selectingPolicies(mesh: Mesh, pod: Pod): readonly AuthorizationPolicy[] {
  const root = mesh.rootNamespace();
  return mesh.list('authorizationPolicies').items.filter((policy) => {
    if (policy.dryRun || policy.targets.length > 0) return false;
    if (policy.namespace !== pod.namespace && policy.namespace !== root) return false;
    return policy.selector === null || labelsMatch(policy.selector, pod.labels);
  });
}

/** The policy as it was written, by `namespace/name`; null: it is not in the snapshot. */
export function sourcePolicy(mesh: Mesh, key: string): AuthorizationPolicy | null {
  return (
    mesh.list('authorizationPolicies').items.find((policy) => `${policy.namespace}/${policy.name}` === key) ?? null
  );
}

interface Enforced {
  readonly pod: Pod;
  readonly ztunnel: Pod;
  readonly dump: ZtunnelDump;
}

/** The ambient destinations with the dump of the ztunnel that enforces policies for them. */
export function enforcedByZtunnel(context: CheckContext, results: Results): readonly Enforced[] {
  const enforced: Enforced[] = [];
  for (const pod of context.subjects.destinations) {
    if (modeOf(context.mesh, pod).mode !== 'ambient' || pod.node === null) continue;
    const ztunnel = context.mesh.ztunnelsOn(pod.node)[0];
    if (ztunnel === undefined) continue;
    const dump = context.ztunnel(ztunnel);
    if (isUnknown(dump)) results.open(dump);
    else if (dump.gaps.policies !== null) results.open(dump.gaps.policies);
    else enforced.push({ pod, ztunnel, dump });
  }
  return enforced;
}

/** Evidence of the policy as it was written and as ztunnel holds it. */
export function bothSides(source: AuthorizationPolicy | null, compiled: Evidence): readonly Evidence[] {
  return [compiled, ...(source === null ? [] : [source.evidence])];
}
