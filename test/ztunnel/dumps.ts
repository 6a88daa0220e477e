import type { Ztunnel, ZtunnelConnection, ZtunnelOutcome } from '../../src/ztunnel/face.js';
import { loadZtunnel } from '../../src/ztunnel/load.js';

type Fields = Readonly<Record<string, unknown>>;

/** A captured pod of `foo` on node-a, unless the fields say otherwise. */
export function workload(name: string, ip: string, more: Fields = {}): Fields {
  return {
    uid: `Kubernetes//Pod/foo/${name}`,
    name,
    namespace: 'foo',
    trustDomain: 'cluster.local',
    serviceAccount: name,
    workloadIps: [ip],
    protocol: 'HBONE',
    node: 'node-a',
    clusterId: 'Kubernetes',
    status: 'Healthy',
    ...more,
  };
}

/** Service `foo/<name>` on port 80 → 8080 with the pods of `foo` that are named. */
export function service(name: string, vip: string, pods: readonly string[], more: Fields = {}): Fields {
  const uids = pods.map((pod) => `Kubernetes//Pod/foo/${pod}`);
  return {
    name,
    namespace: 'foo',
    hostname: `${name}.foo.svc.cluster.local`,
    vips: [`/${vip}`],
    ports: { 80: 8080 },
    endpoints: Object.fromEntries(
      uids.map((uid) => [uid, { workloadUid: uid, port: { 80: 8080 }, status: 'Healthy' }]),
    ),
    subjectAltNames: [],
    ...more,
  };
}

export function policy(name: string, action: 'Allow' | 'Deny', rules: unknown, more: Fields = {}): Fields {
  return { name, namespace: 'foo', scope: 'Namespace', action, rules, dryRun: false, ...more };
}

export interface Mesh {
  readonly version?: string | null;
  readonly workloads?: readonly Fields[];
  readonly services?: readonly Fields[];
  readonly policies?: readonly Fields[];
  readonly config?: Fields;
  readonly more?: Fields;
}

/** Layout of the release: lists from 1.23, maps in 1.22, flat stores before. */
export function dumpOf(mesh: Mesh): string {
  const { version = '1.30.3', workloads = [], services = [], policies = [] } = mesh;
  const minor = Number(version?.split('.')[1] ?? 30);
  const base = {
    version: version === null ? {} : { version },
    config: { network: '', localNode: 'node-a', proxyMode: 'Shared', inpodEnabled: true, ...mesh.config },
    certificates: [],
    ...mesh.more,
  };
  if (minor >= 23) return JSON.stringify({ ...base, workloads, services, policies });
  const byAddress = Object.fromEntries(
    workloads.flatMap((item) =>
      (Array.isArray(item['workloadIps']) ? item['workloadIps'] : []).map((ip) => [`/${String(ip)}`, item]),
    ),
  );
  const byVip = Object.fromEntries(
    services.flatMap((item) => (Array.isArray(item['vips']) ? item['vips'] : []).map((vip) => [String(vip), item])),
  );
  const byKey = Object.fromEntries(
    policies.map((item) => [`${String(item['namespace'])}/${String(item['name'])}`, item]),
  );
  const byHost = Object.fromEntries(services.map((item) => [String(item['hostname']), [item]]));
  if (minor === 22) {
    return JSON.stringify({
      ...base,
      workloads: byAddress,
      services: byVip,
      servicesByHostname: byHost,
      policies: byKey,
    });
  }
  return JSON.stringify({ ...base, by_addr: byAddress, by_vip: byVip, by_host: byHost, by_key: byKey });
}

export const meshOf = (mesh: Mesh): Ztunnel => loadZtunnel('config_dump.json', dumpOf(mesh));

export function ask(
  ztunnel: Ztunnel,
  direction: ZtunnelConnection['direction'],
  src: string,
  dst: string,
  more: Partial<ZtunnelConnection> = {},
): readonly ZtunnelOutcome[] {
  return ztunnel.decide({ direction, src, dst, identity: null, arrivedAt: null, pod: null, ...more });
}

/** An outcome in one line: `forward hbone 10.0.0.2:15008 for 10.0.0.2:8080`, `deny foo/p`, `error …`, `unknown`. */
export function told(outcomes: readonly ZtunnelOutcome[]): readonly string[] {
  return outcomes.map((item) => {
    if (item.action === 'deny') return `deny ${String(item.policy)}`;
    if (item.action === 'error') return `error ${String(item.error)}`;
    if (item.action === 'unknown') return 'unknown';
    const target = item.target === null ? '' : ` for ${item.target}`;
    const fast = item.viaFastPath === true ? ' by fast path' : '';
    return `forward ${String(item.protocol)} ${String(item.to)}${target}${fast}`;
  });
}
