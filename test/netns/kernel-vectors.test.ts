import { describe, expect, it } from 'vitest';
import { answerLine, packetOf } from '../../src/netns/eval.js';
import type { Address, NetnsOutcome, Packet } from '../../src/netns/face.js';
import {
  disagreement,
  hasDnatRange,
  lines,
  loadVectors,
  namespaceOf,
  type Observed,
  type Question,
} from './vectors.js';

/**
 * Where the recording holds an accident of recording, not a decision of the rules: the same tuple was used twice within
 * one recording, so the second connection's source port clashed and the kernel chose another (nf_nat_used_tuple, linux
 * net/netfilter/nf_nat_core.c); and one source got no more errors for unreachable routes than ip_error allows in a row
 * (ip_rt_error_burst, net/ipv4/route.c).
 */
const ACCIDENTS: ReadonlySet<string> = new Set([
  'hostprobe-002 14',
  'rand-ipt-101 17',
  'rand-nft-001 9',
  'rand-nft-025 24',
]);

/** How many questions of a vector nobody can decide from its files: -m recent, transparent sockets, what was there before, what nft's list leaves away. */
const OPEN: ReadonlyMap<string, number> = new Map([
  ['cni-calico-002', 2],
  ['cni-calico-003', 1],
  ['cni-flannel-002', 6],
  ['kubeproxy-ipt-002', 1],
  ['kubeproxy-ipt-003', 3],
  ['kubeproxy-ipt-004', 3],
  ['kubeproxy-ipt-013', 4],
  ['kubeproxy-nft-009', 1],
  ['rand-ipt-103', 1],
  ['rand-nft-016', 1],
  ['rand-nft-020', 7],
  ['tricky-nft-base-chains-001', 1],
  ['tricky-socket-001', 8],
]);

const vectors = loadVectors();

describe('verdicts of the Linux kernel', () => {
  it.each(vectors.map((vector) => [vector.name, vector] as const))('%s', (name, vector) => {
    const netns = namespaceOf(vector.files);
    const observed = new Map(
      lines<{ id: string; outcomes: Observed[] }>(vector.answers).map(({ id, outcomes }) => [id, outcomes]),
    );
    const range = hasDnatRange(vector.files);
    const wrong: string[] = [];
    let open = 0;
    for (const line of vector.flows.split('\n').filter((text) => text !== '')) {
      const question = JSON.parse(line) as Question;
      if (ACCIDENTS.has(`${name} ${question.id}`)) continue;
      const answer = answerLine(netns, line);
      if ('outcomes' in answer && answer.outcomes.some(({ probability }) => probability === null)) open++;
      const why = disagreement(question, answer, observed.get(question.id) ?? [], range);
      if (why !== null) wrong.push(`${line}\n  ${why}`);
    }
    expect(wrong).toEqual([]);
    expect(open).toBe(OPEN.get(name) ?? 0);
  });
});

interface Conversation {
  readonly id: string;
  readonly first: Record<string, unknown>;
  readonly firstOutcome: Observed;
  readonly packet: Record<string, unknown> & { readonly protocol: string; readonly ctdir: string };
  readonly outcome: Observed;
  /** A line of `conntrack -L` after the first packet. */
  readonly conntrack: string;
}

/** istio118-002 2: the reply in between changed the connection mark, which the recording does not give. */
const CONVERSATION_ACCIDENTS: ReadonlySet<string> = new Set(['istio118-002 2', 'rand-ipt-101 6']);

function shown({ ip, port }: Address, protocol: string): string {
  if (protocol === 'icmp') return ip;
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function secondPacket(conversation: Conversation, first: NetnsOutcome): Packet | string {
  const { packet, conntrack, firstOutcome } = conversation;
  const parsed = packetOf(packet);
  if (typeof parsed === 'string' || first.conntrack === null) return 'no packet or no entry';
  const reply = packet.ctdir === 'REPLY';
  const tcp = packet.protocol === 'tcp';
  // a source port drawn by chance, and a mark set by what was in between, are taken from the recording
  const ports = [...conntrack.matchAll(/dport=(\d+)/g)].map((match) => Number(match[1]));
  const entry = first.conntrack;
  const port = ports[1] ?? entry.reply.dst.port;
  const unreplied = conntrack.includes('UNREPLIED') && firstOutcome.verdict !== 'forwarded';
  const viaTproxy =
    first.verdict === 'delivered' &&
    first.socket !== null &&
    first.dst.port === entry.original.dst.port &&
    !first.socket.name.endsWith(`:${first.dst.port}`);
  return {
    ...parsed,
    assumed: null,
    conntrack: {
      ...entry,
      mark: Number(packet['connmark']),
      reply: { ...entry.reply, dst: { ...entry.reply.dst, port } },
      seenReply: reply ? entry.seenReply : !unreplied,
    },
    tcpFlags: tcp ? (reply ? ['SYN', 'ACK'] : ['ACK']) : [],
    connectedSocket: firstOutcome.verdict === 'forwarded' ? null : { name: 'own', transparent: viaTproxy && !reply },
  };
}

describe('the next packet of a connection', () => {
  const talking = vectors.filter(({ conversations }) => conversations !== '');
  it.each(talking.map((vector) => [vector.name, vector] as const))('%s', (name, vector) => {
    const netns = namespaceOf(vector.files);
    const wrong: string[] = [];
    for (const conversation of lines<Conversation>(vector.conversations)) {
      if (CONVERSATION_ACCIDENTS.has(`${name} ${conversation.id}`)) continue;
      const { first, firstOutcome, packet, outcome } = conversation;
      const protocol = packet.protocol;
      const opening = packetOf(first);
      if (typeof opening === 'string') throw new Error(opening);
      const taken = netns
        .send(opening)
        .find(
          ({ verdict, dst, oif }) =>
            verdict === firstOutcome.verdict &&
            oif === firstOutcome.oif &&
            (firstOutcome.dst === null || shown(dst, protocol) === firstOutcome.dst),
        );
      const next = taken === undefined ? 'the first packet ends otherwise' : secondPacket(conversation, taken);
      if (typeof next === 'string') {
        wrong.push(`${conversation.id}: ${next}`);
        continue;
      }
      const key = (one: NetnsOutcome): string =>
        [
          one.verdict === 'refused' ? 'delivered' : one.verdict,
          shown(one.src, protocol),
          shown(one.dst, protocol),
          one.oif,
          `0x${one.mark.toString(16)}`,
          `0x${one.connmark.toString(16)}`,
        ].join(' ');
      const wanted = [outcome.verdict, outcome.src, outcome.dst, outcome.oif, outcome.mark, outcome.connmark].join(' ');
      const derived = netns.send(next);
      // recorded conversations do not tell a rejection from silence
      const stopped = outcome.verdict === 'dropped' || outcome.verdict === 'rejected';
      const agrees = derived.some((one) =>
        stopped ? one.verdict === 'dropped' || one.verdict === 'rejected' : key(one) === wanted,
      );
      if (!agrees) wrong.push(`${conversation.id}: ${wanted}; derived ${derived.map(key).join(' | ')}`);
    }
    expect(wrong).toEqual([]);
  });
});
