import type { Unknown } from '../formats/evidence.js';
import type { DumpEndpoint, DumpService, DumpWorkload } from '../formats/ztunnel-types.js';

/**
 * A workload, its place in the order of uids, in which outcomes of equal share are told, and what is asked of the workloads
 * of a Service's endpoints: side by side, as a large Service asks it of many.
 */
export interface Placed {
  readonly workload: DumpWorkload;
  readonly order: number;
  readonly unread: Unknown | null;
  readonly network: string;
  readonly capacity: number;
  /** It has one address, a known protocol and no static gateway. */
  readonly plain: boolean;
  readonly hasWaypoint: boolean;
}

function placed(workload: DumpWorkload, order: number): Placed {
  const { unread, network, capacity, ips, protocol, gatewayAddress } = workload;
  const plain = ips.length === 1 && protocol !== null && gatewayAddress === null;
  return { workload, order, unread, network, capacity, plain, hasWaypoint: workload.waypoint !== null };
}

/** An endpoint of a Service and the workload behind it. */
export interface KnownEndpoint {
  readonly endpoint: DumpEndpoint;
  readonly workload: DumpWorkload;
  readonly order: number;
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
    let plain = true;
    let withoutWaypoint = true;
    let first: Placed | null = null;
    let oneNetwork = true;
    let oneCapacity = true;
    let last = -1;
    for (const endpoint of service.endpoints()) {
      const item = find(endpoint.workloadUid);
      if (item === null) {
        unknown++;
        continue;
      }
      const { workload, order } = item;
      found.push({ endpoint, workload, order });
      first ??= item;
      oneNetwork &&= item.network === first.network;
      oneCapacity &&= item.capacity === first.capacity;
      plain &&= item.plain;
      withoutWaypoint &&= !item.hasWaypoint;
      inOrder &&= order > last;
      last = order;
    }
    if (!inOrder) found.sort((left, right) => left.order - right.order);
    this.known = found;
    this.unknown = unknown;
    this.network = first !== null && oneNetwork ? first.network : null;
    this.capacity = first !== null && oneCapacity ? first.capacity : null;
    this.plain = plain && (inOrder || found.every(({ order }, index) => order !== found[index - 1]?.order));
    this.withoutWaypoint = withoutWaypoint;
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

/** Workloads by uid, each with its place: as the texts of outcomes compare, which begin with the uid and a blank. */
export function placedByUid(workloads: readonly DumpWorkload[]): ReadonlyMap<string, Placed> {
  const keys = workloads.map((workload) => `${workload.uid} `);
  const inOrder = keys.every((key, index) => index === 0 || (keys[index - 1] ?? '') < key);
  const sorted = inOrder
    ? workloads
    : [...workloads].sort((left, right) => (left.uid === right.uid ? 0 : `${left.uid} ` < `${right.uid} ` ? -1 : 1));
  // of several with one uid the last one is kept
  return new Map(sorted.map((workload, order) => [workload.uid, placed(workload, order)]));
}
