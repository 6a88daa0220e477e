import { joinHostPort } from '../formats/ip.js';
import type { Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { nodeFolder, podFolder } from '../mesh/folders.js';
import type { Mesh } from '../mesh/model.js';
import { newPacket, type Device, type NetnsOutcome, type NetworkNamespace } from '../netns/face.js';
import type { Engines } from './engines.js';

/**
 * A place where packets are: a pod's network namespace, or a node's own. Pods with hostNetwork are in their node's place.
 */
export type Place =
  | { readonly kind: 'pod'; readonly id: string; readonly pod: Pod; readonly node: string; readonly folder: string }
  | { readonly kind: 'node'; readonly id: string; readonly node: string; readonly folder: string };

/** A name that no API server accepts has no folder: nothing is ever found there. */
const UNSAFE = 'no-such-name';

export function placeOfNode(node: string): Place {
  return { kind: 'node', id: `node/${node}`, node, folder: `${nodeFolder(node) ?? UNSAFE}/netns` };
}

export function placeOfPod(pod: Pod): Place {
  if (pod.hostNetwork) return placeOfNode(pod.node ?? '');
  return {
    kind: 'pod',
    id: `pod/${pod.namespace}/${pod.name}`,
    pod,
    node: pod.node ?? '',
    folder: `${podFolder(pod) ?? UNSAFE}/netns`,
  };
}

/** Where a packet arrives that left a place: the next place and the device it comes in by. */
export type NextPlace =
  | {
      readonly kind: 'place';
      readonly place: Place;
      readonly iif: string;
      readonly how: 'veth' | 'bridge' | 'wire' | 'overlay';
      readonly summary: string;
      readonly assumed: boolean;
    }
  | { readonly kind: 'outside'; readonly summary: string }
  /** Nobody in the snapshot has the address: no answer to ARP. */
  | { readonly kind: 'nobody'; readonly summary: string }
  | { readonly kind: 'unknown'; readonly unknowns: readonly Unknown[] };

/** Where a packet goes that leaves `from` by `outcome.oif` (no tunnel with a fixed remote: those encapsulate first). */
export function nextPlace(engines: Engines, from: Place, outcome: NetnsOutcome): NextPlace {
  const namespace = engines.netns(from);
  const device = namespace.devices.find((d) => d.name === outcome.oif);
  if (device === undefined) {
    return unknownNext(`device ${outcome.oif ?? '?'} of ${from.id}`, `not in ${from.folder}/ip-address.json`);
  }
  return from.kind === 'pod' ? leavePod(engines, from, device) : leaveNode(engines, from, device, outcome);
}

function unknownNext(fact: string, reason: string): NextPlace {
  return { kind: 'unknown', unknowns: [{ fact, reason }] };
}

function leavePod(engines: Engines, from: Place & { kind: 'pod' }, device: Device): NextPlace {
  const node = placeOfNode(from.node);
  const host = engines.netns(node);
  const peer = host.devices.find((d) => d.index === device.peerIndex && d.peerIndex === device.index);
  const named = peer ?? deviceTowards(host, from.pod.ips);
  if (named === null) {
    if (host.devices.length === 0) {
      return unknownNext(
        `the other end of ${device.name} of ${from.id} on node ${from.node}`,
        reasonOf(host, `${node.folder}/ip-address.json`),
      );
    }
    return unknownNext(
      `the other end of ${device.name} of ${from.id} on node ${from.node}`,
      `no device of ${node.folder}/ip-address.json is its veth peer`,
    );
  }
  const iif = named.master ?? named.name;
  return {
    kind: 'place',
    place: node,
    iif,
    how: 'veth',
    summary: `${device.name} of the pod is ${named.name} on node ${from.node}${named.master === null ? '' : `, a port of ${named.master}`}`,
    assumed: peer === undefined,
  };
}

/** The node's device whose name a route to the pod's address gives, where the veth pair cannot be told by index. */
function deviceTowards(host: NetworkNamespace, ips: readonly string[]): Device | null {
  for (const ip of ips) {
    const [outcome] = host.send(
      newPacket({
        direction: 'out',
        iif: null,
        protocol: 'icmp',
        src: { ip: ip.includes(':') ? '::' : '0.0.0.0', port: 0 },
        dst: { ip, port: 0 },
        assumed: { ctstate: 'ESTABLISHED', ctdir: 'REPLY', connmark: 0 },
        uid: 0,
        gid: 0,
        sourceBound: false,
      }),
    );
    const device = host.devices.find((d) => d.name === outcome?.oif);
    if (device !== undefined && device.tunnel === null && device.name !== 'lo') return device;
  }
  return null;
}

function leaveNode(engines: Engines, from: Place & { kind: 'node' }, device: Device, outcome: NetnsOutcome): NextPlace {
  const { mesh } = engines;
  const target = outcome.nexthop ?? outcome.dst.ip;
  const local = podBehind(engines, from, device, target, outcome.dst.ip);
  if (local !== null) return local;
  if (device.tunnel !== null || OVERLAY_KINDS.has(device.kind ?? ''))
    return overOverlay(engines, from, device, outcome);
  const node = mesh.nodeByIp(target);
  if (node !== null && node.name !== from.node) return onWire(engines, from, device, node.name, target, false);
  const pod = mesh.podsByIp(outcome.dst.ip)[0];
  if (pod !== undefined) {
    if (pod.node === from.node && !pod.hostNetwork) {
      return unknownNext(
        `which device of node ${from.node} leads to pod ${pod.namespace}/${pod.name}`,
        `${device.name} is not the peer of a device of pods/${pod.namespace}/${pod.name}/netns/ip-address.json`,
      );
    }
    return onWire(engines, from, device, pod.node ?? '', target, true);
  }
  const owner = mesh.nodeByIp(outcome.dst.ip);
  if (owner !== null && owner.name !== from.node) return onWire(engines, from, device, owner.name, target, true);
  // Nobody has it, as far as the lists say: only lists that were read whole say that.
  const who = `who has the address ${outcome.dst.ip}`;
  const missing = mesh.unknownOf('pods', who) ?? mesh.unknownOf('nodes', who);
  if (missing !== null) return { kind: 'unknown', unknowns: [missing] };
  if (
    outcome.nexthop === null &&
    device.kind === 'veth' &&
    device.master === null &&
    /^(veth|cali|lxc|eni|gke)/.test(device.name)
  ) {
    return {
      kind: 'nobody',
      summary: `no pod has the address ${outcome.dst.ip} behind ${device.name} of node ${from.node}`,
    };
  }
  if (inPodNetwork(mesh, outcome.dst.ip)) {
    return {
      kind: 'nobody',
      summary: `no pod has the address ${outcome.dst.ip}, which is in the cluster's pod network`,
    };
  }
  return { kind: 'outside', summary: `leaves the cluster by ${device.name} of node ${from.node}, towards ${target}` };
}

const OVERLAY_KINDS: ReadonlySet<string> = new Set([
  'vxlan',
  'geneve',
  'ipip',
  'tun',
  'wireguard',
  'gre',
  'ip6tnl',
  'sit',
]);

function inPodNetwork(mesh: Mesh, ip: string): boolean {
  return mesh.nodeByPodCidr(ip) !== null;
}

/** The pod of this node that is behind a device: by veth indices, or for a bridge by address. */
function podBehind(
  engines: Engines,
  from: Place & { kind: 'node' },
  device: Device,
  target: string,
  destination: string,
): NextPlace | null {
  const { mesh } = engines;
  const likely = [...mesh.podsByIp(target), ...mesh.podsByIp(destination)];
  const onNode = likely.filter((pod) => pod.node === from.node && !pod.hostNetwork);
  const candidates =
    device.kind === 'veth' && device.peerIndex !== null ? [...onNode, ...mesh.podsOn(from.node)] : onNode;
  for (const pod of candidates) {
    if (pod.hostNetwork) continue;
    const place = placeOfPod(pod);
    const inside = engines.netns(place);
    const peer = inside.devices.find((d) => d.index === device.peerIndex && d.peerIndex === device.index);
    if (peer !== undefined && device.kind === 'veth') {
      return arrive(place, peer.name, 'veth', `${device.name} of node ${from.node} is ${peer.name} of the pod`, false);
    }
  }
  const pod = onNode[0];
  if (pod === undefined) return null;
  const place = placeOfPod(pod);
  const inside = engines.netns(place);
  if (inside.devices.length === 0) {
    if (device.kind !== 'veth' && device.kind !== 'bridge') return null;
    return unknownNext(
      `the network namespace of pod ${pod.namespace}/${pod.name}`,
      reasonOf(inside, `${place.folder}/ip-address.json`),
    );
  }
  const own = inside.devices.find((d) => d.addresses.some((a) => pod.ips.includes(a.ip)));
  if (own === undefined) return null;
  if (device.kind === 'bridge') {
    return arrive(
      place,
      own.name,
      'bridge',
      `bridge ${device.name} of node ${from.node} leads to ${own.name} of the pod`,
      true,
    );
  }
  // Veth pairs that cannot be told apart by index: the node's route to the pod's address says which pod it is.
  if (device.kind === 'veth' && (device.peerIndex === null || own.peerIndex === null)) {
    return arrive(place, own.name, 'veth', `${device.name} of node ${from.node} leads to ${own.name} of the pod`, true);
  }
  return null;
}

function arrive(place: Place, iif: string, how: 'veth' | 'bridge', summary: string, assumed: boolean): NextPlace {
  return { kind: 'place', place, iif, how, summary, assumed };
}

/** Over the physical network to another node: nothing in a snapshot shows switches and routers, so this is assumed. */
function onWire(
  engines: Engines,
  from: Place,
  device: Device,
  nodeName: string,
  target: string,
  throughRouter: boolean,
): NextPlace {
  const place = placeOfNode(nodeName);
  const there = engines.netns(place);
  const node = engines.mesh.nodeByName(nodeName);
  const addresses = node?.internalIps ?? [];
  const landing =
    there.devices.find((d) => d.addresses.some((a) => a.ip === target)) ??
    there.devices.find((d) => d.addresses.some((a) => addresses.includes(a.ip)));
  if (landing === undefined) {
    return unknownNext(`the network namespace of node ${nodeName}`, reasonOf(there, `${place.folder}/ip-address.json`));
  }
  const router = throughRouter ? ` by the router ${target}` : '';
  return {
    kind: 'place',
    place,
    iif: landing.name,
    how: 'wire',
    summary: `over the network from ${from.node} (${device.name})${router} to ${nodeName} (${landing.name})`,
    assumed: true,
  };
}

/** VXLAN, IPIP, WireGuard … without a fixed remote: the far end is the node that holds the next hop on a like device. */
function overOverlay(
  engines: Engines,
  from: Place & { kind: 'node' },
  device: Device,
  outcome: NetnsOutcome,
): NextPlace {
  const { mesh } = engines;
  const target = outcome.nexthop ?? outcome.dst.ip;
  const candidates = new Set<string>();
  const byAddress = mesh.nodeByIp(target);
  if (byAddress !== null) candidates.add(byAddress.name);
  for (const pod of mesh.podsByIp(outcome.dst.ip)) candidates.add(pod.node ?? '');
  for (const name of candidates) {
    if (name === from.node) continue;
    const place = placeOfNode(name);
    const there = engines.netns(place);
    const twin = there.devices.find(
      (d) => d.kind === device.kind && (device.tunnel?.id == null || d.tunnel?.id === device.tunnel.id),
    );
    if (twin !== undefined) {
      return {
        kind: 'place',
        place,
        iif: twin.name,
        how: 'overlay',
        summary: `${device.kind ?? 'overlay'} device ${device.name} carries it to ${twin.name} of node ${name}: the overlay is assumed to deliver it`,
        assumed: true,
      };
    }
    if (there.devices.length === 0) {
      return unknownNext(`the network namespace of node ${name}`, reasonOf(there, `${place.folder}/ip-address.json`));
    }
  }
  return unknownNext(
    `where ${device.kind ?? 'overlay'} device ${device.name} of node ${from.node} carries ${target}`,
    'no node has its other end',
  );
}

function reasonOf(namespace: NetworkNamespace, file: string): string {
  const problem = namespace.problems.find((p) => p.fact.includes(file)) ?? namespace.problems[0];
  return problem?.reason ?? `${file} is not in the snapshot`;
}

/** `10.0.0.1:80`; ICMP addresses have no port. */
export function addressText(address: { readonly ip: string; readonly port: number }): string {
  return address.port === 0 ? address.ip : joinHostPort(address.ip, address.port);
}
