import { ACK, FIN, ICMP, ICMPV6, RST, SYN, TCP, type Connection, type Flow } from './flow.js';

/** nf_conntrack_in: finds or makes the connection. What raw said of zones and NOTRACK is known by now. */
export function track(flow: Flow): void {
  // over lo the connection came along with the packet
  if (flow.ct?.template === true) {
    flow.ct = null;
    flow.ctState = 'INVALID';
  }
  if (flow.ct !== null || flow.ctState === 'UNTRACKED') return;
  if (flow.notrack) {
    flow.ctState = 'UNTRACKED';
    return;
  }
  const { conntrack, assumed } = flow.packet;
  if (conntrack !== null && known(flow, flow.packet)) return;
  // an echo request is never a reply, whatever connection its addresses look like
  const question = assumed?.ctdir === 'REPLY' && (flow.protocol === ICMP || flow.protocol === ICMPV6);
  if (assumed !== null && flow.zone === 0 && (!question || flow.src === flow.dst)) {
    assume(flow, question ? { ...assumed, ctdir: 'ORIGINAL' } : assumed);
    return;
  }
  if (assumed?.ctstate === 'UNTRACKED') {
    flow.ctState = 'UNTRACKED';
    return;
  }
  if (assumed?.ctstate === 'INVALID') return;
  if (flow.protocol === TCP && invalidFirst(flow)) return;
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
    seenReply: false,
    srcNat: false,
    dstNat: false,
    srcDone: false,
    dstDone: false,
    randomPort: false,
    template: false,
  };
}

/** xt_ct_target and nft_ct_set_zone_eval: nf_ct_set(skb, template, IP_CT_NEW). */
export function setTemplate(flow: Flow): void {
  const zero = flow.family === 4 ? 0 : 0n;
  const none = { src: zero, sport: 0, dst: zero, dport: 0 };
  flow.ct = { ...fresh(flow, 0), original: none, reply: none, template: true };
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
  if (settled) ct.seenReply = ct.srcDone = ct.dstDone = true;
  flow.ct = ct;
  flow.ctReply = reply;
  flow.ctState = assumed.ctstate;
}

/** The walk hands back what an earlier packet left: used only if this packet belongs to it. */
function known(flow: Flow, { conntrack }: Flow['packet']): boolean {
  if (conntrack === null || conntrack.zone !== flow.zone) return false;
  const entry = flow.entry;
  if (entry === null) return false;
  const is = (tuple: Connection['original']): boolean =>
    tuple.src === flow.src && tuple.dst === flow.dst && tuple.sport === flow.sport && tuple.dport === flow.dport;
  const original = is(entry.original);
  if (!original && !is(entry.reply)) return false;
  // tcp_conntracks: an ACK before any SYN-ACK does not belong there
  if (original && !entry.seenReply && flow.protocol === TCP && (flow.flags & SYN) === 0) return true;
  flow.ct = { ...entry };
  flow.ctReply = !original;
  flow.ctState = original && !entry.seenReply ? 'NEW' : 'ESTABLISHED';
  return true;
}
