import type { ConntrackLine } from '../formats/conntrack.js';
import type { Addr } from './address.js';

/** Addresses and ports of one direction (struct nf_conntrack_tuple). */
export interface CtTuple {
  src: Addr;
  sport: number;
  dst: Addr;
  dport: number;
}

export function sameTuple(a: Readonly<CtTuple>, b: Readonly<CtTuple>): boolean {
  return a.src === b.src && a.dst === b.dst && a.sport === b.sport && a.dport === b.dport;
}

/** Both ends belong to it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export function inRange({ from, to }: PortRange, port: number): boolean {
  return port >= from && port <= to;
}

/** The connection as conntrack sees it, while one packet passes (struct nf_conn). */
export interface Connection {
  original: CtTuple;
  reply: CtTuple;
  mark: number;
  /** Of the packets of the first direction, and of those of the other. */
  readonly zone: number;
  readonly zoneReply: number;
  seenReply: boolean;
  /** IPS_SRC_NAT, IPS_DST_NAT: a translation was really made. */
  srcNat: boolean;
  dstNat: boolean;
  /** IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE: the nat chains are not asked again. */
  srcDone: boolean;
  dstDone: boolean;
  /** IPS_CONFIRMED: its first packet is over. */
  confirmed: boolean;
  /** The source port is the kernel's choice from these (--random, --random-fully, a clash); null: it is not. */
  drawnPort: PortRange | null;
  /** What `CT --zone` leaves for conntrack to find: rules of raw see it as a new connection without addresses. */
  readonly template: boolean;
}

/** A connection that was there before the packet. */
export interface KnownConnection {
  /** Never written to: a packet that belongs to it takes a copy along. */
  readonly entry: Connection;
  /** Its line in conntrack.txt; null where an earlier packet of the same walk left it. */
  readonly listed: ConntrackLine | null;
  /** Of TCP, as conntrack names it; null: not known. */
  readonly state: string | null;
}
