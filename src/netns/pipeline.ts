import { isLinkLocal6, isLoopback, isMulticast, type Addr, type Family } from './address.js';
import { errorReaches, resetReaches } from './answer.js';
import { Choices, FactMissing } from './choices.js';
import { handedBack } from './connections.js';
import { giveToSocket } from './delivery.js';
import { DevicePrograms } from './device-programs.js';
import type { NetnsStep, Packet } from './face.js';
import type { KnownConnection } from './connection.js';
import { ACCEPT, REJECT, type Flow, type Verdict } from './flow.js';
import { FlowReader } from './flow-reader.js';
import { isMarked, mayBypassRules } from './flowtable.js';
import { attachError, quotedTuple } from './icmp-error.js';
import { isForGroup } from './groups.js';
import type { HookTable } from './hooks.js';
import { OutputRoutes } from './output-routes.js';
import { sendRedirect } from './icmp-redirect.js';
import { leadsToMany, type RouteResult } from './route-result.js';
import type { Runtime } from './runtime.js';
import { UpperDevices } from './upper-devices.js';
import { martian, rejectsSource } from './validate-source.js';

const NONE: readonly KnownConnection[] = [];
type Hooks = HookTable['hooks'];

/** The way of packets through the hooks (linux net/ipv4/ip_input.c, ip_output.c, ip_forward.c and their ipv6 kin, v6.12). */
export class Pipeline {
  private readonly runtime: Runtime;
  private readonly loadTable: (family: Family) => HookTable;
  private table4: HookTable | null = null;
  private table6: HookTable | null = null;
  private readonly reader = new FlowReader();
  private readonly uppers: UpperDevices;
  private readonly ingress: DevicePrograms;
  private readonly egress: DevicePrograms;
  private readonly outputs: OutputRoutes;

  constructor(runtime: Runtime, loadTable: (family: Family) => HookTable) {
    this.runtime = runtime;
    this.loadTable = loadTable;
    this.outputs = new OutputRoutes(runtime);
    this.uppers = new UpperDevices(runtime);
    this.ingress = new DevicePrograms(runtime, 'ingress');
    this.egress = new DevicePrograms(runtime, 'egress');
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
    const flow = this.reader.read(packet, choices, steps);
    if (flow.unknown !== null) return flow;
    flow.known = packet.conntrack === null ? this.listed(flow) : handedBack(packet, flow.family);
    if (packet.icmp != null && flow.local) attachError(flow, packet.icmp);
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
    const { assumed, icmp } = flow.packet;
    const quotes = icmp?.quotes ?? null;
    if (quotes !== null) return this.runtime.connections()?.withTuple(...quotedTuple(quotes)) ?? NONE;
    const state = assumed?.ctstate;
    if (state !== 'NEW' && state !== 'ESTABLISHED') return NONE;
    const table = this.runtime.connections();
    if (state === 'NEW') flow.others = table;
    const found = table?.find(flow) ?? NONE;
    return state === 'NEW' ? found.filter(({ entry }) => !entry.seenReply) : found;
  }

  /** Reads the rules when a packet first needs them; ends the flow where they cannot be read. */
  private hooks(flow: Flow): Hooks {
    const table = flow.family === 4 ? (this.table4 ??= this.loadTable(4)) : (this.table6 ??= this.loadTable(6));
    if (table.unknown !== null) throw new FactMissing(table.unknown);
    return table.hooks;
  }

  private verdictEnd(flow: Flow, verdict: Verdict): Flow {
    mayBypassRules(flow, this.runtime);
    if (verdict !== REJECT) return flow.end('dropped');
    const told = flow.rejectsByReset ? resetReaches(flow, this.runtime) : errorReaches(flow, this.runtime);
    return flow.end(told ? 'rejected' : 'dropped');
  }

  private input(flow: Flow): Flow {
    const { iif } = flow.packet;
    if (iif === null) throw new FactMissing({ fact: 'the device on which the packet arrives', reason: 'not given' });
    flow.iif = this.uppers.of(iif);
    this.ingress.pass(flow, iif);
    if (this.isOff(flow, flow.iif)) return flow.end('dropped');
    const loopback = isLoopback(flow.src) || isLoopback(flow.dst);
    // ip6_rcv_core: a group is no source, and ::1 never comes from outside
    if (flow.family === 6 && isMulticast(flow.src)) {
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
    const hooks = this.hooks(flow);
    const verdict = hooks.PREROUTING.run(flow, this.outputs.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return this.routeInput(flow, hooks);
  }

  /** ip6_rcv_core, ip6_output: a device with disable_ipv6 takes nothing in and lets nothing out, before rules see it. */
  private isOff(flow: Flow, device: string | null): boolean {
    if (flow.family === 4 || device === null || !this.runtime.devices.isOff6(device, flow.choices)) return false;
    flow.note('route', `IPv6 is off on ${device} (disable_ipv6): dropped`, null);
    return true;
  }

  private routeInput(flow: Flow, hooks: Hooks): Flow {
    if (flow.family === 4) {
      const odd = martian(flow, this.runtime);
      if (odd !== null) return this.martianEnd(flow, odd);
    }
    // rt6_need_strict: such a destination is looked up on the incoming device only
    const strict = flow.family === 6 && (isLinkLocal6(flow.dst) || isMulticast(flow.dst) || flow.dst === 1n);
    const found = this.runtime
      .routing(flow.family)
      .lookupFor(flow, flow.src, flow.iif ?? 'lo', strict ? flow.iif : null, 0);
    // ip_route_input_rcu: a group needs none; ip_route_input_slow: nor does the limited broadcast
    const group = flow.family === 4 && isMulticast(flow.dst);
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
        return this.localInput(flow, hooks, result);
      case 'unicast':
        return this.forward(flow, hooks, result);
      case 'blackhole':
        flow.noteRoute(result);
        return flow.end('dropped');
      case 'unreachable':
      case 'prohibit':
        flow.noteRoute(result);
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

  private localInput(flow: Flow, hooks: Hooks, result: RouteResult): Flow {
    if (!isForGroup(flow, this.runtime.devices)) {
      flow.note('route', 'to a group that this machine is not in: dropped', null);
      return flow.end('dropped');
    }
    // who has no address yet may ask everyone: brd_input, ip_mc_validate_source
    if (flow.family === 4 && (flow.src !== 0 || !leadsToMany(result.kind))) {
      const bad = rejectsSource(flow, this.runtime, null);
      if (bad !== null) return this.martianEnd(flow, bad);
    }
    flow.oif = null;
    flow.noteRoute(result);
    return this.deliver(flow, hooks);
  }

  private deliver(flow: Flow, hooks: Hooks): Flow {
    const verdict = hooks.INPUT.run(flow, this.outputs.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return giveToSocket(flow, this.runtime);
  }

  private forwards(flow: Flow): boolean {
    const { devices } = this.runtime;
    const device = flow.iif ?? 'lo';
    if (flow.family === 4) return devices.forwards4(device);
    return devices.sysctl('net.ipv6.conf.all.forwarding') !== 0 || devices.forces6(device);
  }

  private forward(flow: Flow, hooks: Hooks, result: RouteResult): Flow {
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
    flow.noteRoute(result);
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
      sendRedirect(flow, flow.ct, device, this.runtime, hooks);
    const forwarded = hooks.FORWARD.run(flow, this.outputs.reroute);
    if (forwarded !== ACCEPT) return this.verdictEnd(flow, forwarded);
    if (this.isOff(flow, device)) return flow.end('dropped');
    const verdict = hooks.POSTROUTING.run(flow, this.outputs.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (device === 'lo') {
      flow.note('route', 'forwarded over lo, again and again until its time to live is over: dropped', null);
      return flow.end('dropped');
    }
    if (isMarked(flow)) mayBypassRules(flow, this.runtime);
    this.egress.pass(flow, device);
    return flow.end('forwarded');
  }

  private output(flow: Flow): Flow {
    const result = this.outputs.route(flow);
    if (result !== null) return result;
    flow.oif = flow.routed;
    const hooks = this.hooks(flow);
    const verdict = hooks.OUTPUT.run(flow, this.outputs.reroute);
    flow.oif = flow.routed;
    flow.routed = null;
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (this.isOff(flow, flow.oif)) return flow.end('dropped');
    const after = hooks.POSTROUTING.run(flow, this.outputs.reroute);
    if (after !== ACCEPT) return this.verdictEnd(flow, after);
    if (flow.oif !== 'lo') {
      this.egress.pass(flow, flow.oif);
      return flow.end('sent');
    }
    return this.loopback(flow, hooks);
  }

  /**
   * Out of lo and in again: the packet keeps its connection and the route of its output, unless PREROUTING gives it another
   * destination (skb_dst_drop in nf_nat_ipv4_pre_routing, nf_nat_ipv6_in; linux net/netfilter/nf_nat_proto.c, v6.12). Whatever
   * kind of route leads over lo, it delivers (RTCF_LOCAL in __mkroute_output, net/ipv4/route.c).
   */
  private loopback(flow: Flow, hooks: Hooks): Flow {
    const { dst } = flow;
    flow.iif = 'lo';
    flow.oif = null;
    flow.local = false;
    // it has left POSTROUTING: nf_confirm has run
    if (flow.ct !== null) flow.ct.confirmed = true;
    const verdict = hooks.PREROUTING.run(flow, this.outputs.reroute);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (flow.dst !== dst) {
      const anew = this.routeInput(flow, hooks);
      // what leaves in the end was made here all the same
      return anew.verdict === 'forwarded' ? anew.end('sent') : anew;
    }
    return this.deliver(flow, hooks);
  }
}

/** IPV6_ADDR_MC_SCOPE of 0 and 1: ff00::/16, ff01::/16, whatever the flags. */
function isInterfaceLocal(dst: Addr): boolean {
  return isMulticast(dst) && ((BigInt(dst) >> 112n) & 0xfn) <= 1n;
}
