import { newPacket, type NetnsOutcome, type NetworkNamespace, type Packet } from '../../src/netns/face.js';
import { parseIp, formatIp } from '../../src/formats/ip.js';
import type { Flow, Seen } from './bench.js';

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
  });
}

function same(ip: string): string {
  const parsed = parseIp(ip);
  return parsed === null ? ip : formatIp(parsed);
}

function keyOfSeen(seen: Seen): string {
  if (seen.src === undefined || seen.dst === undefined) return seen.verdict;
  const { verdict, src, dst, oif, mark, connmark } = seen;
  return [verdict, same(src[0]), src[1], same(dst[0]), dst[1], oif, mark, connmark].join(' ');
}

function keyOf(outcome: NetnsOutcome, seen: Seen): string {
  const { verdict, src, dst, oif, mark, connmark } = outcome;
  if (verdict === 'dropped' || verdict === 'rejected') return verdict;
  // a source port drawn by chance is the one that was seen
  const shown = seen.verdict === 'inside' && (verdict === 'delivered' || verdict === 'refused') ? 'inside' : verdict;
  const port = outcome.sourcePortRandom === true ? (seen.src?.[1] ?? src.port) : src.port;
  return [shown, src.ip, port, dst.ip, dst.port, oif, mark, connmark].join(' ');
}

export type Judgement =
  { readonly kind: 'agrees' | 'unknown' | 'forked' } | { readonly kind: 'wrong'; readonly why: string };

/** Whether what the kernel did is among what the engine derived. */
export function judge(netns: NetworkNamespace, flow: Flow, seen: Seen): Judgement {
  const outcomes = netns.send(questionOf(flow));
  const wanted = keyOfSeen(seen);
  if (outcomes.some((outcome) => outcome.probability !== 0 && keyOf(outcome, seen) === wanted)) {
    return { kind: outcomes.length === 1 ? 'agrees' : 'forked' };
  }
  if (outcomes.some(({ verdict }) => verdict === 'unknown')) return { kind: 'unknown' };
  // ip_error limits the errors that one source gets (ip_rt_error_burst): the fifth in a second is silence
  const last = outcomes[0]?.steps.at(-1);
  if (seen.verdict === 'dropped' && outcomes[0]?.verdict === 'rejected' && last?.kind === 'route')
    return { kind: 'agrees' };
  const steps = outcomes[0]?.steps.map(({ summary }) => summary).join(' / ') ?? '';
  return {
    kind: 'wrong',
    why: `kernel: ${wanted}\nengine: ${outcomes.map((one) => keyOf(one, seen)).join(' | ')}\nsteps: ${steps}`,
  };
}
