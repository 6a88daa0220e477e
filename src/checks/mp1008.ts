import type { Evidence } from '../formats/evidence.js';
import type { Check } from './context.js';
import { netnsOfNode, otherRulesIn, rulesIn } from './netns-facts.js';
import { Results } from './result.js';

/** istio-cni wrote a pod's rules into the node's own namespace: all of the node's traffic goes to ports nobody serves. */
export const check: Check = {
  code: 'MP1008',
  title: "Rules of a pod stand in the node's own namespace",
  severity: 'error',
  depth: 0,
  inputs: ['nodes/*/netns/*'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'pods/*/*/netns/*',
    'snapshot.json',
  ],
  run: ({ snapshot, subjects }) => {
    const results = new Results();
    for (const node of subjects.nodes) {
      const folder = netnsOfNode(node);
      const rules = rulesIn(snapshot, folder);
      const other = otherRulesIn(snapshot, folder);
      if (rules.kind === 'unknown') results.open(rules.unknown);
      const found: Evidence[] = [];
      for (const save of [...(rules.kind === 'known' ? [rules.value] : []), ...(other === null ? [] : [other])]) {
        for (const chain of save.tables.get('nat')?.chains.values() ?? []) {
          for (const rule of chain.rules) {
            if (/-j REDIRECT\b.*--to-ports? 150(01|06)\b/.test(rule.text))
              found.push({ file: save.file, line: rule.line, text: rule.text });
          }
        }
      }
      if (found.length === 0) continue;
      results.find({
        subject: { kind: 'Node', namespace: null, name: node },
        message: `Node ${node} redirects its own TCP to ztunnel's ports (15001, 15006), on which nobody listens there: rules of a pod were written into the node's namespace, and connections of the node itself, kubelet's among them, fail.`,
        fix: `Take the chain out or reboot the node (\`kubectl drain ${node} --ignore-daemonsets\`), and upgrade: since 1.26 istio-cni refuses to write there.`,
        evidence: found,
        effect: { verdicts: ['refused', 'dropped', 'error'], at: [`node/${node}`] },
      });
    }
    return results.result();
  },
};
