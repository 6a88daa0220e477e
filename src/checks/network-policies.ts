import { cidrContains, parseCidr, parseIp } from '../formats/ip.js';
import type { NetworkPolicy, NetworkPolicyRule, Pod } from '../formats/kubernetes-types.js';
import { selectorMatches } from '../mesh/labels.js';
import type { Mesh } from '../mesh/model.js';

/** Who connects: a pod, or an address that is no pod's (a node's process, the probe address). */
type Peer = { readonly kind: 'pod'; readonly pod: Pod } | { readonly kind: 'ip'; readonly ip: string };

/** Whether the policies of one direction let a connection pass; null: an operator or label that is not known decides. */
export interface Admission {
  readonly admitted: boolean | null;
  /** The policies that isolate the pod in this direction; empty: none does, everything passes. */
  readonly isolating: readonly NetworkPolicy[];
}

/** Kubernetes' rule: a pod that some policy selects takes only what a rule of these policies lists. */
export function admission(mesh: Mesh, pod: Pod, direction: 'Ingress' | 'Egress', peer: Peer, port: number): Admission {
  const isolating: NetworkPolicy[] = [];
  let doubt = false;
  for (const policy of mesh.list('networkPolicies').items) {
    if (policy.namespace !== pod.namespace || !policy.policyTypes.includes(direction)) continue;
    const selects = selectorMatches(policy.podSelector, pod.labels);
    if (selects === null) doubt = true;
    if (selects === true) isolating.push(policy);
  }
  if (isolating.length === 0) return { admitted: doubt ? null : true, isolating };
  for (const policy of isolating) {
    for (const rule of direction === 'Ingress' ? policy.ingress : policy.egress) {
      const fits = ruleFits(mesh, policy, rule, peer, direction === 'Ingress' ? pod : null, port);
      if (fits === true) return { admitted: true, isolating };
      if (fits === null) doubt = true;
    }
  }
  return { admitted: doubt ? null : false, isolating };
}

function ruleFits(
  mesh: Mesh,
  policy: NetworkPolicy,
  rule: NetworkPolicyRule,
  peer: Peer,
  server: Pod | null,
  port: number,
): boolean | null {
  const portFits = rule.ports.length === 0 ? true : anyOf(rule.ports.map((entry) => fitsPort(entry, server, port)));
  if (portFits === false) return false;
  const peerFits =
    rule.peers.length === 0 ? true : anyOf(rule.peers.map((entry) => fitsPeer(mesh, policy, entry, peer)));
  if (peerFits === false) return false;
  return portFits === null || peerFits === null ? null : true;
}

function anyOf(answers: readonly (boolean | null)[]): boolean | null {
  if (answers.includes(true)) return true;
  return answers.includes(null) ? null : false;
}

function fitsPort(entry: NetworkPolicyRule['ports'][number], server: Pod | null, port: number): boolean | null {
  if (entry.protocol !== 'TCP') return false;
  if (entry.port === null) return true;
  if (typeof entry.port === 'string') {
    if (server === null) return null;
    return server.containers.some((container) =>
      container.ports.some((one) => one.name === entry.port && one.port === port),
    );
  }
  return entry.endPort === null ? entry.port === port : port >= entry.port && port <= entry.endPort;
}

function fitsPeer(
  mesh: Mesh,
  policy: NetworkPolicy,
  entry: NetworkPolicyRule['peers'][number],
  peer: Peer,
): boolean | null {
  if (entry.ipBlock !== null) return fitsBlock(entry.ipBlock, peer.kind === 'ip' ? [peer.ip] : peer.pod.ips);
  // Selectors speak of pods; what shares a node's network is seen by the node's address.
  if (peer.kind === 'ip' || peer.pod.hostNetwork) return false;
  if (entry.namespaceSelector === null) {
    if (peer.pod.namespace !== policy.namespace) return false;
  } else {
    const namespace = mesh.namespace(peer.pod.namespace);
    if (namespace === null) return null;
    const fits = selectorMatches(entry.namespaceSelector, namespace.labels);
    if (fits !== true) return fits;
  }
  return entry.podSelector === null ? true : selectorMatches(entry.podSelector, peer.pod.labels);
}

function fitsBlock(
  block: { readonly cidr: string; readonly except: readonly string[] },
  ips: readonly string[],
): boolean {
  return ips.some((ip) => inCidr(block.cidr, ip) && !block.except.some((except) => inCidr(except, ip)));
}

function inCidr(cidr: string, ip: string): boolean {
  const range = parseCidr(cidr);
  const address = parseIp(ip);
  return range !== null && address !== null && cidrContains(range, address);
}
