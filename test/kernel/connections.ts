import { parseConntrack, type ConntrackTuple } from '../../src/formats/conntrack.js';
import { formatIp } from '../../src/formats/ip.js';
import type { Address, ConntrackEntry, Protocol, Tuple } from '../../src/netns/face.js';

/** The kernel's list of connections as the walk would hand them to the engine. */
export function entriesOf(lines: readonly string[]): readonly ConntrackEntry[] {
  return lines.flatMap((line) => {
    const icmp = /^ipv\d\s+\d+\s+icmp/.test(line);
    // the parser leaves ICMP out: it is told apart by addresses alone, as the engine does
    const text = icmp
      ? line
          .replace(/(ipv\d\s+\d+\s+)icmp\S*\s+\d+/, '$1udp 17')
          .replaceAll(/type=\d+ code=\d+ id=\d+/g, 'sport=0 dport=0')
      : line;
    return parseConntrack('conntrack.txt', text).connections.map((one): ConntrackEntry => {
      const { original, reply, mark, zone, zoneReply, seenReply } = one;
      const protocol: Protocol = icmp ? 'icmp' : one.protocol;
      const state = one.state === null || icmp ? {} : { state: one.state };
      const tuples = { original: tupleOf(original), reply: tupleOf(reply) };
      return { protocol, ...tuples, mark, zone, zoneReply, seenReply, ...state };
    });
  });
}

function tupleOf({ src, sport, dst, dport }: ConntrackTuple): Tuple {
  return { src: { ip: formatIp(src), port: sport }, dst: { ip: formatIp(dst), port: dport } };
}

const same = (a: Address, b: Address): boolean => a.ip === b.ip && a.port === b.port;
export const sameTuple = (a: Tuple, b: Tuple): boolean => same(a.src, b.src) && same(a.dst, b.dst);
export const inverted = ({ src, dst }: Tuple): Tuple => ({ src: dst, dst: src });

/** Those that a packet with these addresses may belong to; several where zones tell them apart. */
export function entriesWith(entries: readonly ConntrackEntry[], protocol: Protocol, tuple: Tuple): ConntrackEntry[] {
  return entries.filter(
    (entry) => entry.protocol === protocol && (sameTuple(entry.original, tuple) || sameTuple(entry.reply, tuple)),
  );
}
