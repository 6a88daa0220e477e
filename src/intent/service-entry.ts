import { canonicalIp, joinHostPort } from '../formats/ip.js';
import { toNumber } from '../formats/kubernetes-narrow.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Destination } from '../mesh/question.js';
import { each, type Asked } from './asked.js';
import { targetAt, type Target } from './targets.js';
import { end, go, note, type Ended, type Way } from './way.js';

/** Endpoints that a ServiceEntry declares, or pods that it selects; names that DNS must resolve end outside. */
export function toEntry(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'serviceEntry' },
  take: (way: Way, target: Target) => readonly Ended[],
): readonly Ended[] {
  const { mesh } = asked;
  const { entry, ip, port, host } = destination;
  const declared = entry.ports.find((candidate) => candidate.number === port);
  const targetPort = declared?.targetPort ?? port;
  if (entry.resolution === 'NONE' && ip !== null) return take(way, targetAt(mesh, ip, port, [entry.evidence]));
  if (entry.workloadSelector !== null) {
    const selector = entry.workloadSelector;
    const targets = mesh
      .list('pods')
      .items.filter(
        (pod) => pod.namespace === entry.namespace && pod.ready === true && labelsMatch(selector, pod.labels),
      )
      .flatMap((pod) =>
        pod.ips[0] === undefined ? [] : [{ pod, ip: pod.ips[0], port: targetPort, evidence: [pod.evidence] }],
      );
    return each(
      way,
      { targets },
      (none) => end(none, 'error', `ServiceEntry ${entry.namespace}/${entry.name} selects no pod`),
      take,
    );
  }
  const targets: Target[] = [];
  for (const endpoint of entry.endpoints) {
    if (endpoint.address === null || canonicalIp(endpoint.address) === null) continue;
    const own = declared?.name == null ? undefined : toNumber(endpoint.ports[declared.name]);
    targets.push(targetAt(mesh, endpoint.address, own ?? targetPort, [endpoint.evidence]));
  }
  if (targets.length > 0)
    return each(
      way,
      { targets },
      (none) => end(none, 'error', `ServiceEntry ${entry.namespace}/${entry.name} has no endpoint`),
      take,
    );
  const outside = { role: 'external' as const, namespace: '', name: 'outside', node: '' };
  const to = joinHostPort(host, targetPort);
  const link = { protocol: 'tcp' as const, to, encrypted: false };
  const noted = note(way, 'connect', `${host} is resolved by DNS`, [entry.evidence]);
  return [end(go(noted, link, outside), 'delivered', `${host} outside the mesh gets it`)];
}
