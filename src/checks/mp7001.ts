import type { NetworkPolicy, Pod } from '../formats/kubernetes-types.js';
import { modeOf } from '../mesh/modes.js';
import type { Check, CheckContext } from './context.js';
import { targetPort } from './destination.js';
import { admission, type Admission } from './network-policies.js';
import { listed, Results } from './result.js';
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
    'kubernetes/namespaces.json',
    'kubernetes/networkpolicies.networking.k8s.io.json',
    'kubernetes/pods.json',
  ],
  mayRead: ['kubernetes/daemonsets.apps.json', 'kubernetes/deployments.apps.json', 'snapshot.json'],
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
    const blocked = new Map<string, Blocked[]>();
    for (const server of servers) {
      const client = clientOf(context, server);
      if (client === null || keyOf(client) === keyOf(server)) continue;
      const port = targetPort(context, server) ?? 0;
      for (const direction of ['Ingress', 'Egress'] as const) {
        const pod = direction === 'Ingress' ? server : client;
        const peer = { kind: 'pod', pod: direction === 'Ingress' ? client : server } as const;
        const hbone = admission(mesh, pod, direction, peer, HBONE);
        const policy = hbone.isolating[0];
        if (hbone.admitted !== false || policy === undefined) continue;
        const admitsApp = admission(mesh, pod, direction, peer, port).admitted === true;
        const key = `${keyOf(policy)} ${direction} ${String(admitsApp)} ${keyOf(client)}`;
        blocked.set(key, [...(blocked.get(key) ?? []), { server, client, direction, hbone, policy, port, admitsApp }]);
      }
    }
    for (const group of blocked.values()) report(results, group);
    return results.result();
  },
};

interface Blocked {
  readonly server: Pod;
  readonly client: Pod;
  readonly direction: 'Ingress' | 'Egress';
  readonly hbone: Admission;
  readonly policy: NetworkPolicy;
  readonly port: number;
  readonly admitsApp: boolean;
}

/** One finding for the pods that one policy keeps from one client. */
function report(results: Results, group: readonly Blocked[]): void {
  const [first] = group;
  if (first === undefined) return;
  const { client, direction, hbone, policy, port, admitsApp } = first;
  const servers = listed(group.map((entry) => keyOf(entry.server)));
  const ports = admitsApp
    ? `port ${String(port)}, but not TCP ${String(HBONE)}`
    : `neither port ${String(port)} nor TCP ${String(HBONE)}`;
  const what =
    direction === 'Ingress'
      ? `admits ${ports} to ${servers} from ${keyOf(client)}`
      : `lets ${keyOf(client)} reach ${ports} of ${servers}`;
  results.find({
    // What admits neither may mean to keep this client out.
    severity: admitsApp ? 'error' : 'warning',
    title: admitsApp ? 'NetworkPolicy blocks HBONE port 15008' : 'NetworkPolicy keeps this client out',
    subject: { kind: 'NetworkPolicy', namespace: policy.namespace, name: policy.name },
    message: `NetworkPolicy ${keyOf(policy)} ${what}. Traffic within the mesh comes as HBONE on ${String(HBONE)}, so it is dropped: mesh clients time out${admitsApp ? ', while plaintext clients get through' : ''}.`,
    fix: `Admit TCP ${String(HBONE)} in the ${direction === 'Ingress' ? 'ingress' : 'egress'} rules: \`kubectl edit networkpolicy -n ${policy.namespace} ${policy.name}\`.`,
    evidence: hbone.isolating.map((entry) => entry.evidence),
    effect: { verdicts: ['dropped', 'refused', 'error'], at: group.map((entry) => keyOf(entry.server)) },
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
