import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, obstacleHere } from './bench.js';
import { packets } from './generate/packets.js';
import { judgeFlows, wrongFlows } from './judge-flows.js';
import { Random } from './random.js';
import { realPools, realRules, realVectors } from './real-rules.js';

/**
 * Rule sets as real programs write them (Istio from 1.18 on, sidecars with many options, kube-proxy in both modes, CNIs),
 * loaded into the kernel of this machine; the packets carry the addresses, ports, marks and users that the rules name.
 */
const PACKETS = 40;

const obstacle = obstacleHere();
const vectors = obstacle === null ? realVectors() : [];

describe.skipIf(obstacle !== null)('rule sets of real programs', () => {
  const bench = new KernelBench();
  beforeAll(() => bench.start());
  afterAll(() => bench.close());

  it(`${vectors.length} rule sets of ${PACKETS} packets`, { timeout: 0x7fffffff }, async () => {
    const counts = { sets: 0, refused: 0, packets: 0, agrees: 0, forked: 0, unknown: 0, wrong: 0 };
    const wrong: string[] = [];
    for (const [number, vector] of vectors.entries()) {
      const loaded = await bench.load(realRules(vector));
      if ('refused' in loaded) {
        counts.refused++;
        process.stderr.write(`${vector.name}: ${loaded.refused}\n`);
        continue;
      }
      counts.sets++;
      const flows = packets(new Random(number), number * PACKETS, PACKETS, realPools(vector));
      const judged = await judgeFlows(bench, namespaceOf(loaded.files), flows);
      counts.packets += judged.length;
      for (const { judgement } of judged) counts[judgement.kind]++;
      wrong.push(...wrongFlows(judged).map((words) => `${vector.name} ${words}`));
    }
    process.stderr.write(`kernel: ${JSON.stringify(counts)}\n`);
    expect(wrong.join('\n\n')).toBe('');
    expect(counts.refused).toBeLessThan(vectors.length * 0.1);
    expect(counts.unknown).toBeLessThan(counts.packets * 0.02 + 1);
  });
});
