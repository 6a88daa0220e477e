import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, whyNot, type Flow } from './bench.js';
import { judge } from './compare.js';
import { packet } from './generate.js';
import { Random } from './random.js';
import { realPools, realRules, realVectors } from './real-rules.js';

/**
 * Rule sets as real programs write them (Istio from 1.18 on, sidecars with many options, kube-proxy in both modes, CNIs),
 * loaded into the kernel of this machine; the packets carry the addresses, ports, marks and users that the rules name.
 */
const PACKETS = 40;

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
}

const vectors = obstacle === null ? realVectors() : [];

describe.skipIf(obstacle !== null)('rule sets of real programs', () => {
  let bench: KernelBench;
  beforeAll(async () => {
    bench = new KernelBench();
    await bench.listen();
  });
  afterAll(() => bench.close());

  it(`${vectors.length} rule sets of ${PACKETS} packets`, { timeout: 0x7fffffff }, async () => {
    const counts = { sets: 0, refused: 0, packets: 0, agrees: 0, forked: 0, unknown: 0 };
    const wrong: string[] = [];
    for (const [number, vector] of vectors.entries()) {
      const loaded = await bench.load(realRules(vector));
      if ('refused' in loaded) {
        counts.refused++;
        process.stderr.write(`${vector.name}: ${loaded.refused}\n`);
        continue;
      }
      counts.sets++;
      const netns = namespaceOf(loaded.files);
      const random = new Random(number);
      const pools = realPools(vector);
      const flows: Flow[] = Array.from({ length: PACKETS }, (_, at) => packet(random, number * PACKETS + at, pools));
      const seen = await bench.send(flows);
      for (const [at, flow] of flows.entries()) {
        const one = seen[at];
        if (one === undefined) continue;
        counts.packets++;
        let judgement = judge(netns, flow, one);
        if (judgement.kind === 'wrong') {
          // asked again, slowly, before it is believed
          const again = { ...flow, sport: flow.sport + 15_000 };
          const [slow] = await bench.send([again], true);
          if (slow !== undefined) judgement = judge(netns, again, slow);
        }
        if (judgement.kind === 'wrong') wrong.push(`${vector.name} ${JSON.stringify(flow)}\n${judgement.why}`);
        else counts[judgement.kind]++;
      }
    }
    process.stderr.write(`kernel: ${JSON.stringify({ ...counts, wrong: wrong.length })}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.refused).toBeLessThan(vectors.length * 0.1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
