import type { DumpEndpoint, DumpService, DumpWorkload } from '../formats/ztunnel-types.js';

/** A workload and its place in the order of uids, in which outcomes of equal share are told. */
export interface Placed {
  readonly workload: DumpWorkload;
  readonly order: number;
}

/** An endpoint of a Service and the workload behind it. */
export interface KnownEndpoint extends Placed {
  readonly endpoint: DumpEndpoint;
}

/** The endpoints of one Service, as far as ztunnel knows their workloads, and what is the same for all of them. */
export class EndpointTable {
  /** In the order of uids. */
  readonly known: readonly KnownEndpoint[];
  /** How many have a workload that ztunnel does not know. */
  readonly unknown: number;
  /** One that all have, or null. */
  readonly network: string | null;
  /** One that all have, or null. */
  readonly capacity: number | null;
  /** All are different workloads that have one address, a known protocol and no static gateway. */
  readonly plain: boolean;
  /** None has a waypoint of its own. */
  readonly withoutWaypoint: boolean;
  private readonly byPort = new Map<number, readonly KnownEndpoint[]>();

  constructor(service: DumpService, find: (uid: string) => Placed | null) {
    const found: KnownEndpoint[] = [];
    let unknown = 0;
    let inOrder = true;
    let last = -1;
    for (const endpoint of service.endpoints()) {
      const placed = find(endpoint.workloadUid);
      if (placed === null) {
        unknown++;
        continue;
      }
      const { workload, order } = placed;
      found.push({ endpoint, workload, order });
      inOrder &&= order > last;
      last = order;
    }
    if (!inOrder) found.sort((left, right) => left.order - right.order);
    this.known = found;
    this.unknown = unknown;
    this.network = same(found, (workload) => workload.network);
    this.capacity = same(found, (workload) => workload.capacity);
    this.plain = found.every(
      ({ workload, order }, index) =>
        order !== found[index - 1]?.order &&
        workload.ips.length === 1 &&
        workload.protocol !== null &&
        workload.gatewayAddress === null,
    );
    this.withoutWaypoint = found.every(({ workload }) => workload.waypoint === null);
  }

  /** Those that have an entry of their own for this port of the Service. */
  withPort(port: number): readonly KnownEndpoint[] {
    const kept = this.byPort.get(port);
    if (kept !== undefined) return kept;
    const found = this.known.filter(({ endpoint }) => endpoint.ports[port] !== undefined);
    const all = found.length === this.known.length ? this.known : found;
    this.byPort.set(port, all);
    return all;
  }
}

function same<T>(endpoints: readonly KnownEndpoint[], read: (workload: DumpWorkload) => T): T | null {
  const [first] = endpoints;
  if (first === undefined) return null;
  const value = read(first.workload);
  return endpoints.every(({ workload }) => read(workload) === value) ? value : null;
}

/** Workloads by uid, each with its place: as the texts of outcomes compare, which begin with the uid and a blank. */
export function placedByUid(workloads: readonly DumpWorkload[]): ReadonlyMap<string, Placed> {
  const keys = workloads.map((workload) => `${workload.uid} `);
  const inOrder = keys.every((key, index) => index === 0 || (keys[index - 1] ?? '') < key);
  const sorted = inOrder
    ? workloads
    : [...workloads].sort((left, right) => (left.uid === right.uid ? 0 : `${left.uid} ` < `${right.uid} ` ? -1 : 1));
  // of several with one uid the last one is kept
  return new Map(sorted.map((workload, order) => [workload.uid, { workload, order }]));
}
