import { modeOf } from '../mesh/modes.js';
import { atLeast } from '../mesh/release.js';
import type { Release } from '../mesh/model.js';
import type { Severity } from '../walk/trace.js';
import type { Check } from './context.js';
import { istiodFlag } from './control-plane.js';
import { destinationRuleTls } from './destination-rules.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';
import { clientsOf } from './tunnel.js';

interface Judgement {
  readonly severity: Severity;
  readonly text: string;
}

/** A DestinationRule's TLS mode for an ambient destination: what it does depends on istiod's release. */
export const check: Check = {
  code: 'MP3001',
  title: 'DestinationRule takes HBONE away, or changes what travels in it',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/destinationrules.networking.istio.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/envoy/*',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects, question } = context;
    const results = new Results();
    const { service } = question;
    const ambient = subjects.destinations.filter((pod) => modeOf(mesh, pod).mode === 'ambient');
    if (service === null || ambient.length === 0) return results.result();
    const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
    for (const client of clientsOf(context, (unknown) => results.open(unknown))) {
      if (client.kind === 'waypoint') continue;
      const tls = destinationRuleTls(mesh, client.pod, host, service.namespace, question.port);
      if (tls.kind === 'unknown') results.open(tls.unknown);
      if (tls.kind === 'unknown' || tls.value === null) continue;
      const release = mesh.release('istiod');
      if (release === null) {
        results.open({ fact: 'release of istiod', reason: 'what a DestinationRule does to HBONE depends on it' });
        continue;
      }
      const prefer = istiodFlag(mesh, 'PILOT_PREFER_SENDING_HBONE');
      const judged = judge(tls.value.mode, release, prefer.kind === 'known' && prefer.value === 'true');
      if (judged === null) continue;
      const { rule } = tls.value;
      results.find({
        severity: judged.severity,
        subject: { kind: 'DestinationRule', namespace: rule.namespace, name: rule.name },
        message: `DestinationRule ${keyOf(rule)} sets tls.mode ${tls.value.mode} for ${host}, whose pods are ambient; with istiod ${release.text} ${judged.text} (client: ${client.kind} ${keyOf(client.pod)}).`,
        fix: `Take the tls block out of the rule, or narrow its host: \`kubectl edit destinationrule -n ${rule.namespace} ${rule.name}\`.`,
        evidence: tls.value.evidence,
        effect:
          judged.severity === 'error'
            ? { verdicts: ['error', 'denied', 'refused', 'dropped'], at: ambient.map(keyOf) }
            : null,
      });
    }
    return results.result();
  },
};

/** istio up to 1.21: ignored · 1.22.0 to 1.25.0: ISTIO_MUTUAL switches HBONE off · 1.23+: SIMPLE, MUTUAL travel in HBONE. */
function judge(mode: string, release: Release, prefersHbone: boolean): Judgement | null {
  const origination = mode === 'SIMPLE' || mode === 'MUTUAL';
  if (mode !== 'ISTIO_MUTUAL' && !origination) return null;
  if (!atLeast(release, 22)) return { severity: 'warning', text: 'the TLS settings are ignored inside HBONE' };
  if (mode === 'ISTIO_MUTUAL') {
    if (atLeast(release, 25, 1)) return null;
    return prefersHbone && atLeast(release, 23)
      ? { severity: 'error', text: 'HBONE then carries Istio mTLS, which the app cannot read' }
      : { severity: 'error', text: 'the client sends no HBONE but Istio mTLS to a pod that has no sidecar' };
  }
  if (!atLeast(release, 23)) return { severity: 'warning', text: 'the TLS settings are ignored inside HBONE' };
  return { severity: 'warning', text: 'HBONE carries this TLS to the app: does its port speak TLS?' };
}
