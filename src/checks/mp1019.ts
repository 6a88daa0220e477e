import { modeOf } from '../mesh/modes.js';
import type { Check } from './context.js';
import { ipRoutesIn, ipRulesIn, netnsOfPod } from './netns-facts.js';
import { inboundCapture, redirectionOf } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

const MARK = 0x111;

/** In-pod redirect: answers of the app to ztunnel come back by a marked route, and the rule or the route is missing. */
export const check: Check = {
  code: 'MP1019',
  title: 'Answers of the app do not come back to ztunnel',
  severity: 'error',
  depth: 0,
  inputs: ['nodes/*/netns/*', 'pods/*/*/netns/*'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, snapshot, subjects, question } = context;
    const results = new Results();
    for (const pod of subjects.destinations) {
      const mode = modeOf(mesh, pod);
      if (mode.mode !== 'ambient' || mode.redirection !== 'enabled' || pod.node === null) continue;
      const redirection = redirectionOf(context, pod.node);
      if (redirection.kind === 'unknown' || redirection.value.mode !== 'in-pod') continue;
      // Where no rule takes what arrives, that is what is to be told (MP1001).
      const inbound = inboundCapture(context, pod, question.port ?? 80);
      if (inbound.kind === 'unknown' || !inbound.value.captured) continue;
      const folder = netnsOfPod(pod);
      const rules = ipRulesIn(snapshot, folder);
      const routes = ipRoutesIn(snapshot, folder);
      for (const side of [rules, routes]) if (side.kind === 'unknown') results.open(side.unknown);
      if (rules.kind === 'unknown' || routes.kind === 'unknown') continue;
      const rule = rules.value.rules.find((entry) => entry.fwmark?.value === MARK && entry.action.kind === 'table');
      const table = rule?.action.kind === 'table' ? rule.action.table : '100';
      const route = routes.value.routes.find(
        (entry) => entry.table === table && entry.type === 'local' && entry.dst.prefix === 0,
      );
      const missing = [
        ...(rule === undefined ? [{ text: 'the rule fwmark 0x111/0xfff lookup 100', file: rules.value.file }] : []),
        ...(route === undefined
          ? [{ text: `the route local default in table ${table}`, file: routes.value.file }]
          : []),
      ];
      if (missing.length === 0) continue;
      results.find({
        subject: subjectOf(pod),
        message: `In pod ${keyOf(pod)} ${listed(missing.map((entry) => entry.text))} ${missing.length === 1 ? 'is' : 'are'} missing: ztunnel calls the app with the client's own address, and the app's answers leave to the client instead of coming back to ztunnel. Callers hang.`,
        fix: `Recreate the pod: \`kubectl delete pod -n ${pod.namespace} ${pod.name}\`; or restart istio-cni on node ${pod.node}.`,
        evidence: missing.map((entry) => ({ file: entry.file, text: `without ${entry.text}` })),
        effect: { verdicts: ['dropped', 'error', 'refused'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};
