import { isUnknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Check, CheckContext } from './context.js';
import { aroundWaypoint, askedWaypoint, BINDING_FILES, type AskedBinding } from './destination.js';
import { type Known, known } from './known.js';
import { listenerOn, netnsOfPod, socketsIn } from './netns-facts.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

/** The waypoint's Gateway is Programmed, but no pod of it is ready, or none of the ready ones takes HBONE on 15008. */
export const check: Check = {
  code: 'MP4004',
  title: 'Waypoint has no ready endpoint',
  severity: 'error',
  depth: 0,
  inputs: [...BINDING_FILES, 'pods/*/*/netns/sockets.txt'],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/endpoints.json',
    'pods/*/*/envoy/*',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    const found = askedWaypoint(context, (unknown) => results.open(unknown));
    if (found === null || found.binding.gateway === null) return results.result();
    const { binding, waypoint } = found;
    if (binding.state !== 'ready' && binding.state !== 'not-ready' && binding.state !== 'unknown')
      return results.result();
    if (binding.pods.length === 0 && binding.state !== 'ready') return results.result();
    const open = context.mesh.unknownOf('pods', `pods of waypoint ${keyOf(waypoint)}`);
    if (binding.pods.length === 0 && open !== null) {
      results.open(open);
      return results.result();
    }
    const ready = binding.pods.filter((pod) => pod.ready === true);
    if (binding.pods.some((pod) => pod.ready === null)) return results.result();
    if (ready.length === 0) notReady(context, results, found);
    else deaf(context, results, found, ready);
    return results.result();
  },
};

function notReady(context: CheckContext, results: Results, { binding, subject, waypoint }: AskedBinding): void {
  const pods =
    binding.pods.length === 0
      ? 'it has no pods'
      : `${listed(binding.pods.map(keyOf))} ${binding.pods.length === 1 ? 'is' : 'are'} not ready`;
  const through = context.paths.some((path) => path.stops.some((stop) => stop.role === 'waypoint'));
  const direct = context.paths.some((path) => path.verdict === 'delivered') && !through;
  const first = binding.pods[0];
  results.find({
    subject: { kind: 'Gateway', namespace: waypoint.namespace, name: waypoint.name },
    message: `Waypoint ${keyOf(waypoint)} of ${subject.kind} ${keyOf(subject)} has an address, but ${pods}: ${
      direct
        ? "traffic goes straight to the pods, and the waypoint's policies and routes silently do not apply."
        : 'what is sent through it fails ("unknown waypoint", "no healthy upstream", or a refused connection).'
    }`,
    fix:
      first === undefined
        ? `Scale the waypoint up: \`kubectl get deployments -n ${waypoint.namespace} -l gateway.networking.k8s.io/gateway-name=${waypoint.name}\`.`
        : `See why it is not ready (\`kubectl describe pod -n ${first.namespace} ${first.name}\`), get it running, and give the waypoint a second replica.`,
    evidence: [...binding.pods.map((pod) => pod.evidence), ...binding.evidence].slice(0, 6),
    effect: { verdicts: ['error', 'refused', 'dropped', 'unknown'], at: aroundWaypoint(context, binding) },
  });
}

/** Ready by status, and nobody takes connections on 15008. */
function deaf(
  context: CheckContext,
  results: Results,
  { binding, subject }: AskedBinding,
  ready: readonly Pod[],
): void {
  const silent: { readonly pod: Pod; readonly file: string }[] = [];
  for (const pod of ready) {
    const listens = listensFor(context, pod);
    if (listens.kind === 'unknown') results.open(listens.unknown);
    else if (!listens.value) silent.push({ pod, file: `${netnsOfPod(pod)}/sockets.txt` });
  }
  const first = silent[0];
  if (first === undefined) return;
  const all = silent.length === ready.length;
  results.find({
    severity: all ? 'error' : 'warning',
    title: 'Waypoint pod does not listen on 15008',
    subject: { kind: 'Pod', namespace: first.pod.namespace, name: first.pod.name },
    message: `${listed(silent.map((entry) => `Pod ${keyOf(entry.pod)}`))} of the waypoint of ${subject.kind} ${keyOf(subject)} ${silent.length === 1 ? 'counts' : 'count'} as ready, but nothing in ${silent.length === 1 ? 'it' : 'them'} listens on 15008: its proxy is dead. Whoever is sent through the waypoint gets "connection refused", and nothing falls back.`,
    fix: `Restart the waypoint: \`kubectl delete pod -n ${first.pod.namespace} ${first.pod.name}\`.`,
    evidence: silent.map((entry) => ({ file: entry.file, text: 'no LISTEN on 15008' })),
    effect: { verdicts: ['refused', 'error', 'dropped'], at: aroundWaypoint(context, binding) },
  });
}

function listensFor(context: CheckContext, pod: Pod): Known<boolean> {
  const sockets = socketsIn(context.snapshot, netnsOfPod(pod));
  if (sockets.kind === 'known') return known(listenerOn(sockets.value, 15008) !== null);
  const envoy = context.envoy(pod);
  // A dump that could be fetched shows a proxy that runs; without sockets it cannot show that it listens.
  return isUnknown(envoy) ? sockets : known(true);
}
