import type { DumpCertificate } from '../formats/ztunnel-types.js';
import { identityOf } from './identity.js';
import { step, type Step } from './outcome.js';

/** What a workload's certificate depends on. */
export interface Bearer {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly node: string;
}

const REFUSED =
  'signing gRPC error (The request does not have valid authentication credentials): request impersonation authentication failure';

/**
 * Why ztunnel has no certificate for a source that it would speak HBONE for, or null. The dump's own word goes first; for
 * an identity that ztunnel has not asked for yet, istiod's rule: it signs only for service accounts that have a pod on
 * ztunnel's node (I@1.18.2:security/pkg/server/ca/node_auth.go authenticateImpersonation).
 */
export function certificateProblem(
  from: Bearer,
  certificates: ReadonlyMap<string, DumpCertificate>,
  localNode: string | null,
  workloads: () => Iterable<Bearer>,
): { readonly error: string; readonly step: Step } | null {
  const identity = identityOf(from);
  const certificate = certificates.get(identity);
  if (certificate !== undefined) {
    const words = /^Unavailable: (.*)$/s.exec(certificate.state);
    if (words === null) return null;
    const why = step(`no certificate for ${identity}`, certificate.evidence);
    return { error: `identity error: ${words[1] ?? ''}`, step: why };
  }
  if (localNode === null || from.node === localNode) return null;
  for (const workload of workloads()) {
    if (workload.node === localNode && identityOf(workload) === identity) return null;
  }
  const why = step(`istiod signs ${identity} only for the nodes of its pods, and none is on ${localNode}`);
  return { error: `identity error: ${REFUSED}`, step: why };
}
