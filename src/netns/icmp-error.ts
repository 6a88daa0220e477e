import { parseAddr } from './address.js';
import type { IcmpMessage } from './face.js';
import { sameTuple, type Connection, type CtTuple } from './connection.js';
import { ICMP, ICMPV6, isIcmp, SCTP, TCP, UDP, type Flow } from './flow.js';

/** ICMP messages as conntrack and nat see them: errors belong to the connection of the packet that they quote. */
type Quoted = NonNullable<IcmpMessage['quotes']>;

export function quotesAnother({ packet }: Flow): boolean {
  return packet.icmp != null && packet.icmp.quotes !== null;
}

/** Types that open a connection, each with the one that answers it: invmap and valid_new of linux nf_conntrack_proto_icmp.c. */
const ANSWERS: ReadonlyMap<number, number> = new Map([
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
]);
/** Likewise of nf_conntrack_proto_icmpv6.c, v6.12. */
const ANSWERS6: ReadonlyMap<number, number> = new Map([
  [128, 129],
  [139, 140],
]);
/** What routers and neighbours say to each other (noct_valid_new): conntrack leaves it alone. */
const UNTRACKED6: ReadonlySet<number> = new Set([130, 131, 132, 133, 134, 135, 136, 143]);

const answersOf = ({ family }: Flow): ReadonlyMap<number, number> => (family === 4 ? ANSWERS : ANSWERS6);

/** An echo request, or another message that has an answer. */
export function asks(flow: Flow): boolean {
  return isIcmp(flow) && answersOf(flow).has(flow.icmpType);
}

export function answers(flow: Flow): boolean {
  return isIcmp(flow) && [...answersOf(flow).values()].includes(flow.icmpType);
}

export function isNeverTracked({ packet, family }: Flow): boolean {
  return family === 6 && packet.icmp != null && UNTRACKED6.has(packet.icmp.type);
}

/** Type and code, which in a tuple of ICMP stand for the destination port; an error is of the echo that it quotes. */
export function tuplePort(flow: Flow, direction: 'original' | 'reply'): number {
  const [echo] = answersOf(flow);
  const own = [...answersOf(flow)].find((types) => types.includes(flow.icmpType));
  const [question, answer] = own ?? echo ?? [0, 0];
  return (direction === 'original' ? question : answer) * 256 + (quotesAnother(flow) ? 0 : flow.icmpCode);
}

/** The tuple that the connection of the quoted packet has in the other direction (nf_ct_invert_tuple), with its protocol. */
export function quotedTuple({ protocol, src, dst }: Quoted): [number, CtTuple] {
  const from = parseAddr(src.ip) ?? 0;
  const to = parseAddr(dst.ip) ?? 0;
  const number = { tcp: TCP, udp: UDP, sctp: SCTP, icmp: typeof from === 'number' ? ICMP : ICMPV6 }[protocol];
  return [number, { src: to, sport: dst.port, dst: from, dport: src.port }];
}

/**
 * nf_conntrack_inet_error (linux net/netfilter/nf_conntrack_proto_icmp.c, v6.12) of an error that arrives: it is looked up by
 * the packet that it quotes, and must go where that connection's packets of its direction go. False: it is invalid.
 */
export function findRelated(flow: Flow, quotes: Quoted): boolean {
  const [, tuple] = quotedTuple(quotes);
  for (const { entry } of flow.known) {
    const reply = !sameTuple(entry.original, tuple);
    const own = reply ? entry.reply : entry.original;
    if (!sameTuple(own, tuple) || (reply ? entry.zoneReply !== flow.zoneReply : entry.zone !== flow.zone)) continue;
    if (own.dst !== flow.dst) return false;
    relate(flow, entry, reply);
    return true;
  }
  return false;
}

/**
 * nf_conntrack_attach: an error that this machine makes carries the connection of the packet that caused it from the start,
 * before any rule sees it. That one may be translated halfway, so one of its ends says which direction it had.
 */
export function attachError(flow: Flow, { quotes }: IcmpMessage): void {
  if (quotes === null) return;
  const [, tuple] = quotedTuple(quotes);
  const ends = (one: CtTuple): number =>
    Number(one.src === tuple.src && one.sport === tuple.sport) +
    Number(one.dst === tuple.dst && one.dport === tuple.dport);
  for (const { entry } of flow.known) {
    const [original, reply] = [ends(entry.original), ends(entry.reply)];
    if (original + reply > 0) return relate(flow, entry, reply >= original);
  }
}

function relate(flow: Flow, entry: Connection, reply: boolean): void {
  flow.ct = { ...entry };
  flow.ctReply = sameTuple(entry.original, entry.reply) ? tellsOfRequest(flow) : reply;
  flow.ctState = 'RELATED';
}

/** nf_ct_protonum: the protocol of the packet's connection. */
export function connectionProtocol({ packet, protocol }: Flow): number {
  const quotes = packet.icmp?.quotes ?? null;
  return quotes === null ? protocol : quotedTuple(quotes)[0];
}

/** Of a ping to oneself both directions have the same addresses. */
function tellsOfRequest({ choices }: Flow): boolean {
  const unknown = { fact: 'type of the quoted echo', reason: 'the packet does not say' };
  return choices.either('quoted echo', 'the ICMP error quotes an echo request', unknown);
}

const REDIRECT = 5;

/** nf_nat_icmp_reply_translation: a redirect would lead past the translation. */
export function isUntranslatable(flow: Flow, { srcNat, dstNat }: Connection): boolean {
  return flow.protocol === ICMP && (srcNat || dstNat) && quotesAnother(flow) && flow.icmpType === REDIRECT;
}
