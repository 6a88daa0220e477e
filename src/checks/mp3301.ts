import { isUnknown } from '../formats/evidence.js';
import { modeOf } from '../mesh/modes.js';
import type { Check } from './context.js';
import { istiodEvidence, istiodFlag } from './control-plane.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const FLAG = 'CA_TRUSTED_NODE_ACCOUNTS';

/** istiod does not let ztunnel ask for its pods' certificates, or a certificate of the path is not there. */
export const check: Check = {
  code: 'MP3301',
  title: 'ztunnel has no certificate for its pods',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'pods/*/*/ztunnel/config_dump.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    const accounts = new Map<string, string>();
    for (const pod of subjects.pods) {
      if (modeOf(mesh, pod).mode !== 'ambient' || pod.node === null) continue;
      const ztunnel = mesh.ztunnelsOn(pod.node)[0];
      if (ztunnel === undefined) continue;
      accounts.set(`${ztunnel.namespace}/${ztunnel.serviceAccount}`, keyOf(ztunnel));
      const dump = context.ztunnel(ztunnel);
      if (isUnknown(dump)) {
        results.open(dump);
        continue;
      }
      const identity = `/ns/${pod.namespace}/sa/${pod.serviceAccount}`;
      const certificate = dump.certificates.find((entry) => entry.identity.endsWith(identity));
      if (certificate === undefined || certificate.state === 'Available' || certificate.state === 'Initializing')
        continue;
      results.find({
        subject: subjectOf(pod),
        message: `ztunnel ${keyOf(ztunnel)} has no certificate for ${certificate.identity}: ${certificate.state}. Every HBONE connection of pod ${keyOf(pod)} fails.`,
        fix: `Read the log of istiod for this identity: \`kubectl logs -n ${mesh.istioNamespace() ?? 'istio-system'} -l app=istiod | grep -i impersonat\`.`,
        evidence: [certificate.evidence],
        effect: { verdicts: ['error', 'refused', 'dropped'], at: [keyOf(pod), `node/${pod.node}`] },
      });
    }
    trusted(context, results, accounts);
    return results.result();
  },
};

function trusted(context: Parameters<Check['run']>[0], results: Results, accounts: ReadonlyMap<string, string>): void {
  if (accounts.size === 0) return;
  const { mesh } = context;
  const flag = istiodFlag(mesh, FLAG);
  if (flag.kind === 'unknown') {
    results.open(flag.unknown);
    return;
  }
  const home = mesh.istioNamespace();
  if (flag.value === null && home === null) return;
  const list = flag.value === null ? [`${home ?? ''}/ztunnel`] : flag.value.split(',').map((entry) => entry.trim());
  for (const [account, ztunnel] of accounts) {
    if (list.includes(account)) continue;
    results.find({
      title: 'istiod does not trust the account of ztunnel',
      subject: { kind: 'Deployment', namespace: home, name: 'istiod' },
      message: `ztunnel ${ztunnel} runs as ${account}, and istiod lets only ${list.join(', ')} ask for certificates in the name of pods (${FLAG}): "request impersonation authentication failure".`,
      fix: `Set trustedZtunnelNamespace (and trustedZtunnelName) of the istiod chart to ${account}: \`kubectl set env -n ${home ?? 'istio-system'} deployment/istiod ${FLAG}=${account}\`.`,
      evidence: [istiodEvidence(mesh, FLAG, flag.value)],
      effect: { verdicts: ['error', 'refused', 'dropped'], at: context.subjects.pods.map(keyOf) },
    });
  }
}
