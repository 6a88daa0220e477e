import { modeOf } from '../mesh/modes.js';
import type { Mesh } from '../mesh/model.js';
import type { Check, CheckContext } from './context.js';
import { rulesIn, netnsOfNode } from './netns-facts.js';
import { admission } from './network-policies.js';
import { redirectionOf } from './redirection.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const PROBE_ADDRESS = '169.254.7.127';

/** In-pod redirect: probes come from a link-local address, which a NetworkPolicy has to admit. */
export const check: Check = {
  code: 'MP2001',
  title: 'NetworkPolicy blocks the probe address',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/namespaces.json',
    'kubernetes/networkpolicies.networking.k8s.io.json',
    'kubernetes/pods.json',
    'nodes/*/netns/*',
  ],
  mayRead: ['kubernetes/deployments.apps.json', 'pods/*/*/netns/*', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    for (const pod of subjects.destinations) {
      if (modeOf(mesh, pod).mode !== 'ambient' || pod.node === null) continue;
      const ports = pod.containers.flatMap((container) =>
        container.probes.flatMap((probe) => {
          if (probe.handler === 'exec' || probe.handler === 'unknown') return [];
          if (typeof probe.port === 'number') return [probe.port];
          return container.ports.filter((port) => port.name === probe.port).map((port) => port.port);
        }),
      );
      if (ports.length === 0) continue;
      const redirection = redirectionOf(context, pod.node);
      if (redirection.kind === 'unknown') results.open(redirection.unknown);
      if (redirection.kind === 'unknown' || redirection.value.mode !== 'in-pod') continue;
      results.open(mesh.unknownOf('networkPolicies', `NetworkPolicies of pod ${keyOf(pod)}`, pod.namespace));
      const ip = probeAddress(context, pod.node);
      const blocked = ports.find(
        (port) => admission(mesh, pod, 'Ingress', { kind: 'ip', ip }, port).admitted === false,
      );
      if (blocked === undefined) continue;
      const isolating = admission(mesh, pod, 'Ingress', { kind: 'ip', ip }, blocked).isolating;
      const policy = isolating[0];
      if (policy === undefined) continue;
      const enforced = enforcingCni(mesh);
      results.find({
        severity: enforced === null ? 'warning' : 'error',
        subject: subjectOf(pod),
        message: `kubelet's probes reach ambient pods from ${ip}, and no rule of NetworkPolicy ${keyOf(policy)} admits that address to port ${String(blocked)} of ${keyOf(pod)}: the probes fail${enforced === null ? ' where the CNI plugin enforces policies for link-local addresses' : ` (${enforced} enforces it)`}.`,
        fix: `Admit ipBlock ${ip}/32 on the probe's port: \`kubectl edit networkpolicy -n ${policy.namespace} ${policy.name}\`.`,
        evidence: isolating.map((entry) => entry.evidence),
        effect: null,
      });
    }
    return results.result();
  },
};

/** The address that the node's rule gives to probes; the default where the rule cannot be read. */
function probeAddress(context: CheckContext, node: string): string {
  const rules = rulesIn(context.snapshot, netnsOfNode(node));
  const chain = rules.kind === 'known' ? rules.value.tables.get('nat')?.chains.get('ISTIO_POSTRT') : undefined;
  for (const rule of chain?.rules ?? []) {
    const address = /-j SNAT --to-source (\S+)/.exec(rule.text)?.[1];
    if (address !== undefined) return address;
  }
  return PROBE_ADDRESS;
}

function enforcingCni(mesh: Mesh): string | null {
  const names = mesh.list('daemonSets').items.map((entry) => entry.name);
  return (
    ['calico-node', 'cilium', 'antrea-agent', 'kube-router', 'weave-net'].find((name) => names.includes(name)) ?? null
  );
}
