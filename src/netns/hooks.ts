import type { Unknown } from '../formats/evidence.js';
import { FactMissing } from './choices.js';
import {
  ACCEPT,
  DROP,
  ICMP,
  ICMPV6,
  RST_FLAGS,
  TCP,
  type Connection,
  type Flow,
  type HookName,
  type Verdict,
} from './flow.js';
import { translate, type Manip } from './nat.js';

/** One base chain at one hook: of iptables (either back-end) or of a table of nft. */
export interface BaseChain {
  readonly hook: HookName;
  readonly priority: number;
  readonly type: 'filter' | 'nat' | 'route';
  /** Registration order as far as it can be seen; null for a legacy table, which no listing places among nft's. */
  readonly order: number | null;
  /** "iptables nat OUTPUT", "inet istio-ambient-nat output". */
  readonly label: string;
  run(flow: Flow): Verdict;
}

/** The base chains of one family, by hook; the nat chains apart, as the kernel keeps them (nf_nat_register_fn). */
export interface HookTable {
  readonly filters: Readonly<Record<HookName, readonly BaseChain[]>>;
  readonly nats: Readonly<Record<HookName, readonly BaseChain[]>>;
  /** Rules that could not be read: every packet of the family ends as unknown. */
  readonly unknown: Unknown | null;
}

export const HOOKS: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const CONNTRACK_PRIORITY = -200;
const DNAT_PRIORITY = -100;
const SNAT_PRIORITY = 100;

const MANIP: Readonly<Partial<Record<HookName, Manip>>> = {
  PREROUTING: 'DST',
  OUTPUT: 'DST',
  INPUT: 'SRC',
  POSTROUTING: 'SRC',
};

/**
 * By priority; at equal priority the chain that was registered later runs first (nf_hook_entries_grow, linux
 * net/netfilter/core.c, v6.12).
 */
export function sortChains(chains: readonly BaseChain[]): readonly BaseChain[] {
  return [...chains].sort((a, b) => a.priority - b.priority || (b.order ?? 0) - (a.order ?? 0));
}

const MIXED = new WeakMap<readonly BaseChain[], boolean>();

function mixesBackends(chains: readonly BaseChain[]): boolean {
  let mixed = MIXED.get(chains);
  if (mixed === undefined) {
    mixed = chains.some(
      (chain) =>
        chain.order === null && chains.some((other) => other.order !== null && other.priority === chain.priority),
    );
    MIXED.set(chains, mixed);
  }
  return mixed;
}

/** Legacy tables stand before or after nft's of the same priority: which one, no file says. */
function orderedChains(chains: readonly BaseChain[], flow: Flow): readonly BaseChain[] {
  if (!mixesBackends(chains)) return chains;
  const condition = 'the legacy iptables rules run before those of nft at the same priority';
  const first = flow.choices.either('legacy first', condition, {
    fact: 'registration order of the iptables-legacy and nft tables',
    reason: 'no tool prints it',
  });
  const rank = (chain: BaseChain): number => ((chain.order === null) === first ? 0 : 1);
  return [...chains].sort((a, b) => a.priority - b.priority || rank(a) - rank(b) || (b.order ?? 0) - (a.order ?? 0));
}

/** All of one hook: filter chains, conntrack and nat at their priorities. ACCEPT: the packet goes on. */
export function runHook(table: HookTable, hook: HookName, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  flow.hook = hook;
  if (table.unknown !== null) throw new FactMissing(table.unknown);
  const chains = orderedChains(table.filters[hook], flow);
  const tracks = hook === 'PREROUTING' || hook === 'OUTPUT';
  let tracked = !tracks;
  const manip = MANIP[hook];
  const natPriority = manip === undefined ? Infinity : manip === 'DST' ? DNAT_PRIORITY : SNAT_PRIORITY;
  let natDone = manip === undefined;
  for (const chain of chains) {
    if (!tracked && chain.priority > CONNTRACK_PRIORITY) {
      track(flow);
      tracked = true;
    }
    if (!natDone && manip !== undefined && chain.priority > natPriority) {
      const verdict = runNat(table, hook, manip, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
      natDone = true;
    }
    const verdict = runFilter(chain, flow, reroute);
    if (verdict !== ACCEPT) return verdict;
  }
  if (!tracked) track(flow);
  if (!natDone && manip !== undefined) return runNat(table, hook, manip, flow, reroute);
  return ACCEPT;
}

/** A chain of type route, and iptables' mangle OUTPUT, look the route up again when the packet changed. */
function runFilter(chain: BaseChain, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  if (chain.type !== 'route' || flow.hook !== 'OUTPUT') return chain.run(flow);
  const { mark, src, dst } = flow;
  const verdict = chain.run(flow);
  if (verdict !== ACCEPT) return verdict;
  if (mark === flow.mark && src === flow.src && dst === flow.dst) return ACCEPT;
  return reroute(flow) ? ACCEPT : DROP;
}

/** nf_nat_inet_fn, with what nf_nat_ipv4_local_fn adds to it in OUTPUT. */
function runNat(table: HookTable, hook: HookName, manip: Manip, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  const { ct } = flow;
  if (ct === null) return ACCEPT;
  const { dst } = flow;
  const done = manip === 'SRC' ? ct.srcDone : ct.dstDone;
  if (!done && (flow.ctState === 'NEW' || flow.ctState === 'RELATED')) {
    for (const chain of orderedChains(table.nats[hook], flow)) {
      const verdict = chain.run(flow);
      if (verdict !== ACCEPT) return verdict;
      if (manip === 'SRC' ? ct.srcDone : ct.dstDone) break;
    }
    // nf_nat_alloc_null_binding: from now on nothing translates this side any more
    if (manip === 'SRC') ct.srcDone = true;
    else ct.dstDone = true;
  } else if (translate(flow, ct, manip) && dst !== flow.dst) {
    flow.note('netfilter', 'the destination is translated back as this connection demands', null);
  }
  if (hook === 'OUTPUT' && dst !== flow.dst && !reroute(flow)) return DROP;
  return ACCEPT;
}

/** nf_conntrack_in: finds or makes the connection. What raw said of zones and NOTRACK is known by now. */
function track(flow: Flow): void {
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
  if (RST_FLAGS.some((flag) => flags.includes(flag))) return true;
  if (flags.includes('SYN')) return flags.includes('ACK');
  return !flags.includes('ACK');
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
  const ct = fresh(flow, assumed.connmark);
  const reply = assumed.ctdir === 'REPLY';
  const settled = assumed.ctstate === 'ESTABLISHED' || reply;
  flow.ct = {
    ...ct,
    original: reply ? ct.reply : ct.original,
    reply: reply ? ct.original : ct.reply,
    seenReply: settled,
    srcDone: settled,
    dstDone: settled,
  };
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
  if (original && !entry.seenReply && flow.protocol === TCP && !flow.flags.includes('SYN')) return true;
  flow.ct = { ...entry };
  flow.ctReply = !original;
  flow.ctState = original && !entry.seenReply ? 'NEW' : 'ESTABLISHED';
  return true;
}

export function emptyHookTable(): { filters: Record<HookName, BaseChain[]>; nats: Record<HookName, BaseChain[]> } {
  const make = (): Record<HookName, BaseChain[]> => ({
    PREROUTING: [],
    INPUT: [],
    FORWARD: [],
    OUTPUT: [],
    POSTROUTING: [],
  });
  return { filters: make(), nats: make() };
}
