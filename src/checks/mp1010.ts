import type { Evidence } from '../formats/evidence.js';
import { dig } from '../formats/kubernetes-narrow.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

/** A node with ambient pods of the path has no ready ztunnel, or no ready istio-cni. */
export const check: Check = {
  code: 'MP1010',
  title: 'Node has no working ztunnel or istio-cni',
  severity: 'error',
  depth: 0,
  inputs: ['kubernetes/configmaps.json', 'kubernetes/namespaces.json', 'kubernetes/pods.json'],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/nodes.json',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    const open = mesh.unknownOf('pods', 'the ztunnel and istio-cni pods of the nodes on the way');
    for (const node of subjects.nodes) {
      const ambient = subjects.pods.filter((pod) => pod.node === node && modeOf(mesh, pod).mode === 'ambient');
      if (ambient.length === 0) continue;
      judge(context, results, node, 'ztunnel', mesh.ztunnelsOn(node), ambient, open);
      judge(context, results, node, 'istio-cni', mesh.podsOn(node).filter(isCni), ambient, open);
    }
    return results.result();
  },
};

function isCni(pod: Pod): boolean {
  return (
    pod.labels['k8s-app'] === 'istio-cni-node' || pod.containers.some((c) => /(^|\/)install-cni(:|@|$)/.test(c.image))
  );
}

function judge(
  context: CheckContext,
  results: Results,
  node: string,
  what: 'ztunnel' | 'istio-cni',
  pods: readonly Pod[],
  ambient: readonly Pod[],
  open: ReturnType<CheckContext['mesh']['unknownOf']>,
): void {
  if (pods.some((pod) => pod.ready === true)) return;
  if (pods.length === 0 && open !== null) {
    results.open(open);
    return;
  }
  const first = pods[0];
  if (first !== undefined && pods.some((pod) => pod.ready === null)) {
    results.open({
      fact: `whether ${what} pod ${keyOf(first)} is ready: kubernetes/pods.json`,
      reason: 'it has no condition Ready',
    });
    return;
  }
  // Without any pod of istio-cni in the whole cluster it runs elsewhere (or was left out of the list).
  if (first === undefined && what === 'istio-cni' && !context.mesh.list('pods').items.some(isCni)) return;
  const waiting = first === undefined ? null : waitingReason(first);
  const taint = first === undefined ? taintOf(context, node) : null;
  const state =
    first === undefined
      ? `runs no ${what} pod`
      : `${what} pod ${keyOf(first)} on it is not ready${waiting === null ? '' : ` (${waiting.text})`}`;
  const effect =
    what === 'ztunnel'
      ? `the TCP of its ambient pods (${ambient.map(keyOf).join(', ')}) still goes to ztunnel's ports, so it is refused, in and out`
      : 'new pods are not enrolled, and rules that get lost are not written again';
  const component = first === undefined ? 'daemonset' : `pod ${keyOf(first)}`;
  results.find({
    severity: what === 'ztunnel' ? 'error' : 'warning',
    title: what === 'ztunnel' ? 'Node has no working ztunnel' : 'Node has no working istio-cni',
    subject: { kind: 'Node', namespace: null, name: node },
    message: `Node ${node}: ${state}; ${effect}.${taint === null ? '' : ` The node has the taint ${taint.text}: does the DaemonSet tolerate it?`}`,
    fix:
      first === undefined
        ? `Let the ${component} of ${what} run on ${node}: \`kubectl describe node ${node}\` shows its taints and what hinders scheduling.`
        : `Get ${component} running again: \`kubectl describe pod -n ${first.namespace} ${first.name}\` and its log say why it is down.`,
    evidence: [
      ...(first === undefined
        ? [{ file: context.mesh.list('pods').file, text: `no ${what} pod on ${node}` }]
        : [waiting ?? first.evidence]),
      ...(taint === null ? [] : [taint]),
    ],
    effect:
      what === 'ztunnel'
        ? { verdicts: ['refused', 'error', 'dropped'], at: [`node/${node}`, ...ambient.map(keyOf)] }
        : null,
  });
}

function waitingReason(pod: Pod): Evidence | null {
  const statuses = dig(pod.raw, 'status', 'containerStatuses');
  if (!Array.isArray(statuses)) return null;
  for (const [index, status] of statuses.entries()) {
    const reason = dig(status, 'state', 'waiting', 'reason') ?? dig(status, 'state', 'terminated', 'reason');
    if (typeof reason !== 'string') continue;
    const pointer = `${pod.evidence.pointer ?? ''}/status/containerStatuses/${String(index)}/state`;
    return { file: pod.evidence.file, pointer, text: reason };
  }
  return null;
}

function taintOf(context: CheckContext, name: string): Evidence | null {
  const node = context.mesh.nodeByName(name);
  const taints = node === null ? undefined : dig(node.raw, 'spec', 'taints');
  if (node === null || !Array.isArray(taints)) return null;
  for (const [index, taint] of taints.entries()) {
    const key = dig(taint, 'key');
    const effect = dig(taint, 'effect');
    if (typeof key !== 'string' || (effect !== 'NoSchedule' && effect !== 'NoExecute')) continue;
    return {
      file: node.evidence.file,
      pointer: `${node.evidence.pointer ?? ''}/spec/taints/${String(index)}`,
      text: `${key}:${effect}`,
    };
  }
  return null;
}
