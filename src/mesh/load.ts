import { canonicalIp, cidrContains, parseCidr, parseIp } from '../formats/ip.js';
import type { ApiObject, Endpoint, Node, Pod, Service, ServiceEntry } from '../formats/kubernetes-types.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { loadControlPlane } from './control-plane.js';
import { labelsMatch } from './labels.js';
import { loadLists } from './lists.js';
import type { Mesh, Owner } from './model.js';
import { byName, byReadiness, isTerminated, nameOf } from './order.js';
import { isZtunnel } from './proxies.js';

/** Evaluated at the first question, then kept. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => (made ??= { value: make() }).value;
}

function group<K, T>(items: readonly T[], keysOf: (item: T) => readonly K[]): ReadonlyMap<K, readonly T[]> {
  const map = new Map<K, T[]>();
  for (const item of items) {
    for (const key of keysOf(item)) {
      const list = map.get(key);
      if (list === undefined) map.set(key, [item]);
      else list.push(item);
    }
  }
  return map;
}

/** The model of a snapshot. Reads nothing yet. */
export function loadMesh(snapshot: Snapshot): Mesh {
  const lists = loadLists(snapshot);
  const { list } = lists;
  const alive = once(() =>
    list('pods')
      .items.filter((pod) => !isTerminated(pod))
      .sort(byReadiness),
  );
  const podIndex = once(() => new Map(list('pods').items.map((pod) => [nameOf(pod), pod])));
  const podIps = once(() => group(alive(), (pod) => (pod.hostNetwork ? [] : pod.ips)));
  const hostIps = once(() => group(alive(), (pod) => (pod.hostNetwork ? pod.ips : [])));
  const podNodes = once(() => group([...alive()].sort(byName), (pod) => (pod.node === null ? [] : [pod.node])));
  // the one that serves the node first: in 1.18 the newest ready; later releases leave one after a roll-out
  const ztunnels = once(() =>
    group(
      alive()
        .filter(isZtunnel)
        .sort((a, b) => byReadiness(a, b) || ((a.created ?? '') < (b.created ?? '') ? 1 : -1)),
      (pod) => (pod.node === null ? [] : [pod.node]),
    ),
  );
  const nodeIndex = once(() => new Map(list('nodes').items.map((node) => [node.name, node])));
  const nodeIps = once(() => group(list('nodes').items, (node) => node.internalIps));
  const namespaceIndex = once(() => new Map(list('namespaces').items.map((entry) => [entry.name, entry])));
  const replicaSets = once(() => new Map(list('replicaSets').items.map((set) => [nameOf(set), set])));
  const serviceIndex = once(() => new Map(list('services').items.map((service) => [nameOf(service), service])));
  const serviceIps = once(() =>
    group([...list('services').items].sort(byName), (service) => [
      ...new Set([...service.clusterIps, ...service.externalIps, ...service.loadBalancerIps]),
    ]),
  );
  const slices = once(() => {
    const modern = list('endpointSlices');
    const source = modern.state === 'missing' || modern.state === 'unusable' ? list('endpoints') : modern;
    return group(source.items, (slice) => (slice.service === null ? [] : [`${slice.namespace}/${slice.service}`]));
  });
  const controlPlane = loadControlPlane(snapshot, lists);
  const canonical = (ip: string): string => canonicalIp(ip) ?? ip;
  return {
    snapshot,
    ...lists,
    ...controlPlane,
    podByName: (namespace, name) => podIndex().get(`${namespace}/${name}`) ?? null,
    podsByIp: (ip) => podIps().get(canonical(ip)) ?? [],
    hostNetworkPodsByIp: (ip) => hostIps().get(canonical(ip)) ?? [],
    podsOn: (node) => podNodes().get(node) ?? [],
    ztunnelsOn: (node) => ztunnels().get(node) ?? [],
    nodeByName: (name) => nodeIndex().get(name) ?? null,
    nodeByIp: (ip) => nodeIps().get(canonical(ip))?.[0] ?? null,
    nodeByPodCidr: (ip) => nodeByPodCidr(list('nodes').items, ip),
    namespace: (name) => namespaceIndex().get(name) ?? null,
    service: (namespace, name) => serviceIndex().get(`${namespace}/${name}`) ?? null,
    servicesByIp: (ip) => serviceIps().get(canonical(ip)) ?? [],
    endpointsOf: (service) => mergeEndpoints((slices().get(nameOf(service)) ?? []).flatMap((slice) => slice.endpoints)),
    servicesOf: (pod) =>
      list('services')
        .items.filter((service) => selects(service, pod))
        .sort(byName),
    serviceEntriesByIp: (ip) =>
      list('serviceEntries')
        .items.filter((entry) => holdsAddress(entry, ip))
        .sort(byName),
    serviceEntriesByHost: (host) => entriesByHost(list('serviceEntries').items, host),
    ownerOf: (pod) =>
      ownerOf(pod, (namespace, name) => {
        const set = replicaSets().get(`${namespace}/${name}`);
        return set === undefined ? null : controllerOf(set);
      }),
  };
}

function selects(service: Service, pod: Pod): boolean {
  return service.namespace === pod.namespace && service.selector !== null && labelsMatch(service.selector, pod.labels);
}

function nodeByPodCidr(nodes: readonly Node[], text: string): Node | null {
  const ip = parseIp(text);
  if (ip === null) return null;
  for (const node of nodes) {
    for (const range of node.podCidrs) {
      const cidr = parseCidr(range);
      if (cidr !== null && cidrContains(cidr, ip)) return node;
    }
  }
  return null;
}

/** Sorted by address; an endpoint that stands in two slices (the API allows it while slices move) counts once. */
function mergeEndpoints(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const merged = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    const key = `${endpoint.ip} ${endpoint.ports.map((port) => `${port.name ?? ''}=${port.port ?? ''}/${port.protocol}`).join(' ')}`;
    const known = merged.get(key);
    if (known === undefined || (!known.ready && endpoint.ready)) merged.set(key, endpoint);
  }
  return [...merged.values()].sort((a, b) => (a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : 0));
}

function holdsAddress(entry: ServiceEntry, text: string): boolean {
  const ip = parseIp(text);
  if (ip === null) return false;
  return [...entry.addresses, ...entry.allocatedAddresses].some((address) => {
    const cidr = parseCidr(address);
    return cidr !== null && cidrContains(cidr, ip);
  });
}

function entriesByHost(entries: readonly ServiceEntry[], host: string): readonly ServiceEntry[] {
  const wanted = host.toLowerCase();
  const exact = entries.filter((entry) => entry.hosts.some((name) => name.toLowerCase() === wanted));
  const wild = entries.filter(
    (entry) =>
      !exact.includes(entry) &&
      entry.hosts.some((name) => name.startsWith('*') && wanted.endsWith(name.slice(1).toLowerCase())),
  );
  return [...exact.sort(byName), ...wild.sort(byName)];
}

function controllerOf(object: ApiObject): Owner | null {
  const owner = object.owners.find((entry) => entry.controller) ?? object.owners[0];
  return owner === undefined ? null : { kind: owner.kind, name: owner.name };
}

function ownerOf(pod: Pod, ofReplicaSet: (namespace: string, name: string) => Owner | null): Owner | null {
  const owner = controllerOf(pod);
  if (owner === null || owner.kind !== 'ReplicaSet') return owner;
  const deployment = ofReplicaSet(pod.namespace, owner.name);
  if (deployment !== null) return deployment;
  // The ReplicaSets were not collected: a Deployment's ReplicaSet is named after it and the hash that its pods carry.
  const hash = pod.labels['pod-template-hash'];
  if (hash !== undefined && owner.name.endsWith(`-${hash}`)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -hash.length - 1) };
  }
  return owner;
}
