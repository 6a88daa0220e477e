import type { Unknown } from '../formats/evidence.js';
import { isLinkLocal6, isLoopback, isMulticast, parseAddr, textOf, type Addr, type Family } from './address.js';
import { Choices, FactMissing } from './choices.js';
import type { NetnsVerdict, Packet } from './face.js';
import {
  ACCEPT,
  Flow,
  ICMP,
  ICMPV6,
  REJECT,
  SCTP,
  TCP,
  UDP,
  type Connection,
  type HookName,
  type Verdict,
} from './flow.js';
import { runHook, type HookTable } from './hooks.js';
import type { RouteKey, RouteResult } from './routing.js';
import type { Runtime } from './runtime.js';
import type { LocalSocket } from './socket-table.js';
import { selectAddress4, selectAddress6, scopeNumber } from './source-address.js';
import { martian, rejectsSource } from './validate-source.js';

/** How one way of a packet through the namespace ended. */
export interface End {
  readonly verdict: NetnsVerdict;
  readonly flow: Flow;
  readonly socket: LocalSocket | null;
  readonly unknown: Unknown | null;
}

const end = (flow: Flow, verdict: NetnsVerdict, socket: LocalSocket | null = null): End => ({
  verdict,
  flow,
  socket,
  unknown: null,
});

const unknownEnd = (flow: Flow, unknown: Unknown): End => ({ verdict: 'unknown', flow, socket: null, unknown });

const PROTOCOL_NUMBERS = { tcp: TCP, udp: UDP, sctp: SCTP } as const;

/** The way of packets through the hooks (linux net/ipv4/ip_input.c, ip_output.c, ip_forward.c and their ipv6 kin, v6.12). */
export class Pipeline {
  private readonly runtime: Runtime;
  private readonly tables: Readonly<Record<Family, () => HookTable>>;

  constructor(runtime: Runtime, tables: Readonly<Record<Family, () => HookTable>>) {
    this.runtime = runtime;
    this.tables = tables;
  }

  /** One way, as `choices` answers. Never throws on odd input: what cannot be read ends as unknown. */
  run(packet: Packet, choices: Choices): End {
    const src = parseAddr(packet.src.ip);
    const dst = parseAddr(packet.dst.ip);
    const family = dst?.family ?? 4;
    const protocol = packet.protocol === 'icmp' ? (family === 4 ? ICMP : ICMPV6) : PROTOCOL_NUMBERS[packet.protocol];
    const flow = new Flow(family, protocol, packet, src?.addr ?? 0, dst?.addr ?? 0, choices);
    if (src === null || dst === null || src.family !== dst.family) {
      const fact = `addresses of the packet (${packet.src.ip} to ${packet.dst.ip})`;
      return unknownEnd(flow, { fact, reason: 'not two addresses of one family' });
    }
    flow.entry = entryOf(packet, family);
    try {
      return packet.direction === 'in' ? this.input(flow) : this.output(flow);
    } catch (error) {
      if (error instanceof FactMissing) return unknownEnd(flow, error.unknown);
      throw error;
    }
  }

  private hook(name: HookName, flow: Flow): Verdict {
    return runHook(this.tables[flow.family](), name, flow, (changed) => this.reroute(changed));
  }

  private verdictEnd(flow: Flow, verdict: Verdict): End {
    return end(flow, verdict === REJECT && this.answers(flow, flow.rejectsByReset) ? 'rejected' : 'dropped');
  }

  /**
   * Whether the kernel can answer at all: the ICMP error or RST needs a route back and an address of its own
   * (__icmp_send in net/ipv4/icmp.c, nf_send_reset in net/ipv4/netfilter/nf_reject_ipv4.c, v6.12). Where it cannot, the
   * packet disappears in silence. Rules that would swallow the answer are not asked: the packet was rejected all the same.
   */
  private answers(flow: Flow, reset: boolean): boolean {
    const { family, src, dst } = flow;
    if (reset && flow.flags.includes('RST')) return false;
    if (isMulticast(family, src) || src === 0 || src === 0n) return false;
    const routing = this.runtime.routing(family);
    const zero = family === 4 ? 0 : 0n;
    const own = routing.addressType(dst, null) === 'local';
    // a destination that only a local route makes ours is no address to answer from (ip_route_output: __ip_dev_find)
    if (!reset && family === 4 && !own && flow.route?.kind === 'local') return false;
    const back = (from: Addr): RouteResult =>
      routing.lookup(
        {
          dst: src,
          src: from,
          iif: 'lo',
          oif: family === 6 && isLinkLocal6(src) ? flow.iif : null,
          mark: this.reflectedMark(flow),
          uid: 0,
          protocol: reset ? TCP : family === 4 ? ICMP : ICMPV6,
          sport: reset ? flow.dport : 0,
          dport: reset ? flow.sport : 0,
        },
        flow.choices,
      );
    let result = back(reset || own ? dst : zero);
    // ip6_dst_lookup_tail: an error without a source is asked again with the source that would be chosen
    if (family === 6 && !reset && !own && isRouteError(result)) {
      result = back(selectAddress6(this.runtime.devices, 'lo', src));
    }
    const device = result.nexthop?.device ?? null;
    const stuck =
      family === 4 && own && isLoopback(4, dst) && result.kind !== 'local' && device !== 'lo' && !this.localnet(device);
    if (stuck) {
      flow.note('route', `no error can be sent from 127.0.0.0/8 through ${device ?? '?'}`, result.evidence);
      return false;
    }
    if (!isRouteError(result)) return true;
    flow.note('route', `no error can be sent back: ${result.summary}`, result.evidence);
    return false;
  }

  private reflectedMark({ family, mark }: Flow): number {
    const sysctls = this.runtime.facts.sysctls();
    const key = family === 4 ? 'net.ipv4.fwmark_reflect' : 'net.ipv6.fwmark_reflect';
    const value = sysctls.kind === 'known' ? sysctls.value.values.get(key)?.value : undefined;
    return value === undefined || value === '0' ? 0 : mark;
  }

  private input(flow: Flow): End {
    const { iif } = flow.packet;
    if (iif === null) throw new FactMissing({ fact: 'the device on which the packet arrives', reason: 'not given' });
    flow.iif = this.upperDevice(iif);
    this.programs(flow, iif, 'ingress');
    const loopback = isLoopback(flow.family, flow.src) || isLoopback(flow.family, flow.dst);
    // ip6_rcv_core: ::1 never comes from outside
    if (flow.family === 6 && loopback && flow.iif !== 'lo') {
      flow.note('route', 'the loopback address ::1 from outside: dropped', null);
      return end(flow, 'dropped');
    }
    const verdict = this.hook('PREROUTING', flow);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return this.routeInput(flow);
  }

  /** eBPF programs of traffic control and nft's netdev chains may drop, change or redirect: both ways are told. */
  private programs(flow: Flow, device: string | null, direction: 'ingress' | 'egress'): void {
    const { facts } = this.runtime;
    const chain = facts.netdevChains().find((one) => one.device === device && one.direction === direction);
    const control = facts.trafficControl();
    const program =
      control.kind === 'known' && device !== null && control.value.hooked.has(device)
        ? control.value.programs[0]
        : null;
    const evidence = chain?.evidence ?? program ?? null;
    if (evidence === null) return;
    const what = chain === undefined ? 'eBPF program' : 'netdev chain';
    const unknown = { fact: `${what} at ${direction} of ${device ?? '?'}: ${evidence.text}`, reason: 'not followed' };
    const condition = `the ${what} at ${direction} of ${device ?? '?'} lets the packet pass unchanged`;
    if (!flow.choices.either(`${what} ${device ?? ''} ${direction}`, condition, unknown)) {
      flow.note('netfilter', `${what} at ${direction} of ${device ?? '?'}`, evidence);
      throw new FactMissing(unknown);
    }
  }

  /** A port of a bridge, bond or team hands its packets to the master before IP sees them. */
  private upperDevice(name: string): string {
    if (this.runtime.facts.addresses().kind === 'unknown') return name;
    const device = this.runtime.devices.get(name);
    const master = device?.master == null ? null : this.runtime.devices.get(device.master);
    return master !== null && UPPER_KINDS.has(master.kind ?? '') ? master.name : name;
  }

  private routeInput(flow: Flow): End {
    if (flow.family === 4) {
      const odd = martian(flow, this.runtime);
      if (odd !== null) return this.martianEnd(flow, odd);
    }
    // rt6_need_strict: such a destination is looked up on the incoming device only
    const strict = flow.family === 6 && (isLinkLocal6(flow.dst) || isMulticast(6, flow.dst) || flow.dst === 1n);
    const found = this.runtime
      .routing(flow.family)
      .lookup(this.keyOf(flow, flow.iif ?? 'lo', strict ? flow.iif : null), flow.choices);
    // ip_route_input_slow: the limited broadcast needs no route
    const limited = flow.family === 4 && (flow.dst === 0xffffffff || (flow.dst === 0 && flow.src === 0));
    const result: RouteResult = limited
      ? { kind: 'broadcast', route: null, rule: null, nexthop: null, summary: 'limited broadcast', evidence: [] }
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
        return end(flow, 'dropped');
      case 'unreachable':
      case 'prohibit':
        this.noteRoute(flow, result);
        // ip_error: a host that does not forward stays silent; IPv6 always answers
        return end(
          flow,
          (flow.family === 6 || this.forwards(flow)) && this.answers(flow, false) ? 'rejected' : 'dropped',
        );
    }
  }

  private martianEnd(flow: Flow, why: string): End {
    flow.note('route', `${why}: dropped as martian`, null);
    return end(flow, 'dropped');
  }

  private localInput(flow: Flow, result: RouteResult): End {
    if (flow.family === 4) {
      const bad = rejectsSource(flow, this.runtime, null);
      if (bad !== null) return this.martianEnd(flow, bad);
    }
    flow.oif = null;
    this.noteRoute(flow, result);
    return this.deliver(flow);
  }

  private deliver(flow: Flow): End {
    const verdict = this.hook('INPUT', flow);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    return this.socketEnd(flow);
  }

  private socketEnd(flow: Flow): End {
    if (flow.tproxy !== null) return this.delivered(flow, flow.tproxy);
    const { connectedSocket } = flow.packet;
    if (connectedSocket !== null) {
      const { name, transparent } = connectedSocket;
      return this.delivered(flow, { name, transparent, process: null, evidence: null, wildcard: false });
    }
    if (flow.protocol === ICMP || flow.protocol === ICMPV6) return end(flow, 'delivered');
    // a reply belongs to the socket that asked: it is not among the listeners
    if (flow.protocol === TCP && flow.ctReply) return end(flow, 'delivered');
    const broadcast = flow.route?.kind === 'broadcast' || flow.route?.kind === 'multicast';
    // tcp_v4_conn_request: nobody connects to a broadcast or a group, and no RST answers
    if (broadcast && flow.protocol === TCP) return end(flow, 'dropped');
    const sockets = this.runtime.facts.sockets();
    if (sockets.kind === 'unknown') return { ...end(flow, 'delivered'), unknown: sockets.unknown };
    if (flow.protocol === SCTP) {
      return unknownEnd(flow, { fact: 'SCTP sockets', reason: 'ss -lt and ss -lu do not show them' });
    }
    const socket = this.runtime.sockets.lookup(flow.family, flow.protocol, flow.dst, flow.dport, flow.iif);
    if (socket !== null) return this.delivered(flow, socket);
    if (broadcast) return end(flow, 'dropped');
    flow.note('deliver', () => `nobody listens on ${textOf(flow.family, flow.dst)}:${flow.dport}`, null);
    return end(flow, 'refused');
  }

  private delivered(flow: Flow, socket: LocalSocket): End {
    const who = socket.process === null ? '' : ` of ${socket.process}`;
    flow.note('deliver', () => `to socket ${socket.name}${who}`, socket.evidence);
    return end(flow, 'delivered', socket);
  }

  private forwards(flow: Flow): boolean {
    const { devices } = this.runtime;
    const device = flow.iif ?? 'lo';
    if (flow.family === 4) return devices.forwards4(device);
    return devices.sysctl('net.ipv6.conf.all.forwarding') !== 0 || devices.forces6(device);
  }

  private forward(flow: Flow, result: RouteResult): End {
    const device = result.nexthop?.device ?? null;
    if (!this.forwards(flow)) {
      flow.note('route', 'not an address of this machine, and forwarding is off: dropped', null);
      return end(flow, 'dropped');
    }
    if (flow.family === 4) {
      const bad = rejectsSource(flow, this.runtime, device);
      if (bad !== null) return this.martianEnd(flow, bad);
    }
    flow.oif = device;
    this.noteRoute(flow, result);
    if (flow.tproxy !== null) {
      flow.note('route', 'a packet that belongs to a socket is not forwarded: dropped', null);
      return end(flow, 'dropped');
    }
    if (flow.family === 6) {
      if (isMulticast(6, flow.src) || flow.src === 0n) return end(flow, 'dropped');
      if (isLinkLocal6(flow.src)) {
        flow.note('route', 'a link-local source is not forwarded', null);
        return end(flow, this.answers(flow, false) ? 'rejected' : 'dropped');
      }
    }
    const forwarded = this.hook('FORWARD', flow);
    if (forwarded !== ACCEPT) return this.verdictEnd(flow, forwarded);
    const verdict = this.hook('POSTROUTING', flow);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    this.programs(flow, device, 'egress');
    return end(flow, 'forwarded');
  }

  private output(flow: Flow): End {
    const result = this.routeOutput(flow);
    if (result !== null) return result;
    flow.oif = flow.routed;
    const verdict = this.hook('OUTPUT', flow);
    flow.oif = flow.routed;
    flow.routed = null;
    if (verdict !== ACCEPT) {
      return flow.unroutable ? end(flow, 'dropped') : this.verdictEnd(flow, verdict);
    }
    const after = this.hook('POSTROUTING', flow);
    if (after !== ACCEPT) return this.verdictEnd(flow, after);
    if (flow.oif !== 'lo') {
      this.programs(flow, flow.oif, 'egress');
      return end(flow, 'sent');
    }
    return this.loopback(flow);
  }

  /** Out of lo and in again: the packet keeps its connection and the route of its output. */
  private loopback(flow: Flow): End {
    const kind = flow.route?.kind;
    flow.iif = 'lo';
    flow.oif = null;
    flow.local = false;
    const verdict = this.hook('PREROUTING', flow);
    if (verdict !== ACCEPT) return this.verdictEnd(flow, verdict);
    if (kind !== 'local' && kind !== 'anycast' && kind !== 'broadcast' && kind !== 'multicast') {
      flow.note('route', 'sent over lo, but not to an address of this machine: dropped', null);
      return end(flow, 'dropped');
    }
    return this.deliver(flow);
  }

  /** The first route of a local packet, with the choice of its source. Null: it goes on. */
  private routeOutput(flow: Flow): End | null {
    // tcp_v6_connect: EINVAL, unless the socket is bound to a device
    const opens = flow.protocol === TCP && flow.flags.includes('SYN') && !flow.flags.includes('ACK');
    if (flow.family === 6 && isLinkLocal6(flow.dst) && opens && flow.packet.connectedSocket === null) {
      flow.note('route', 'a connection to a link-local address needs a device', null);
      return end(flow, 'dropped');
    }
    const routing = this.runtime.routing(flow.family);
    const zero = flow.family === 4 ? 0 : 0n;
    if (!flow.packet.sourceBound) {
      const first = routing.lookup({ ...this.keyOf(flow, 'lo', null), src: zero }, flow.choices);
      const chosen = this.sourceFor(flow, first);
      if (chosen !== null) flow.src = chosen;
    }
    const result = routing.lookup(this.keyOf(flow, 'lo', null), flow.choices);
    return this.takeOutput(flow, result) ? null : end(flow, OUTPUT_ERRORS[result.kind] ?? 'dropped');
  }

  private sourceFor(flow: Flow, { kind, route, nexthop }: RouteResult): Addr | null {
    if (kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole') return null;
    if (route?.prefsrc != null) return route.prefsrc.value;
    if (kind === 'local') return flow.dst;
    const device = nexthop?.device ?? null;
    if (device === null) return null;
    const { devices } = this.runtime;
    if (flow.family === 6) return selectAddress6(devices, device, flow.dst);
    const gateway = nexthop?.gateway == null ? null : parseAddr(nexthop.gateway);
    const towards = gateway?.family === 4 ? gateway.addr : 0;
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
    const device = result.kind === 'local' || result.kind === 'anycast' ? 'lo' : (result.nexthop?.device ?? null);
    flow.routed = device;
    // __mkroute_output: 127/8 does not leave through a wire
    if (flow.family === 4 && device !== 'lo' && isLoopback(4, flow.src) && !this.localnet(device)) {
      flow.note('route', `a source in 127.0.0.0/8 cannot leave through ${device ?? '?'} (route_localnet is 0)`, null);
      flow.route = { ...result, kind: 'blackhole' };
      return false;
    }
    this.noteRoute(flow, result);
    return true;
  }

  private localnet(device: string | null): boolean {
    const { devices } = this.runtime;
    return (
      devices.sysctl('net.ipv4.conf.all.route_localnet') !== 0 ||
      (device !== null && devices.deviceSysctl('net.ipv4.conf.*.route_localnet', device) !== 0)
    );
  }

  /**
   * ip_route_me_harder after a change in OUTPUT: the mark counts, the source stays. A source that is not of this machine
   * and not plain unicast is left out of the look-up; the uid is root's, for the key is made anew.
   */
  private reroute(flow: Flow): boolean {
    const key = this.keyOf(flow, 'lo', null);
    const uid = flow.family === 4 ? 0 : flow.uid;
    const result = this.runtime.routing(flow.family).lookup({ ...key, uid }, flow.choices);
    const fine = this.takeOutput(flow, result);
    if (!fine) flow.unroutable = true;
    return fine;
  }

  private keyOf(flow: Flow, iif: string, oif: string | null): RouteKey {
    const { dst, src, mark, uid, protocol, sport, dport } = flow;
    const owner = iif === 'lo' && flow.local ? uid : 0;
    return { dst, src, iif, oif, mark, uid: owner, protocol, sport, dport };
  }

  private noteRoute(flow: Flow, { summary, evidence }: RouteResult): void {
    flow.note('route', summary, evidence);
  }
}

function isRouteError({ kind }: RouteResult): boolean {
  return kind === 'unreachable' || kind === 'prohibit' || kind === 'blackhole';
}

const UPPER_KINDS: ReadonlySet<string> = new Set(['bridge', 'bond', 'team', 'openvswitch']);

/** What a local sender gets for a route that is an error. */
const OUTPUT_ERRORS: Readonly<Partial<Record<RouteResult['kind'], NetnsVerdict>>> = {
  unreachable: 'rejected',
  prohibit: 'rejected',
  blackhole: 'dropped',
};

function entryOf({ conntrack }: Packet, family: Family): Connection | null {
  if (conntrack === null) return null;
  const tuple = ({ src, dst }: typeof conntrack.original): Connection['original'] | null => {
    const from = parseAddr(src.ip);
    const to = parseAddr(dst.ip);
    if (from?.family !== family || to?.family !== family) return null;
    return { src: from.addr, sport: src.port, dst: to.addr, dport: dst.port };
  };
  const original = tuple(conntrack.original);
  const reply = tuple(conntrack.reply);
  if (original === null || reply === null) return null;
  return {
    original,
    reply,
    mark: conntrack.mark,
    zone: conntrack.zone,
    seenReply: conntrack.seenReply,
    srcNat: original.src !== reply.dst || original.sport !== reply.dport,
    dstNat: original.dst !== reply.src || original.dport !== reply.sport,
    srcDone: true,
    dstDone: true,
    randomPort: false,
    template: false,
  };
}
