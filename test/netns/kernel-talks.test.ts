import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { judgeSaid } from '../kernel/compare-talk.js';
import type { RecordedTalks } from '../kernel/talk-recorder.js';
import { namespaceOf } from './vectors.js';

/**
 * Whole conversations that the harness of test/kernel led on Linux 6.18 (talks.test.ts): each packet with the connection as
 * conntrack listed it then, and what the kernel did. Here without root, for every run.
 */
const file = new URL('./fixtures/kernel-talks.json.gz', import.meta.url);
const { texts, sets } = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as RecordedTalks;

describe('conversations that the kernel of the harness led', () => {
  it.each(sets.map((set) => [set.name, set] as const))('%s', (_name, { files, said }) => {
    const netns = namespaceOf(
      Object.fromEntries(Object.entries(files).map(([name, place]) => [name, texts[place] ?? ''])),
    );
    const wrong = said.flatMap(({ packet, seen, open }) => {
      const judgement = judgeSaid(netns, packet, seen);
      if (judgement.kind === 'wrong') return [`${JSON.stringify(packet)}\n${judgement.why}`];
      // a fork that nothing forces is no answer
      return open === (judgement.kind !== 'agrees') ? [] : [`${JSON.stringify(packet)}\n${judgement.kind}`];
    });
    expect(wrong).toEqual([]);
  });
});
