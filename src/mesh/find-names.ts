import type { Unknown } from '../formats/evidence.js';
import {
  gatewaysNamed,
  ofService,
  ofServiceEntry,
  ownerKindOf,
  podsByPrefix,
  podsNamed,
  podsOfService,
  serviceEntriesNamed,
  servicesNamed,
  workloadsNamed,
  type Candidate,
} from './candidates.js';
import type { Mesh } from './model.js';
import type { Reading } from './reference.js';

/** As what a name is looked for: a source runs; a destination is called by Service or (`direct`) by its own address. */
export type Role = 'source' | 'destination' | 'direct';

export interface Names {
  /** Things that the words mean exactly, the best of each namespace. */
  readonly exact: readonly Candidate[];
  /** Pods whose name begins so; only asked for where nothing is exact. */
  readonly prefix: readonly Candidate[];
  /**
   * Lists that are not whole and could hold what was looked for, or something that goes before what was found. `namespace`:
   * where it is looked for; null: wherever the words allow.
   */
  readonly unknownsIn: (namespace: string | null) => readonly Unknown[];
}

type ObjectReading = Extract<Reading, { readonly as: 'object' }>;

/** Everything that one reading of a name can mean in the cluster. */
export function lookUp(mesh: Mesh, reading: Reading, role: Role): Names {
  if (reading.as === 'host') return lookUpHost(mesh, reading.host);
  const steps = stepsFor(mesh, reading, role);
  const best = new Map<string, { readonly rank: number; readonly found: Candidate[] }>();
  const missing: ((namespace: string | null) => Unknown | null)[] = [];
  for (const [rank, step] of steps.entries()) {
    // in one namespace the first step that finds something decides: the other lists are not even read
    if (reading.namespace !== null && best.has(reading.namespace)) break;
    for (const candidate of step.find()) {
      // what a missing list hides would go before this; only a pod's full name is hardly ever anything else's
      const hiding = missing.some((unknownIn) => unknownIn(candidate.namespace) !== null);
      if (hiding && candidate.kind !== 'Pod') continue;
      const known = best.get(candidate.namespace);
      if (known === undefined) best.set(candidate.namespace, { rank, found: [candidate] });
      else if (known.rank === rank && !known.found.includes(candidate)) known.found.push(candidate);
    }
    missing.push((namespace) => mesh.unknownOf(step.list, reading.name, namespace ?? reading.namespace));
  }
  const all = [...best.values()].flatMap(({ found }) => found);
  const exact = all.filter((found) => role !== 'source' || runs(mesh, found));
  const last = exact.length === 0 ? steps.length : Math.max(...[...best.values()].map(({ rank }) => rank)) + 1;
  const mayPrefix = reading.kind === null || reading.kind === 'pod';
  return {
    exact,
    prefix: exact.length === 0 && mayPrefix ? podsByPrefix(mesh, reading) : [],
    // where nothing was found, what was found elsewhere makes no list needless
    unknownsIn: (namespace) =>
      missing
        .slice(0, namespace === null || best.has(namespace) ? last : steps.length)
        .flatMap((unknownIn) => unknownIn(namespace) ?? []),
  };
}

function runs(mesh: Mesh, candidate: Candidate): boolean {
  switch (candidate.is) {
    case 'pods':
      return candidate.pods.length > 0;
    case 'service':
      return podsOfService(mesh, candidate.service).length > 0;
    case 'serviceEntry':
      return false;
  }
}

interface Step {
  readonly list: 'pods' | 'services' | 'serviceEntries' | 'gateways';
  readonly find: () => readonly Candidate[];
}

/** In which order things of one name are meant. */
function stepsFor(mesh: Mesh, reading: ObjectReading, role: Role): readonly Step[] {
  const pods: Step = { list: 'pods', find: () => podsNamed(mesh, reading) };
  const workloads: Step = { list: 'pods', find: () => workloadsNamed(mesh, reading, null) };
  const services: Step = { list: 'services', find: () => servicesNamed(mesh, reading) };
  const entries: Step = { list: 'serviceEntries', find: () => serviceEntriesNamed(mesh, reading) };
  const gateways: Step = { list: 'gateways', find: () => gatewaysNamed(mesh, reading) };
  switch (reading.kind) {
    case null:
      break;
    case 'pod':
      return [pods];
    case 'service':
      return [services];
    case 'serviceEntry':
      return [entries];
    case 'gateway':
      return [gateways];
    default: {
      const owner = ownerKindOf(reading.kind);
      return [{ list: 'pods', find: () => workloadsNamed(mesh, reading, owner) }];
    }
  }
  switch (role) {
    case 'source':
      return [pods, workloads, services];
    case 'destination':
      return [services, pods, workloads, entries];
    case 'direct':
      return [pods, workloads, services, entries];
  }
}

/**
 * Names of Services (`httpbin.bar.svc`, with or without the cluster's domain), of pods behind a Service
 * (`web-0.web.bar.svc`), and hosts of ServiceEntries.
 */
function lookUpHost(mesh: Mesh, host: string): Names {
  const none: Names = { exact: [], prefix: [], unknownsIn: () => [] };
  const match = /^(.+)\.([^.]+)\.svc(?:\.(.+))?$/.exec(host);
  if (match !== null && [undefined, mesh.clusterDomain(), 'cluster.local'].includes(match[3])) {
    const namespace = match[2] ?? '';
    const labels = (match[1] ?? '').split('.');
    const service = mesh.service(namespace, labels.at(-1) ?? '');
    if (service !== null && labels.length === 1) return { ...none, exact: [ofService(service)] };
    if (service !== null && labels.length === 2) {
      return { ...none, exact: podsNamed(mesh, { namespace, name: labels[0] ?? '' }) };
    }
    const missing = mesh.unknownOf('services', host, namespace);
    if (service === null && missing !== null) return { ...none, unknownsIn: () => [missing] };
  }
  const entries = mesh.serviceEntriesByHost(host).map((entry) => ofServiceEntry(entry, host));
  const missing = entries.length === 0 ? mesh.unknownOf('serviceEntries', host) : null;
  // several entries for one host are one destination to a client; the first by name is istiod's choice within reach
  return { ...none, exact: entries.slice(0, 1), unknownsIn: () => (missing === null ? [] : [missing]) };
}
