import {
  familyOf,
  isLinkLocal6,
  isLoopback,
  isMulticast,
  parseAddr,
  textOf,
  type Addr,
  type Family,
} from './address.js';
import { errorReaches, reflectedMark, resetReaches, routesLocalnet } from './answer.js';
import { Choices, FactMissing } from './choices.js';
import { handedBack } from './connections.js';
import type { NetnsStep, NetnsVerdict, Packet } from './face.js';
import {
  ACCEPT,
  ACK,
  Flow,
  ICMP,
  ICMPV6,
  REJECT,
  SCTP,
  SYN,
  TCP,
  UDP,
  type Connection,
  type KnownConnection,
  type Verdict,
  type Words,
} from './flow.js';
import { DevicePrograms, isOn } from './device-programs.js';
import { isForGroup } from './groups.js';
import type { HookTable } from './hooks.js';
import { isRouteError, type RouteKey, type RouteResult } from './routing.js';
import { placeOf, type Runtime } from './runtime.js';
import { localSocket, type LocalSocket } from './socket-table.js';
import { selectAddress4, selectAddress6, scopeNumber } from './source-address.js';
import { martian, rejectsSource } from './validate-source.js';

const NONE: readonly KnownConnection[] = [];
/** The way of packets through the hooks (linux net/ipv4/ip_input.c, ip_output.c, ip_forward.c and their ipv6 kin, v6.12). */
export class Pipeline {
  private readonly runtime: Runtime;
  private readonly loadTable: (family: Family) => HookTable;
  private table4: HookTable | null = null;
  private table6: HookTable | null = null;
  private readonly uppers = new Map<string, string>();
  private readonly ingress: DevicePrograms;
  private readonly egress: DevicePrograms;
  private readonly key: { -readonly [Field in keyof RouteKey]: RouteKey[Field] } = {
    dst: 0,
    src: 0,
    iif: '',
    oif: null,
    mark: 0,
    uid: null,
    protocol: 0,
    sport: 0,
    dport: 0,
  };

  constructor(runtime: Runtime, loadTable: (family: Family) => HookTable) {
    this.runtime = runtime;
    this.loadTable = loadTable;
    this.ingress = new DevicePrograms(runtime.facts, 'ingress');
    this.egress = new DevicePrograms(runtime.facts, 'egress');
  }

  /** One way, as `choices` answers: how it ends. Never throws on odd input: what cannot be read ends as unknown. */
  run(packet: Packet, choices: Choices): Flow {
    return this.follow(packet, choices, null);
  }

  /** The deciding steps of the way with these answers. They are told on a second run: most packets are only asked for their end. */
  steps(packet: Packet, answers: readonly number[]): readonly NetnsStep[] {
    const steps: NetnsStep[] = [];
    this.follow(packet, new Choices(answers), steps);
    return steps;
  }

  private follow(packet: Packet, choices: Choices, steps: NetnsStep[] | null): Flow {
    const src = parseAddr(packet.src.ip);
    const dst = parseAddr(packet.dst.ip);
    const family = dst === null ? 4 : familyOf(dst);
    const protocol = protocolOf(packet, family);
    const zero = family === 4 ? 0 : 0n;
    const flow = new Flow(family, protocol, packet, src ?? zero, dst ?? zero, choices, steps);
    if (src === null || dst === null || familyOf(src) !== family) {
      const fact = `addresses of the packet (${packet.src.ip} to ${packet.dst.ip})`;
      return flow.endUnknown({ fact, reason: 'not two addresses of one family' });
    }
    flow.known = packet.conntrack === null ? this.listed(flow) : handedBack(packet, family);
    try {
      return packet.direction === 'in' ? this.input(flow) : this.output(flow);
    } catch (error) {
      if (error instanceof FactMissing) return flow.endUnknown(error.unknown);
      throw error;
    }
  }

  /**
   * The connections of conntrack.txt that a question's packet may belong to. What the question says of its state is taken at
   * its word: a NEW packet is no part of a connection that was answered, as the list may be younger than the packet. The walk
   * asks for new connections: their source port is fresh, whatever number it gives them.
   */
  private listed(flow: Flow): readonly KnownConnection[] {
    const state = flow.packet.assumed?.ctstate;
    if (state !== 'NEW' && state !== 'ESTABLISHED') return NONE;
    const table = this.runtime.connections();
    if (state === 'NEW') flow.others = table;
    const found = table?.find(flow) ?? NONE;
    return state === 'NEW' ? found.filter(({ entry }) => !entry.seenReply) : found;
  }

  /** Reads the rules when a packet first needs them; ends the flow where they cannot be read. */
  private hooks(flow: Flow): HookTable['hooks'] {
    const table = flow.family === 4 ? (this.table4 ??= this.loadTable(4)) : (this.table6 ??= this.loadTable(6));
    if (table.unknown !== null) throw new FactMissing(table.unknown);
    return table.hooks;
  }

  private verdictEnd(flow: Flow, verdict: Verdict): Flow {
    this.passedBy(flow);
    if (verdict !== REJECT) return flow.end('dropped');
    const told = flow.rejectsByReset ? resetReaches(flow, this.runtime) : errorReaches(flow, this.runtime);
    return flow.end(told ? 'rejected' : 'dropped');
  }

  /**
   * nf_flow_offload_ip_hook: what a flowtable holds is forwarded before any rule sees it. Asked where a rule stopped the
   * packet or marked it; conntrack.txt says it of the connections that it lists.
   */
  private passedBy({ packet, ctState, hook, choices, listed }: Flow): void {
    const { iif } = packet;
    if (iif === null || ctState !== 'ESTABLISHED' || hook === 'INPUT' || hook === 'OUTPUT') return;
    if (listed?.offloaded === false) return;
    const table = this.runtime.facts.flowtables().find(({ devices }) => devices.some((one) => isOn(one, iif)));
    if (table === undefined) return;
    const held = { fact: `connections in ${table.evidence.text}`, reason: 'nft does not list them' };
    if (listed?.offloaded === true)
      throw new FactMissing({ ...held, reason: 'it holds this one, whose way is not followed' });
    if (!choices.either(table.evidence.text, `${table.evidence.text} does not hold the connection`, held)) {
      throw new FactMissing(held);
    }
  }

  private input(flow: Flow): Flow {
    const { iif } = flow.packet;
    if (iif === null) throw new FactMissing({ fact: 'the device on which the packet arrives', reason: 'not given' });
    flow.iif = this.upperDevice(iif);
    this.ingress.pass(flow, iif);
    if (this.isOff(flow, flow.iif)) return flow.end('dropped');
    const loopback = isLoopback(flow.family, flow.src) || isLoopback(flow.family, flow.dst);
    // ip6_rcv_core: a group is no source, and ::1 never comes from outside
    if (flow.family === 6 && isMulticast(6, flow.src)) {
      flow.note('route', 'the source is a multicast address: dropped', null);
      return flow.end('dropped');
    }
    if (flow.family === 6 && loopback && flow.iif !== 'lo') {
      flow.note('route', 'the loopback address ::1 from outside: dropped', null);
      return flow.end('dropped');
    }
    if (flow.family === 6 && flow.iif !== 'lo' && isInterfaceLocal(flow.dst)) {
      flow.note('route', 'a group that no packet from outside may name: dropped', null);
      return flow.end('dropped');
    }
    const verdict = this.hooks(flow).PREROUTING.run(flow, this.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return this.routeInput(flow);
  }

  /** ip6_rcv_core, ip6_output: a device with disable_ipv6 takes nothing in and lets nothing out, before rules see it. */
  private isOff(flow: Flow, device: string | null): boolean {
    if (flow.family === 4 || device === null || !this.runtime.devices.switch6('disable_ipv6', device)) return false;
    flow.note('route', `IPv6 is off on ${device} (disable_ipv6): dropped`, null);
    return true;
  }

  /** A port of a bridge, bond or team hands its packets to the master before IP sees them. */
  private upperDevice(name: string): string {
    let upper = this.uppers.get(name);
    if (upper === undefined) {
      upper = this.findUpper(name);
      this.uppers.set(name, upper);
    }
    return upper;
  }

  private findUpper(name: string): string {
    if (this.runtime.facts.addresses().kind === 'unknown') return name;
    const device = this.runtime.devices.get(name);
    const master = device?.master == null ? null : this.runtime.devices.get(device.master);
    if (master?.kind === 'vrf')
      throw new FactMissing({ fact: `the way of packets in VRF ${master.name}`, reason: 'VRFs are not followed' });
    return master !== null && UPPER_KINDS.has(master.kind ?? '') ? master.name : name;
  }

  private routeInput(flow: Flow): Flow {
    if (flow.family === 4) {
      const odd = martian(flow, this.runtime);
      if (odd !== null) return this.martianEnd(flow, odd);
    }
    // rt6_need_strict: such a destination is looked up on the incoming device only
    const strict = flow.family === 6 && (isLinkLocal6(flow.dst) || isMulticast(6, flow.dst) || flow.dst === 1n);
    const found = this.runtime
      .routing(flow.family)
      .lookup(this.keyOf(flow, flow.src, flow.iif ?? 'lo', strict ? flow.iif : null, 0), flow.choices);
    // ip_route_input_rcu: a group needs none; ip_route_input_slow: nor does the limited broadcast
    const group = flow.family === 4 && isMulticast(4, flow.dst);
    const limited = flow.family === 4 && (flow.dst === 0xffffffff || (flow.dst === 0 && flow.src === 0));
    const result: RouteResult = limited
      ? { kind: 'broadcast', route: null, rule: null, nexthop: null, summary: 'limited broadcast', evidence: [] }
      : group
        ? { kind: 'multicast', route: null, rule: null, nexthop: null, summary: 'to a group', evidence: [] }
        : found;
    flow.route = result;
    switch (result.kind) {
      case 'local':
      case 'anycast':
      case 'broadcast':
      case 'multicast':
        return this.localInput(flow, result);
      case 'unicast':
        return this.forward(flow, result);
      case 'blackhole':
        this.noteRoute(flow, result);
        return flow.end('dropped');
      case 'unreachable':
      case 'prohibit':
        this.noteRoute(flow, result);
        // ip_error: a host that does not forward stays silent; IPv6 always answers
        return flow.end(
          (flow.family === 6 || this.forwards(flow)) && errorReaches(flow, this.runtime) ? 'rejected' : 'dropped',
        );
    }
  }

  private martianEnd(flow: Flow, why: string): Flow {
    flow.note('route', `${why}: dropped as martian`, null);
    return flow.end('dropped');
  }

  private localInput(flow: Flow, result: RouteResult): Flow {
    if (!isForGroup(flow, this.runtime.devices)) {
      flow.note('route', 'to a group that this machine is not in: dropped', null);
      return flow.end('dropped');
    }
    // who has no address yet may ask everyone: brd_input, ip_mc_validate_source
    if (flow.family === 4 && (flow.src !== 0 || (result.kind !== 'broadcast' && result.kind !== 'multicast'))) {
      const bad = rejectsSource(flow, this.runtime, null);
      if (bad !== null) return this.martianEnd(flow, bad);
    }
    flow.oif = null;
    this.noteRoute(flow, result);
    return this.deliver(flow);
  }

  private deliver(flow: Flow): Flow {
    const verdict = this.hooks(flow).INPUT.run(flow, this.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return this.socketEnd(flow);
  }

  private socketEnd(flow: Flow): Flow {
    if (flow.tproxy !== null) return this.delivered(flow, flow.tproxy);
    const { connectedSocket } = flow.packet;
    if (connectedSocket !== null) {
      const { name, transparent } = connectedSocket;
      return this.delivered(flow, localSocket({ name, transparent, process: null, evidence: null, wildcard: false }));
    }
    if (flow.protocol === ICMP || flow.protocol === ICMPV6) return flow.end('delivered');
    // a reply belongs to the socket that asked: it is not among the listeners
    if (flow.protocol === TCP && flow.ctReply) return flow.end('delivered');
    const sockets = this.runtime.facts.sockets();
    if (sockets.kind === 'unknown') {
      flow.unknown = sockets.unknown;
      return flow.end('delivered');
    }
    if (flow.protocol === SCTP) {
      return flow.endUnknown({ fact: 'SCTP sockets', reason: 'ss -lt and ss -lu do not show them' });
    }
    const socket = this.runtime.sockets.lookup(flow.family, flow.protocol, flow.dst, flow.dport, flow.iif);
    if (socket !== null) return this.delivered(flow, socket);
    if (flow.listed !== null && flow.protocol === TCP && flow.ctState === 'ESTABLISHED') {
      const fact = `the socket of the connection at ${placeOf(flow.listed.evidence)}`;
      return flow.endUnknown({ fact, reason: 'sockets.txt holds listeners only' });
    }
    flow.note('deliver', nobodyWords, null);
    return flow.end('refused');
  }

  private delivered(flow: Flow, socket: LocalSocket): Flow {
    flow.note('deliver', socket.words, socket.evidence);
    flow.socket = socket;
    return flow.end('delivered');
  }

  private forwards(flow: Flow): boolean {
    const { devices } = this.runtime;
    const device = flow.iif ?? 'lo';
    if (flow.family === 4) return devices.forwards4(device);
    return devices.sysctl('net.ipv6.conf.all.forwarding') !== 0 || devices.forces6(device);
  }

  private forward(flow: Flow, result: RouteResult): Flow {
    const device = result.nexthop?.device ?? null;
    if (!this.forwards(flow)) {
      flow.note('route', 'not an address of this machine, and forwarding is off: dropped', null);
      return flow.end('dropped');
    }
    if (flow.family === 4) {
      const bad = rejectsSource(flow, this.runtime, device);
      if (bad !== null) return this.martianEnd(flow, bad);
    }
    flow.oif = device;
    this.noteRoute(flow, result);
    if (flow.tproxy !== null) {
      flow.note('route', 'a packet that belongs to a socket is not forwarded: dropped', null);
      return flow.end('dropped');
    }
    // ip6_forward: where a redirect would be sent instead, the source is not looked at
    if (flow.family === 6 && device !== flow.iif) {
      if (flow.src === 0n) {
        flow.note('route', 'a packet without a source is not forwarded: dropped', null);
        return flow.end('dropped');
      }
      if (isLinkLocal6(flow.src)) {
        flow.note('route', 'a link-local source is not forwarded', null);
        return flow.end(errorReaches(flow, this.runtime) ? 'rejected' : 'dropped');
      }
    }
    if (device !== null && device === flow.iif && flow.family === 4 && flow.ct !== null)
      this.sendRedirect(flow, flow.ct, device);
    const forwarded = this.hooks(flow).FORWARD.run(flow, this.reroute);
    if (forwarded !== ACCEPT) return this.verdictEnd(flow, forwarded);
    if (this.isOff(flow, device)) return flow.end('dropped');
    const verdict = this.hooks(flow).POSTROUTING.run(flow, this.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (device === 'lo') {
      flow.note('route', 'forwarded over lo, again and again until its time to live is over: dropped', null);
      return flow.end('dropped');
    }
    if (isMarked(flow)) this.passedBy(flow);
    this.egress.pass(flow, device);
    return flow.end('forwarded');
  }

  /**
   * ip_rt_send_redirect: of what goes out where it came in the sender is told, now and then. The message belongs to the
   * connection, so that a rule of OUTPUT that sets the connection's mark on it does so before FORWARD sees the packet.
   */
  private sendRedirect(flow: Flow, ct: Connection, device: string): void {
    const { mark } = ct;
    const from = selectAddress4(this.runtime.devices, device, flow.src, 0);
    const error = new RedirectFlow(4, ICMP, flow.packet, from, flow.src, flow.choices, null);
    error.ct = ct;
    error.ctState = 'RELATED';
    error.ctReply = !flow.ctReply;
    error.local = false;
    error.mark = reflectedMark(flow, this.runtime);
    error.oif = error.routed = device;
    const hooks = this.hooks(flow);
    if (hooks.OUTPUT.runError(error, ACCEPTED) === ACCEPT) hooks.POSTROUTING.runError(error, ACCEPTED);
    if (ct.mark === mark) return;
    const unknown = {
      fact: `whether ${textOf(flow.src)} is sent an ICMP redirect`,
      reason: 'the kernel limits their rate',
    };
    const sent =
      this.runtime.devices.ipv4(device).sendRedirects &&
      flow.choices.either('redirect', 'the kernel sends an ICMP redirect', unknown);
    if (!sent) ct.mark = mark;
  }

  private output(flow: Flow): Flow {
    const result = this.routeOutput(flow);
    if (result !== null) return result;
    flow.oif = flow.routed;
    const verdict = this.hooks(flow).OUTPUT.run(flow, this.reroute);
    flow.oif = flow.routed;
    flow.routed = null;
    if (verdict !== ACCEPT) {
      return flow.unroutable ? flow.end('dropped') : this.verdictEnd(flow, verdict);
    }
    if (this.isOff(flow, flow.oif)) return flow.end('dropped');
    const after = this.hooks(flow).POSTROUTING.run(flow, this.reroute);
    if (after !== ACCEPT) return this.verdictEnd(flow, after);
    if (flow.oif !== 'lo') {
      this.egress.pass(flow, flow.oif);
      return flow.end('sent');
    }
    return this.loopback(flow);
  }

  /**
   * Out of lo and in again: the packet keeps its connection and the route of its output, unless PREROUTING gives it another
   * destination (skb_dst_drop in nf_nat_ipv4_pre_routing, nf_nat_ipv6_in; linux net/netfilter/nf_nat_proto.c, v6.12). Whatever
   * kind of route leads over lo, it delivers (RTCF_LOCAL in __mkroute_output, net/ipv4/route.c).
   */
  private loopback(flow: Flow): Flow {
    const { dst } = flow;
    flow.iif = 'lo';
    flow.oif = null;
    flow.local = false;
    const verdict = this.hooks(flow).PREROUTING.run(flow, this.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (flow.dst !== dst) {
      const anew = this.routeInput(flow);
      // what leaves in the end was made here all the same
      return anew.verdict === 'forwarded' ? anew.end('sent') : anew;
    }
    return this.deliver(flow);
  }

  /** The first route of a local packet, with the choice of its source. Null: it goes on. */
  private routeOutput(flow: Flow): Flow | null {
    const opens = isOpening(flow);
    if (opens && (isMulticast(flow.family, flow.dst) || flow.dst === 0xffffffff)) return this.refusesMany(flow);
    // tcp_v6_connect: EINVAL, unless the socket is bound to a device
    if (flow.family === 6 && isLinkLocal6(flow.dst) && opens) {
      flow.note('route', 'a connection to a link-local address needs a device', null);
      return flow.end('dropped');
    }
    const routing = this.runtime.routing(flow.family);
    const zero = flow.family === 4 ? 0 : 0n;
    if (!flow.packet.sourceBound) {
      const first = routing.lookup(this.keyOf(flow, zero, 'lo', null, flow.uid), flow.choices);
      const chosen = this.sourceFor(flow, first);
      if (chosen !== null) flow.src = chosen;
      if (flow.family === 4 && chosen !== null) return this.routeChosen(flow, first, chosen);
      // ip6_dst_lookup_tail: the route that was found without a source stands, unless it is an error
      if (flow.family === 6 && !isRouteError(first)) return this.takeOutput(flow, first) ? null : flow.end('dropped');
    }
    const result =
      this.routeToMany(flow) ?? routing.lookup(this.keyOf(flow, flow.src, 'lo', null, flow.uid), flow.choices);
    return this.leave(flow, result);
  }

  /** tcp_v4_connect, tcp_v6_connect: ENETUNREACH. */
  private refusesMany(flow: Flow): Flow {
    flow.note('route', 'no connection is made to a group or a broadcast address', null);
    return flow.end('rejected');
  }

  /** ip_route_output_key_hash_rcu: to a group, or to all, a packet leaves through the device of its source, without a look-up. */
  private routeToMany({ family, src, dst }: Flow): RouteResult | null {
    if (family === 6 || src === 0 || !(isMulticast(4, dst) || dst === 0xffffffff)) return null;
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
    const second = this.runtime.routing(4).lookup(this.keyOf(flow, chosen, 'lo', null, flow.uid), flow.choices);
    const own = this.ownSource(chosen, flow.choices);
    const same = second.route === first.route && second.rule === first.rule && second.nexthop === first.nexthop;
    if ((own && same) || !connects(flow)) return this.leave(flow, first);
    if (own) return this.leave(flow, second);
    flow.route = first;
    this.noteRoute(flow, first);
    flow.note('route', `the source would be ${textOf(chosen)}, which is no address of this machine`, first.evidence);
    return flow.end('rejected');
  }

  /** __ip_dev_find (linux net/ipv4/devinet.c, v6.12): an address of a device, or one that the local table makes local. */
  private ownSource(addr: Addr, choices: Choices): boolean {
    return this.runtime.devices.isOwn(4, addr) || this.runtime.routing(4).addressType(addr, null, choices) === 'local';
  }

  private sourceFor(flow: Flow, { kind, route, nexthop }: RouteResult): Addr | null {
    if (flow.family === 6) {
      // ip6_route_get_saddr: by RFC 6724 even where the route is local or an error
      return route?.prefsrc?.value ?? selectAddress6(this.runtime.devices, nexthop?.device ?? 'lo', flow.dst);
    }
    if (kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole') return null;
    if (route?.prefsrc != null) return route.prefsrc.value;
    if (kind === 'local') return flow.dst;
    const device = nexthop?.device ?? null;
    if (device === null) return null;
    const { devices } = this.runtime;
    const gateway = nexthop?.gateway == null ? null : parseAddr(nexthop.gateway);
    const towards = typeof gateway === 'number' ? gateway : 0;
    const chosen = selectAddress4(devices, device, towards, scopeNumber(route?.scope ?? 'global'));
    return chosen === 0 ? null : chosen;
  }

  /** Writes the device of an output route into the flow; false where the route is an error. */
  private takeOutput(flow: Flow, result: RouteResult): boolean {
    flow.route = result;
    if (result.kind === 'unreachable' || result.kind === 'prohibit' || result.kind === 'blackhole') {
      this.noteRoute(flow, result);
      return false;
    }
    // ip6_rt_get_dev_rcu: an anycast route that somebody added leads out of its device, only the kernel's own to lo
    const looped = result.kind === 'local' || (result.kind === 'anycast' && result.route?.protocol === 'kernel');
    const device = looped ? 'lo' : (result.nexthop?.device ?? null);
    flow.routed = device;
    // __mkroute_output: 127/8 does not leave through a wire
    if (flow.family === 4 && device !== 'lo' && isLoopback(4, flow.src) && !routesLocalnet(this.runtime, device)) {
      flow.note('route', `a source in 127.0.0.0/8 cannot leave through ${device ?? '?'} (route_localnet is 0)`, null);
      flow.route = { ...result, kind: 'blackhole' };
      return false;
    }
    this.noteRoute(flow, result);
    return true;
  }

  /**
   * ip_route_me_harder after a change in OUTPUT: the mark counts, the source stays. A source that is not of this machine
   * and not plain unicast is left out of the look-up; the uid is root's, for the key is made anew.
   */
  private readonly reroute = (flow: Flow): boolean => {
    const uid = flow.family === 4 ? 0 : flow.local ? flow.uid : 0;
    const result = this.runtime.routing(flow.family).lookup(this.keyOf(flow, flow.src, 'lo', null, uid), flow.choices);
    const fine = this.takeOutput(flow, result);
    if (!fine) flow.unroutable = true;
    return fine;
  };

  /** The key of a look-up by the packet's own fields; `src` and `uid` are not always its own. Written anew for the next one. */
  private keyOf(flow: Flow, src: Addr, iif: string, oif: string | null, uid: number | null): RouteKey {
    const { key } = this;
    key.dst = flow.dst;
    key.src = src;
    key.iif = iif;
    key.oif = oif;
    key.mark = flow.mark;
    key.uid = uid;
    key.protocol = flow.protocol;
    key.sport = flow.sport;
    key.dport = flow.dport;
    return key;
  }

  private noteRoute(flow: Flow, { summary, evidence }: RouteResult): void {
    flow.note('route', summary, evidence);
  }
}

/** Whether rules gave a packet of an established connection, or the connection, another mark. */
function isMarked({ ct, ctState, mark, packet, listed }: Flow): boolean {
  if (ctState !== 'ESTABLISHED' || ct === null) return false;
  const before = listed?.mark ?? packet.conntrack?.mark ?? packet.assumed?.connmark ?? 0;
  return mark !== packet.mark >>> 0 || ct.mark !== before;
}

/** An ICMP redirect, as far as rules look at it. */
class RedirectFlow extends Flow {
  override get icmpType(): number {
    return 5;
  }
}

/** A process calls connect() for TCP. */
function isOpening({ protocol, flags, packet }: Flow): boolean {
  return protocol === TCP && (flags & (SYN | ACK)) === SYN && packet.connectedSocket === null;
}

/** IPV6_ADDR_MC_SCOPE of 0 and 1: ff00::/16, ff01::/16, whatever the flags. */
function isInterfaceLocal(dst: Addr): boolean {
  return isMulticast(6, dst) && ((BigInt(dst) >> 112n) & 0xfn) <= 1n;
}

const ACCEPTED = (): boolean => true;

/** Whether the sender calls connect(): of UDP either, and no file says which. */
function connects({ protocol, choices }: Flow): boolean {
  if (protocol === ICMP) return false;
  if (protocol !== UDP) return true;
  return choices.either('connects', 'the sender connects its UDP socket before it sends', {
    fact: 'whether the sending UDP socket is connected',
    reason: 'the source that connect() chooses leads another way',
  });
}

const nobodyWords: Words = ({ dst, dport }) => `nobody listens on ${textOf(dst)}:${dport}`;

function protocolOf({ protocol }: Packet, family: Family): number {
  switch (protocol) {
    case 'tcp':
      return TCP;
    case 'udp':
      return UDP;
    case 'sctp':
      return SCTP;
    case 'icmp':
      return family === 4 ? ICMP : ICMPV6;
  }
}

const UPPER_KINDS: ReadonlySet<string> = new Set(['bridge', 'bond', 'team', 'openvswitch']);

/** What a local sender gets for a route that is an error. */
const OUTPUT_ERRORS: Readonly<Partial<Record<RouteResult['kind'], NetnsVerdict>>> = {
  unreachable: 'rejected',
  prohibit: 'rejected',
  blackhole: 'dropped',
};
