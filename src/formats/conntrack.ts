import type { Evidence, ParseProblem } from './evidence.js';
import { parseIp, type Ip } from './ip.js';

/** Addresses and ports of one direction of a connection, as its packets arrive. */
export interface ConntrackTuple {
  readonly src: Ip;
  readonly dst: Ip;
  readonly sport: number;
  readonly dport: number;
}

/** One line of `conntrack -L -o extended`: a connection of TCP, UDP or SCTP. */
export interface ConntrackLine {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  /** `ESTABLISHED`, `TIME_WAIT`…; null for UDP, and for what a flowtable holds. */
  readonly state: string | null;
  readonly original: ConntrackTuple;
  readonly reply: ConntrackTuple;
  /** False: [UNREPLIED]. */
  readonly seenReply: boolean;
  /** [OFFLOAD], [HW_OFFLOAD]: a flowtable holds it, its packets pass the rules by. */
  readonly offloaded: boolean;
  readonly mark: number;
  /** Of the packets of either direction: `zone=` says both, `zone-orig=` and `zone-reply=` one. */
  readonly zone: number;
  readonly zoneReply: number;
  readonly evidence: Evidence;
}

/** The connections that the kernel knew when the list was made. */
export interface ConntrackTable {
  readonly file: string;
  readonly connections: readonly ConntrackLine[];
  /** Connections of other protocols (icmp, gre, unknown): not told apart by ports, and never used. */
  readonly unsupported: readonly Evidence[];
  /** Lines that are none of conntrack's; the others are used all the same. */
  readonly problems: readonly ParseProblem[];
}

/** `ipv4     2 tcp      6 431999 ESTABLISHED src=…`; what a flowtable holds has neither timeout nor state. */
const HEAD = /^(ipv4|ipv6)\s+\d+\s+(\S+)\s+\d+\s+(?:\d+\s+)?(?:([A-Z][A-Z0-9_]*)\s+)?src=/;
const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
/** What conntrack says at the end, on its error stream; a capture may have joined the two. */
const TRAILER = /^conntrack v\S+ \(conntrack-tools\): /;

/** Reads the list; libnetfilter_conntrack src/conntrack/snprintf_default.c, 1.0.9, prints it. */
export function parseConntrack(file: string, text: string): ConntrackTable {
  const connections: ConntrackLine[] = [];
  const unsupported: Evidence[] = [];
  const problems: ParseProblem[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    if (row.trim() === '' || TRAILER.test(row)) continue;
    const head = HEAD.exec(row);
    const evidence = { file, line, text: row };
    const protocol = PROTOCOLS.find((name) => name === head?.[2]);
    const connection = head === null || protocol === undefined ? null : connectionOf(row, protocol, head, evidence);
    if (connection !== null) connections.push(connection);
    else if (head !== null && protocol === undefined) unsupported.push(evidence);
    else problems.push({ file, line, message: `not a line of conntrack: ${row.slice(0, 120)}` });
  }
  return { file, connections, unsupported, problems };
}

function connectionOf(
  row: string,
  protocol: ConntrackLine['protocol'],
  head: RegExpExecArray,
  evidence: Evidence,
): ConntrackLine | null {
  const original = new Map<string, string>();
  const reply = new Map<string, string>();
  for (const [, key = '', value = ''] of row.matchAll(/(\S+?)=(\S+)/g)) {
    if (original.has(key)) reply.set(key, value);
    else original.set(key, value);
  }
  const family = head[1] === 'ipv4' ? 4 : 6;
  const there = tupleOf(original, family);
  const back = tupleOf(reply, family);
  const zone = numberIn(original.get('zone') ?? '0');
  const zoneOriginal = numberIn(original.get('zone-orig') ?? '0');
  const zoneReply = numberIn(original.get('zone-reply') ?? '0');
  const mark = numberIn(original.get('mark') ?? '0');
  // "use" is printed last: a line without it was cut
  const whole = original.has('use');
  if (there === null || back === null || !whole) return null;
  if (zone === null || zoneOriginal === null || zoneReply === null || mark === null) return null;
  return {
    protocol,
    state: head[3] ?? null,
    original: there,
    reply: back,
    seenReply: !row.includes('[UNREPLIED]'),
    offloaded: /\[(?:HW_)?OFFLOAD\]/.test(row),
    mark,
    zone: zone === 0 ? zoneOriginal : zone,
    zoneReply: zone === 0 ? zoneReply : zone,
    evidence,
  };
}

function tupleOf(values: ReadonlyMap<string, string>, family: 4 | 6): ConntrackTuple | null {
  const src = parseIp(values.get('src') ?? '');
  const dst = parseIp(values.get('dst') ?? '');
  const sport = numberIn(values.get('sport'));
  const dport = numberIn(values.get('dport'));
  if (src === null || dst === null || sport === null || dport === null) return null;
  return src.family === family && dst.family === family ? { src, dst, sport, dport } : null;
}

function numberIn(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}
