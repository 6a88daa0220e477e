import { modeOf } from '../mesh/modes.js';
import type { Check } from './context.js';
import { destinationRuleTls } from './destination-rules.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';
import { clientsOf } from './tunnel.js';

/** A DestinationRule makes proxies speak Istio mTLS to a server that has no proxy to end it. */
export const check: Check = {
  code: 'MP3009',
  title: 'DestinationRule asks for Istio mTLS of a server outside the mesh',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/destinationrules.networking.istio.io.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/envoy/*',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects, question } = context;
    const results = new Results();
    const { service } = question;
    const ambient = subjects.destinations.filter((pod) => modeOf(mesh, pod).mode === 'ambient');
    // Headless ambient pods are called without endpoints, so without HBONE: the rule's TLS reaches their app.
    const bare = subjects.destinations.filter((pod) => ['plain', 'hostNetwork'].includes(modeOf(mesh, pod).mode));
    const affected = service?.headless === true ? [...bare, ...ambient] : bare;
    if (service === null || affected.length === 0) return results.result();
    const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
    for (const client of clientsOf(context, (unknown) => results.open(unknown))) {
      if (client.kind === 'waypoint') continue;
      const tls = destinationRuleTls(mesh, client.pod, host, service.namespace, question.port);
      if (tls.kind === 'unknown') results.open(tls.unknown);
      if (tls.kind === 'unknown' || tls.value?.mode !== 'ISTIO_MUTUAL') continue;
      const { rule } = tls.value;
      results.find({
        subject: { kind: 'DestinationRule', namespace: rule.namespace, name: rule.name },
        message: `DestinationRule ${keyOf(rule)} sets tls.mode ISTIO_MUTUAL for ${host}, but ${listed(affected.map(keyOf))} ${affected.length === 1 ? 'has' : 'have'} no sidecar that ends Istio mTLS: the ${client.kind} ${keyOf(client.pod)} sends TLS to an app that speaks plaintext and answers 503 with a TLS error. Clients without a sidecar do not follow the rule.`,
        fix: `Take the tls block out of the rule (automatic mTLS then decides for each endpoint): \`kubectl edit destinationrule -n ${rule.namespace} ${rule.name}\`.`,
        evidence: tls.value.evidence,
        effect: { verdicts: ['error', 'refused', 'dropped', 'denied'], at: affected.map(keyOf) },
      });
    }
    return results.result();
  },
};
