import type { Evidence, Unknown } from '../formats/evidence.js';

/**
 * The face of the network-namespace engine: one packet arrives in, or is made in, one network namespace; the distinct
 * ways in which it can leave come out, each with its probability and the lines that decided.
 */
export interface Address {
  /** IPv4 dotted, or IPv6 in its shortest form, without brackets. */
  readonly ip: string;
  /** 0 for ICMP. */
  readonly port: number;
}

export interface Tuple {
  readonly src: Address;
  readonly dst: Address;
}

export type Protocol = 'tcp' | 'udp' | 'icmp' | 'sctp';

/**
 * What conntrack holds of one connection in one network namespace. The walk keeps it between the packets of a connection:
 * an outcome's entry goes into the next packet of that connection through the same namespace.
 */
export interface ConntrackEntry {
  readonly protocol: Protocol;
  /** The first packet's addresses, as it arrived. */
  readonly original: Tuple;
  /** The addresses that a reply arrives with (differs from the reversed original where NAT applies). */
  readonly reply: Tuple;
  readonly mark: number;
  readonly zone: number;
  /** Zone of the packets of the other direction; missing: the same (it differs under CT --zone-orig, --zone-reply). */
  readonly zoneReply?: number;
  readonly seenReply: boolean;
  /** Of TCP, as conntrack names it (`SYN_SENT`, `CLOSE`…); missing: as after a SYN, or an answered one. */
  readonly state?: string;
}

export type CtState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';

/** What an ICMP packet says. */
export interface IcmpMessage {
  readonly type: number;
  readonly code: number;
  /** Of an error: protocol and addresses of the packet that it quotes; null: it quotes none (an echo, its reply). */
  readonly quotes: (Tuple & { readonly protocol: Protocol }) | null;
}

export interface Packet {
  /** `in` arrives on `iif`; `out` is sent by a local process. */
  readonly direction: 'in' | 'out';
  readonly iif: string | null;
  readonly protocol: Protocol;
  readonly src: Address;
  readonly dst: Address;
  /** skb mark: of the sending socket for `out`; 0 for what arrives from a wire or veth, kept by a tunnel in one namespace. */
  readonly mark: number;
  /** Known state of the connection here; null for its first packet or where only `assumed` is known. */
  readonly conntrack: ConntrackEntry | null;
  /** What `eval` says of the connection without an entry: state, direction and connmark taken as given. */
  readonly assumed: {
    readonly ctstate: CtState;
    readonly ctdir: 'ORIGINAL' | 'REPLY';
    readonly connmark: number;
  } | null;
  /** Of the sending process; null: unknown. */
  readonly uid: number | null;
  readonly gid: number | null;
  readonly tcpFlags: readonly TcpFlag[];
  /**
   * Of ICMP; null or missing: an echo request. An error belongs to the connection of the packet that it quotes: `conntrack`
   * is that one's entry.
   */
  readonly icmp?: IcmpMessage | null;
  /**
   * A socket of this namespace that already owns the flow (the other packets of a connection that was accepted or opened
   * here): it takes the packet without a look-up of listeners, and `-m socket` matches. Null: look up the listeners.
   */
  readonly connectedSocket: { readonly name: string; readonly transparent: boolean } | null;
  /** An `out` packet whose sender bound its source address (or answers on an accepted socket): no source selection. */
  readonly sourceBound: boolean;
}

/** A packet of which nothing more is known than what is given: no connection, sender, mark or flags. */
export function newPacket(
  given: Pick<Packet, 'direction' | 'iif' | 'protocol' | 'src' | 'dst' | 'sourceBound'> & Partial<Packet>,
): Packet {
  return {
    mark: 0,
    conntrack: null,
    assumed: null,
    uid: null,
    gid: null,
    tcpFlags: [],
    connectedSocket: null,
    ...given,
  };
}

export type TcpFlag = 'SYN' | 'ACK' | 'FIN' | 'RST' | 'PSH' | 'URG';

/**
 * delivered: to a local socket · forwarded: arrived, then routed out of `oif` · sent: locally made, out of `oif` ·
 * dropped: silence (DROP, blackhole, martian) · rejected: an ICMP error or RST by a rule or route · refused: no listener ·
 * unknown: `unknowns` names the fact that would decide.
 */
export type NetnsVerdict = 'delivered' | 'forwarded' | 'sent' | 'dropped' | 'rejected' | 'refused' | 'unknown';

/** One deciding step, in order: a hook that matched, a routing decision, a socket look-up. */
export interface NetnsStep {
  readonly kind: 'netfilter' | 'route' | 'deliver';
  /** "nat OUTPUT redirects to 15001", "rule 101, table 101: via 192.168.127.2 dev istioout". */
  readonly summary: string;
  readonly evidence: readonly Evidence[];
  /** The packet after the step. */
  readonly src: Address;
  readonly dst: Address;
  readonly mark: number;
  readonly dev: string | null;
}

export interface NetnsOutcome {
  /** Share of packets; null where unknown (a fork that the packet does not decide). */
  readonly probability: number | null;
  readonly verdict: NetnsVerdict;
  readonly src: Address;
  readonly dst: Address;
  readonly mark: number;
  readonly connmark: number;
  readonly oif: string | null;
  /** Gateway of the route taken, null where the destination is on the link or local. */
  readonly nexthop: string | null;
  /** The listening or connected socket that takes it. */
  readonly socket: {
    readonly name: string;
    readonly process: string | null;
    readonly evidence: Evidence | null;
  } | null;
  /**
   * For `delivered`: what the accepting process reads with SO_ORIGINAL_DST, or as the local address under TPROXY; the
   * original destination before NAT here. Equals `dst` where nothing translated.
   */
  readonly originalDst: Address;
  readonly conntrack: ConntrackEntry | null;
  readonly steps: readonly NetnsStep[];
  readonly decidedBy: Evidence | null;
  /** What a fork depends on, in words ("-m recent at iptables-save.txt:12: if it matches"). */
  readonly conditions: readonly string[];
  /** The kernel picks the source port by chance (MASQUERADE --random-fully): `src.port` is then the one before. */
  readonly sourcePortRandom?: boolean;
  readonly unknowns: readonly Unknown[];
}

/** A device with what the walk needs to find out where a packet goes that leaves through it. */
export interface Device {
  readonly name: string;
  readonly index: number;
  /** Index of the veth peer in its own namespace (`eth0@if5`), null where there is none. */
  readonly peerIndex: number | null;
  readonly kind: string | null;
  readonly up: boolean;
  readonly mac: string | null;
  readonly addresses: readonly { readonly ip: string; readonly prefix: number }[];
  /** Bridge or bond that it belongs to. */
  readonly master: string | null;
  readonly tunnel: {
    readonly kind: string;
    readonly id: number | null;
    readonly remote: string | null;
    readonly port: number | null;
  } | null;
  readonly evidence: Evidence;
}

/** A network namespace, compiled from the files of one `netns/` folder. */
export interface NetworkNamespace {
  /** The folder it was read from. */
  readonly folder: string;
  readonly devices: readonly Device[];
  /** Files that are missing or damaged, and what they leave open. */
  readonly problems: readonly Unknown[];
  /** All distinct outcomes of one packet, in a fixed order (by probability, then by text). Never throws on odd input. */
  send(packet: Packet): readonly NetnsOutcome[];
}
