import type { Evidence, Unknown } from '../formats/evidence.js';
import { formatIp } from '../formats/ip.js';
import type { IpRoutes } from '../formats/ip-route.js';
import type { IpRules, IpRule } from '../formats/ip-rule.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { cniFlag } from './control-plane.js';
import { ipRoutesIn, ipRulesIn, ipsetsIn, netnsOfNode, netnsOfPod, rulesIn } from './netns-facts.js';
import { redirectionOf } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

/** Policy routing of 1.18 to 1.20 on the node (istio 1.18.2 cni/pkg/ambient/net_linux.go:CreateRulesOnNode). */
const NODE_RULES: readonly {
  readonly priority: number;
  readonly text: string;
  readonly fits: (rule: IpRule) => boolean;
}[] = [
  {
    priority: 100,
    text: 'fwmark 0x200/0x200 goto 32766',
    fits: (rule) => marked(rule, 0x200) && rule.action.kind === 'goto',
  },
  { priority: 101, text: 'fwmark 0x100/0x100 lookup 101', fits: (rule) => marked(rule, 0x100) && looksUp(rule, '101') },
  { priority: 102, text: 'fwmark 0x40/0x40 lookup 102', fits: (rule) => marked(rule, 0x40) && looksUp(rule, '102') },
  { priority: 103, text: 'lookup 100', fits: (rule) => rule.fwmark === null && looksUp(rule, '100') },
];

/** In the ztunnel pod: what the tunnel brings is delivered to ztunnel's transparent sockets. */
const ZTUNNEL_RULES: typeof NODE_RULES = [
  {
    priority: 20000,
    text: 'fwmark 0x400/0xfff lookup 100',
    fits: (rule) => rule.fwmark !== null && looksUp(rule, '100') && rule.priority === 20000,
  },
  {
    priority: 20003,
    text: 'fwmark 0x4d3/0xfff lookup 100',
    fits: (rule) => rule.fwmark !== null && looksUp(rule, '100') && rule.priority === 20003,
  },
];

function marked(rule: IpRule, mark: number): boolean {
  return rule.fwmark !== null && rule.fwmark.value === mark;
}

function looksUp(rule: IpRule, table: string): boolean {
  return rule.action.kind === 'table' && rule.action.table === table;
}

/** Node-level redirect: a rule or route that leads into or out of the tunnel is missing. */
export const check: Check = {
  code: 'MP1102',
  title: 'Node routing of the redirect is incomplete',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'nodes/*/netns/*',
    'pods/*/*/netns/*',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, snapshot, subjects } = context;
    const results = new Results();
    for (const node of subjects.nodes) {
      const pods = subjects.pods.filter((pod) => pod.node === node && !pod.hostNetwork && isEnrolled(context, pod));
      const redirection = redirectionOf(context, node);
      if (redirection.kind === 'unknown') {
        if (pods.length > 0) results.open(redirection.unknown);
        continue;
      }
      if (redirection.value.mode !== 'node' || pods.length === 0) continue;
      if (redirection.value.basis === 'release') {
        nothingThere(context, results, node, pods);
        continue;
      }
      const folder = netnsOfNode(node);
      const rules = ipRulesIn(snapshot, folder);
      const routes = ipRoutesIn(snapshot, folder);
      for (const fact of [rules, routes]) if (fact.kind === 'unknown') results.open(fact.unknown);
      const gaps = [
        ...(rules.kind === 'known' ? missingRules(rules.value, NODE_RULES) : []),
        ...(routes.kind === 'known' ? missingRoutes(routes.value, pods) : []),
      ];
      const ztunnel = mesh.ztunnelsOn(node)[0];
      const inside = ztunnel === undefined ? null : ztunnelGaps(context, ztunnel);
      for (const unknown of inside?.unknowns ?? []) results.open(unknown);
      gaps.push(...(inside?.gaps ?? []));
      if (gaps.length === 0) continue;
      const hit = gaps.flatMap((gap) => (gap.pod === null ? [] : [gap.pod]));
      results.find({
        subject: { kind: 'Node', namespace: null, name: node },
        message: `Node ${node} redirects ambient pods through a tunnel to its ztunnel, but ${listed(gaps.map((gap) => gap.text))} ${gaps.length === 1 ? 'is' : 'are'} missing: ${effectOf(gaps)}`,
        fix: `Restart istio-cni on node ${node} (\`kubectl delete pod -n ${mesh.istioNamespace() ?? 'istio-system'} -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node}\`; in 1.18 to 1.20 that interrupts the whole node), and look for what flushes its rules or tables.`,
        evidence: gaps.map((gap) => gap.evidence),
        effect: {
          verdicts: ['dropped', 'refused', 'error', 'denied'],
          at: [...hit, `node/${node}`, ...(hit.length > 0 ? [] : pods.map(keyOf))],
        },
      });
    }
    return results.result();
  },
};

/** Neither chains nor set: eBPF redirects without them; else the whole redirect of the node is gone. */
function nothingThere(context: CheckContext, results: Results, node: string, pods: readonly Pod[]): void {
  const folder = netnsOfNode(node);
  const ebpf = cniFlag(context.mesh, 'EBPF_ENABLED');
  const facts = [rulesIn(context.snapshot, folder), ipsetsIn(context.snapshot, folder), ebpf];
  for (const fact of facts) if (fact.kind === 'unknown') results.open(fact.unknown);
  if (facts.some((fact) => fact.kind === 'unknown') || (ebpf.kind === 'known' && ebpf.value === 'true')) return;
  results.find({
    subject: { kind: 'Node', namespace: null, name: node },
    message: `Node ${node} holds neither the chains ztunnel-* nor the set ztunnel-pods-ips, though ${listed(pods.map((pod) => `pod ${keyOf(pod)}`))} ${pods.length === 1 ? 'is' : 'are'} annotated as redirected: nothing on it is captured.`,
    fix: `See why istio-cni on node ${node} did not set up the redirect (is there a ready ztunnel on it?), and restart it: \`kubectl delete pod -n ${context.mesh.istioNamespace() ?? 'istio-system'} -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node}\`.`,
    evidence: [
      { file: `${folder}/iptables-save.txt`, text: 'no chain ztunnel-PREROUTING' },
      { file: `${folder}/ipset-save.txt`, text: 'no set ztunnel-pods-ips' },
    ],
    effect: { verdicts: ['dropped', 'refused', 'error', 'denied'], at: [`node/${node}`, ...pods.map(keyOf)] },
  });
}

function isEnrolled(context: CheckContext, pod: Pod): boolean {
  const mode = modeOf(context.mesh, pod);
  return mode.mode === 'ambient' && mode.redirection === 'enabled';
}

interface Gap {
  readonly text: string;
  /** The pod that it is about; null: all of the node. */
  readonly pod: string | null;
  readonly evidence: Evidence;
}

function missingRules(rules: IpRules, wanted: typeof NODE_RULES): readonly Gap[] {
  return wanted
    .filter((want) => !rules.rules.some((rule) => want.fits(rule)))
    .map((want) => ({
      text: `rule ${String(want.priority)} (${want.text})`,
      pod: null,
      evidence: { file: rules.file, text: `no rule ${want.text}` },
    }));
}

function missingRoutes(routes: IpRoutes, pods: readonly Pod[]): readonly Gap[] {
  const gaps: Gap[] = [];
  const has = (table: string, device: string | null, dst: string | null): boolean =>
    routes.routes.some(
      (route) =>
        route.table === table &&
        (dst === null ? route.dst.prefix === 0 : route.dst.prefix === 32 && formatIp(route.dst.ip) === dst) &&
        (device === null || route.nexthops.some((hop) => hop.device === device)),
    );
  for (const pod of pods) {
    const ip = pod.ips.find((address) => !address.includes(':'));
    if (ip === undefined || has('100', 'istioin', ip)) continue;
    const text = `route ${ip} dev istioin in table 100 of pod ${keyOf(pod)}`;
    gaps.push({ text, pod: keyOf(pod), evidence: { file: routes.file, text: `no ${text}` } });
  }
  if (!has('101', 'istioout', null)) {
    const text = 'the default route of table 101 by istioout';
    gaps.push({ text, pod: null, evidence: { file: routes.file, text: `no ${text}` } });
  }
  if (!has('102', null, null)) {
    const text = 'the default route of table 102';
    gaps.push({ text, pod: null, evidence: { file: routes.file, text: `no ${text}` } });
  }
  return gaps;
}

function ztunnelGaps(
  context: CheckContext,
  ztunnel: Pod,
): { readonly gaps: readonly Gap[]; readonly unknowns: readonly Unknown[] } {
  const folder = netnsOfPod(ztunnel);
  const rules = ipRulesIn(context.snapshot, folder);
  const routes = ipRoutesIn(context.snapshot, folder);
  const gaps: Gap[] = [];
  if (rules.kind === 'known') gaps.push(...missingRules(rules.value, ZTUNNEL_RULES));
  if (
    routes.kind === 'known' &&
    !routes.value.routes.some((route) => route.table === '100' && route.type === 'local' && route.dst.prefix === 0)
  ) {
    const text = `the route local default in table 100 of ztunnel pod ${keyOf(ztunnel)}`;
    gaps.push({ text, pod: null, evidence: { file: routes.value.file, text: `no ${text}` } });
  }
  return { gaps, unknowns: [rules, routes].flatMap((fact) => (fact.kind === 'unknown' ? [fact.unknown] : [])) };
}

function effectOf(gaps: readonly Gap[]): string {
  const pods = gaps.flatMap((gap) => (gap.pod === null ? [] : [gap.pod]));
  if (pods.length === gaps.length) {
    return `what is sent to ${listed(pods)} reaches it past ztunnel, HBONE finds nobody on 15008, and answers take another way than the connection: callers hang.`;
  }
  return 'captured packets do not reach ztunnel, or its answers do not come back.';
}
