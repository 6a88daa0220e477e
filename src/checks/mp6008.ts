import { splitHostPort } from '../formats/ip.js';
import { formatIp } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Sockets } from '../formats/sockets.js';
import type { Check, CheckContext } from './context.js';
import { targetPort } from './destination.js';
import { netnsOfPod, socketsIn } from './netns-facts.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';

/** The way is whole to its end, and the app does not take connections on the port. */
export const check: Check = {
  code: 'MP6008',
  title: 'The app does not listen on the target port',
  severity: 'error',
  depth: 1,
  inputs: ['pods/*/*/netns/*'],
  mayRead: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'nodes/*/netns/*',
    'snapshot.json',
  ],
  run: (context) => {
    const { snapshot, subjects, question } = context;
    const results = new Results();
    if (question.request.protocol === 'udp') return results.result();
    for (const pod of subjects.destinations) {
      if (pod.hostNetwork || !failsAt(context, pod)) continue;
      const port = targetPort(context, pod);
      if (port === null) continue;
      const sockets = socketsIn(snapshot, netnsOfPod(pod));
      if (sockets.kind === 'unknown') {
        results.open(sockets.unknown);
        continue;
      }
      const state = listening(sockets.value, pod, port);
      if (state.kind === 'yes') continue;
      const others = [
        ...new Set(
          sockets.value.sockets
            .filter((s) => s.protocol === 'tcp' && (s.port < 15000 || s.port > 15090))
            .map((s) => s.port),
        ),
      ];
      results.find({
        subject: subjectOf(pod),
        message: `Nothing in pod ${keyOf(pod)} listens on ${state.kind === 'local' ? `its address, port ${String(port)}: the app listens on localhost alone (${state.name})` : `port ${String(port)}${others.length === 0 ? '' : `; it listens on ${others.slice(0, 5).join(', ')}`}`}. The connection is refused at the app, not by the mesh.`,
        fix:
          state.kind === 'local'
            ? 'Let the app listen on 0.0.0.0 (or ::).'
            : `Compare the Service's targetPort with what the app listens on, and see its log: \`kubectl logs -n ${pod.namespace} ${pod.name}\`.`,
        evidence: [
          { file: sockets.value.file, text: `no LISTEN on port ${String(port)}` },
          ...(question.service === null ? [] : [question.service.evidence]),
        ],
        effect: { verdicts: ['refused', 'error'], at: [keyOf(pod)] },
      });
    }
    return results.result();
  },
};

type Listening = { readonly kind: 'yes' } | { readonly kind: 'no' } | { readonly kind: 'local'; readonly name: string };

function listening(sockets: Sockets, pod: Pod, port: number): Listening {
  const onPort = sockets.sockets.filter((socket) => socket.protocol === 'tcp' && socket.port === port);
  if (onPort.some((socket) => socket.ip === null || pod.ips.includes(formatIp(socket.ip)))) return { kind: 'yes' };
  const [first] = onPort;
  return first === undefined ? { kind: 'no' } : { kind: 'local', name: first.name };
}

/** A path that comes to this pod and is not taken there. */
function failsAt(context: CheckContext, pod: Pod): boolean {
  return context.paths.some((path) => {
    if (path.verdict !== 'refused' && path.verdict !== 'error') return false;
    if (path.stops.slice(1).some((stop) => keyOf(stop) === keyOf(pod))) return true;
    const link = path.links.at(-1);
    return [link?.to, link?.inner].some((address) => {
      const target = address === undefined ? null : splitHostPort(address);
      return target !== null && pod.ips.includes(target.host);
    });
  });
}
