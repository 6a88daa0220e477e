import type { ConntrackLine } from '../formats/conntrack.js';
import type { Evidence, Unknown } from '../formats/evidence.js';
import type { NftSet } from '../formats/nft-ruleset.js';
import { textOf, type Addr, type Family } from './address.js';
import { FactMissing, type Choices } from './choices.js';
import type { Connection, KnownConnection } from './connection.js';
import type { ConnectionTable } from './connections.js';
import type { Address, NetnsStep, NetnsVerdict, Packet, TcpFlag } from './face.js';
import type { RouteResult } from './route-result.js';
import type { LocalSocket } from './socket-table.js';

/** IP protocol numbers. */
export const ICMP = 1;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;
export const SCTP = 132;

/** The flags of a TCP header, as bits. */
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;
export const FLAG_BITS: ReadonlyMap<string, number> = new Map([
  ['FIN', FIN],
  ['SYN', SYN],
  ['RST', RST],
  ['PSH', PSH],
  ['ACK', ACK],
  ['URG', URG],
]);

function bitsOf(flags: readonly TcpFlag[]): number {
  if (flags.length === 1 && flags[0] === 'SYN') return SYN;
  let bits = 0;
  for (const flag of flags) bits |= flag === 'SYN' ? SYN : (FLAG_BITS.get(flag) ?? 0);
  return bits;
}

/** What a chain, or a rule, says. Numbers: they are compared for every rule. */
export const CONTINUE = 0;
export const ACCEPT = 1;
export const DROP = 2;
export const REJECT = 3;
export const RETURN = 4;
export type Verdict = typeof CONTINUE | typeof ACCEPT | typeof DROP | typeof REJECT | typeof RETURN;
/** Of a statement in an nft rule: the rule ends without a verdict. */
export const BREAK = 5;

export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';

/** Protocols whose ports translations and virtual servers know. */
export function isTranslatedByPort({ protocol }: Flow): boolean {
  return protocol === TCP || protocol === UDP || protocol === SCTP;
}

export function isIcmp({ protocol }: Flow): boolean {
  return protocol === ICMP || protocol === ICMPV6;
}

/** What rules did to a set of nft while the packet passed. */
export interface NftSetChanges {
  /** By the element's key, whether it was added or deleted last. */
  readonly held: Map<string | number | bigint, boolean>;
  /** How many were added, also where they are deleted again. */
  added: number;
  /** A rule that is printed as text alone changed it. */
  untold: boolean;
}

/** What -j SET did to an ipset. */
export interface IpsetChange {
  /** The dimensions and the packet's values for them. */
  readonly key: string;
  readonly added: boolean;
}

/** Chains keep one list of rules for TCP, one for UDP and one for all else: rules of other protocols are left out. */
export type Lane = 0 | 1 | 2;
export const LANES: readonly Lane[] = [0, 1, 2];

export function laneOf(protocol: number): Lane {
  return protocol === TCP ? 0 : protocol === UDP ? 1 : 2;
}

const NONE: readonly KnownConnection[] = [];

type ConnState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

/**
 * One packet on its way through one namespace, and how that ended; changed in place by targets, NAT and routing. The fields
 * are only declared: a million are made in a second, and each is written once, by the constructor.
 */
export class Flow {
  declare hook: HookName;
  declare iif: string | null;
  /** What -o and oifname see: in OUTPUT the device of the first look-up, whatever is routed anew in between. */
  declare oif: string | null;
  /** Where the last output route leads; becomes `oif` when the OUTPUT hook is over. */
  declare routed: string | null;
  /** Made by a local process, until the packet leaves through a device. */
  declare local: boolean;
  declare src: Addr;
  declare dst: Addr;
  declare sport: number;
  declare dport: number;
  declare mark: number;
  /** A rule wrote the TOS, or what stands for it in IPv6, since the chain began (DSCP, `ip dscp set`). */
  declare tosWritten: boolean;
  declare uid: number | null;
  declare gid: number | null;
  declare ct: Connection | null;
  declare ctState: ConnState;
  declare ctReply: boolean;
  /** Set by the raw table, before conntrack looks. */
  declare zone: number;
  declare zoneReply: number;
  /** Connections with the packet's addresses. */
  declare known: readonly KnownConnection[];
  /** All that were there: a new one may not have their addresses. Null: nobody knows. */
  declare others: ConnectionTable | null;
  /** The one of conntrack.txt that the packet belongs to. */
  declare listed: ConntrackLine | null;
  /** What nft rules did to sets while this packet passed, and -j SET to ipsets, by name; null: nothing. */
  declare setChanges: Map<NftSet, NftSetChanges> | null;
  declare ipsetChanges: Map<string, readonly IpsetChange[]> | null;
  /** Assigned by TPROXY. */
  declare tproxy: LocalSocket | null;
  declare route: RouteResult | null;
  /** REJECT answers with a RST instead of an ICMP error. */
  declare rejectsByReset: boolean;
  /** The deciding steps; null: nobody reads them. */
  declare readonly steps: NetnsStep[] | null;
  /** The last evidence of any step or verdict; of a list its last member. */
  declare decidedBy: Cause;
  /** Likewise of the steps that chose a route. */
  declare routedBy: Cause;
  /** The rule that gave the packet its destination or socket. */
  declare directedBy: Evidence | null;
  /** How many jumps deep the running rule stands. */
  declare depth: number;
  declare readonly family: Family;
  declare readonly protocol: number;
  /** Which of a chain's lists of rules it runs through. */
  declare readonly lane: Lane;
  declare readonly packet: Packet;
  /** The packet's addresses where they were given as dotted quads: their text is known. Null: otherwise. */
  declare readonly givenSrc: number | null;
  declare readonly givenDst: number | null;
  /** Of a TCP header; what is given of other protocols says nothing. */
  declare readonly flags: number;
  declare readonly choices: Choices;
  /** How it ended. */
  declare verdict: NetnsVerdict;
  /** Who took it. */
  declare socket: LocalSocket | null;
  /** What its end, or its socket, hangs on. */
  declare unknown: Unknown | null;

  constructor(
    family: Family,
    protocol: number,
    packet: Packet,
    src: Addr,
    dst: Addr,
    givenSrc: number | null,
    givenDst: number | null,
    choices: Choices,
    steps: NetnsStep[] | null,
  ) {
    this.hook = 'PREROUTING';
    this.iif = null;
    this.oif = null;
    this.routed = null;
    this.local = packet.direction === 'out';
    this.src = src;
    this.dst = dst;
    this.sport = packet.src.port;
    this.dport = packet.dst.port;
    this.mark = packet.mark >>> 0;
    this.tosWritten = false;
    this.uid = packet.uid;
    this.gid = packet.gid;
    this.ct = null;
    this.ctState = 'INVALID';
    this.ctReply = false;
    this.zone = 0;
    this.zoneReply = 0;
    this.known = NONE;
    this.others = null;
    this.listed = null;
    this.setChanges = null;
    this.ipsetChanges = null;
    this.tproxy = null;
    this.route = null;
    this.rejectsByReset = false;
    this.steps = steps;
    this.decidedBy = null;
    this.routedBy = null;
    this.directedBy = null;
    this.depth = 0;
    this.family = family;
    this.protocol = protocol;
    this.lane = laneOf(protocol);
    this.packet = packet;
    this.givenSrc = givenSrc;
    this.givenDst = givenDst;
    this.flags = bitsOf(packet.tcpFlags);
    this.choices = choices;
    this.verdict = 'unknown';
    this.socket = null;
    this.unknown = null;
  }

  /** Whether there is a sending socket: a process's, or one of the kernel. */
  get hasSocket(): boolean {
    return this.local;
  }

  /** Of ICMP and ICMPv6: without a message it is an echo request. */
  get icmpType(): number {
    const { icmp, assumed } = this.packet;
    if (icmp == null && assumed?.ctstate === 'RELATED') {
      throw new FactMissing({ fact: 'type of the ICMP error', reason: 'the packet does not say' });
    }
    return icmp?.type ?? (this.family === 4 ? 8 : 128);
  }

  get icmpCode(): number {
    return this.packet.icmp?.code ?? 0;
  }

  /** A rule had an effect, or a route was chosen. */
  note(kind: NetnsStep['kind'], summary: Words, cause: Cause): void {
    if (cause !== null && !(Array.isArray(cause) && cause.length === 0)) {
      this.decidedBy = cause;
      if (kind === 'route') this.routedBy = cause;
    }
    if (this.steps !== null) this.steps.push(stepOf(this, kind, summary, cause));
  }

  /** A route was chosen. */
  noteRoute({ summary, evidence }: RouteResult): void {
    this.note('route', summary, evidence);
  }

  /** It ends here. */
  end(verdict: NetnsVerdict): this {
    this.verdict = verdict;
    return this;
  }

  /** What becomes of it hangs on a fact that is not there. */
  endUnknown(unknown: Unknown): this {
    this.unknown = unknown;
    return this.end('unknown');
  }
}

/** One line, or those of a route: its rule and itself. */
export type Cause = Evidence | readonly Evidence[] | null;

/** What a step says: a text, or how to make it of the packet after the step. */
export type Words = string | ((flow: Flow) => string);

export function evidenceOf(cause: Cause): readonly Evidence[] {
  if (cause === null) return [];
  return 'file' in cause ? [cause] : cause;
}

export function addressOf(addr: Addr, port: number): Address {
  return { ip: textOf(addr), port };
}

function stepOf(flow: Flow, kind: NetnsStep['kind'], summary: Words, cause: Cause): NetnsStep {
  return {
    kind,
    summary: typeof summary === 'string' ? summary : summary(flow),
    evidence: evidenceOf(cause),
    src: addressOf(flow.src, flow.sport),
    dst: addressOf(flow.dst, flow.dport),
    mark: flow.mark,
    dev: flow.routed ?? flow.oif ?? flow.iif,
  };
}

export type Predicate = (flow: Flow) => boolean;
/** What a rule does; BREAK and CONTINUE: the next rule. */
export type Action = (flow: Flow) => Verdict | typeof BREAK;
