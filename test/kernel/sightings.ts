import type { Protocol, TcpFlag } from '../../src/netns/face.js';
import type { Flow, Seen } from './bench.js';
import type { Header, Heard, HookEvent } from './talk.js';

/** From what the hooks logged to packets, and from a packet to how it ended. */
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
const FLAGS: readonly (readonly [number, TcpFlag])[] = [
  [SYN, 'SYN'],
  [ACK, 'ACK'],
  [FIN, 'FIN'],
  [RST, 'RST'],
  [PSH, 'PSH'],
];

export function flagsOf(bits: number): readonly TcpFlag[] {
  return FLAGS.flatMap(([bit, name]) => ((bits & bit) === 0 ? [] : [name]));
}

export function protocolOf({ proto }: Header): Exclude<Protocol, 'sctp'> | null {
  return proto === 6 ? 'tcp' : proto === 17 ? 'udp' : proto === 1 || proto === 58 ? 'icmp' : null;
}

export interface Sighting extends Seen {
  /** The listener that took it, as ss names it; missing: not seen. */
  readonly socket?: string;
}

/** The same for a packet at all hooks, whatever was translated. */
function identity({ proto, type, code, flags, seq, ack, length, text, quoted }: Header): string {
  const inner = quoted === undefined ? '' : identity(quoted);
  return [proto, type, code, flags, seq, ack, length, text, inner].join(' ');
}

/** Events of one packet each, in the order in which the packets were first seen; neighbours are asked for and left out. */
export function packetsOf(events: readonly HookEvent[]): HookEvent[][] {
  const groups: HookEvent[][] = [];
  const latest = new Map<string, HookEvent[]>();
  for (const event of events) {
    if (event.proto === 58 && event.type !== null && event.type >= 130 && event.type <= 143) continue;
    const key = identity(event);
    const known = latest.get(key);
    // OUTPUT is where a packet begins
    if (known !== undefined && event.hook !== 'OUT') {
      known.push(event);
      continue;
    }
    const group = [event];
    latest.set(key, group);
    groups.push(group);
  }
  return groups;
}

/** How a packet ended; `groups`: all packets that were seen with it, among them those that refuse it. */
export function seenOf(
  group: readonly HookEvent[],
  protocol: Flow['protocol'],
  { taken, errno }: Heard,
  groups: readonly HookEvent[][],
): Sighting {
  const inside = group.filter(({ hook }) => hook === 'IN').at(-1);
  const outside = group.filter(({ hook, oif }) => hook === 'POST' && oif !== 'lo').at(-1);
  const last = outside ?? inside;
  if (last === undefined) {
    const refused = groups.some(([one]) => one !== undefined && one.hook === 'OUT' && one !== group[0] && refuses(one));
    return { verdict: refused || errno !== null ? 'rejected' : 'dropped' };
  }
  const local = group[0]?.hook === 'OUT';
  const taker = protocol !== 'udp' || taken.length > 0 ? 'delivered' : 'refused';
  const verdict = outside !== undefined ? (local ? 'sent' : 'forwarded') : protocol === 'tcp' ? 'inside' : taker;
  const icmp = protocolOf(last) === 'icmp';
  return {
    verdict: protocolOf(last) === protocol || outside !== undefined ? verdict : 'delivered',
    src: [last.src, icmp ? 0 : last.sport],
    dst: [last.dst, icmp ? 0 : last.dport],
    oif: outside?.oif ?? null,
    mark: last.mark,
    connmark: last.connmark,
  };
}

function refuses({ quoted, flags, proto, type }: HookEvent): boolean {
  // a redirect refuses nothing
  return (quoted !== undefined && !(proto === 1 && type === 5)) || (flags & RST) !== 0;
}
