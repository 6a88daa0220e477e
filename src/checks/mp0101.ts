import type { Evidence } from '../formats/evidence.js';
import type { Ipset, IpsetSave } from '../formats/ipset-save.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { canonicalIp, formatIp } from '../formats/ip.js';
import { modeOf } from '../mesh/modes.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { annotationEvidence } from '../mesh/proxies.js';
import type { Severity } from '../walk/trace.js';
import type { Check, CheckContext } from './context.js';
import { ipRoutesIn, ipsetsIn, netnsOfNode, otherRulesIn, rulesIn } from './netns-facts.js';
import { redirectionOf } from './redirection.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const REDIRECTION = 'ambient.istio.io/redirection';
const BYPASS = 'ambient.istio.io/bypass-inbound-capture';
const NODE_SET = 'ztunnel-pods-ips';

/**
 * 1.18 to 1.20: `ztunnel-pods-ips` decides whether the pod's TCP is captured. 1.21 and later: `istio-inpod-probes*` decides
 * whether what the node's own sockets send to the pod (probes) skips ztunnel.
 */
export const check: Check = {
  code: 'MP0101',
  title: "Pod is missing from the node's ipset",
  severity: 'error',
  depth: 0,
  inputs: ['kubernetes/configmaps.json', 'kubernetes/namespaces.json', 'kubernetes/pods.json', 'nodes/*/netns/*'],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/peerauthentications.security.istio.io.json',
    'pods/*/*/netns/*',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, snapshot, subjects } = context;
    const results = new Results();
    for (const pod of subjects.pods) {
      const mode = modeOf(mesh, pod);
      if (mode.mode !== 'ambient' || mode.redirection !== 'enabled' || pod.node === null || pod.hostNetwork) continue;
      const redirection = redirectionOf(context, pod.node);
      if (redirection.kind === 'unknown') {
        results.open(redirection.unknown);
        continue;
      }
      const sets = ipsetsIn(snapshot, netnsOfNode(pod.node));
      if (redirection.value.mode === 'node' && redirection.value.basis === 'release') {
        // eBPF knows no set, and where all rules are gone the set is the smallest part of it (MP1102).
        const fact = `set ${NODE_SET} of node ${pod.node}: ${netnsOfNode(pod.node)}/ipset-save.txt`;
        results.open({ fact, reason: 'the node has neither the set nor rules that use it' });
      } else if (redirection.value.mode === 'node') nodeLevel(context, results, pod, pod.node, sets);
      else if (pod.annotations[BYPASS] !== 'true') inPod(context, results, pod, pod.node, sets);
    }
    return results.result();
  },
};

type Sets = ReturnType<typeof ipsetsIn>;

/** The member that holds an address, null: none does. Ranges are not used in these sets (hash:ip). */
function memberOf(set: Ipset, ip: string): Evidence | null {
  const wanted = canonicalIp(ip);
  return set.entries.find((entry) => canonicalIp(entry.value.split('/')[0] ?? '') === wanted)?.evidence ?? null;
}

function nodeLevel(context: CheckContext, results: Results, pod: Pod, node: string, sets: Sets): void {
  if (sets.kind === 'unknown') {
    results.open(sets.unknown);
    return;
  }
  const ip = pod.ips.find((address) => !address.includes(':'));
  if (ip === undefined) return;
  const set = sets.value.sets.get(NODE_SET);
  if (set !== undefined && memberOf(set, ip) !== null) return;
  const stale = set?.entries.find((entry) => pod.uid !== null && entry.comment === pod.uid);
  const route = captureRoute(context, node, ip);
  const why =
    stale === undefined
      ? ''
      : ` The set holds the pod's uid with another address (${stale.value}); istio-cni takes uid or address as present and will not heal it.`;
  const then =
    route === 'unknown'
      ? 'Its TCP is not captured.'
      : route === null
        ? 'Its TCP is not captured, and no route leads answers into the tunnel either: the pod is simply outside the mesh, while every peer is told that it speaks HBONE.'
        : 'Its TCP leaves uncaptured, while the route in table 100 still leads the answers into the tunnel to ztunnel, where they are lost: its connections hang.';
  results.find({
    subject: subjectOf(pod),
    message: `${ip} of pod ${keyOf(pod)} is not in the set ${NODE_SET} of node ${node}, though the pod is annotated ${REDIRECTION}=enabled.${why} ${then}`,
    fix: `Recreate the pod: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`${stale === undefined ? `; or restart istio-cni on node ${node} (in 1.18 to 1.20 that interrupts the whole node)` : ''}.`,
    evidence: [
      set?.evidence ?? { file: `${netnsOfNode(node)}/ipset-save.txt`, text: `no set ${NODE_SET}` },
      ...(stale === undefined ? [] : [stale.evidence]),
      ...(route === null || route === 'unknown' ? [] : [route]),
      annotationEvidence(pod, REDIRECTION),
    ],
    effect: { verdicts: ['dropped', 'denied', 'refused', 'error'], at: [keyOf(pod), `node/${node}`] },
  });
}

function captureRoute(context: CheckContext, node: string, ip: string): Evidence | null | 'unknown' {
  const routes = ipRoutesIn(context.snapshot, netnsOfNode(node));
  if (routes.kind === 'unknown') return 'unknown';
  const route = routes.value.routes.find(
    (entry) =>
      entry.table === '100' &&
      entry.dst.prefix === 32 &&
      formatIp(entry.dst.ip) === ip &&
      entry.nexthops.some((hop) => hop.device === 'istioin'),
  );
  return route?.evidence ?? null;
}

function inPod(context: CheckContext, results: Results, pod: Pod, node: string, sets: Sets): void {
  for (const ip of pod.ips) {
    const family = ip.includes(':') ? 6 : 4;
    const set = probeSet(context, node, family, sets);
    if (set.kind === 'unknown') {
      results.open(set.unknown);
      continue;
    }
    // Without the v6 set istio-cni runs without IPv6: nothing is to be in it.
    if (set.kind === 'none' || memberOf(set.set, ip) !== null) continue;
    const judged = probesRefused(context, pod, node);
    results.find({
      severity: judged.severity,
      subject: subjectOf(pod),
      message: `${ip} of pod ${keyOf(pod)} is not in the set ${set.set.name} of node ${node}: connections from the node's own sockets, kubelet's probes among them, are not given the probe address and pass through ztunnel as plaintext without identity. ${judged.reason}`,
      fix: `Restart istio-cni on node ${node}, which fills the set again, or recreate the pod: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`. Istio 1.29.5, 1.30.2 and later heal it by themselves.`,
      evidence: [set.set.evidence, annotationEvidence(pod, REDIRECTION), ...judged.evidence],
      effect:
        context.question.sourceNode === node
          ? { verdicts: ['denied', 'refused', 'dropped', 'error'], at: [keyOf(pod), `node/${node}`] }
          : null,
    });
  }
}

type ProbeSet =
  | { readonly kind: 'set'; readonly set: Ipset }
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown'; readonly unknown: { readonly fact: string; readonly reason: string } };

/** The set that the loaded rule names; where no rule names one, the one of the release (1.21, 1.22 without a family). */
function probeSet(context: CheckContext, node: string, family: 4 | 6, sets: Sets): ProbeSet {
  const folder = netnsOfNode(node);
  const named = family === 4 ? setInRule(context, folder) : null;
  if (sets.kind === 'unknown') {
    // Native nftables keeps the sets in its own tables.
    return sets;
  }
  const names = [
    ...(named === null ? [] : [named]),
    `istio-inpod-probes-v${String(family)}`,
    ...(family === 4 ? ['istio-inpod-probes'] : []),
  ];
  for (const name of names) {
    const set = sets.value.sets.get(name);
    if (set !== undefined) return { kind: 'set', set };
  }
  if (family === 6 || named === null) return { kind: 'none' };
  return { kind: 'set', set: missingSet(sets.value, named) };
}

function missingSet(save: IpsetSave, name: string): Ipset {
  const evidence = { file: save.file, text: `no set ${name}, though a rule of the node names it` };
  return { name, type: 'hash:ip', options: new Map(), evidence, entries: [] };
}

/** `-A ISTIO_POSTRT … --match-set istio-inpod-probes-v4 dst … -j SNAT`. */
function setInRule(context: CheckContext, folder: string): string | null {
  const rules = rulesIn(context.snapshot, folder);
  const other = otherRulesIn(context.snapshot, folder);
  for (const save of [...(rules.kind === 'known' ? [rules.value] : []), ...(other === null ? [] : [other])]) {
    const chain = save.tables.get('nat')?.chains.get('ISTIO_POSTRT');
    for (const rule of chain?.rules ?? []) {
      const name = /--match-set (istio-inpod-probes\S*) dst/.exec(rule.text)?.[1];
      if (name !== undefined) return name;
    }
  }
  return null;
}

interface Judged {
  readonly severity: Severity;
  readonly reason: string;
  readonly evidence: readonly Evidence[];
}

/** How bad it is: an error where the pod has a network probe (or the node asks) and STRICT refuses what has no identity. */
function probesRefused(context: CheckContext, pod: Pod, node: string): Judged {
  const probes = pod.containers.flatMap((container) => container.probes.filter((probe) => probe.handler !== 'exec'));
  const asked = context.question.sourceNode === node;
  if (probes.length === 0 && !asked) {
    return {
      severity: 'info',
      reason: 'The pod has no network probe: nobody but other processes of the node notices.',
      evidence: [],
    };
  }
  const ports = [...new Set([...probes.map((probe) => probe.port), ...(asked ? [context.question.port] : [])])];
  for (const port of ports) {
    const strict = effectivePeerAuthentication(context.mesh, pod, typeof port === 'number' ? port : 0);
    if (strict.mode === 'STRICT') {
      return { severity: 'error', reason: `STRICT refuses them (${strict.reason}).`, evidence: strict.evidence };
    }
  }
  const refused = context.paths.some((path) => path.verdict === 'denied') && asked;
  return refused
    ? { severity: 'error', reason: 'A policy refuses them.', evidence: [] }
    : { severity: 'warning', reason: 'Nothing refuses them as long as no policy asks for an identity.', evidence: [] };
}
