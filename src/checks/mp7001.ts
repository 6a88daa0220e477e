import type { Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { targetPort } from './destination.js';
import { admission, type Admission } from './network-policies.js';
import { Results } from './result.js';
import { keyOf } from './subjects.js';

const HBONE = 15008;

/** HBONE arrives on 15008: a NetworkPolicy that admits the app's port alone cuts the mesh off. */
export const check: Check = {
  code: 'MP7001',
  title: 'NetworkPolicy blocks HBONE port 15008',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/namespaces.json',
    'kubernetes/networkpolicies.networking.k8s.io.json',
    'kubernetes/pods.json',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    const servers = [...subjects.destinations, ...subjects.proxies].filter((pod) => takesHbone(context, pod));
    if (servers.length === 0) return results.result();
    const open = mesh.unknownOf('networkPolicies', 'NetworkPolicies of the pods on the way');
    if (open !== null) {
      results.open(open);
      return results.result();
    }
    for (const server of servers) {
      const client = clientOf(context, server);
      if (client === null || keyOf(client) === keyOf(server)) continue;
      const port = targetPort(context, server) ?? 0;
      for (const direction of ['Ingress', 'Egress'] as const) {
        const pod = direction === 'Ingress' ? server : client;
        const peer = { kind: 'pod', pod: direction === 'Ingress' ? client : server } as const;
        const hbone = admission(mesh, pod, direction, peer, HBONE);
        if (hbone.admitted !== false) continue;
        const app = admission(mesh, pod, direction, peer, port);
        report(results, { server, client, direction, hbone, port, admitsApp: app.admitted === true });
      }
    }
    return results.result();
  },
};

interface Blocked {
  readonly server: Pod;
  readonly client: Pod;
  readonly direction: 'Ingress' | 'Egress';
  readonly hbone: Admission;
  readonly port: number;
  readonly admitsApp: boolean;
}

function report(results: Results, { server, client, direction, hbone, port, admitsApp }: Blocked): void {
  const policy = hbone.isolating[0];
  if (policy === undefined) return;
  const what =
    direction === 'Ingress'
      ? `admits ${admitsApp ? `port ${String(port)}, but not ` : 'neither this port nor '}TCP ${String(HBONE)} to ${keyOf(server)} from ${keyOf(client)}`
      : `lets ${keyOf(client)} reach ${admitsApp ? `port ${String(port)}, but not ` : 'neither this port nor '}TCP ${String(HBONE)} of ${keyOf(server)}`;
  results.find({
    // What admits neither may mean to keep this client out.
    severity: admitsApp ? 'error' : 'warning',
    title: admitsApp ? 'NetworkPolicy blocks HBONE port 15008' : 'NetworkPolicy keeps this client out',
    subject: { kind: 'NetworkPolicy', namespace: policy.namespace, name: policy.name },
    message: `NetworkPolicy ${keyOf(policy)} ${what}. Traffic within the mesh comes as HBONE on ${String(HBONE)}, so it is dropped: mesh clients time out${admitsApp ? ', while plaintext clients get through' : ''}.`,
    fix: `Admit TCP ${String(HBONE)} in the ${direction === 'Ingress' ? 'ingress' : 'egress'} rules: \`kubectl edit networkpolicy -n ${policy.namespace} ${policy.name}\`.`,
    evidence: hbone.isolating.map((entry) => entry.evidence),
    effect: { verdicts: ['dropped', 'refused', 'error'], at: [keyOf(server)] },
  });
}

/** A pod that this trace reaches by HBONE: by the links of its paths, else by what it is. */
function takesHbone(context: CheckContext, pod: Pod): boolean {
  const links = context.paths.flatMap((path) =>
    path.links.filter((link) =>
      pod.ips.some((ip) => link.to === `${ip}:${String(HBONE)}` || link.to === `[${ip}]:${String(HBONE)}`),
    ),
  );
  if (links.length > 0) return true;
  const { source } = context.subjects;
  if (source === null || context.paths.some((path) => path.verdict === 'delivered')) return false;
  return modeOf(context.mesh, source).mode === 'ambient' && modeOf(context.mesh, pod).mode === 'ambient';
}

/** Whose address the packets come from: ztunnel keeps its pod's; a waypoint or gateway sends in its own name. */
function clientOf(context: CheckContext, server: Pod): Pod | null {
  const { mesh, subjects, paths } = context;
  for (const path of paths) {
    const before = path.stops.filter((stop) => stop.role === 'waypoint' || stop.role === 'gateway');
    const at = before.findIndex((stop) => keyOf(stop) === keyOf(server));
    const last = at === 0 ? undefined : before[at < 0 ? before.length - 1 : at - 1];
    const proxy = last === undefined ? null : mesh.podByName(last.namespace, last.name);
    if (proxy !== null) return proxy;
  }
  return subjects.source;
}
