import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Check } from './context.js';
import { netnsOfNode, netnsOfPod, sysctlsIn } from './netns-facts.js';
import { redirectingNodes } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

/** Node-level redirect: packets come back by another device than they left by, which a strict reverse path filter drops. */
export const check: Check = {
  code: 'MP1104',
  title: 'Reverse path filter drops what the redirect brings back',
  severity: 'error',
  depth: 0,
  inputs: ['kubernetes/configmaps.json', 'nodes/*/netns/*', 'pods/*/*/netns/*'],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { snapshot } = context;
    const results = new Results();
    const open = (unknown: Unknown): void => results.open(unknown);
    for (const { node, pods, ztunnel } of redirectingNodes(context, open)) {
      const strict = [
        ...strictDevices(snapshot, netnsOfNode(node), ['istioin', 'istioout'], open),
        ...(ztunnel === null ? [] : strictDevices(snapshot, netnsOfPod(ztunnel), ['pistioin', 'pistioout'], open)),
      ];
      if (strict.length === 0) continue;
      results.find({
        subject: { kind: 'Node', namespace: null, name: node },
        message: `On node ${node} the reverse path filter is strict (1) for ${listed(strict.map((entry) => entry.device))}: the redirect brings packets in by other devices than their answers leave by, and the kernel drops them without a trace.`,
        fix: `Set rp_filter to 0 or 2 for these devices and for \`all\` (the greater of both counts), and see what sets it to 1: \`kubectl debug node/${node} -it --image=busybox -- chroot /host sysctl -a -r rp_filter\`.`,
        evidence: strict.map((entry) => entry.evidence),
        effect: { verdicts: ['dropped'], at: [`node/${node}`, ...pods.map(keyOf)] },
      });
    }
    return results.result();
  },
};

/** The kernel takes the greater of conf/all and conf/<device>. */
function strictDevices(
  snapshot: Snapshot,
  folder: string,
  devices: readonly string[],
  open: (unknown: Unknown) => void,
): readonly { readonly device: string; readonly evidence: Evidence }[] {
  const settings = sysctlsIn(snapshot, folder);
  if (settings.kind === 'unknown') {
    open(settings.unknown);
    return [];
  }
  const all = settings.value.values.get('net.ipv4.conf.all.rp_filter');
  return devices.flatMap((device) => {
    const own = settings.value.values.get(`net.ipv4.conf.${device}.rp_filter`);
    const evidence = (own?.value === '1' ? own : all)?.evidence;
    const effective = Math.max(Number(all?.value ?? 0), Number(own?.value ?? 0));
    return own !== undefined && effective === 1 && evidence !== undefined ? [{ device, evidence }] : [];
  });
}
