import { cidrContains, parseIp } from '../formats/ip.js';
import { isUnknown, type Evidence, type Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mode } from '../mesh/model.js';
import type { CheckContext } from './context.js';
import { known, type Known } from './known.js';
import { ipRoutesIn, ipsetsIn, netnsOfNode } from './netns-facts.js';
import { outboundCapture, redirectionOf } from './redirection.js';

/**
 * Whose proxy takes a pod's traffic. itself: it is a proxy · partly: rules and proxy do not agree, traffic gets lost ·
 * none: nobody's.
 */
export interface Enrolment {
  readonly by: 'ztunnel' | 'sidecar' | 'itself' | 'none' | 'partly' | 'unknown';
  readonly reason: string;
  readonly evidence: readonly Evidence[];
  readonly unknowns: readonly Unknown[];
}

function made(by: Enrolment['by'], reason: string, evidence: readonly Evidence[] = []): Enrolment {
  return { by, reason, evidence, unknowns: [] };
}

function open(unknown: Unknown): Enrolment {
  return { by: 'unknown', reason: `${unknown.fact}: ${unknown.reason}`, evidence: [], unknowns: [unknown] };
}

/** What rules, sets and the ztunnel of the node say: in-pod rules (1.21+, and every sidecar's), or the node's (1.18 to 1.20). */
export function foundEnrolment(context: CheckContext, pod: Pod, mode: Mode): Enrolment {
  if (mode === 'ztunnel' || mode === 'gateway' || mode === 'waypoint') return made('itself', 'it is a proxy itself');
  if (pod.hostNetwork)
    return made('none', 'it shares the network of its node, where nothing is redirected for one pod');
  const capture = outboundCapture(context, pod);
  if (mode === 'sidecar') return ofSidecar(capture);
  if (pod.node === null) return made('none', 'it has no node yet');
  const redirection = redirectionOf(context, pod.node);
  if (redirection.kind === 'unknown') return open(redirection.unknown);
  return redirection.value.mode === 'node' ? ofNode(context, pod, pod.node) : ofPod(context, pod, pod.node, capture);
}

type Capture = ReturnType<typeof outboundCapture>;

function ofSidecar(capture: Capture): Enrolment {
  if (capture.kind === 'unknown') return open(capture.unknown);
  const { captured, refused, evidence } = capture.value;
  if (!captured) return made('partly', 'a sidecar runs, but no rule of the pod sends traffic to it', evidence);
  if (refused) return made('partly', 'its rules send traffic to 15001, where nobody listens', evidence);
  return made('sidecar', 'its rules send traffic to 15001', evidence);
}

function ofPod(context: CheckContext, pod: Pod, node: string, capture: Capture): Enrolment {
  if (capture.kind === 'unknown') return open(capture.unknown);
  const { captured, refused, evidence } = capture.value;
  const state = stateInZtunnel(context, pod, node);
  if (state.kind === 'unknown') {
    if (!captured) return made('none', 'no rule of the pod redirects its traffic', evidence);
    return refused
      ? made('partly', 'its rules redirect to 15001, where nobody listens', evidence)
      : open(state.unknown);
  }
  const held = state.value;
  if (captured && refused) return made('partly', 'its rules redirect to 15001, where nobody listens', evidence);
  if (captured && held?.state === 'Up') {
    return made('ztunnel', 'its rules redirect, and ztunnel serves it', [...evidence, held.evidence]);
  }
  if (captured) {
    const what = held === null ? 'ztunnel does not know the pod' : `in ztunnel it is ${held.state}`;
    return made('partly', `its rules redirect, but ${what}`, held === null ? evidence : [...evidence, held.evidence]);
  }
  if (held !== null) {
    return made('partly', 'ztunnel serves it, but no rule of the pod redirects', [...evidence, held.evidence]);
  }
  return made('none', 'no rule of the pod redirects its traffic', evidence);
}

/** workloadState of the node's ztunnel for this pod; null: it does not know it. */
function stateInZtunnel(
  context: CheckContext,
  pod: Pod,
  node: string,
): Known<{ readonly state: string; readonly evidence: Evidence } | null> {
  const ztunnel = context.mesh.ztunnelsOn(node)[0];
  if (ztunnel === undefined) {
    const fact = `the ztunnel of node ${node}`;
    const unknown = context.mesh.unknownOf('pods', fact) ?? { fact, reason: 'none of the pods is one' };
    return { kind: 'unknown', unknown };
  }
  const dump = context.ztunnel(ztunnel);
  if (isUnknown(dump)) return { kind: 'unknown', unknown: dump };
  if (dump.pods === null) {
    const fact = `workloadState of ztunnel ${ztunnel.namespace}/${ztunnel.name}`;
    return { kind: 'unknown', unknown: { fact, reason: 'its dump has none' } };
  }
  const state = dump.pods.find((entry) => entry.uid === pod.uid);
  return known(state === undefined ? null : { state: state.state, evidence: state.evidence });
}

/** 1.18 to 1.20: the set takes what the pod sends, the route of table 100 what is sent to it. */
function ofNode(context: CheckContext, pod: Pod, node: string): Enrolment {
  const folder = netnsOfNode(node);
  const sets = ipsetsIn(context.snapshot, folder);
  const routes = ipRoutesIn(context.snapshot, folder);
  if (sets.kind === 'unknown') return open(sets.unknown);
  if (routes.kind === 'unknown') return open(routes.unknown);
  const address = pod.ips.map(parseIp).find((ip) => ip?.family === 4) ?? null;
  if (address === null) return made('none', 'it has no IPv4 address, which is all that a node redirects');
  const set = sets.value.sets.get('ztunnel-pods-ips');
  const member = set?.entries.find((entry) => pod.ips.includes(entry.value));
  const route = routes.value.routes.find(
    (entry) =>
      entry.table === '100' &&
      entry.dst.prefix === 32 &&
      cidrContains(entry.dst, address) &&
      entry.nexthops.some((hop) => hop.device === 'istioin'),
  );
  const evidence = [
    ...(member === undefined ? [] : [member.evidence]),
    ...(route === undefined ? [] : [route.evidence]),
  ];
  if (member !== undefined && route !== undefined) {
    return made('ztunnel', 'it is in set ztunnel-pods-ips, and table 100 has its route', evidence);
  }
  if (member !== undefined)
    return made('partly', 'it is in set ztunnel-pods-ips, but table 100 has no route to it', evidence);
  if (route !== undefined)
    return made('partly', 'table 100 has its route, but it is not in set ztunnel-pods-ips', evidence);
  return made('none', 'it is neither in set ztunnel-pods-ips nor in table 100');
}
