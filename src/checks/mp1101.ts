import type { Evidence } from '../formats/evidence.js';
import { formatIp } from '../formats/ip.js';
import type { IpDevice } from '../formats/ip-address.js';
import type { Check } from './context.js';
import { addressesIn, netnsOfNode, netnsOfPod } from './netns-facts.js';
import { redirectingNodes } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

/** The two tunnels of 1.18 to 1.20, by their names on the node and in the ztunnel pod. */
const PAIRS: readonly (readonly [node: string, pod: string])[] = [
  ['istioin', 'pistioin'],
  ['istioout', 'pistioout'],
];

/** Node-level redirect: an end of the tunnel between node and ztunnel pod is missing, or does not fit the other end. */
export const check: Check = {
  code: 'MP1101',
  title: 'Tunnel between node and ztunnel does not fit',
  severity: 'error',
  depth: 0,
  inputs: ['kubernetes/configmaps.json', 'nodes/*/netns/*', 'pods/*/*/netns/*'],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
  run: (context) => {
    const { mesh, snapshot } = context;
    const results = new Results();
    for (const { node, pods, ztunnel, basis } of redirectingNodes(context, (unknown) => results.open(unknown))) {
      if (basis === 'release' || ztunnel?.ready !== true) continue;
      const outside = addressesIn(snapshot, netnsOfNode(node));
      const inside = addressesIn(snapshot, netnsOfPod(ztunnel));
      for (const side of [outside, inside]) if (side.kind === 'unknown') results.open(side.unknown);
      if (outside.kind === 'unknown' || inside.kind === 'unknown') continue;
      const own = outside.value.devices.flatMap((device) => device.addresses.map((address) => formatIp(address.ip)));
      const faults: { readonly text: string; readonly evidence: Evidence }[] = [];
      for (const [name, twin] of PAIRS) {
        const here = outside.value.devices.find((device) => device.name === name);
        const there = inside.value.devices.find((device) => device.name === twin);
        if (here === undefined)
          faults.push({
            text: `the node has no device ${name}`,
            evidence: { file: outside.value.file, text: `no device ${name}` },
          });
        if (there === undefined)
          faults.push({
            text: `ztunnel has no device ${twin}`,
            evidence: { file: inside.value.file, text: `no device ${twin}` },
          });
        if (here === undefined || there === undefined) continue;
        faults.push(...misfits(here, there, ztunnel.ips, own));
      }
      if (faults.length === 0) continue;
      results.find({
        subject: { kind: 'Node', namespace: null, name: node },
        message: `Node ${node} and its ztunnel ${keyOf(ztunnel)} are joined by two tunnels, but ${listed(faults.map((fault) => fault.text))}: captured packets do not arrive at ztunnel, or not at the living one.`,
        fix: `Restart istio-cni on node ${node}, which makes the tunnels anew (in 1.18 to 1.20 that interrupts the whole node): \`kubectl delete pod -n ${mesh.istioNamespace() ?? 'istio-system'} -l k8s-app=istio-cni-node --field-selector spec.nodeName=${node}\`.`,
        evidence: faults.map((fault) => fault.evidence),
        effect: { verdicts: ['dropped', 'refused', 'error'], at: [`node/${node}`, ...pods.map(keyOf)] },
      });
    }
    return results.result();
  },
};

function misfits(
  here: IpDevice,
  there: IpDevice,
  ztunnelIps: readonly string[],
  nodeIps: readonly string[],
): readonly { readonly text: string; readonly evidence: Evidence }[] {
  const found: { text: string; evidence: Evidence }[] = [];
  const a = here.tunnel;
  const b = there.tunnel;
  if (!here.up) found.push({ text: `${here.name} is down`, evidence: here.evidence });
  if (!there.up) found.push({ text: `${there.name} is down`, evidence: there.evidence });
  if (a === null || b === null) return found;
  if (a.remote !== null && !ztunnelIps.includes(a.remote)) {
    found.push({
      text: `${here.name} leads to ${a.remote}, and ztunnel has ${ztunnelIps.join(', ')}`,
      evidence: here.evidence,
    });
  }
  if (b.remote !== null && !nodeIps.includes(b.remote)) {
    found.push({
      text: `${there.name} leads to ${b.remote}, which is no address of the node`,
      evidence: there.evidence,
    });
  }
  if (a.id !== null && b.id !== null && a.id !== b.id) {
    found.push({
      text: `${here.name} has the id ${String(a.id)} and ${there.name} ${String(b.id)}`,
      evidence: here.evidence,
    });
  }
  if (a.port !== null && b.port !== null && a.port !== b.port) {
    found.push({
      text: `${here.name} uses port ${String(a.port)} and ${there.name} ${String(b.port)}`,
      evidence: here.evidence,
    });
  }
  return found;
}
