import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { whyNot, type Flow } from './bench.js';
import type { Judgement } from './compare.js';
import { isAskable, judgeSaid } from './compare-talk.js';
import type { Said } from './conversation.js';
import { generate, packet, POOLS, ruleSetOf, type Pieces } from './generate.js';
import { PROGRAMS } from './programs/index.js';
import { poolsNamedIn } from './programs/program.js';
import { Random } from './random.js';
import { realPools, realRules, realVectors } from './real-rules.js';
import { converse } from './scripts.js';
import { shrink } from './shrink.js';
import { TalkBench } from './talk.js';

/**
 * Whole conversations against the kernel of this machine: each packet after the first is asked of the engine with the
 * connection as conntrack listed it. MESHPATH_KERNEL_SETS: how many random rule sets (6 conversations each);
 * MESHPATH_KERNEL_SEED: the first seed.
 */
const SETS = Number(process.env['MESHPATH_KERNEL_SETS'] ?? 25);
const SEED = Number(process.env['MESHPATH_KERNEL_SEED'] ?? 1);
const CONVERSATIONS = 6;
/** Of the recorded rule sets of programs one in so many is loaded. */
const SHARE = 16;
const PROGRAM_TALKS = 3;

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
}

describe.skipIf(obstacle !== null)('conversations through random rule sets', () => {
  let bench: TalkBench;
  beforeAll(async () => {
    bench = new TalkBench();
    await bench.listen();
  });
  afterAll(() => bench.close());

  /** The first packet of a conversation that is wrong, said again, slowly, before it is believed. */
  async function check(pieces: Pieces, flow: Flow, seed: number, slow: boolean): Promise<string | null> {
    const loaded = await bench.load(ruleSetOf(pieces));
    if ('refused' in loaded) return null;
    const netns = namespaceOf(loaded.files);
    for (const one of await converse(bench, flow, new Random(seed), slow)) {
      if (!isAskable(one, loaded.files)) continue;
      const judgement = judgeSaid(netns, one.packet, one.seen);
      if (judgement.kind === 'wrong') return told(one, judgement.why);
    }
    return null;
  }

  function told({ label, packet }: Said, why: string): string {
    return `${label}: ${JSON.stringify(packet)}\n${why}`;
  }

  it(`${SETS} rule sets of ${CONVERSATIONS} conversations`, { timeout: 0x7fffffff }, async () => {
    const counts = { talks: 0, packets: 0, agrees: 0, forked: 0, unknown: 0, unstable: 0, refused: 0, skipped: 0 };
    const labels: Record<string, number> = {};
    const wrong: string[] = [];
    for (let set = 0; set < SETS && wrong.length < 5; set++) {
      const random = new Random(SEED + set);
      const pieces = generate(random, SEED + set);
      const loaded = await bench.load(ruleSetOf(pieces));
      if ('refused' in loaded) {
        counts.refused++;
        continue;
      }
      const netns = namespaceOf(loaded.files);
      for (let talk = 0; talk < CONVERSATIONS; talk++) {
        const flow = packet(random, set * CONVERSATIONS + talk, POOLS);
        const seed = random.int(0x7fffffff);
        const said = await converse(bench, flow, new Random(seed), false);
        counts.talks++;
        let bad: string | null = null;
        for (const one of said) {
          if (!isAskable(one, loaded.files)) {
            counts.skipped++;
            continue;
          }
          counts.packets++;
          labels[one.label] = (labels[one.label] ?? 0) + 1;
          const judgement = judgeSaid(netns, one.packet, one.seen);
          if (judgement.kind === 'wrong') bad ??= told(one, judgement.why);
          else counts[judgement.kind]++;
        }
        if (bad === null) continue;
        const believed = (await check(pieces, flow, seed, true)) !== null;
        if (!believed) {
          counts.unstable++;
          if (process.env['MESHPATH_KERNEL_DEBUG'] !== undefined)
            process.stderr.write(`unstable: ${SEED + set} ${bad}\n`);
          await bench.load(ruleSetOf(pieces));
          continue;
        }
        const smallest = await shrink(pieces, async (smaller) => (await check(smaller, flow, seed, false)) !== null);
        const why = await check(smallest, flow, seed, true);
        wrong.push(`seed ${SEED + set}, ${JSON.stringify(flow)}\n${why ?? bad}\n${JSON.stringify(smallest, null, 1)}`);
        process.stderr.write(`${wrong.at(-1) ?? ''}\n`);
        break;
      }
    }
    process.stderr.write(`conversations: ${JSON.stringify({ sets: SETS, ...counts, wrong: wrong.length, labels })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.refused).toBeLessThan(SETS * 0.1 + 1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });

  it(`rule sets of real programs`, { timeout: 0x7fffffff }, async () => {
    const counts = { sets: 0, packets: 0, agrees: 0, forked: 0, unknown: 0, refused: 0 };
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
        const seed = random.int(0x7fffffff);
        const lead = async (slow: boolean): Promise<readonly (readonly [Said, Judgement])[]> => {
          const said = await converse(bench, flow, new Random(seed), slow);
          const asked = said.filter((one) => isAskable(one, loaded.files));
          return asked.map((one) => [one, judgeSaid(netns, one.packet, one.seen)] as const);
        };
        let judged = await lead(false);
        if (judged.some(([, { kind }]) => kind === 'wrong')) judged = await lead(true);
        counts.packets += judged.length;
        for (const [one, judgement] of judged) {
          if (judgement.kind === 'wrong') {
            wrong.push(`${name} ${JSON.stringify(flow)}\n${told(one, judgement.why)}`);
            process.stderr.write(`${wrong.at(-1) ?? ''}\n`);
          } else counts[judgement.kind]++;
        }
      }
    }
    process.stderr.write(`conversations of programs: ${JSON.stringify({ ...counts, wrong: wrong.length })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
