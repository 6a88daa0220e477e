import { canonicalIp, joinHostPort, splitHostPort } from './ip.js';
import { pointerTo } from './evidence.js';
import { Fields, isObject, type JsonObject, type Problems } from './ztunnel-json.js';
import type { LegacyState, LegacyVip, LegacyWorkload } from './ztunnel-types.js';

const WORKLOAD_FIELDS: ReadonlySet<string> = new Set([
  ...['workloadIp', 'waypointAddresses', 'gatewayAddress', 'protocol', 'name', 'namespace', 'trustDomain'],
  ...['serviceAccount', 'workloadName', 'workloadType', 'canonicalName', 'canonicalRevision', 'node', 'nativeHbone'],
  ...['authorizationPolicies', 'status', 'clusterId'],
]);

/** `ip:port` in one spelling, or null. */
function socketAddress(text: string): string | null {
  const parts = splitHostPort(text);
  const ip = parts === null ? null : canonicalIp(parts.host);
  return parts === null || ip === null ? null : joinHostPort(ip, parts.port);
}

function readWorkload(fields: Fields, key: string, problems: Problems): LegacyWorkload {
  fields.known(WORKLOAD_FIELDS, 'workload');
  const namespace = fields.text('namespace');
  const name = fields.text('name');
  const gateway = fields.textOrNull('gatewayAddress');
  const waypoints: string[] = [];
  for (const text of fields.texts('waypointAddresses')) {
    const ip = canonicalIp(text);
    if (ip === null) fields.refuse('waypointAddresses', `not an IP address: ${text}`);
    else waypoints.push(ip);
  }
  return {
    ip: key,
    name,
    namespace,
    trustDomain: fields.text('trustDomain'),
    serviceAccount: fields.text('serviceAccount'),
    node: fields.text('node'),
    protocol: fields.word('protocol', ['TCP', 'HBONE'], 'TCP'),
    nativeHbone: fields.flag('nativeHbone', false),
    waypointAddresses: waypoints,
    gatewayAddress: gateway === null ? null : socketAddress(gateway),
    policies: fields.texts('authorizationPolicies'),
    evidence: { file: problems.file, pointer: fields.pointer, text: `workload ${namespace}/${name}` },
  };
}

function readVip(vips: Fields, key: string): LegacyVip {
  const { problems } = vips;
  const pointer = pointerTo(vips.pointer, key);
  const endpoints: { ip: string; port: number }[] = [];
  const list = vips.list(key);
  list.forEach((pair: unknown, index) => {
    const [address, port] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    const ip = typeof address === 'string' ? canonicalIp(address) : null;
    if (ip === null || typeof port !== 'number') vips.refuse(key, `VIP endpoint ${index} is no pair`);
    else endpoints.push({ ip, port });
  });
  return { endpoints, evidence: { file: problems.file, pointer, text: `VIP ${key}` } };
}

/** Z@1.18.2:src/workload.rs WorkloadStore: `workloads` by IP, `vips` by `ip:port`, `policies_by_namespace`. */
export function readLegacy(root: JsonObject, problems: Problems): LegacyState {
  const workloads = new Map<string, LegacyWorkload>();
  const top = new Fields(root, '', problems);
  const all = top.child('workloads');
  for (const [key, value] of Object.entries(all?.object ?? {})) {
    const pointer = pointerTo('/workloads', key);
    const ip = canonicalIp(key);
    if (ip === null || !isObject(value)) {
      all?.refuse(key, 'a workload that cannot be read');
      continue;
    }
    const fields = new Fields(value, pointer, problems);
    workloads.set(ip, readWorkload(fields, ip, problems));
    top.damage.push(...fields.damage);
  }
  const vips = new Map<string, LegacyVip>();
  const written = top.child('vips');
  for (const key of Object.keys(written?.object ?? {})) {
    const address = socketAddress(key);
    if (address === null) written?.refuse(key, 'a VIP that is no ip:port');
    else if (written !== null) vips.set(address, readVip(written, key));
  }
  const policiesByNamespace = new Map<string, readonly string[]>();
  const byNamespace = top.child('policies_by_namespace');
  for (const namespace of Object.keys(byNamespace?.object ?? {})) {
    policiesByNamespace.set(namespace, byNamespace?.texts(namespace) ?? []);
  }
  return { workloads, vips, policiesByNamespace, unread: top.unread('state of ztunnel') };
}
