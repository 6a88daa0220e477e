import {
  address,
  boolean,
  list,
  number,
  object,
  string,
  type DumpAddress,
  type JsonObject,
} from '../formats/envoy-json.js';
import type { DumpEntry } from '../formats/envoy-dump.js';
import type { HostStatus } from '../formats/envoy-clusters.js';
import type { Evidence } from '../formats/evidence.js';
import { joinHostPort } from '../formats/ip.js';
import { openFields } from './open-fields.js';
import { percent, shareOf } from './percent.js';
import type { Doubt } from './tri.js';

export type Health = 'healthy' | 'degraded' | 'unhealthy';

/** One host of a cluster, as Envoy holds it. There may be a hundred thousand: what can be made of it is not kept. */
export interface Host {
  readonly kind: DumpAddress['kind'];
  /** `ip:port`, the path of a pipe, or the endpoint_id of an internal address. */
  readonly name: string;
  /** The internal listener that takes the connection; null where the address is of another kind. */
  readonly listener: string | null;
  readonly health: Health;
  /** Why it is not healthy, in Envoy's words. */
  readonly healthNote: string;
  /** Left out of every count (DRAINING, `pending_active_hc` …). Null: the dump prints DRAINING as UNHEALTHY. */
  readonly excluded: boolean | null;
  readonly weight: number;
  readonly priority: number;
  /** Index of the group of its locality. */
  readonly locality: number;
  readonly metadata: JsonObject;
  /** Pointer of the list that it stands in, and its place there. */
  readonly list: string;
  readonly index: number;
}

/** As Envoy writes it: `ip:port`, `internal:listener/id`, `pipe:path`. */
export function hostText({ kind, name, listener }: Pick<Host, 'kind' | 'name' | 'listener'>): string {
  switch (kind) {
    case 'socket':
      return name;
    case 'internal':
      return `internal:${listener ?? ''}/${name}`;
    case 'pipe':
      return `pipe:${name}`;
  }
}

/** Address of the host as outcomes name it: an internal address without an id is the listener alone. */
export function endpointText(host: Host): string {
  return host.kind === 'internal' && host.name === '' ? `internal:${host.listener ?? ''}` : hostText(host);
}

export function hostEvidence(host: Host, file: string): Evidence {
  return { file, pointer: `${host.list}/${host.index}`, text: `endpoint ${hostText(host)}` };
}

export interface Locality {
  readonly weight: number;
  readonly priority: number;
  /** `filter_metadata` of the LocalityLbEndpoints; null where the dump does not tell which of several. */
  readonly metadata: JsonObject | null;
}

/** Metadata of the groups of an assignment, where it stands elsewhere: Envoy lists endpoints without it (seen of 1.40). */
export type LocalityMetadata = (group: JsonObject) => JsonObject | null;

/** What a group says of itself. */
export function ownMetadata(group: JsonObject): JsonObject {
  return object(object(group['metadata'])['filter_metadata']);
}

/** The groups of a list of endpoints as the cluster's own assignment describes them: by priority and locality. */
export function writtenMetadata(assignment: JsonObject): LocalityMetadata {
  const key = (group: JsonObject): string =>
    JSON.stringify([
      number(group['priority']) ?? 0,
      ...['region', 'zone', 'sub_zone'].map((part) => string(object(group['locality'])[part]) ?? ''),
    ]);
  const found = new Map<string, JsonObject | null>();
  for (const item of list(assignment['endpoints'])) {
    const group = object(item);
    const metadata = ownMetadata(group);
    const before = found.get(key(group));
    // groups of one locality are listed as one
    const same = before === undefined || JSON.stringify(before) === JSON.stringify(metadata);
    found.set(key(group), same ? metadata : null);
  }
  return (group) => found.get(key(group)) ?? null;
}

export interface HostSet {
  readonly hosts: readonly Host[];
  readonly localities: readonly Locality[];
  readonly overprovisioning: number;
  readonly weightedPriorityHealth: boolean;
  /** Share of the requests that are dropped before a host is chosen (`drop_overloads`). */
  readonly dropped: number;
  /** Why the hosts may be others than these, null where they are all here. */
  readonly incomplete: string | null;
  /** The list has a field that is not understood. */
  readonly open: Doubt | null;
  readonly file: string;
}

/** `lb_endpoints[].health_status`: UNKNOWN counts as healthy, and the dump prints TIMEOUT and DRAINING as UNHEALTHY. */
function healthOf(printed: string, status: HostStatus | undefined): Pick<Host, 'health' | 'healthNote'> {
  if (status !== undefined && status.failed.length > 0)
    return { health: 'unhealthy', healthNote: status.failed.join(', ') };
  switch (printed) {
    case 'UNHEALTHY':
    case 'DRAINING':
    case 'TIMEOUT':
      return { health: 'unhealthy', healthNote: `EDS says ${printed}` };
    case 'DEGRADED':
      return { health: 'degraded', healthNote: 'EDS says DEGRADED' };
    default:
      return status?.degraded === true
        ? { health: 'degraded', healthNote: 'failed_active_degraded_check' }
        : { health: 'healthy', healthNote: '' };
  }
}

function excludedHost(printed: string, status: HostStatus | undefined): boolean | null {
  if (status !== undefined) return status.excluded;
  if (printed === 'DRAINING') return true;
  return printed === 'UNHEALTHY' ? null : false;
}

/** The name of an address within its kind, as hosts carry it. */
function nameOf(at: DumpAddress): string {
  switch (at.kind) {
    case 'socket':
      return joinHostPort(at.host, at.port);
    case 'internal':
      return at.id;
    case 'pipe':
      return at.path;
  }
}

/** What /clusters says of hosts, by priority and address; null: nothing is known. */
type Statuses = ReadonlyMap<string, HostStatus> | null;

/** Null where its address is not understood. */
function readHost(
  value: JsonObject,
  priority: number,
  locality: number,
  list: string,
  index: number,
  statuses: Statuses,
): Host | null {
  const at = address(object(value['endpoint'])['address']);
  if (at === null) return null;
  const { kind } = at;
  const name = nameOf(at);
  const listener = at.kind === 'internal' ? at.listener : null;
  const status = statuses?.get(`${priority} ${hostText({ kind, name, listener })}`);
  const printed = string(value['health_status']) ?? '';
  const { health, healthNote } = healthOf(printed, status);
  return {
    kind,
    name,
    listener,
    health,
    healthNote,
    excluded: excludedHost(printed, status),
    weight: number(value['load_balancing_weight']) ?? 1,
    priority,
    locality,
    metadata: object(object(value['metadata'])['filter_metadata']),
    list,
    index,
  };
}

function openEndpoint(entry: JsonObject, pointer: string, index: number): Doubt | null {
  return (
    openFields('endpoint entry', entry, pointer, index) ??
    openFields('endpoint', object(entry['endpoint']), pointer, index)
  );
}

/** Reads a ClusterLoadAssignment. `statuses`: of /clusters, empty where it was not taken. */
export function readHosts(
  assignment: DumpEntry,
  file: string,
  statuses: readonly HostStatus[],
  metadataOf: LocalityMetadata,
): HostSet {
  const known: Statuses =
    statuses.length === 0 ? null : new Map(statuses.map((status) => [`${status.priority} ${status.address}`, status]));
  const hosts: Host[] = [];
  const localities: Locality[] = [];
  let incomplete: string | null = null;
  let open = openFields('load assignment', assignment.value, assignment.pointer);
  for (const [i, value] of list(assignment.value['endpoints']).entries()) {
    const locality = object(value);
    const priority = number(locality['priority']) ?? 0;
    const group = `${assignment.pointer}/endpoints/${i}`;
    const pointer = `${group}/lb_endpoints`;
    open ??= openFields('locality', locality, group);
    const weight = number(locality['load_balancing_weight']) ?? 0;
    localities.push({ weight, priority, metadata: metadataOf(locality) });
    for (const key of ['leds_cluster_locality_config', 'load_balancer_endpoints']) {
      if (locality[key] !== undefined) incomplete ??= `locality ${i} takes its endpoints from ${key}`;
    }
    for (const [j, item] of list(locality['lb_endpoints']).entries()) {
      const entry = object(item);
      open ??= openEndpoint(entry, pointer, j);
      const host = readHost(entry, priority, i, pointer, j, known);
      if (host === null) incomplete ??= `the address of ${pointer}/${j} is not understood`;
      else hosts.push(host);
    }
  }
  const policy = object(assignment.value['policy']);
  return {
    hosts,
    localities,
    overprovisioning: number(policy['overprovisioning_factor']) ?? 140,
    weightedPriorityHealth: boolean(policy['weighted_priority_health']) === true,
    dropped: Math.min(
      1,
      list(policy['drop_overloads']).reduce<number>(
        (sum, item) => sum + shareOf(percent(object(object(item)['drop_percentage']))),
        0,
      ),
    ),
    incomplete,
    open,
    file,
  };
}
