import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { obstacleHere, type Flow } from './bench.js';
import { judgeTalk, wrongOf, type Judged } from './compare-talk.js';
import { packet, POOLS } from './generate/packets.js';
import { ruleSetOf, type Pieces } from './generate.js';
import { PROGRAMS } from './programs/index.js';
import { poolsNamedIn } from './programs/program.js';
import { debug, randomSets, SEED, setsAsked } from './random-sets.js';
import { Random } from './random.js';
import { realPools, realRules, realVectors } from './real-rules.js';
import { converse } from './scripts.js';
import { shrink } from './shrink.js';
import { TalkBench } from './talk.js';

/**
 * Whole conversations against the kernel of this machine: each packet after the first is asked of the engine with the
 * connection as conntrack listed it.
 */
const SETS = setsAsked(25);
const CONVERSATIONS = 6;
/** Of the recorded rule sets of programs one in so many is loaded. */
const SHARE = 16;
const PROGRAM_TALKS = 3;

describe.skipIf(obstacleHere() !== null)('conversations', () => {
  const bench = new TalkBench();
  beforeAll(() => bench.start());
  afterAll(() => bench.close());

  /** The first packet of a conversation that is wrong, said again, slowly, before it is believed. */
  async function check(pieces: Pieces, flow: Flow, seed: number, slow: boolean): Promise<string | null> {
    const loaded = await bench.load(ruleSetOf(pieces));
    if ('refused' in loaded) return null;
    const said = await converse(bench, flow, new Random(seed), slow);
    return wrongOf(judgeTalk(namespaceOf(loaded.files), loaded.files, said))[0] ?? null;
  }

  it(`${SETS} random rule sets of ${CONVERSATIONS} conversations`, { timeout: 0x7fffffff }, async () => {
    const counts = { talks: 0, packets: 0, agrees: 0, forked: 0, unknown: 0, unstable: 0, refused: 0, skipped: 0 };
    const labels: Record<string, number> = {};
    const wrong: string[] = [];
    const refused = (): void => void counts.refused++;
    for await (const { number, seed, pieces, random, files, netns } of randomSets(bench, SETS, refused)) {
      for (let talk = 0; talk < CONVERSATIONS; talk++) {
        const flow = packet(random, number * CONVERSATIONS + talk, POOLS);
        const way = random.int(0x7fffffff);
        const said = await converse(bench, flow, new Random(way), false);
        const judged = judgeTalk(netns, files, said);
        counts.talks++;
        counts.packets += judged.length;
        counts.skipped += said.length - judged.length;
        for (const { label, judgement } of judged) {
          labels[label] = (labels[label] ?? 0) + 1;
          if (judgement.kind !== 'wrong') counts[judgement.kind]++;
        }
        const [bad] = wrongOf(judged);
        if (bad === undefined) continue;
        if ((await check(pieces, flow, way, true)) === null) {
          counts.unstable++;
          debug(`unstable: ${seed} ${bad}`);
          await bench.load(ruleSetOf(pieces));
          continue;
        }
        const smallest = await shrink(pieces, async (smaller) => (await check(smaller, flow, way, false)) !== null);
        const why = await check(smallest, flow, way, true);
        wrong.push(`seed ${seed}, ${JSON.stringify(flow)}\n${why ?? bad}\n${JSON.stringify(smallest, null, 1)}`);
        process.stderr.write(`${wrong.at(-1) ?? ''}\n`);
        break;
      }
      if (wrong.length === 5) break;
    }
    process.stderr.write(`conversations: ${JSON.stringify({ sets: SETS, ...counts, wrong: wrong.length, labels })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.refused).toBeLessThan(SETS * 0.1 + 1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });

  it('rule sets of real programs', { timeout: 0x7fffffff }, async () => {
    const counts = { sets: 0, packets: 0, agrees: 0, forked: 0, unknown: 0, wrong: 0, refused: 0 };
    const wrong: string[] = [];
    const loads = [
      ...realVectors()
        .filter((_, at) => at % SHARE === SEED % SHARE)
        .map((vector) => ({ name: vector.name, rules: realRules(vector), pools: realPools(vector) })),
      ...PROGRAMS.map(({ name, rules }) => ({ name, rules, pools: poolsNamedIn(Object.values(rules).join('\n')) })),
    ];
    for (const [number, { name, rules, pools }] of loads.entries()) {
      const loaded = await bench.load(rules);
      if ('refused' in loaded) {
        counts.refused++;
        continue;
      }
      counts.sets++;
      const netns = namespaceOf(loaded.files);
      const random = new Random(SEED * 1000 + number);
      for (let talk = 0; talk < PROGRAM_TALKS; talk++) {
        const flow = packet(random, number * PROGRAM_TALKS + talk, pools);
        const way = random.int(0x7fffffff);
        const lead = async (slow: boolean): Promise<readonly Judged[]> =>
          judgeTalk(netns, loaded.files, await converse(bench, flow, new Random(way), slow));
        let judged = await lead(false);
        if (wrongOf(judged).length > 0) judged = await lead(true);
        counts.packets += judged.length;
        for (const { judgement } of judged) counts[judgement.kind]++;
        for (const words of wrongOf(judged)) {
          wrong.push(`${name} ${JSON.stringify(flow)}\n${words}`);
          process.stderr.write(`${wrong.at(-1) ?? ''}\n`);
        }
      }
    }
    process.stderr.write(`conversations of programs: ${JSON.stringify(counts)}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
