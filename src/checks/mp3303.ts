import type { PresentedCertificate } from '../formats/certificate.js';
import { isUnknown, type Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import { hasEnded } from '../walk/certificates.js';
import { ztunnelOn } from '../walk/process.js';
import { identityOf } from '../walk/route.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

/** Renewed at half of their time by ztunnel and istio-agent (SECRET_GRACE_PERIOD_RATIO): with a quarter left, at least one attempt has failed. */
const OVERDUE = 0.25;

/** A certificate of the path had ended when the snapshot was taken, or should have been renewed long before. */
export const check: Check = {
  code: 'MP3303',
  title: 'Certificate has ended',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/envoy/*',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const results = new Results();
    const capturedAt = context.snapshot.manifest?.capturedAt ?? null;
    for (const pod of context.subjects.pods) {
      const held = certificateOf(context, pod, (unknown) => results.open(unknown));
      if (held === null) continue;
      if (capturedAt === null) {
        results.open({
          fact: `whether the certificate of ${keyOf(pod)} holds`,
          reason: 'snapshot.json does not say when it was taken',
        });
        continue;
      }
      const ended = hasEnded(held.certificate, capturedAt);
      const left = shareLeft(held.certificate, capturedAt);
      if (!ended && (left === null || left > OVERDUE)) continue;
      const home = context.mesh.istioNamespace() ?? 'istio-system';
      results.find({
        severity: ended ? 'error' : 'warning',
        title: ended ? 'Certificate has ended' : 'Certificate should have been renewed',
        subject: subjectOf(pod),
        message: ended
          ? `The certificate of pod ${keyOf(pod)} at ${held.holder} ended at ${held.certificate.validUntil ?? '?'}, and the snapshot is of ${capturedAt}: peers refuse it, so every mTLS connection of the pod fails.`
          : `The certificate of pod ${keyOf(pod)} at ${held.holder} ends at ${held.certificate.validUntil ?? '?'}: ${String(Math.round((left ?? 0) * 100))} % of its time is left, and it is renewed at half unless told otherwise. When it ends, every mTLS connection of the pod fails.`,
        fix: `See why it is not renewed: \`kubectl logs -n ${home} -l app=istiod --tail=200\`, then \`${held.log}\`; and compare the clocks of the nodes.`,
        evidence: [held.certificate.evidence],
        effect: ended ? { verdicts: ['error', 'refused', 'dropped'], at: [keyOf(pod), held.holder] } : null,
      });
    }
    return results.result();
  },
};

interface Held {
  readonly certificate: PresentedCertificate;
  /** Who shows it. */
  readonly holder: string;
  readonly log: string;
}

/** The certificate that is shown for a pod: by the ztunnel of its node, or by its own Envoy. */
function certificateOf(context: CheckContext, pod: Pod, open: (unknown: Unknown) => void): Held | null {
  const { mesh } = context;
  switch (modeOf(mesh, pod).mode) {
    case 'ambient': {
      const ztunnel = pod.node === null ? null : ztunnelOn(mesh, pod.node);
      if (ztunnel === null) return null;
      const dump = context.ztunnel(ztunnel);
      if (isUnknown(dump)) {
        open(dump);
        return null;
      }
      const identity = identityOf(mesh, pod).value;
      const certificate = dump.certificates.find((one) => one.identity === identity && one.state === 'Available');
      if (certificate === undefined) return null;
      const log = `kubectl logs -n ${ztunnel.namespace} ${ztunnel.name}`;
      return { certificate, holder: keyOf(ztunnel), log };
    }
    case 'sidecar':
    case 'gateway':
    case 'waypoint': {
      const envoy = context.envoy(pod);
      if (isUnknown(envoy)) {
        open(envoy);
        return null;
      }
      const certificate = envoy.workloadCertificate();
      const log = `kubectl logs -n ${pod.namespace} ${pod.name} -c istio-proxy`;
      return certificate === null ? null : { certificate, holder: keyOf(pod), log };
    }
    case 'plain':
    case 'hostNetwork':
    case 'ztunnel':
      return null;
  }
}

/** The part of its time that is left, 0 to 1; null where the dump does not tell. */
function shareLeft({ validFrom, validUntil }: PresentedCertificate, capturedAt: string): number | null {
  if (validFrom === null || validUntil === null) return null;
  const [from, until, at] = [validFrom, validUntil, capturedAt].map((time) => Date.parse(time));
  if (from === undefined || until === undefined || at === undefined) return null;
  const share = (until - at) / (until - from);
  return Number.isNaN(share) ? null : share;
}
