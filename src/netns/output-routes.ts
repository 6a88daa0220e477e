import { isLinkLocal6, isLoopback, isToMany, parseAddr, textOf, type Addr } from './address.js';
import { routesLocalnet } from './answer.js';
import type { Choices } from './choices.js';
import type { NetnsVerdict } from './face.js';
import type { Devices } from './facts.js';
import { ACK, ICMP, SYN, TCP, UDP, type Flow } from './flow.js';
import { isRouteError, type RouteResult } from './route-result.js';
import type { Runtime } from './runtime.js';
import { scopeNumber, selectAddress4, selectAddress6 } from './source-address.js';

/** The routes of what is made here: with the choice of a source, and again after a change in OUTPUT. */
export class OutputRoutes {
  private readonly runtime: Runtime;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** The first route of a local packet, with the choice of its source. Null: it goes on. */
  route(flow: Flow): Flow | null {
    const opens = isOpening(flow);
    const many = isToMany(flow.dst);
    if (opens && many) return this.refusesMany(flow);
    // tcp_v6_connect: EINVAL, unless the socket is bound to a device
    if (flow.family === 6 && isLinkLocal6(flow.dst) && opens) {
      flow.note('route', 'a connection to a link-local address needs a device', null);
      return flow.end('dropped');
    }
    const routing = this.runtime.routing(flow.family);
    const zero = flow.family === 4 ? 0 : 0n;
    if (!flow.packet.sourceBound) {
      const first = routing.lookupFor(flow, zero, 'lo', null, flow.uid);
      const chosen = this.sourceFor(flow, first);
      if (chosen !== null) flow.src = chosen;
      if (flow.family === 4 && chosen !== null) return this.routeChosen(flow, first, chosen);
      // ip6_dst_lookup_tail: the route that was found without a source stands, unless it is an error
      if (flow.family === 6 && !isRouteError(first)) return this.takeOutput(flow, first) ? null : flow.end('dropped');
    }
    const chosen = many ? this.routeBySource(flow) : null;
    const result = chosen ?? routing.lookupFor(flow, flow.src, 'lo', null, flow.uid);
    return this.leave(flow, result);
  }

  /** tcp_v4_connect, tcp_v6_connect: ENETUNREACH. */
  private refusesMany(flow: Flow): Flow {
    flow.note('route', 'no connection is made to a group or a broadcast address', null);
    return flow.end('rejected');
  }

  /** ip_route_output_key_hash_rcu: to a group, or to all, a packet leaves through the device of its source, without a look-up. */
  private routeBySource({ family, src, dst }: Flow): RouteResult | null {
    if (family === 6 || src === 0) return null;
    const owner = this.runtime.devices
      .list()
      .find(({ addresses }) => addresses.some(({ ip }) => ip.family === 4 && ip.value === src));
    if (owner === undefined) return null;
    const nexthop = { gateway: null, device: owner.name, weight: 1, dead: false, linkdown: false };
    const kind = dst === 0xffffffff ? 'broadcast' : 'multicast';
    return {
      kind,
      route: null,
      rule: null,
      nexthop,
      summary: `by its source: dev ${owner.name}`,
      evidence: [owner.evidence],
    };
  }

  private leave(flow: Flow, result: RouteResult): Flow | null {
    if (result.kind === 'broadcast' && isOpening(flow)) return this.refusesMany(flow);
    return this.takeOutput(flow, result) ? null : flow.end(OUTPUT_ERRORS[result.kind] ?? 'dropped');
  }

  /**
   * connect() looks again with the source that the first look-up chose, which must then be an address of this machine
   * (ip_route_connect in linux include/net/route.h, ip_route_output_key_hash_rcu in net/ipv4/route.c, v6.12). A message
   * without connect() goes the first way, whatever the rules say of that source (udp_sendmsg, raw_sendmsg).
   */
  private routeChosen(flow: Flow, first: RouteResult, chosen: Addr): Flow | null {
    const second = this.runtime.routing(4).lookupFor(flow, chosen, 'lo', null, flow.uid);
    const own = this.ownSource(chosen, flow.choices);
    const same = second.route === first.route && second.rule === first.rule && second.nexthop === first.nexthop;
    if ((own && same) || !connects(flow)) return this.leave(flow, first);
    if (own) return this.leave(flow, second);
    flow.route = first;
    flow.noteRoute(first);
    flow.note('route', `the source would be ${textOf(chosen)}, which is no address of this machine`, first.evidence);
    return flow.end('rejected');
  }

  /** __ip_dev_find (linux net/ipv4/devinet.c, v6.12): an address of a device, or one that the local table makes local. */
  private ownSource(addr: Addr, choices: Choices): boolean {
    return this.runtime.devices.isOwn(4, addr) || this.runtime.routing(4).addressType(addr, null, choices) === 'local';
  }

  private sourceFor({ family, dst }: Flow, result: RouteResult): Addr | null {
    const { devices } = this.runtime;
    if (family === 4) return sourceByRoute4(devices, dst, result);
    // ip6_route_get_saddr: by RFC 6724 even where the route is local or an error
    return result.route?.prefsrc?.value ?? selectAddress6(devices, result.nexthop?.device ?? 'lo', dst);
  }

  /** Writes the device of an output route into the flow; false where the route is an error. */
  private takeOutput(flow: Flow, result: RouteResult): boolean {
    flow.route = result;
    if (result.kind === 'unreachable' || result.kind === 'prohibit' || result.kind === 'blackhole') {
      flow.noteRoute(result);
      return false;
    }
    // ip6_rt_get_dev_rcu: an anycast route that somebody added leads out of its device, only the kernel's own to lo
    const looped = result.kind === 'local' || (result.kind === 'anycast' && result.route?.protocol === 'kernel');
    const device = looped ? 'lo' : (result.nexthop?.device ?? null);
    flow.routed = device;
    // __mkroute_output: 127/8 does not leave through a wire
    if (flow.family === 4 && device !== 'lo' && isLoopback(flow.src) && !routesLocalnet(this.runtime, device)) {
      flow.note('route', `a source in 127.0.0.0/8 cannot leave through ${device ?? '?'} (route_localnet is 0)`, null);
      flow.route = { ...result, kind: 'blackhole' };
      return false;
    }
    flow.noteRoute(result);
    return true;
  }

  /**
   * ip_route_me_harder after a change in OUTPUT: the mark counts, the source stays. A source that is not of this machine
   * and not plain unicast is left out of the look-up; the uid is root's, for the key is made anew.
   */
  readonly reroute = (flow: Flow): boolean => {
    const uid = flow.family === 4 ? 0 : flow.local ? flow.uid : 0;
    const bySource = isToMany(flow.dst) ? this.routeBySource(flow) : null;
    const result = bySource ?? this.runtime.routing(flow.family).lookupFor(flow, flow.src, 'lo', null, uid);
    return this.takeOutput(flow, result);
  };
}

/** The source that a route of IPv4 gives to what is made here (fib_result_prefsrc); null: none. */
export function sourceByRoute4(devices: Devices, dst: Addr, { kind, route, nexthop }: RouteResult): Addr | null {
  if (kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole') return null;
  if (route?.prefsrc != null) return route.prefsrc.value;
  if (kind === 'local') return dst;
  const device = nexthop?.device ?? null;
  if (device === null) return null;
  const gateway = nexthop?.gateway == null ? null : parseAddr(nexthop.gateway);
  const towards = typeof gateway === 'number' ? gateway : 0;
  const chosen = selectAddress4(devices, device, towards, scopeNumber(route?.scope ?? 'global'));
  return chosen === 0 ? null : chosen;
}

/** A process calls connect() for TCP. */
function isOpening({ protocol, flags, packet }: Flow): boolean {
  return protocol === TCP && (flags & (SYN | ACK)) === SYN && packet.connectedSocket === null;
}

/** Whether the sender calls connect(): of UDP either, and no file says which. */
function connects({ protocol, choices }: Flow): boolean {
  if (protocol === ICMP) return false;
  if (protocol !== UDP) return true;
  return choices.either('connects', 'the sender connects its UDP socket before it sends', {
    fact: 'whether the sending UDP socket is connected',
    reason: 'the source that connect() chooses leads another way',
  });
}

/** What a local sender gets for a route that is an error. */
const OUTPUT_ERRORS: Readonly<Partial<Record<RouteResult['kind'], NetnsVerdict>>> = {
  unreachable: 'rejected',
  prohibit: 'rejected',
  blackhole: 'dropped',
};
