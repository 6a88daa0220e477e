import { parseIp, formatIp } from '../../src/formats/ip.js';
import type { NetnsOutcome, NetworkNamespace, Packet } from '../../src/netns/face.js';
import type { Judgement } from './compare.js';
import type { Said } from './conversation.js';
import type { Sighting } from './sightings.js';

/** Whether the engine says of a packet of a conversation what the kernel did with it. */
export function judgeSaid(netns: NetworkNamespace, packet: Packet, seen: Sighting): Judgement {
  const outcomes = netns.send(packet);
  const wanted = keyOfSeen(packet, seen);
  if (outcomes.some((outcome) => outcome.probability !== 0 && keyOf(packet, outcome, seen) === wanted)) {
    return { kind: outcomes.length === 1 ? 'agrees' : 'forked' };
  }
  if (outcomes.some(({ verdict }) => verdict === 'unknown')) return { kind: 'unknown' };
  const last = outcomes[0]?.steps.at(-1);
  // ip_error limits the errors that one source gets
  if (seen.verdict === 'dropped' && outcomes[0]?.verdict === 'rejected' && last?.kind === 'route')
    return { kind: 'agrees' };
  const steps = outcomes[0]?.steps.map(({ summary }) => summary).join(' / ') ?? '';
  const derived = outcomes.map((one) => keyOf(packet, one, seen)).join(' | ');
  return { kind: 'wrong', why: `kernel: ${wanted}\nengine: ${derived}\nsteps: ${steps}` };
}

/** A question that the files leave open by more than a fork: who sends what the kernel itself makes. */
export function isAskable({ packet }: Said, files: Readonly<Record<string, string>>): boolean {
  if (packet.direction === 'in') return true;
  const rules = ['iptables-save.txt', 'ip6tables-save.txt', 'nft-ruleset.json', 'ip-rule.json', 'ip6-rule.json'];
  const says = (words: RegExp): boolean => rules.some((name) => words.test(files[name] ?? ''));
  // among zones the list does not tell whose connection an error belongs to
  if (packet.icmp?.quotes != null && says(/zone/)) return false;
  return packet.uid !== null || !says(/owner|skuid|skgid|uid/);
}

function canonical(ip: string): string {
  const parsed = parseIp(ip);
  return parsed === null ? ip : formatIp(parsed);
}

/** Of what a local socket sends nobody is told whether it was refused or swallowed. */
function stopped({ direction }: Packet, verdict: string): string {
  return direction === 'out' ? 'stopped' : verdict;
}

function keyOfSeen(packet: Packet, seen: Sighting): string {
  const { verdict, src, dst, oif, mark, connmark, socket } = seen;
  if (src === undefined || dst === undefined) return stopped(packet, verdict);
  return [verdict, canonical(src[0]), src[1], canonical(dst[0]), dst[1], oif, mark, connmark, socket ?? ''].join(' ');
}

function keyOf(packet: Packet, outcome: NetnsOutcome, seen: Sighting): string {
  const { verdict, src, dst, oif, mark, connmark } = outcome;
  if (verdict === 'dropped' || verdict === 'rejected') return stopped(packet, verdict);
  const shown = seen.verdict === 'inside' && (verdict === 'delivered' || verdict === 'refused') ? 'inside' : verdict;
  const port = outcome.sourcePortRandom === true ? (seen.src?.[1] ?? src.port) : src.port;
  const socket = seen.socket === undefined ? '' : (outcome.socket?.name ?? 'nobody');
  return [shown, src.ip, port, dst.ip, dst.port, oif, mark, connmark, socket].join(' ');
}
