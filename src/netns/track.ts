import { answers, asks, findRelated, isNeverTracked } from './icmp-error.js';
import { sameTuple, type Connection, type KnownConnection } from './connection.js';
import { ACK, FIN, isIcmp, RST, SYN, TCP, type Flow } from './flow.js';
import { isValidTcp } from './tcp-state.js';

/** nf_conntrack_in: over lo the connection came along with the packet. What raw said of zones and NOTRACK is known by now. */
export function track(flow: Flow): void {
  if (flow.ct === null || flow.ct.template) attach(flow);
}

/** Finds or makes the connection. */
function attach(flow: Flow): void {
  if (flow.ct !== null) {
    flow.ct = null;
    flow.ctState = 'INVALID';
  } else {
    // over lo: the zone of OUTPUT went with its template
    flow.zone = flow.zoneReply = 0;
  }
  if (isNeverTracked(flow)) flow.ctState = 'UNTRACKED';
  if (flow.ctState === 'UNTRACKED') return;
  const { assumed, icmp } = flow.packet;
  if (icmp != null && icmp.quotes !== null) {
    // what it tells of is known, or it is invalid; only a question may say that there is a connection
    if (findRelated(flow, icmp.quotes) || assumed?.ctstate !== 'RELATED') return;
  } else if (flow.known.length > 0 && belongs(flow)) return;
  // what neither asks nor tells of another packet begins nothing
  if (icmp != null && assumed?.ctstate === 'NEW' && !asks(flow)) return;
  // an echo request is never a reply, whatever connection its addresses look like
  const question = assumed?.ctdir === 'REPLY' && assumed.ctstate !== 'RELATED' && isIcmp(flow) && !answers(flow);
  // resolve_normal_ct looks a reply up in the zone of replies
  const zone = assumed?.ctdir === 'REPLY' && !question ? flow.zoneReply : flow.zone;
  if (assumed !== null && zone === 0 && (!question || flow.src === flow.dst)) {
    assume(flow, question ? { ...assumed, ctdir: 'ORIGINAL' } : assumed);
    return;
  }
  if (assumed?.ctstate === 'UNTRACKED') {
    flow.ctState = 'UNTRACKED';
    return;
  }
  if (assumed?.ctstate === 'INVALID') return;
  if (flow.protocol === TCP ? invalidFirst(flow) : isIcmp(flow) && !asks(flow)) return;
  flow.ct = fresh(flow, 0);
  flow.ctState = 'NEW';
}

/** tcp_new: the first packet of a connection may not be a SYN-ACK, FIN or RST (nf_conntrack_proto_tcp.c). */
function invalidFirst({ flags }: Flow): boolean {
  if ((flags & (RST | FIN)) !== 0) return true;
  return ((flags & SYN) !== 0) === ((flags & ACK) !== 0);
}

function fresh(flow: Flow, mark: number): Connection {
  const { src, sport, dst, dport } = flow;
  return {
    original: { src, sport, dst, dport },
    reply: { src: dst, sport: dport, dst: src, dport: sport },
    mark,
    zone: flow.zone,
    zoneReply: flow.zoneReply,
    seenReply: false,
    srcNat: false,
    dstNat: false,
    srcDone: false,
    dstDone: false,
    // a question may begin where the packet comes in over lo: there it has left POSTROUTING (nf_confirm)
    confirmed: flow.packet.iif === 'lo',
    drawnPort: null,
    template: false,
  };
}

/** xt_ct_target and nft_ct_set_zone_eval: nf_ct_set(skb, template, IP_CT_NEW); the template has IPS_CONFIRMED (xt_ct_tg_check). */
export function setTemplate(flow: Flow): void {
  const zero = flow.family === 4 ? 0 : 0n;
  const none = { src: zero, sport: 0, dst: zero, dport: 0 };
  flow.ct = { ...fresh(flow, 0), original: none, reply: none, confirmed: true, template: true };
  flow.ctState = 'NEW';
}

function assume(flow: Flow, assumed: NonNullable<Flow['packet']['assumed']>): void {
  if (assumed.ctstate === 'INVALID') return;
  if (assumed.ctstate === 'UNTRACKED') {
    flow.ctState = 'UNTRACKED';
    return;
  }
  const reply = assumed.ctdir === 'REPLY';
  const settled = assumed.ctstate === 'ESTABLISHED' || reply;
  const ct = fresh(flow, assumed.connmark);
  if (reply) {
    const { original } = ct;
    ct.original = ct.reply;
    ct.reply = original;
  }
  if (settled) ct.seenReply = ct.srcDone = ct.dstDone = ct.confirmed = true;
  flow.ct = ct;
  flow.ctReply = reply;
  flow.ctState = assumed.ctstate;
}

/** Takes the connection that the packet belongs to (resolve_normal_ct, with what tcp_packet says); false: it is a first packet. */
function belongs(flow: Flow): boolean {
  for (const known of flow.known) {
    const { entry, listed } = known;
    // the type of an echo is part of its tuple
    const original = sameTuple(entry.original, flow) && !answers(flow);
    if (!original && (!sameTuple(entry.reply, flow) || asks(flow))) continue;
    if (original ? entry.zone !== flow.zone : entry.zoneReply !== flow.zoneReply) continue;
    const fate = flow.protocol === TCP ? tcpFate(flow, known, original) : 'goes on';
    if (fate === 'begins anew') return false;
    if (fate === 'is invalid') return true;
    flow.ct = { ...entry };
    flow.ctReply = !original;
    if (!original || isOpen(flow)) flow.ct.seenReply = true;
    flow.ctState = original && !flow.ct.seenReply ? 'NEW' : 'ESTABLISHED';
    if (listed !== null) {
      flow.listed = listed;
      flow.note('netfilter', 'belongs to a connection that is there', listed.evidence);
      if (original ? entry.dstNat : entry.srcNat) flow.directedBy = listed.evidence;
    }
    return true;
  }
  return false;
}

/** A question that calls the connection established knows more than the list, which is older; and says nothing of flags. */
function isOpen({ packet }: Flow): boolean {
  return packet.assumed?.ctstate === 'ESTABLISHED';
}

/** tcp_packet, linux net/netfilter/nf_conntrack_proto_tcp.c, v6.12; windows are not looked at. */
function tcpFate(
  flow: Flow,
  { entry, listed, state }: KnownConnection,
  original: boolean,
): 'goes on' | 'begins anew' | 'is invalid' {
  if (isOpen(flow)) return 'goes on';
  const { flags, choices } = flow;
  const before = state ?? (entry.seenReply ? 'ESTABLISHED' : 'SYN_SENT');
  if (!isValidTcp(before, flags, original)) return 'is invalid';
  if (listed === null || (flags & (SYN | ACK | RST | FIN)) !== SYN) return 'goes on';
  const { evidence } = listed;
  if (state !== 'CLOSE') return 'goes on';
  // "Attempt to reopen a closed/aborted connection", but not if it was the other side that aborted it
  const aborted = choices.either(evidence.text, 'the client itself had ended the connection', {
    fact: `which side ended the connection at ${evidence.file}:${evidence.line ?? 0}`,
    reason: 'conntrack does not list it',
  });
  return aborted ? 'begins anew' : 'goes on';
}
