import type { Evidence } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { DumpPolicy, PolicyMatch, ZtunnelDump } from '../formats/ztunnel-types.js';

/** What a ztunnel holds of one pod, in whichever layout its release prints. */
interface HeldWorkload {
  readonly protocol: 'TCP' | 'HBONE' | null;
  readonly policies: readonly string[];
  readonly evidence: Evidence;
}

/** Null: it is not in the dump (or the section is damaged: see `gaps`). */
export function workloadOf(dump: ZtunnelDump, pod: Pod): HeldWorkload | null {
  for (const ip of pod.ips) {
    const legacy = dump.legacy?.workloads.get(ip);
    if (legacy !== undefined) return legacy;
  }
  return dump.workloads.find((entry) => entry.name === pod.name && entry.namespace === pod.namespace) ?? null;
}

/**
 * The policies that ztunnel considers for a pod: those of its namespace, the global ones, and the selector policies that
 * its workload lists (istio/ztunnel 1.30.3 src/state.rs:assert_rbac).
 */
export function policiesFor(dump: ZtunnelDump, pod: Pod): readonly DumpPolicy[] {
  const listed = new Set(workloadOf(dump, pod)?.policies ?? []);
  return dump.policies.filter(
    (policy) =>
      listed.has(policy.key) ||
      policy.scope === 'Global' ||
      (policy.scope === 'Namespace' && policy.namespace === pod.namespace),
  );
}

/** A match without fields: ztunnel skips it, so it never matches (istio/ztunnel 1.30.3 src/rbac.rs). */
export function isEmptyMatch(match: PolicyMatch): boolean {
  const lists = [
    match.namespaces,
    match.notNamespaces,
    match.serviceAccounts,
    match.notServiceAccounts,
    match.principals,
    match.notPrincipals,
    match.sourceIps,
    match.notSourceIps,
    match.destinationIps,
    match.notDestinationIps,
    match.destinationPorts,
    match.notDestinationPorts,
  ];
  return match.unknownFields?.length === 0 && lists.every((list) => list.length === 0);
}

/** What istiod makes of PeerAuthentications: their denials are STRICT, not an AuthorizationPolicy. */
export function isConvertedStrict(key: string): boolean {
  return /\/(istio_converted_static_strict|converted_peer_authentication_.+)$/.test(key);
}
