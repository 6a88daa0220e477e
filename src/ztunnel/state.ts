import { cidrContains, parseCidr, parseIp, type Cidr } from '../formats/ip.js';
import type { Unknown } from '../formats/evidence.js';
import type { DumpService, DumpWorkload, GatewayAddress, ZtunnelDump } from '../formats/ztunnel-types.js';
import { AddressIndex } from './address-index.js';
import type { Behaviour } from './behaviour.js';
import { EndpointTable, placedByUid, type Placed } from './endpoints.js';
import { PolicyStore, type Guarded, type PolicySet } from './policy-store.js';
import { LOOKED_AT, type World } from './world.js';

/** Thrown inside the engine where a fact is missing that decides; becomes an `unknown` outcome, never leaves decide(). */
export class Undecided extends Error {
  readonly unknown: Unknown;

  constructor(unknown: Unknown) {
    super(unknown.reason);
    this.unknown = unknown;
  }
}

export type Found =
  | { readonly kind: 'workload'; readonly workload: DumpWorkload }
  | { readonly kind: 'service'; readonly service: DumpService };

/** ztunnel's stores, rebuilt from the dump (Z:src/state/workload.rs WorkloadStore, src/state/service.rs ServiceStore). */
export class State {
  private readonly byUid: ReadonlyMap<string, Placed>;
  private readonly byAddress = new AddressIndex<DumpWorkload | readonly DumpWorkload[]>();
  private readonly byVip = new AddressIndex<readonly DumpService[]>();
  private readonly byHost = new Map<string, readonly DumpService[]>();
  private readonly cidrs: { readonly network: string; readonly cidr: Cidr; readonly service: DumpService }[] = [];
  private readonly policies: PolicyStore;
  private readonly endpointTables = new Map<DumpService, EndpointTable>();
  private byEndpoint: ReadonlyMap<string, readonly DumpService[]> | null = null;

  readonly dump: ZtunnelDump;
  readonly behaviour: Behaviour;

  constructor(dump: ZtunnelDump, behaviour: Behaviour) {
    this.dump = dump;
    this.behaviour = behaviour;
    this.byUid = placedByUid(dump.workloads);
    for (const workload of dump.workloads) this.addWorkload(workload);
    for (const service of dump.services) this.addService(service);
    this.policies = new PolicyStore(dump.policies, behaviour);
  }

  private addWorkload(workload: DumpWorkload): void {
    if (workload.hostNetwork || this.dump.workloadByAddress !== null) return;
    for (const ip of workload.ips) {
      const { network } = workload;
      const known = this.byAddress.get(network, ip);
      if (known === undefined) this.byAddress.set(network, ip, workload);
      else {
        const all = Array.isArray(known) ? [...known, workload] : [known as DumpWorkload, workload];
        this.byAddress.set(network, ip, this.behaviour.sharedAddress === 'ranked' ? preferred(all) : all);
      }
    }
  }

  private addService(service: DumpService): void {
    if (this.dump.serviceByVip === null) {
      for (const { network, ip } of service.vips) {
        this.byVip.set(network, ip, [...(this.byVip.get(network, ip) ?? []), service]);
      }
    }
    append(this.byHost, service.hostname, service);
    for (const { network, cidr } of service.cidrVips) {
      const parsed = parseCidr(cidr);
      if (parsed !== null) this.cidrs.push({ network, cidr: parsed, service });
    }
  }

  /** An entry of the dump, where all of it could be read. */
  private whole<T extends DumpWorkload | DumpService>(entry: T): T {
    if (entry.unread !== null) throw new Undecided(entry.unread);
    return entry;
  }

  /** Says that something is not there: only where the dump is whole, and nothing is fetched on demand. */
  private absent<T>(section: 'workloads' | 'services' | 'policies', value: T): T {
    const gap = this.dump.gaps[section];
    if (gap !== null) throw new Undecided(gap);
    return value;
  }

  /** Z:src/state/workload.rs find_uid. */
  workloadByUid(uid: string): DumpWorkload | null {
    return this.placed(uid)?.workload ?? null;
  }

  private placed(uid: string): Placed | null {
    const found = this.byUid.get(uid);
    if (found !== undefined) {
      if (found.unread !== null) throw new Undecided(found.unread);
      return found;
    }
    if (this.dump.shape === 'maps') {
      throw new Undecided({
        fact: `workload ${uid}`,
        reason: 'this layout prints workloads by address only: one that is known by hostname does not show',
      });
    }
    return this.absent('workloads', null);
  }

  /** Z:src/state/workload.rs find_address: several with one address are ranked; the last inserted of equals is taken. */
  workloadByAddress(network: string, ip: string, world: World): DumpWorkload | null {
    if (this.dump.workloadByAddress !== null) {
      const workload = this.dump.workloadByAddress.get(`${network}/${ip}`);
      return workload === undefined ? this.absent('workloads', null) : this.whole(workload);
    }
    const found = this.byAddress.get(network, ip);
    if (found === undefined) return this.absent('workloads', null);
    if (!Array.isArray(found)) return this.whole(found as DumpWorkload);
    for (const workload of found as readonly DumpWorkload[]) this.whole(workload);
    const chosen = world.choose(
      `workload ${network}/${ip}`,
      found.length,
      () =>
        `${found.length} workloads have the address ${ip}; ztunnel takes the one inserted last, which the dump does not show`,
    );
    return found[chosen] as DumpWorkload;
  }

  /** Z:src/state/service.rs get_best_by_vip. */
  serviceByVip(network: string, ip: string, namespace: string | null, world: World): DumpService | null {
    const { serviceByVip } = this.dump;
    if (serviceByVip !== null) {
      const service = serviceByVip.get(`${network}/${ip}`);
      return service === undefined ? this.absent('services', null) : this.whole(service);
    }
    const found = this.byVip.get(network, ip);
    if (found !== undefined) {
      for (const service of found) this.whole(service);
      const [only] = found;
      if (found.length === 1 && only?.visibility === 'Public') return only;
      world.touched.bits |= LOOKED_AT.namespace;
      const best = this.best(`VIP ${ip}`, `${network}/${ip}`, found.filter(visibleTo(namespace)), namespace, world);
      if (best !== null) return best;
    }
    return this.serviceByCidr(network, ip, namespace, world);
  }

  private serviceByCidr(network: string, ip: string, namespace: string | null, world: World): DumpService | null {
    if (this.cidrs.length === 0) return this.absent('services', null);
    const address = parseIp(ip);
    if (address === null) return null;
    world.touched.bits |= LOOKED_AT.namespace;
    let best: DumpService[] = [];
    let bestRank = -1;
    for (const entry of this.cidrs) {
      if (entry.network !== network || !cidrContains(entry.cidr, address)) continue;
      this.whole(entry.service);
      if (!visibleTo(namespace)(entry.service)) continue;
      // (in_namespace, prefix_len, canonical), compared in this order
      const rank =
        (entry.service.namespace === namespace ? 1024 : 0) + entry.cidr.prefix * 2 + (entry.service.canonical ? 1 : 0);
      if (rank > bestRank) {
        best = [entry.service];
        bestRank = rank;
      } else if (rank === bestRank && !best.includes(entry.service)) best.push(entry.service);
    }
    if (best.length === 0) return this.absent('services', null);
    const chosen = world.choose(
      `cidr ${network}/${ip}`,
      best.length,
      () =>
        `${best.length} Services have CIDR VIPs of equal rank for ${ip}; ztunnel takes the one inserted first, which the dump does not show`,
    );
    return best[chosen] ?? null;
  }

  /**
   * Z:src/state/service.rs ServiceMatch::find_best_match: the client's namespace, then `canonical` (the last inserted of
   * several), then the first inserted. Of several in one namespace only the last inserted is kept.
   */
  private best(
    what: string,
    key: string,
    candidates: readonly DumpService[],
    namespace: string | null,
    world: World,
  ): DumpService | null {
    const rule = this.behaviour.sharedVip;
    const only = candidates[0];
    if (candidates.length === 1 && only !== undefined) return only;
    const slots = new Map<string, DumpService[]>();
    for (const service of candidates) {
      const slot = slots.get(service.namespace);
      if (slot === undefined) slots.set(service.namespace, [service]);
      else slot.push(service);
    }
    const kept: DumpService[] = [];
    for (const [slotNamespace, services] of slots) {
      const chosen = world.choose(
        `${key} in ${slotNamespace}`,
        services.length,
        () =>
          `${services.length} Services of namespace ${slotNamespace} share ${what}; the last inserted replaced the others, which the dump does not show`,
      );
      const service = services[chosen];
      if (service !== undefined) kept.push(service);
    }
    const own = rule === 'last' ? undefined : kept.find((service) => service.namespace === namespace);
    if (own !== undefined) return own;
    const canonical = rule === 'best' ? kept.filter((service) => service.canonical) : [];
    const tied = canonical.length > 0 ? canonical : kept;
    const chosen = world.choose(
      `${key} for ${namespace ?? ''}`,
      tied.length,
      () =>
        `${kept.length} Services share ${what}, ${canonical.length} canonical, none in ${namespace ?? 'a preferred namespace'}; the order of insertion decides, which the dump does not show`,
    );
    return tied[chosen] ?? null;
  }

  /** Z:src/state.rs find_address: a workload first, then a Service. */
  find(network: string, ip: string, namespace: string | null, world: World): Found | null {
    const workload = this.workloadByAddress(network, ip, world);
    if (workload !== null) return { kind: 'workload', workload };
    const service = this.serviceByVip(network, ip, namespace, world);
    return service === null ? null : { kind: 'service', service };
  }

  /** Services with a hostname, in the order in which ztunnel holds them: that order the dump does show. */
  servicesByHost(hostname: string): readonly DumpService[] {
    const found = this.byHost.get(hostname);
    return found === undefined ? this.absent('services', []) : found.map((service) => this.whole(service));
  }

  /** Z:src/state/service.rs get_best_by_host; up to 1.29.0 the last of those that are not in the namespace. */
  serviceByHost(hostname: string, namespace: string): DumpService | null {
    const found = this.servicesByHost(hostname).filter(visibleTo(namespace));
    if (this.behaviour.sharedHost === 'best') return bestMatch(found, namespace, null);
    return found.find((service) => service.namespace === namespace) ?? found[found.length - 1] ?? null;
  }

  /** Z:src/state.rs find_hostname: a Service of that namespace, else any workload with that hostname and namespace. */
  findHostname(namespace: string | null, hostname: string, world: World): Found | null {
    const services = (this.byHost.get(hostname) ?? []).filter(
      (service) => namespace === null || service.namespace === namespace,
    );
    const service = services[0];
    if (service !== undefined) {
      const chosen = world.choose(
        `host ${namespace ?? '*'}/${hostname}`,
        services.length,
        () => `${services.length} Services have the hostname ${hostname}`,
      );
      return { kind: 'service', service: this.whole(services[chosen] ?? service) };
    }
    if (this.behaviour.waypointBy !== 'workload') return this.absent('services', null);
    const workloads = this.dump.workloads.filter(
      (workload) => workload.hostname === hostname && (namespace === null || workload.namespace === namespace),
    );
    const workload = workloads[0];
    if (workload === undefined) return this.absent('services', this.absent('workloads', null));
    const chosen = world.choose(
      `workload host ${namespace ?? '*'}/${hostname}`,
      workloads.length,
      () => `${workloads.length} workloads have the hostname ${hostname}; ztunnel takes any`,
    );
    return { kind: 'workload', workload: this.whole(workloads[chosen] ?? workload) };
  }

  /** Z:src/state.rs find_destination. */
  findDestination(gateway: GatewayAddress, namespace: string | null, world: World): Found | null {
    const { destination } = gateway;
    return destination.kind === 'address'
      ? this.find(destination.network, destination.ip, namespace, world)
      : this.findHostname(destination.namespace, destination.hostname, world);
  }

  /** What ztunnel asks before it lets a connection through to the workload. */
  policiesFor(workload: Guarded): PolicySet {
    this.absent('policies', null);
    return this.policies.setFor(workload);
  }

  /** Its endpoints with their workloads; put together when the Service is first called. */
  endpointsOf(service: DumpService): EndpointTable {
    const known = this.endpointTables.get(service);
    if (known !== undefined) return known;
    this.readable(service);
    const table = new EndpointTable(service, (uid) => this.placed(uid));
    this.endpointTables.set(service, table);
    return table;
  }

  /** The Service, where all of its endpoints could be read. */
  readable(service: DumpService): DumpService {
    const unread = service.endpointsUnread();
    if (unread !== null) throw new Undecided(unread);
    return service;
  }

  /** Services that have the workload as endpoint, in the dump's order. */
  servicesOf(uid: string): readonly DumpService[] {
    if (this.byEndpoint === null) {
      const found = new Map<string, readonly DumpService[]>();
      for (const service of this.dump.services) {
        this.whole(service);
        for (const endpoint of this.readable(service).endpoints()) append(found, endpoint.workloadUid, service);
      }
      this.byEndpoint = found;
    }
    return this.byEndpoint.get(uid) ?? [];
  }
}

/**
 * Z:src/state/service.rs ServiceMatch::find_best_match over services in ztunnel's order: the client's namespace, the last
 * `canonical`, the last of the preferred namespace before any canonical, the first.
 */
export function bestMatch(
  services: readonly DumpService[],
  namespace: string,
  preferredNamespace: string | null,
): DumpService | null {
  let best: DumpService | null = null;
  let isCanonical = false;
  for (const service of services) {
    if (service.namespace === namespace) return service;
    if (service.canonical) {
      best = service;
      isCanonical = true;
    } else if (!isCanonical && (best === null || service.namespace === preferredNamespace)) best = service;
  }
  return best;
}

/** Z@1.31.0-rc.0:src/state/service.rs visible_to; without a client's namespace everything is visible. */
export function visibleTo(namespace: string | null): (service: DumpService) => boolean {
  return (service) => {
    if (service.visibility === 'Public' || namespace === null) return true;
    if (service.visibility === 'Namespace') return service.namespace === namespace;
    throw new Undecided({
      fact: `visibility of service ${service.namespace}/${service.hostname}: ${service.evidence.file}${service.evidence.pointer ?? ''}`,
      reason: 'a value that is not known',
    });
  };
}

/**
 * Pod+HBONE 3 > Pod 2 > HBONE 1 > other 0 (Z:src/state/workload.rs WorkloadByAddr::get); equals stay together, and all
 * where a protocol is not known.
 */
function preferred(workloads: readonly DumpWorkload[]): DumpWorkload | readonly DumpWorkload[] {
  const rank = (workload: DumpWorkload): number =>
    (workload.uid.includes('//Pod/') ? 2 : 0) + (workload.protocol === 'HBONE' ? 1 : 0);
  if (workloads.some((workload) => workload.protocol === null)) return workloads;
  const best = Math.max(...workloads.map(rank));
  const tied = workloads.filter((workload) => rank(workload) === best);
  return tied.length === 1 && tied[0] !== undefined ? tied[0] : tied;
}

function append<T>(map: Map<string, readonly T[]>, key: string, value: T): void {
  const known = map.get(key);
  map.set(key, known === undefined ? [value] : [...known, value]);
}
