import { annotationEvidence } from '../mesh/proxies.js';
import type { Check } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const REDIRECTION = 'ambient.istio.io/redirection';
/** istio-cni tries again within seconds: what is pending for longer is stuck. */
const PATIENCE_MS = 30_000;

/** istio-cni has set the rules, ztunnel has not taken the pod (1.25+). */
export const check: Check = {
  code: 'MP1003',
  title: 'Enrolment is pending',
  severity: 'error',
  depth: 1,
  inputs: ['kubernetes/pods.json', 'snapshot.json'],
  run: ({ snapshot, subjects }) => {
    const results = new Results();
    for (const pod of subjects.pods) {
      if (pod.annotations[REDIRECTION] !== 'pending') continue;
      const captured = snapshot.manifest?.capturedAt ?? null;
      const age = captured === null || pod.startTime === null ? null : Date.parse(captured) - Date.parse(pod.startTime);
      if (age === null || Number.isNaN(age)) {
        const reason = captured === null ? 'snapshot.json does not say when it was taken' : 'the pod has no startTime';
        results.open({ fact: `how long pod ${keyOf(pod)} has been pending`, reason });
        continue;
      }
      if (age <= PATIENCE_MS) continue;
      results.find({
        subject: subjectOf(pod),
        message: `Pod ${keyOf(pod)} is annotated ${REDIRECTION}=pending ${String(Math.round(age / 1000))} s after its start: its rules redirect, ztunnel has not taken it, and istiod publishes it as plain TCP, so traffic to and from it dies.`,
        fix: `Look for "no ztunnel connection" in the log of istio-cni on node ${pod.node ?? '?'} and repair the ztunnel there: \`kubectl get pods -A -l app=ztunnel --field-selector spec.nodeName=${pod.node ?? ''}\`.`,
        evidence: [annotationEvidence(pod, REDIRECTION)],
        effect: { verdicts: ['refused', 'dropped', 'error'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};
