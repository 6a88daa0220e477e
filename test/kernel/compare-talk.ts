import type { NetworkNamespace, Packet } from '../../src/netns/face.js';
import type { Files } from '../netns/netns-files.js';
import { judgePacket, type Judgement } from './compare.js';
import type { Said } from './conversation.js';
import type { Sighting } from './sightings.js';

/** A packet of a conversation, and what the engine says of it. */
export type Judged = Said & { readonly judgement: Judgement };

/** What the engine says of each packet of a conversation that can be asked of it. */
export function judgeTalk(netns: NetworkNamespace, files: Files, said: readonly Said[]): readonly Judged[] {
  const asked = said.filter((one) => isAskable(one, files));
  return asked.map((one) => ({ ...one, judgement: judgeSaid(netns, one.packet, one.seen) }));
}

/** The packets of which the engine says what the kernel did not do, in words. */
export function wrongOf(judged: readonly Judged[]): readonly string[] {
  return judged.flatMap(({ label, packet, judgement }) =>
    judgement.kind === 'wrong' ? [`${label}: ${JSON.stringify(packet)}\n${judgement.why}`] : [],
  );
}

/** Whether the engine says of a packet of a conversation what the kernel did with it. */
export function judgeSaid(netns: NetworkNamespace, packet: Packet, seen: Sighting): Judgement {
  // of what a local socket sends nobody is told whether it was refused or swallowed
  return judgePacket(netns, packet, seen, (verdict) => (packet.direction === 'out' ? 'stopped' : verdict));
}

/** A question that the files leave open by more than a fork: who sends what the kernel itself makes. */
function isAskable({ packet }: Said, files: Files): boolean {
  if (packet.direction === 'in') return true;
  const rules = ['iptables-save.txt', 'ip6tables-save.txt', 'nft-ruleset.json', 'ip-rule.json', 'ip6-rule.json'];
  const says = (words: RegExp): boolean => rules.some((name) => words.test(files[name] ?? ''));
  // among zones the list does not tell whose connection an error belongs to
  if (packet.icmp?.quotes != null && says(/zone/)) return false;
  return packet.uid !== null || !says(/owner|skuid|skgid|uid/);
}
