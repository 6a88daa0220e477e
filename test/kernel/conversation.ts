import { newPacket, type Packet } from '../../src/netns/face.js';
import type { Flow } from './bench.js';
import { questionOf } from './compare.js';
import { entriesOf } from './connections.js';
import { ADDRESSES, ADDRESSES6 } from './pools.js';
import { at, entriesAt, knownTo, quoteOf, sentQuestion, wordsOf, type Batch } from './questions.js';
import type { Random } from './random.js';
import { ACK, FIN, flagsOf, packetsOf, protocolOf, RST, seenOf, SYN, type Sighting } from './sightings.js';
import type { Header, Heard, HookEvent, Saying, TalkBench, WireSaying } from './talk.js';

/** One packet of a conversation: what the engine is asked, and what the kernel did. */
export interface Said {
  /** "server SYN ACK", "the kernel's ACK". */
  readonly label: string;
  readonly packet: Packet;
  readonly seen: Sighting;
  /** The kernel's list of connections before; null where the packet came in between two lists. */
  readonly lines: readonly string[] | null;
}

/** Sent now and then: the kernel limits them. */
const REDIRECT = 5;

type Kind = readonly [type: number, code: number];
/** A port or host that is not reached, a packet that is too old or too big. */
const ERRORS: readonly [Kind, ...Kind[]] = [
  [3, 3],
  [3, 1],
  [11, 0],
  [3, 4],
];
const ERRORS6: readonly [Kind, ...Kind[]] = [
  [1, 4],
  [1, 0],
  [3, 0],
  [2, 0],
];

type Side = 'client' | 'server';
const other = (side: Side): Side => (side === 'client' ? 'server' : 'client');

/** Where a side sits on a wire, and which addresses its packets carry there. */
interface Seat {
  readonly iif: string;
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
}

/** After an RST the numbers decide what still belongs to it. */
const isOver = ({ conntrack }: Packet): boolean => conntrack?.state === 'CLOSE';

/** A conversation under way: who sits where, what was said, what conntrack holds. */
export class Conversation {
  readonly said: Said[] = [];
  private readonly bench: TalkBench;
  private readonly flow: Flow;
  private readonly random: Random | null;
  private readonly slow: boolean;
  private lines: readonly string[] = [];
  private seats: Record<Side, Seat | null> = { client: null, server: null };
  /** TCP: the next number of each side. */
  private readonly next = { client: 1000, server: 5000 };
  /** The last packet that left on a wire towards a side, as it left. */
  private readonly left: Record<Side, HookEvent | null> = { client: null, server: null };
  private texts = 0;

  constructor(bench: TalkBench, flow: Flow, random: Random | null, slow: boolean) {
    this.bench = bench;
    this.flow = flow;
    this.random = random;
    this.slow = slow;
    if (flow.direction === 'in') {
      const { iif, src, sport, dst, dport } = flow;
      this.seats.client = { iif: iif ?? 'eth0', src, sport, dst, dport };
    }
  }

  /** Whether a side sends through a socket of the namespace. */
  isLocal(side: Side): boolean {
    return this.seats[side] === null;
  }

  private get isTcp(): boolean {
    return this.flow.protocol === 'tcp';
  }

  /** The first packet; how it ended. */
  async open(): Promise<Sighting> {
    await this.bench.begin();
    const { client } = this.seats;
    const text = this.text();
    const flags = this.isTcp ? SYN : 0;
    const saying: Saying =
      client === null
        ? { ...this.flow, way: 'open', text, connects: this.random?.chance(0.5) === true }
        : { ...this.frame(client), text: this.isTcp ? '' : text, flags, ...this.numbers('client', flags, 0) };
    const first = { ...questionOf(this.flow), conntrack: null };
    const seen = await this.say('first packet', saying, 'client', first);
    const leaves = seen.verdict === 'forwarded' || seen.verdict === 'sent';
    if (leaves && seen.src !== undefined && seen.dst !== undefined && typeof seen.oif === 'string') {
      const [src, sport] = seen.dst;
      const [dst, dport] = seen.src;
      this.seats = { ...this.seats, server: { iif: seen.oif, src, sport, dst, dport } };
    }
    return seen;
  }

  /** A side sends: on its wire, or through its socket. */
  async from(side: Side, flags: number, talks: boolean): Promise<Sighting | null> {
    const seat = this.seats[side];
    const text = talks || !this.isTcp ? this.text() : '';
    if (seat === null) {
      // what carries no data, the kernel sends by itself
      if (this.isTcp && !talks && (flags & FIN) === 0) return null;
      const way = (flags & FIN) !== 0 ? 'close' : side === 'client' ? 'more' : 'answer';
      await this.say(`${side} ${flagsOf(flags)}`, { way, text }, side, null);
      return null;
    }
    const frame = this.frame(seat);
    const iif = this.random?.chance(0.07) === true ? this.random.pick(['eth0', 'eth1']) : frame.iif;
    const tcp = this.isTcp ? { flags, ...this.numbers(side, flags, text.length) } : {};
    const echo = this.flow.protocol === 'icmp' ? { type: this.echoType(side), sport: this.echoId(side) } : {};
    const saying: WireSaying = { ...frame, iif, text, ...tcp, ...echo };
    return await this.say(`${side} ${flagsOf(flags)}`, saying, side, this.arriving(saying));
  }

  /** A side, or a router on its way, tells that the last packet did not reach it. */
  async error(side: Side): Promise<void> {
    const seat = this.seats[side];
    const quoted = this.left[side];
    if (seat === null || quoted === null) return;
    const six = seat.src.includes(':');
    const routers = six ? ADDRESSES6.filter((ip) => ip !== '::1') : ADDRESSES;
    const src = this.random?.chance(0.3) === true ? this.random.pick(routers) : seat.src;
    const kinds = six ? ERRORS6 : ERRORS;
    const [type, code] = this.random?.pick(kinds) ?? kinds[0];
    const saying: WireSaying = {
      way: 'wire',
      iif: seat.iif,
      protocol: 'icmp',
      src,
      sport: 0,
      dst: quoted.src,
      dport: 0,
      type,
      code,
      quotes: quoted.raw,
    };
    await this.say(`${side} sends error ${type}/${code}`, saying, side, this.arriving(saying, quoted));
  }

  /** A reply carries the identifier that came, which a translation may have changed. */
  private echoId(side: Side): number {
    return (side === 'server' ? this.left.server?.id : undefined) ?? this.flow.sport;
  }

  private echoType(side: Side): number {
    const six = this.flow.src.includes(':');
    return side === 'client' ? (six ? 128 : 8) : six ? 129 : 0;
  }

  private text(): string {
    this.texts++;
    return `mesh${this.texts}`;
  }

  private frame(seat: Seat): WireSaying {
    const echo = this.flow.protocol === 'icmp' ? { type: this.echoType('client') } : {};
    // the identifier of an echo stands where ports do
    const ports = this.flow.protocol === 'icmp' ? { sport: this.flow.sport, dport: 0 } : {};
    return { way: 'wire', protocol: this.flow.protocol, ...seat, ...ports, ...echo };
  }

  private numbers(side: Side, flags: number, length: number): { readonly seq: number; readonly ack: number } {
    const seq = this.next[side];
    this.next[side] = seq + length + ((flags & (SYN | FIN)) === 0 ? 0 : 1);
    return { seq, ack: (flags & ACK) === 0 ? 0 : this.next[other(side)] };
  }

  /** The question that a frame is; null: none that can be asked. */
  private arriving(saying: WireSaying, quoted: Header | null = null): Packet | null {
    const { iif, protocol, src, dst, flags, type, code } = saying;
    const icmp = protocol === 'icmp';
    const plain = newPacket({
      direction: 'in',
      iif,
      protocol,
      src: at(src, icmp ? 0 : saying.sport),
      dst: at(dst, icmp ? 0 : saying.dport),
      tcpFlags: flags === undefined ? [] : flagsOf(flags),
      sourceBound: true,
      icmp: icmp ? { type: type ?? 8, code: code ?? 0, quotes: quoted === null ? null : quoteOf(quoted) } : null,
    });
    const asked = knownTo(plain, entriesOf(this.lines));
    // of an RST conntrack looks at the numbers: one that comes late in what it saw half of is not asked
    const late = ((flags ?? 0) & RST) !== 0 && asked?.conntrack?.state === 'SYN_SENT' && this.said.length > 2;
    return asked === null || late || isOver(asked) ? null : { ...asked, connectedSocket: this.ownerOf(plain) };
  }

  /** The socket that waits for what comes to a side without a wire. */
  private ownerOf({ protocol, icmp }: Packet): Packet['connectedSocket'] {
    if ((icmp?.quotes?.protocol ?? protocol) === 'icmp') return null;
    if (this.seats.client === null) return { name: 'client', transparent: false };
    if (this.seats.server !== null || !this.isTcp || this.said[0]?.seen.verdict !== 'inside') return null;
    return this.answered ? { name: 'child', transparent: true } : null;
  }

  /** A listener took the SYN: its answer was seen. */
  private get answered(): boolean {
    return this.said.some(({ packet }) => packet.direction === 'out' && packet.tcpFlags.join() === 'SYN,ACK');
  }

  /** Sends, and keeps what became of it and of all that the kernel made because of it. `question`: null for a socket's. */
  private async say(label: string, saying: Saying, side: Side, question: Packet | null): Promise<Sighting> {
    const before = this.lines;
    const heard = await this.bench.say(saying, this.slow);
    this.lines = heard.connections;
    const groups = packetsOf(heard.events);
    const own = saying.way === 'wire' || saying.way === 'open' ? this.ownGroup(groups, saying) : null;
    const seen = seenOf(own ?? [], this.flow.protocol, heard, groups);
    if (question !== null) this.said.push({ label, packet: question, seen, lines: before });
    const cause = saying.way === 'wire' && question !== null ? { src: question.src, dst: question.dst } : null;
    const batch: Batch = { before, after: this.lines, groups, cause };
    let last = own ?? [];
    for (const group of groups) {
      this.observe(group, saying.way === 'wire' ? side : null);
      if (group === own) continue;
      const [event] = group;
      const asked = event?.hook === 'OUT' ? this.made(batch, group, event, last) : null;
      if (event !== undefined && asked !== null) {
        const lines = own === null && groups[0] === group ? before : null;
        const made = seenOf(group, protocolOf(event) ?? 'udp', heard, groups);
        this.said.push({ label: `the kernel's ${wordsOf(event)}`, packet: asked, seen: made, lines });
      }
      last = group;
    }
    this.tellSocket(heard);
    return seen;
  }

  private ownGroup(groups: readonly HookEvent[][], saying: Saying): HookEvent[] | null {
    if (saying.way === 'open') return groups[0]?.[0]?.hook === 'OUT' ? groups[0] : null;
    return groups.find((group) => group[0]?.hook !== 'OUT') ?? null;
  }

  /** What the kernel made: an answer, an acknowledgement, an error, a socket's data; null: nothing that can be asked. */
  private made(batch: Batch, group: HookEvent[], event: HookEvent, last: readonly HookEvent[]): Packet | null {
    const plain = sentQuestion(event);
    if (plain === null || (event.proto === 1 && event.type === REDIRECT)) return null;
    const reset = (event.flags & RST) !== 0;
    const arrived = last.some(({ hook }) => hook === 'IN');
    const listed = knownTo(plain, entriesOf(this.lines))?.conntrack !== null;
    // what refuses a packet on its way carries that one's connection, which may be none that any list shows
    if (!arrived && (reset || (plain.icmp?.quotes != null && !listed))) return null;
    const asked = knownTo(plain, entriesAt(batch, group, last));
    // an RST ends a connection that was not answered at once: no list holds it
    if (asked === null || isOver(asked) || (asked.conntrack === null && reset)) return null;
    const comesBack = group.some(({ hook, oif }) => hook === 'POST' && oif === 'lo');
    // over lo rules look for who takes it, else for who sent it; listeners are transparent, and what they accept
    const client = event.sport === this.flow.sport;
    const transparent = plain.protocol === 'tcp' && client === (comesBack && this.seats.client === null);
    // a datagram that goes over lo is taken by whom listens; what goes to a client on a wire, by nobody
    const asks = plain.protocol === 'udp' && client;
    const owned = plain.protocol !== 'icmp' && !asks && !(comesBack && this.seats.client !== null);
    return { ...asked, connectedSocket: owned ? { name: 'own', transparent } : null };
  }

  /** Numbers, and what left on a wire. `from`: the side whose frame came; null: all was made here. */
  private observe(group: readonly HookEvent[], from: Side | null): void {
    const [event] = group;
    const last = group.at(-1);
    if (event === undefined || last === undefined) return;
    const here: Side = this.seats.client === null ? 'client' : 'server';
    const sender = event.hook === 'OUT' ? here : from;
    if (event.proto === 6 && sender !== null && event.seq !== undefined && (event.flags & RST) === 0) {
      const end = event.seq + (event.length ?? 0) + ((event.flags & (SYN | FIN)) === 0 ? 0 : 1);
      if (event.hook === 'OUT') this.next[sender] = end;
    }
    if (sender !== null && last.hook === 'POST' && last.oif !== 'lo' && last.quoted === undefined) {
      this.left[other(sender)] = last;
    }
  }

  /** Who took the first packet is known when the connection is accepted, or the datagram read. */
  private tellSocket({ taken }: Heard): void {
    const [first] = this.said;
    const name = taken.find((one) => one.startsWith(`${this.flow.protocol} `));
    if (first === undefined || name === undefined || first.seen.socket !== undefined) return;
    if (first.seen.verdict !== 'inside' && first.seen.verdict !== 'delivered') return;
    const [, ip = '', port = ''] = name.split(' ');
    const shown = ip === '::' ? '*' : ip.includes(':') ? `[${ip}]` : ip;
    this.said[0] = { ...first, seen: { ...first.seen, socket: `${shown}:${port}` } };
  }
}
