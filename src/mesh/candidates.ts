import type { Gateway, Pod, Service, ServiceEntry } from '../formats/kubernetes-types.js';
import { serviceOfGateway } from './gateways.js';
import { labelsMatch } from './labels.js';
import { byReadiness, isTerminated } from './order.js';
import type { Mesh, Owner } from './model.js';
import type { NamedKind } from './reference.js';

/** One thing of the cluster that a name may mean. */
export type Candidate =
  | {
      readonly is: 'pods';
      readonly namespace: string;
      readonly kind: string;
      readonly name: string;
      readonly pods: readonly Pod[];
    }
  | {
      readonly is: 'service';
      readonly namespace: string;
      readonly kind: string;
      readonly name: string;
      readonly service: Service;
    }
  | {
      readonly is: 'serviceEntry';
      readonly namespace: string;
      readonly kind: string;
      readonly name: string;
      readonly entry: ServiceEntry;
      /** The host that was asked for; null: the first of the entry. */
      readonly host: string | null;
    };

const OWNER_KINDS: ReadonlyMap<NamedKind, string> = new Map([
  ['deployment', 'Deployment'],
  ['statefulSet', 'StatefulSet'],
  ['daemonSet', 'DaemonSet'],
  ['replicaSet', 'ReplicaSet'],
  ['job', 'Job'],
]);

/** `foo/deploy/sleep`: a spelling that means this thing and nothing else. */
const SHORT_KINDS: Readonly<Record<string, string>> = {
  Deployment: 'deploy',
  StatefulSet: 'sts',
  DaemonSet: 'ds',
  ReplicaSet: 'rs',
  Job: 'job',
  Pod: 'pod',
  Service: 'svc',
  ServiceEntry: 'se',
};

export function spellingOf(candidate: Candidate, port?: number | string | null): string {
  const kind = SHORT_KINDS[candidate.kind];
  const name = kind === undefined ? candidate.name : `${kind}/${candidate.name}`;
  return `${candidate.namespace}/${name}${port === undefined || port === null ? '' : `:${port}`}`;
}

export function describeCandidate(candidate: Candidate): string {
  const what = `${candidate.kind} ${candidate.namespace}/${candidate.name}`;
  if (candidate.is !== 'pods' || candidate.kind === 'Pod') return what;
  return `${what} (${candidate.pods.length} ${candidate.pods.length === 1 ? 'pod' : 'pods'})`;
}

type Filter = { readonly namespace: string | null; readonly name: string };

function fits(object: { readonly namespace: string | null }, filter: Filter): boolean {
  return filter.namespace === null || object.namespace === filter.namespace;
}

function alive(mesh: Mesh, filter: Filter): readonly Pod[] {
  return mesh.list('pods').items.filter((pod) => fits(pod, filter) && !isTerminated(pod));
}

export function podsNamed(mesh: Mesh, filter: Filter): readonly Candidate[] {
  return alive(mesh, filter)
    .filter((pod) => pod.name === filter.name)
    .map((pod) => ofPods('Pod', pod.namespace, pod.name, [pod]));
}

function ofPods(kind: string, namespace: string, name: string, pods: readonly Pod[]): Candidate {
  return { is: 'pods', namespace, kind, name, pods: [...pods].sort(byReadiness) };
}

/** Workloads that have pods. `owner`: which kind of owner, null for any. */
export function workloadsNamed(mesh: Mesh, filter: Filter, owner: string | null): readonly Candidate[] {
  const groups = new Map<string, { readonly owner: Owner; readonly pods: Pod[] }>();
  // a controller names its pods after itself; generateName cuts a long name, never below 58 characters
  const prefix = filter.name.slice(0, 40);
  for (const pod of alive(mesh, filter)) {
    if (!pod.name.startsWith(prefix)) continue;
    const found = owner === 'ReplicaSet' ? (pod.owners[0] ?? null) : mesh.ownerOf(pod);
    if (found === null || found.name !== filter.name || found.kind === 'Node') continue;
    if (owner !== null && found.kind !== owner) continue;
    const key = `${pod.namespace} ${found.kind}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { owner: { kind: found.kind, name: found.name }, pods: [pod] });
    else group.pods.push(pod);
  }
  return [...groups.values()].map(({ owner: { kind, name }, pods }) =>
    ofPods(kind, pods[0]?.namespace ?? '', name, pods),
  );
}

export function servicesNamed(mesh: Mesh, filter: Filter): readonly Candidate[] {
  return mesh
    .list('services')
    .items.filter((service) => service.name === filter.name && fits(service, filter))
    .map((service) => ofService(service));
}

export function ofService(service: Service): Candidate {
  return { is: 'service', namespace: service.namespace, kind: 'Service', name: service.name, service };
}

export function ofServiceEntry(entry: ServiceEntry, host: string | null): Candidate {
  return { is: 'serviceEntry', namespace: entry.namespace, kind: 'ServiceEntry', name: entry.name, entry, host };
}

export function serviceEntriesNamed(mesh: Mesh, filter: Filter): readonly Candidate[] {
  return mesh
    .list('serviceEntries')
    .items.filter((entry) => entry.name === filter.name && fits(entry, filter))
    .map((entry) => ofServiceEntry(entry, null));
}

/** Gateways stand for the Service that carries them. */
export function gatewaysNamed(mesh: Mesh, filter: Filter): readonly Candidate[] {
  const gateways: readonly Gateway[] = mesh
    .list('gateways')
    .items.filter((gateway) => gateway.name === filter.name && fits(gateway, filter));
  return gateways.flatMap((gateway) => {
    const service = serviceOfGateway(mesh, gateway);
    return service === null ? [] : [ofService(service)];
  });
}

/** Pods whose name begins so, those of one workload together. */
export function podsByPrefix(mesh: Mesh, filter: Filter): readonly Candidate[] {
  const groups = new Map<string, Pod[]>();
  for (const pod of alive(mesh, filter)) {
    if (!pod.name.startsWith(filter.name)) continue;
    const owner = mesh.ownerOf(pod);
    const key = `${pod.namespace} ${owner === null ? pod.name : `${owner.kind} ${owner.name}`}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [pod]);
    else group.push(pod);
  }
  return [...groups.values()].flatMap((pods) => {
    const first = [...pods].sort(byReadiness)[0];
    return first === undefined ? [] : [ofPods('Pod', first.namespace, first.name, pods)];
  });
}

/** The running pods behind a Service: by its selector, else by its endpoints. */
export function podsOfService(mesh: Mesh, service: Service): readonly Pod[] {
  const { selector, namespace } = service;
  const inNamespace = alive(mesh, { namespace, name: '' });
  const selected = selector === null ? [] : inNamespace.filter((pod) => labelsMatch(selector, pod.labels));
  if (selector !== null) return [...selected].sort(byReadiness);
  return mesh
    .endpointsOf(service)
    .flatMap((endpoint) => mesh.podsByIp(endpoint.ip))
    .sort(byReadiness);
}

export function ownerKindOf(kind: NamedKind): string | null {
  return OWNER_KINDS.get(kind) ?? null;
}
