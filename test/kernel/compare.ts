import { newPacket, type NetnsOutcome, type NetworkNamespace, type Packet } from '../../src/netns/face.js';
import { parseIp, formatIp } from '../../src/formats/ip.js';
import type { Flow, Seen } from './bench.js';
import type { Sighting } from './sightings.js';

/** What the kernel did, held against what the engine says. */

/** The question to the engine that a flow of the bench is. */
export function questionOf(flow: Flow): Packet {
  const icmp = flow.protocol === 'icmp';
  const out = flow.direction === 'out';
  return newPacket({
    direction: flow.direction,
    iif: flow.iif,
    protocol: flow.protocol,
    src: { ip: flow.src, port: icmp ? 0 : flow.sport },
    dst: { ip: flow.dst, port: icmp ? 0 : flow.dport },
    mark: flow.mark,
    uid: out ? flow.uid : null,
    gid: out ? flow.gid : null,
    tcpFlags: flow.protocol === 'tcp' ? ['SYN'] : [],
    sourceBound: flow.src !== '0.0.0.0' && flow.src !== '::',
    icmp: flow.type === undefined ? null : { type: flow.type, code: flow.code ?? 0, quotes: null },
  });
}

/** An address in the spelling of the engine. */
export function canonical(ip: string): string {
  const parsed = parseIp(ip);
  return parsed === null ? ip : formatIp(parsed);
}

export type Judgement =
  { readonly kind: 'agrees' | 'unknown' | 'forked' } | { readonly kind: 'wrong'; readonly why: string };

/** Whether what the kernel did is among what the engine derived. */
export function judge(netns: NetworkNamespace, flow: Flow, seen: Seen): Judgement {
  return judgePacket(netns, questionOf(flow), seen, (verdict) => verdict);
}

/** `stopped`: what can be told apart of the verdicts on a packet that went nowhere. */
export function judgePacket(
  netns: NetworkNamespace,
  packet: Packet,
  seen: Sighting,
  stopped: (verdict: string) => string,
): Judgement {
  const outcomes = netns.send(packet);
  const wanted = keyOfSeen(seen, stopped);
  const derived = outcomes.map((outcome) => keyOf(outcome, seen, stopped));
  if (outcomes.some(({ probability }, at) => probability !== 0 && derived[at] === wanted)) {
    return { kind: outcomes.length === 1 ? 'agrees' : 'forked' };
  }
  if (outcomes.some(({ verdict }) => verdict === 'unknown')) return { kind: 'unknown' };
  // ip_error limits the errors that one source gets (ip_rt_error_burst): the fifth in a second is silence
  const last = outcomes[0]?.steps.at(-1);
  if (seen.verdict === 'dropped' && outcomes[0]?.verdict === 'rejected' && last?.kind === 'route')
    return { kind: 'agrees' };
  const steps = outcomes[0]?.steps.map(({ summary }) => summary).join(' / ') ?? '';
  return { kind: 'wrong', why: `kernel: ${wanted}\nengine: ${derived.join(' | ')}\nsteps: ${steps}` };
}

function keyOfSeen(seen: Sighting, stopped: (verdict: string) => string): string {
  const { verdict, src, dst, oif, mark, connmark, socket } = seen;
  if (src === undefined || dst === undefined) return stopped(verdict);
  return [verdict, canonical(src[0]), src[1], canonical(dst[0]), dst[1], oif, mark, connmark, socket ?? ''].join(' ');
}

function keyOf(outcome: NetnsOutcome, seen: Sighting, stopped: (verdict: string) => string): string {
  const { verdict, src, dst, oif, mark, connmark } = outcome;
  if (verdict === 'dropped' || verdict === 'rejected') return stopped(verdict);
  const shown = seen.verdict === 'inside' && (verdict === 'delivered' || verdict === 'refused') ? 'inside' : verdict;
  // a source port drawn by chance is the one that was seen
  const port = outcome.sourcePortRandom === true ? (seen.src?.[1] ?? src.port) : src.port;
  const socket = seen.socket === undefined ? '' : (outcome.socket?.name ?? 'nobody');
  return [shown, src.ip, port, dst.ip, dst.port, oif, mark, connmark, socket].join(' ');
}
