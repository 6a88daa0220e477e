import type { Evidence } from '../formats/evidence.js';
import { joinHostPort, parseIp, splitHostPort } from '../formats/ip.js';
import { isObject, numberOf, type JsonObject } from '../formats/netns-json.js';
import type { Address, CtState, NetnsOutcome, NetworkNamespace, Packet, Protocol, TcpFlag } from './face.js';

/** The questions and answers of `meshpath eval netns` (contract: eval.md), apart from files and streams. */
export type NetnsAnswer =
  | { readonly id: unknown; readonly outcomes: readonly NetnsAnswerOutcome[] }
  | { readonly id: unknown; readonly error: string };

export interface NetnsAnswerOutcome {
  readonly probability: number | null;
  readonly verdict: NetnsOutcome['verdict'];
  readonly src: string;
  readonly dst: string;
  readonly oif: string | null;
  readonly mark: string;
  readonly connmark: string;
  readonly socket: string | null;
  readonly decidedBy: Evidence | null;
  /** What a fork depends on; only where there is one. */
  readonly conditions?: readonly string[];
  /** Which fact is missing; only of `unknown` and of forks on missing facts. */
  readonly reason?: string;
}

/** As one line of JSON, and whether the question could not be read. */
export function answerQuestion(
  netns: NetworkNamespace,
  line: string,
): { readonly text: string; readonly malformed: boolean } {
  const answer = answerLine(netns, line);
  return { text: JSON.stringify(answer), malformed: 'error' in answer };
}

/** One line of the questions. A malformed one answers with an error, never throws. */
export function answerLine(netns: NetworkNamespace, line: string): NetnsAnswer {
  let question: unknown;
  try {
    question = JSON.parse(line);
  } catch {
    return { id: null, error: 'not JSON' };
  }
  const id = isObject(question) ? (question['id'] ?? null) : null;
  const packet = isObject(question) ? packetOf(question) : 'not a JSON object';
  if (typeof packet === 'string') return { id, error: packet };
  return { id, outcomes: netns.send(packet).map((outcome) => answerOf(outcome, packet.protocol)) };
}

const PROTOCOLS: readonly Protocol[] = ['tcp', 'udp', 'icmp', 'sctp'];
const STATES: readonly CtState[] = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];
const FLAGS: readonly TcpFlag[] = ['SYN', 'ACK', 'FIN', 'RST', 'PSH', 'URG'];

/** The packet, or what is wrong with the question. */
export function packetOf(question: JsonObject): Packet | string {
  const { direction, iif } = question;
  if (direction !== 'in' && direction !== 'out') return 'direction is neither "in" nor "out"';
  const device = typeof iif === 'string' && iif !== '' ? iif : null;
  if (direction === 'in' && device === null) return 'iif is missing: a packet that arrives needs a device';
  const protocol = PROTOCOLS.find((name) => name === question['protocol']);
  if (protocol === undefined) return 'protocol is none of tcp, udp, icmp, sctp';
  const src = endpointOf(question['src'], protocol);
  const dst = endpointOf(question['dst'], protocol);
  if (src === null || dst === null) return `${src === null ? 'src' : 'dst'} is not an address with a port`;
  const ctstate = STATES.find((name) => name === (question['ctstate'] ?? 'NEW'));
  if (ctstate === undefined) return 'ctstate is none of NEW, ESTABLISHED, RELATED, INVALID, UNTRACKED';
  const ctdir = question['ctdir'] ?? 'ORIGINAL';
  if (ctdir !== 'ORIGINAL' && ctdir !== 'REPLY') return 'ctdir is neither ORIGINAL nor REPLY';
  const mark = markOf(question['mark']);
  const connmark = markOf(question['connmark']);
  if (mark === null || connmark === null) return 'mark and connmark are numbers of 32 bits';
  const uid = idOf(question['uid']);
  const gid = idOf(question['gid']);
  if (uid === undefined || gid === undefined) return 'uid and gid are numbers or null';
  const tcpFlags = flagsOf(question['tcpFlags']);
  if (tcpFlags === null) return 'tcpFlags names flags that TCP does not have';
  const icmp = protocol === 'icmp' ? messageOf(question, parseIp(src.ip)?.family ?? 4) : null;
  if (typeof icmp === 'string') return icmp;
  return {
    direction,
    iif: device,
    protocol,
    src,
    dst,
    mark,
    conntrack: null,
    assumed: { ctstate, ctdir, connmark },
    uid,
    gid,
    tcpFlags,
    icmp,
    connectedSocket: null,
    sourceBound: true,
  };
}

/** `icmpType`, `icmpCode`, and of an error `quotes`: protocol, src and dst of the packet that it tells of. */
function messageOf(question: JsonObject, family: 4 | 6): Packet['icmp'] | string {
  const { icmpType, icmpCode, quotes } = question;
  if (icmpType === undefined && icmpCode === undefined && quotes === undefined) return null;
  const type = icmpType ?? (family === 4 ? 8 : 128);
  const code = icmpCode ?? 0;
  if (!isByte(type) || !isByte(code)) return 'icmpType and icmpCode are numbers of 8 bits';
  if (quotes === undefined || quotes === null) return { type, code, quotes: null };
  const protocol = isObject(quotes) ? PROTOCOLS.find((name) => name === quotes['protocol']) : undefined;
  if (!isObject(quotes) || protocol === undefined) return 'quotes names no protocol';
  const src = endpointOf(quotes['src'], protocol);
  const dst = endpointOf(quotes['dst'], protocol);
  if (src === null || dst === null) return 'src or dst of quotes is not an address with a port';
  return { type, code, quotes: { protocol, src, dst } };
}

function isByte(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255;
}

function endpointOf(value: unknown, protocol: Protocol): Address | null {
  if (typeof value !== 'string') return null;
  const bare = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value;
  if (protocol === 'icmp' && parseIp(bare) !== null) return { ip: bare, port: 0 };
  const split = splitHostPort(value);
  if (split === null || parseIp(split.host) === null) return null;
  return { ip: split.host, port: protocol === 'icmp' ? 0 : split.port };
}

function markOf(value: unknown): number | null {
  if (value === undefined || value === null) return 0;
  const mark = numberOf(value);
  return mark !== null && Number.isInteger(mark) && mark >= 0 && mark <= 0xffffffff ? mark : null;
}

function idOf(value: unknown): number | null | undefined {
  if (value === undefined || value === null) return null;
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 ? value : undefined;
}

/** `"SYN"`, `"SYN,ACK"`, `"SYN ACK"` or a list of names; missing: SYN. */
function flagsOf(value: unknown): readonly TcpFlag[] | null {
  if (value === undefined || value === null) return ['SYN'];
  const words: readonly unknown[] | null =
    typeof value === 'string' ? value.split(/[ ,|+]+/) : Array.isArray(value) ? value : null;
  if (words === null) return null;
  const flags = words.filter((word) => word !== '' && word !== 'NONE');
  const known = flags.flatMap((word) => FLAGS.find((flag) => flag === word) ?? []);
  return known.length === flags.length ? known : null;
}

function answerOf(outcome: NetnsOutcome, protocol: Protocol): NetnsAnswerOutcome {
  const missing = outcome.unknowns.map(({ fact, reason }) => `${fact}: ${reason}`).join('; ');
  // delivered, but whether anybody listens cannot be seen: for a single question that is not an answer
  const unseen = outcome.verdict === 'delivered' && outcome.socket === null && outcome.unknowns.length > 0;
  const show = ({ ip, port }: Address, random: boolean): string => {
    if (protocol === 'icmp') return ip;
    const text = joinHostPort(ip, port);
    return random ? text.replace(/\d+$/, '*') : text;
  };
  return {
    probability: outcome.probability,
    verdict: unseen && outcome.conditions.length === 0 ? 'unknown' : outcome.verdict,
    src: show(outcome.src, outcome.sourcePortRandom === true),
    dst: show(outcome.dst, false),
    oif: outcome.oif,
    mark: `0x${outcome.mark.toString(16)}`,
    connmark: `0x${outcome.connmark.toString(16)}`,
    socket: outcome.socket?.name ?? null,
    decidedBy: outcome.decidedBy,
    ...(outcome.conditions.length > 0 ? { conditions: outcome.conditions } : {}),
    ...(missing === '' ? {} : { reason: missing }),
  };
}
