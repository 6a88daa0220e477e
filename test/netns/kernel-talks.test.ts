import { describe, expect, it } from 'vitest';
import { judgeSaid } from '../kernel/compare-talk.js';
import type { RecordedTalks } from '../kernel/recorder.js';
import { loadRecorded, namespaceOf } from './vectors.js';

/**
 * Whole conversations that the harness of test/kernel led on Linux 6.18 (talks.test.ts): each packet with the connection as
 * conntrack listed it then, and what the kernel did. Here without root, for every run.
 */
const sets = loadRecorded<RecordedTalks>('kernel-talks');

describe('conversations that the kernel of the harness led', () => {
  it.each(sets.map((set) => [set.name, set] as const))('%s', (_name, { files, said }) => {
    const netns = namespaceOf(files);
    const wrong = said.flatMap(({ packet, seen, open }) => {
      const judgement = judgeSaid(netns, packet, seen);
      if (judgement.kind === 'wrong') return [`${JSON.stringify(packet)}\n${judgement.why}`];
      // a fork that nothing forces is no answer
      return open === (judgement.kind !== 'agrees') ? [] : [`${JSON.stringify(packet)}\n${judgement.kind}`];
    });
    expect(wrong).toEqual([]);
  });
});
