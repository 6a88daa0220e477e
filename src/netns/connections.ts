import type { ConntrackLine, ConntrackTable, ConntrackTuple } from '../formats/conntrack.js';
import { familyOf, parseAddr, type Addr, type Family } from './address.js';
import type { ConntrackEntry, Packet } from './face.js';
import type { Connection, CtTuple, KnownConnection } from './connection.js';
import { SCTP, TCP, UDP, type Flow } from './flow.js';

const NONE: readonly KnownConnection[] = [];

/** The connection that the walk hands back with a later packet of it. */
export function handedBack({ conntrack }: Packet, family: Family): readonly KnownConnection[] {
  if (conntrack === null) return NONE;
  const tuple = ({ src, dst }: ConntrackEntry['original']): CtTuple | null => {
    const from = parseAddr(src.ip);
    const to = parseAddr(dst.ip);
    if (from === null || to === null || familyOf(from) !== family || familyOf(to) !== family) return null;
    return { src: from, sport: src.port, dst: to, dport: dst.port };
  };
  const original = tuple(conntrack.original);
  const reply = tuple(conntrack.reply);
  if (original === null || reply === null) return NONE;
  const { mark, zone, zoneReply, seenReply } = conntrack;
  const entry = settled(original, reply, { mark, zone, zoneReply: zoneReply ?? zone, seenReply });
  return [{ entry, listed: null, state: conntrack.state ?? null }];
}

/** conntrack.txt, by the addresses of either direction; a tuple stands there once a zone. */
export class ConnectionTable {
  private readonly byTuple = new Map<string, KnownConnection[]>();
  private bySource: Map<string, KnownConnection[]> | null = null;

  constructor({ connections }: ConntrackTable) {
    for (const line of connections) {
      const { mark, zone, zoneReply, seenReply } = line;
      const [original, reply] = [numbers(line.original), numbers(line.reply)];
      const known = {
        entry: settled(original, reply, { mark, zone, zoneReply, seenReply }),
        listed: line,
        state: line.state,
      };
      const number = NUMBERS[line.protocol];
      const keys = new Set([keyOf(number, original), keyOf(number, reply)]);
      for (const key of keys) this.byTuple.set(key, [...(this.byTuple.get(key) ?? []), known]);
    }
  }

  /** Those that a packet with these addresses may belong to: which one, its zone says. */
  find({ protocol, src, sport, dst, dport }: Flow): readonly KnownConnection[] {
    return this.byTuple.get(keyOf(protocol, { src, sport, dst, dport })) ?? NONE;
  }

  /** Those that have the tuple in either direction. */
  withTuple(protocol: number, tuple: CtTuple): readonly KnownConnection[] {
    return this.byTuple.get(keyOf(protocol, tuple)) ?? NONE;
  }

  /** Those that were begun from the address and port. */
  fromSource(protocol: number, src: Addr, sport: number): readonly KnownConnection[] {
    if (this.bySource === null) {
      this.bySource = new Map();
      const all = new Set([...this.byTuple.values()].flat());
      for (const known of all) {
        const { original } = known.entry;
        const key = sourceKey(NUMBERS[known.listed?.protocol ?? 'tcp'], original.src, original.sport);
        this.bySource.set(key, [...(this.bySource.get(key) ?? []), known]);
      }
    }
    return this.bySource.get(sourceKey(protocol, src, sport)) ?? NONE;
  }
}

const NUMBERS: Readonly<Record<ConntrackLine['protocol'], number>> = { tcp: TCP, udp: UDP, sctp: SCTP };

function keyOf(protocol: number, { src, sport, dst, dport }: CtTuple): string {
  return `${protocol} ${addrKey(src)} ${sport} ${addrKey(dst)} ${dport}`;
}

function sourceKey(protocol: number, src: Addr, sport: number): string {
  return `${protocol} ${addrKey(src)} ${sport}`;
}

/** An IPv6 address below 2^32 is not the IPv4 address of the same number. */
function addrKey(addr: Addr): string {
  return typeof addr === 'number' ? String(addr) : `${addr}n`;
}

function numbers({ src, dst, sport, dport }: ConntrackTuple): CtTuple {
  return { src: src.value, sport, dst: dst.value, dport };
}

/** Its first packet is over: nat has decided. */
function settled(
  original: CtTuple,
  reply: CtTuple,
  rest: Pick<Connection, 'mark' | 'zone' | 'zoneReply' | 'seenReply'>,
): Connection {
  return {
    original,
    reply,
    mark: rest.mark,
    zone: rest.zone,
    zoneReply: rest.zoneReply,
    seenReply: rest.seenReply,
    srcNat: original.src !== reply.dst || original.sport !== reply.dport,
    dstNat: original.dst !== reply.src || original.dport !== reply.sport,
    srcDone: true,
    dstDone: true,
    confirmed: true,
    drawnPort: null,
    template: false,
  };
}
