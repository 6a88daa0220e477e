import { newPacket, type ConntrackEntry, type Packet, type Tuple } from '../../src/netns/face.js';
import { canonical } from './compare.js';
import { entriesOf, entriesWith, inverted, sameTuple } from './connections.js';
import { ACK, flagsOf, protocolOf, SYN } from './sightings.js';
import type { Header, HookEvent } from './talk.js';

/** From what was seen of a conversation to questions to the engine: the packet, and its connection as it was then. */
export function at(ip: string, port: number): { readonly ip: string; readonly port: number } {
  return { ip: canonical(ip), port };
}

export function tupleOf(header: Pick<Header, 'src' | 'sport' | 'dst' | 'dport'>): Tuple {
  return { src: at(header.src, header.sport), dst: at(header.dst, header.dport) };
}

export function quoteOf(header: Header): NonNullable<NonNullable<Packet['icmp']>['quotes']> {
  const protocol = protocolOf(header) ?? 'udp';
  return { protocol, ...tupleOf(protocol === 'icmp' ? { ...header, sport: 0, dport: 0 } : header) };
}

/** The packet with the connection that it belongs to, or of which it tells; null: zones hold several with its addresses. */
export function knownTo(packet: Packet, entries: readonly ConntrackEntry[]): Packet | null {
  const quotes = packet.icmp?.quotes ?? null;
  const wanted = quotes === null ? { src: packet.src, dst: packet.dst } : inverted(quotes);
  const found = entriesWith(entries, quotes?.protocol ?? packet.protocol, wanted);
  return found.length > 1 ? null : { ...packet, conntrack: found[0] ?? null };
}

/** The question that a packet is which entered OUTPUT, without its connection. */
export function sentQuestion(event: HookEvent): Packet | null {
  const protocol = protocolOf(event);
  if (protocol === null) return null;
  const icmp = protocol === 'icmp';
  const quotes = event.quoted === undefined ? null : quoteOf(event.quoted);
  // a request socket is the listener's, which root has opened
  const root = (event.flags & (SYN | ACK)) === (SYN | ACK) ? 0 : null;
  return newPacket({
    direction: 'out',
    iif: null,
    protocol,
    src: at(event.src, icmp ? 0 : event.sport),
    dst: at(event.dst, icmp ? 0 : event.dport),
    mark: event.mark,
    uid: event.uid ?? root,
    gid: event.gid ?? root,
    tcpFlags: protocol === 'tcp' ? flagsOf(event.flags) : [],
    sourceBound: true,
    icmp: icmp ? { type: event.type ?? 8, code: event.code ?? 0, quotes } : null,
  });
}

export function wordsOf(event: HookEvent): string {
  const protocol = protocolOf(event);
  if (protocol === 'icmp') return `ICMP ${event.type ?? ''}`;
  return flagsOf(event.flags).join(' ') || (protocol ?? 'packet');
}

/** What one saying brought about: the lists of connections around it, all packets, the addresses of the frame that came. */
export interface Batch {
  readonly before: readonly string[];
  readonly after: readonly string[];
  readonly groups: readonly HookEvent[][];
  readonly cause: Tuple | null;
}

/**
 * The connections as they were when a packet came that the kernel made: the list is that of afterwards, marks and whether
 * there was a reply are those of the packets before. `last`: the packet before it.
 */
export function entriesAt(
  { before, after, groups, cause }: Batch,
  group: HookEvent[],
  last: readonly HookEvent[],
): readonly ConntrackEntry[] {
  const earlier = entriesOf(before);
  const place = groups.indexOf(group);
  return entriesOf(after).flatMap((entry) => {
    const was = earlier.find((one) => sameTuple(one.original, entry.original) && one.zone === entry.zone);
    if (was === undefined && place === 0) return [];
    const made = groups.slice(0, place).filter(([one]) => one?.hook === 'OUT');
    // a packet of another zone has its addresses and is no reply
    const replied =
      entry.seenReply &&
      ((cause !== null && sameTuple(cause, entry.reply)) ||
        made.some(([one]) => one !== undefined && sameTuple(tupleOf(one), entry.reply)));
    const state = stateAt(was ?? entry, was === undefined, replied);
    const mark = last.at(-1)?.connmark ?? was?.mark ?? entry.mark;
    return [{ ...entry, mark, seenReply: was?.seenReply === true || replied, ...state }];
  });
}

/** `began`: with the very packet that caused this one. */
function stateAt({ state }: ConntrackEntry, began: boolean, replied: boolean): { readonly state?: string } {
  if (state === undefined) return {};
  const before = began ? 'SYN_SENT' : state;
  return { state: replied && before === 'SYN_SENT' ? 'SYN_RECV' : before };
}
