import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, obstacleHere, type Flow } from './bench.js';
import { judge } from './compare.js';
import { packets, POOLS } from './generate/packets.js';
import { ruleSetOf, type Pieces } from './generate.js';
import { judgeSlowly } from './judge-flows.js';
import { debug, randomSets, setsAsked } from './random-sets.js';
import { shrink } from './shrink.js';

/** The engine against the kernel of this machine, with real packets through random rule sets. */
const SETS = setsAsked(150);
const PACKETS = 20;

describe.skipIf(obstacleHere() !== null)('random rule sets', () => {
  const bench = new KernelBench();
  beforeAll(() => bench.start());
  afterAll(() => bench.close());

  /** What is wrong with one packet; asked again, slowly, before it is believed. */
  async function check(pieces: Pieces, flow: Flow, again: number): Promise<string | null> {
    const loaded = await bench.load(ruleSetOf(pieces));
    if ('refused' in loaded) return null;
    const sent = { ...flow, sport: flow.sport + again };
    const { judgement } = await judgeSlowly(bench, namespaceOf(loaded.files), sent);
    return judgement.kind === 'wrong' ? judgement.why : null;
  }

  it(`${SETS} rule sets of ${PACKETS} packets`, { timeout: 0x7fffffff }, async () => {
    const counts = { packets: 0, agrees: 0, forked: 0, unknown: 0, unstable: 0, refused: 0 };
    const verdicts: Record<string, number> = {};
    const wrong: string[] = [];
    const refused = (why: string): void => {
      counts.refused++;
      debug(why);
    };
    for await (const { number, seed, pieces, random, netns } of randomSets(bench, SETS, refused)) {
      const flows = packets(random, number * PACKETS, PACKETS, POOLS);
      const seen = await bench.send(flows);
      for (const [at, flow] of flows.entries()) {
        const one = seen[at];
        if (one === undefined) continue;
        counts.packets++;
        verdicts[one.verdict] = (verdicts[one.verdict] ?? 0) + 1;
        const judgement = judge(netns, flow, one);
        if (judgement.kind !== 'wrong') {
          counts[judgement.kind]++;
          continue;
        }
        if ((await check(pieces, flow, 100)) === null) {
          counts.agrees++;
          await bench.load(ruleSetOf(pieces));
          continue;
        }
        let tries = 200;
        const smallest = await shrink(pieces, async (smaller) => (await check(smaller, flow, tries++)) !== null);
        const why = await check(smallest, flow, tries);
        if (why === null && (await check(pieces, flow, tries + 1)) === null) {
          // seen twice, then no more: a retransmission or a timer of an earlier packet, not a rule
          counts.unstable++;
          process.stderr.write(`unstable: seed ${seed} ${JSON.stringify(flow)} ${judgement.why}\n`);
          break;
        }
        wrong.push(
          `seed ${seed}, ${JSON.stringify(flow)}\n${why ?? judgement.why}\n${JSON.stringify(smallest, null, 1)}`,
        );
        break;
      }
      if (wrong.length === 5) break;
    }
    process.stderr.write(`kernel: ${JSON.stringify({ sets: SETS, ...counts, wrong: wrong.length, verdicts })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.unstable).toBeLessThanOrEqual(counts.packets * 0.001 + 1);
    expect(counts.refused).toBeLessThan(SETS * 0.1 + 1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
