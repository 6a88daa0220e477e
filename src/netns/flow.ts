import type { Evidence } from '../formats/evidence.js';
import type { Addr, Family } from './address.js';
import type { Choices } from './choices.js';
import type { NetnsStep, Packet, TcpFlag } from './face.js';
import type { RouteResult } from './routing.js';
import type { LocalSocket } from './socket-table.js';

/** IP protocol numbers. */
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;
export const SCTP = 132;

/** What a chain, or a rule, says. Numbers: they are compared for every rule. */
export const CONTINUE = 0;
export const ACCEPT = 1;
export const DROP = 2;
export const REJECT = 3;
export const RETURN = 4;
/** What makes a first packet invalid whatever else it says. */
export const RST_FLAGS: readonly TcpFlag[] = ['RST', 'FIN'];
export type Verdict = typeof CONTINUE | typeof ACCEPT | typeof DROP | typeof REJECT | typeof RETURN;

export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';

export interface CtTuple {
  src: Addr;
  sport: number;
  dst: Addr;
  dport: number;
}

/** The connection as conntrack sees it, while one packet passes (struct nf_conn). */
export interface Connection {
  readonly original: CtTuple;
  reply: CtTuple;
  mark: number;
  readonly zone: number;
  readonly seenReply: boolean;
  /** IPS_SRC_NAT, IPS_DST_NAT: a translation was really made. */
  srcNat: boolean;
  dstNat: boolean;
  /** IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE: the nat chains are not asked again. */
  srcDone: boolean;
  dstDone: boolean;
  /** The source port is the kernel's choice (--random, --random-fully). */
  randomPort: boolean;
  /** What `CT --zone` leaves for conntrack to find: rules of raw see it as a new connection without addresses. */
  readonly template: boolean;
}

type ConnState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

/** One packet on its way through one namespace; changed in place by targets, NAT and routing. */
export class Flow {
  hook: HookName = 'PREROUTING';
  iif: string | null = null;
  /** What -o and oifname see: in OUTPUT the device of the first look-up, whatever is routed anew in between. */
  oif: string | null = null;
  /** Where the last output route leads; becomes `oif` when the OUTPUT hook is over. */
  routed: string | null = null;
  /** Made by a local process: there is a sending socket until the packet leaves through a device. */
  local: boolean;
  src: Addr;
  dst: Addr;
  sport: number;
  dport: number;
  mark: number;
  uid: number | null;
  gid: number | null;
  ct: Connection | null = null;
  ctState: ConnState = 'INVALID';
  ctReply = false;
  /** Set by the raw table, before conntrack looks. */
  notrack = false;
  templated = false;
  zone = 0;
  zoneReply = 0;
  /** What the packet's conntrack entry says, in the engine's form. */
  entry: Connection | null = null;
  /** Assigned by TPROXY. */
  tproxy: LocalSocket | null = null;
  route: RouteResult | null = null;
  /** Of ICMP and ICMPv6: questions are echo requests. */
  readonly icmpType: number;
  readonly icmpCode = 0;
  /** REJECT answers with a RST instead of an ICMP error. */
  rejectsByReset = false;
  /** A new look-up in OUTPUT found no way. */
  unroutable = false;
  readonly steps: TraceStep[] = [];
  decidedBy: Evidence | null = null;
  /** The rule that gave the packet its destination or socket. */
  directedBy: Evidence | null = null;
  readonly family: Family;
  readonly protocol: number;
  readonly packet: Packet;
  readonly flags: readonly TcpFlag[];
  readonly choices: Choices;

  constructor(family: Family, protocol: number, packet: Packet, src: Addr, dst: Addr, choices: Choices) {
    this.family = family;
    this.protocol = protocol;
    this.packet = packet;
    this.flags = packet.tcpFlags;
    this.choices = choices;
    this.icmpType = family === 4 ? 8 : 128;
    this.local = packet.direction === 'out';
    this.src = src;
    this.dst = dst;
    this.sport = packet.src.port;
    this.dport = packet.dst.port;
    this.mark = packet.mark >>> 0;
    this.uid = packet.uid;
    this.gid = packet.gid;
  }

  /** A rule had an effect. Rendered only if somebody reads the steps. */
  note(
    kind: NetnsStep['kind'],
    summary: string | (() => string),
    evidence: Evidence | readonly Evidence[] | null,
  ): void {
    const list: readonly Evidence[] = evidence === null ? NOTHING : 'file' in evidence ? [evidence] : evidence;
    this.decidedBy = list[list.length - 1] ?? this.decidedBy;
    this.steps.push({
      kind,
      summary,
      evidence: list,
      src: this.src,
      sport: this.sport,
      dst: this.dst,
      dport: this.dport,
      mark: this.mark,
      dev: this.routed ?? this.oif ?? this.iif,
    });
  }
}

const NOTHING: readonly Evidence[] = [];

export interface TraceStep {
  readonly kind: NetnsStep['kind'];
  readonly summary: string | (() => string);
  readonly evidence: readonly Evidence[];
  readonly src: Addr;
  readonly sport: number;
  readonly dst: Addr;
  readonly dport: number;
  readonly mark: number;
  readonly dev: string | null;
}

/** "iptables nat OUTPUT", for summaries. */
export type Predicate = (flow: Flow) => boolean;
export type Action = (flow: Flow) => Verdict;
