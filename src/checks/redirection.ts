import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { atLeast } from '../mesh/release.js';
import { modeOf } from '../mesh/modes.js';
import { newPacket, type NetnsOutcome, type NetworkNamespace } from '../netns/face.js';
import type { CheckContext } from './context.js';
import { known, unknown, type Known } from './known.js';
import { chainsNamed, ipsetsIn, netnsOfNode, netnsOfPod, nftTablesIn, otherRulesIn, rulesIn } from './netns-facts.js';

/** How a node redirects the TCP of ambient pods: in the node's own namespace (1.18 to 1.20) or in the pods' (1.21+). */
interface NodeRedirection {
  readonly mode: 'node' | 'in-pod';
  /** release: neither rules nor sets show it. */
  readonly basis: 'observed' | 'release';
  readonly evidence: Evidence | null;
}

/**
 * Taken from the data plane; the release decides only where it shows neither: chains `ztunnel-*` or the set
 * `ztunnel-pods-ips` on the node, `ISTIO_POSTRT` or a set `istio-inpod-probes*` on the node, `ISTIO_PRERT` in its pods.
 */
export function redirectionOf(context: CheckContext, node: string): Known<NodeRedirection> {
  const { snapshot, mesh } = context;
  const folder = netnsOfNode(node);
  const saves = savesIn(context, folder);
  for (const save of saves) {
    const legacy = chainsNamed(save, /^ztunnel-PREROUTING$/)[0];
    if (legacy !== undefined) return known({ mode: 'node', basis: 'observed', evidence: legacy.evidence });
  }
  const sets = ipsetsIn(snapshot, folder);
  if (sets.kind === 'known') {
    const set = sets.value.sets.get('ztunnel-pods-ips');
    if (set !== undefined) return known({ mode: 'node', basis: 'observed', evidence: set.evidence });
    const probes = [...sets.value.sets.values()].find((entry) => entry.name.startsWith('istio-inpod-probes'));
    if (probes !== undefined) return known({ mode: 'in-pod', basis: 'observed', evidence: probes.evidence });
  }
  for (const save of saves) {
    const host = chainsNamed(save, /^ISTIO_POSTRT$/)[0];
    if (host !== undefined) return known({ mode: 'in-pod', basis: 'observed', evidence: host.evidence });
  }
  for (const pod of mesh
    .podsOn(node)
    .filter((entry) => modeOf(mesh, entry).redirection === 'enabled')
    .slice(0, 3)) {
    for (const save of savesIn(context, netnsOfPod(pod))) {
      const inPod = chainsNamed(save, /^ISTIO_PRERT$/)[0];
      if (inPod !== undefined) return known({ mode: 'in-pod', basis: 'observed', evidence: inPod.evidence });
    }
    const table = nftTablesIn(snapshot, netnsOfPod(pod)).find((entry) => entry.name.startsWith('istio-ambient-'));
    if (table !== undefined) return known({ mode: 'in-pod', basis: 'observed', evidence: table.evidence });
  }
  const release = mesh.release('cni') ?? mesh.release('istiod');
  if (release === null) {
    return unknown(
      `how node ${node} redirects: ${folder}/iptables-save.txt`,
      'neither its rules and sets nor a release show it',
    );
  }
  return known({ mode: atLeast(release, 21) ? 'in-pod' : 'node', basis: 'release', evidence: release.evidence });
}

/** A node of the trace that redirects in its own namespace. */
interface RedirectingNode {
  readonly node: string;
  /** Its ambient pods that the trace meets; at least one. */
  readonly pods: readonly Pod[];
  readonly ztunnel: Pod | null;
  readonly basis: NodeRedirection['basis'];
}

/** The nodes of the trace with ambient pods that are redirected in the node's own namespace (1.18 to 1.20). */
export function redirectingNodes(context: CheckContext, open: (unknown: Unknown) => void): readonly RedirectingNode[] {
  const { mesh, subjects } = context;
  return subjects.nodes.flatMap((node) => {
    const pods = subjects.pods.filter((pod) => pod.node === node && modeOf(mesh, pod).mode === 'ambient');
    const redirection = pods.length === 0 ? null : redirectionOf(context, node);
    if (redirection?.kind === 'unknown') open(redirection.unknown);
    if (redirection?.kind !== 'known' || redirection.value.mode !== 'node') return [];
    return [{ node, pods, ztunnel: mesh.ztunnelsOn(node)[0] ?? null, basis: redirection.value.basis }];
  });
}

function savesIn(context: CheckContext, folder: string): readonly Parameters<typeof chainsNamed>[0][] {
  const rules = rulesIn(context.snapshot, folder);
  const other = otherRulesIn(context.snapshot, folder);
  return [...(rules.kind === 'known' ? [rules.value] : []), ...(other === null ? [] : [other])];
}

/** What a pod's namespace does with the TCP of its app, or with what arrives for it. */
interface Capture {
  readonly captured: boolean;
  /** True where it is taken to the proxy's port and nobody listens there. */
  readonly refused: boolean;
  readonly evidence: readonly Evidence[];
}

/** Sends one packet of the pod's app to a neighbour, and asks whether it ends on 15001. */
export function outboundCapture(context: CheckContext, pod: Pod): Known<Capture> {
  const folder = netnsOfPod(pod);
  const namespace = context.netns(pod);
  const own = pod.ips[0];
  if (own === undefined)
    return unknown(`address of pod ${pod.namespace}/${pod.name}: kubernetes/pods.json`, 'it has none');
  const outcomes = namespace.send(
    newPacket({
      direction: 'out',
      iif: null,
      protocol: 'tcp',
      src: { ip: own, port: 43210 },
      dst: { ip: neighbourOf(own), port: 80 },
      uid: 1000,
      gid: 1000,
      tcpFlags: ['SYN'],
      sourceBound: false,
    }),
  );
  return judge(outcomes, doubtOf(namespace, own), folder, 15001);
}

/** Sends one packet of a neighbour to a port of the pod, and asks whether it ends on 15006. */
export function inboundCapture(context: CheckContext, pod: Pod, port: number): Known<Capture> {
  const folder = netnsOfPod(pod);
  const namespace = context.netns(pod);
  const own = pod.ips[0];
  if (own === undefined)
    return unknown(`address of pod ${pod.namespace}/${pod.name}: kubernetes/pods.json`, 'it has none');
  const device = namespace.devices.find((entry) => entry.addresses.some((address) => address.ip === own));
  if (device === undefined)
    return unknown(`devices of pod ${pod.namespace}/${pod.name}: ${folder}/ip-address.json`, 'none has its address');
  const outcomes = namespace.send(
    newPacket({
      direction: 'in',
      iif: device.name,
      protocol: 'tcp',
      src: { ip: neighbourOf(own), port: 43210 },
      dst: { ip: own, port },
      tcpFlags: ['SYN'],
      sourceBound: false,
    }),
  );
  return judge(outcomes, doubtOf(namespace, own), folder, 15006);
}

/** An address beside the pod's own, which no rule of Istio treats in a special way. */
function neighbourOf(ip: string): string {
  if (ip.includes(':')) return '2001:db8::1';
  return ip === '198.51.100.1' ? '198.51.100.2' : '198.51.100.1';
}

/** What is missing of the namespace that a packet to or from the address could have met: not the other family's rules. */
function doubtOf({ problems }: NetworkNamespace, own: string): Unknown | null {
  const others = own.includes(':') ? /\bip(?:tables-save|-rule|-route)\b/ : /\bip6(?:tables-save|-rule|-route)\b/;
  return problems.find(({ fact }) => !others.test(fact)) ?? null;
}

function judge(
  outcomes: readonly NetnsOutcome[],
  missing: Unknown | null,
  folder: string,
  port: number,
): Known<Capture> {
  const doubt = outcomes.flatMap((outcome) => outcome.unknowns)[0] ?? missing;
  const taken = outcomes.map((outcome) => isTakenTo(outcome, port));
  const first = outcomes[0];
  if (
    first === undefined ||
    taken.some((one) => one !== taken[0]) ||
    outcomes.some((one) => one.verdict === 'unknown')
  ) {
    return { kind: 'unknown', unknown: doubt ?? { fact: `rules in ${folder}`, reason: 'the packet forks' } };
  }
  if (taken[0] === false && doubt !== null) return { kind: 'unknown', unknown: doubt };
  // What found no way at all has met no rule that could have taken it.
  if (taken[0] === false && outcomes.some((one) => one.verdict === 'rejected' || one.verdict === 'dropped')) {
    return unknown(`rules in ${folder}`, 'the packet that was to try them found no way');
  }
  const evidence = first.decidedBy === null ? [] : [first.decidedBy];
  return known({
    captured: taken[0] === true,
    refused: taken[0] === true && outcomes.every((one) => one.verdict === 'refused'),
    evidence,
  });
}

function isTakenTo(outcome: NetnsOutcome, port: number): boolean {
  if (outcome.dst.port === port) return true;
  if (outcome.socket?.name.endsWith(`:${String(port)}`) === true) return true;
  const tproxy = new RegExp(`TPROXY\\b.*--on-port ${String(port)}\\b`);
  return outcome.steps.some((step) => step.evidence.some((entry) => tproxy.test(entry.text)));
}
