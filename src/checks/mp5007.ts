import { isUnknown, type Evidence } from '../formats/evidence.js';
import type { AuthorizationPolicy } from '../formats/kubernetes-types.js';
import type { Path, Stop } from '../walk/trace.js';
import type { Check, CheckContext } from './context.js';
import { selectingPolicies } from './policies.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';
import { policiesAt } from './waypoint-burden.js';
import { isConvertedStrict, policiesFor } from './ztunnel-facts.js';

/** A policy does what it says, and this traffic is not delivered: which one, enforced where. */
export const check: Check = {
  code: 'MP5007',
  title: 'An AuthorizationPolicy denies this traffic',
  severity: 'warning',
  depth: 1,
  inputs: [
    'kubernetes/authorizationpolicies.security.istio.io.json',
    'kubernetes/configmaps.json',
    'kubernetes/pods.json',
  ],
  mayRead: ['kubernetes/deployments.apps.json', 'pods/*/*/ztunnel/config_dump.json'],
  run: (context) => {
    const results = new Results();
    const told = new Set<string>();
    for (const path of context.paths) {
      if (path.verdict !== 'denied') continue;
      const enforcer = path.stops.at(-1);
      const words = wordsOf(path);
      if (
        enforcer === undefined ||
        /converted_static_strict|converted_peer_authentication_|filter_chain_not_found/.test(words)
      )
        continue;
      const named = namedPolicy(context, words);
      const allow =
        named === null && /none allowed|default action|no ALLOW|no policy matches/i.test(words)
          ? allowPolicies(context, enforcer)
          : [];
      const key = named?.key ?? allow.map((policy) => policy.key).join(' ');
      if (key === '' || told.has(key)) continue;
      told.add(key);
      const [first] = named === null ? allow : [named];
      if (first === undefined) continue;
      const identity = identityOf(context, path);
      results.find({
        subject: {
          kind: 'AuthorizationPolicy',
          namespace: first.key.split('/')[0] ?? null,
          name: first.key.split('/')[1] ?? first.key,
        },
        message:
          named !== null
            ? `AuthorizationPolicy ${first.key} denies ${identity}; ${enforcer.role} ${keyOf(enforcer)} enforces it.`
            : `${listed(allow.map((policy) => `AuthorizationPolicy ${policy.key}`))} (ALLOW) ${allow.length === 1 ? 'holds' : 'hold'} for the destination and ${allow.length === 1 ? 'does' : 'do'} not admit this call of ${identity}; ${enforcer.role} ${keyOf(enforcer)} refuses what no ALLOW policy admits.`,
        fix: `If this traffic is meant to pass, ${named !== null ? 'take it out of the policy' : 'admit it in the policy'}: \`kubectl edit authorizationpolicy -n ${first.key.split('/')[0] ?? ''} ${first.key.split('/')[1] ?? ''}\`. If not, all is as it should be.`,
        evidence: (named === null ? allow : [named]).flatMap((policy) => policy.evidence),
        effect: { verdicts: ['denied'], at: [keyOf(enforcer)] },
      });
    }
    return results.result();
  },
};

interface NamedPolicy {
  readonly key: string;
  readonly evidence: readonly Evidence[];
}

/** What the last decision said, and whereon it rests. */
function wordsOf(path: Path): string {
  const hop = path.hops.at(-1);
  return [path.reason, hop?.summary ?? '', ...(hop?.evidence ?? []).map((entry) => entry.text)].join('\n');
}

/** ztunnel says `explicitly denied by: ns/name`, Envoy `…ns[bar]-policy[x]-rule[0]…`. The longest name that fits is it. */
function namedPolicy(context: CheckContext, words: string): NamedPolicy | null {
  const written = context.mesh.list('authorizationPolicies').items;
  const found = written.filter((policy) => speaksOf(words, policy)).sort((a, b) => b.name.length - a.name.length)[0];
  if (found !== undefined && found.action !== 'ALLOW') return { key: keyOf(found), evidence: [found.evidence] };
  const key = /explicitly denied by: ([^\s,;)]+\/[^\s,;)]+)/.exec(words)?.[1];
  return key === undefined || isConvertedStrict(key) ? null : { key, evidence: [] };
}

function speaksOf(words: string, policy: AuthorizationPolicy): boolean {
  const key = keyOf(policy).replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return (
    new RegExp(`(^|[\\s"'(:])${key}($|[\\s"'),;.:])`, 'm').test(words) ||
    words.includes(`ns[${policy.namespace}]-policy[${policy.name}]`)
  );
}

/** The ALLOW policies that the enforcer has: attached to a waypoint or gateway; else those that hold for the destinations. */
function allowPolicies(context: CheckContext, enforcer: Stop): readonly NamedPolicy[] {
  if (enforcer.role === 'waypoint' || enforcer.role === 'gateway') return attachedPolicies(context, enforcer);
  const policies = new Map<string, Evidence[]>();
  for (const pod of context.subjects.destinations) {
    for (const policy of selectingPolicies(context.mesh, pod)) {
      if (policy.action === 'ALLOW') policies.set(keyOf(policy), [policy.evidence]);
    }
    for (const ztunnel of pod.node === null
      ? []
      : context.mesh.podsOn(pod.node).filter((entry) => entry.labels['app'] === 'ztunnel')) {
      const dump = context.ztunnel(ztunnel);
      if (isUnknown(dump)) continue;
      for (const policy of policiesFor(dump, pod)) {
        if (policy.action === 'Allow') policies.set(policy.key, [...(policies.get(policy.key) ?? []), policy.evidence]);
      }
    }
  }
  return [...policies].map(([key, evidence]) => ({ key, evidence }));
}

function attachedPolicies({ mesh, question, subjects }: CheckContext, enforcer: Stop): readonly NamedPolicy[] {
  const pod = mesh.podByName(enforcer.namespace, enforcer.name);
  const gateway = pod?.labels['gateway.networking.k8s.io/gateway-name'] ?? pod?.labels['istio.io/gateway-name'];
  if (pod === null || gateway === undefined) return [];
  const className = pod.labels['gateway.networking.k8s.io/gateway-class-name'] ?? null;
  const services =
    question.service === null ? subjects.destinations.flatMap((entry) => mesh.servicesOf(entry)) : [question.service];
  const found = new Map<string, NamedPolicy>();
  for (const service of services.length === 0 ? [null] : services) {
    for (const policy of policiesAt(mesh, { namespace: pod.namespace, name: gateway }, className, service)) {
      if (policy.action === 'ALLOW') found.set(keyOf(policy), { key: keyOf(policy), evidence: [policy.evidence] });
    }
  }
  return [...found.values()];
}

/** Whom the enforcer sees: the process before it, where the connection to it is encrypted. */
function identityOf(context: CheckContext, path: Path): string {
  const link = path.links[path.stops.length - 2];
  const waypoint = path.stops.slice(0, -1).findLast((stop) => stop.role === 'waypoint' || stop.role === 'gateway');
  const peer =
    waypoint === undefined ? context.subjects.source : context.mesh.podByName(waypoint.namespace, waypoint.name);
  if (peer === null) return 'this client';
  if (link?.encrypted === false) return `pod ${keyOf(peer)}, which comes as plaintext without identity`;
  return `${context.mesh.trustDomain() ?? 'cluster.local'}/ns/${peer.namespace}/sa/${peer.serviceAccount}`;
}
