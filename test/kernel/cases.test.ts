import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Files } from '../netns/netns-files.js';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, obstacleHere } from './bench.js';
import { CASES } from './cases.js';
import { ruleSetOf, type Pieces } from './generate.js';
import { judgeSlowly } from './judge-flows.js';

/** Each case of cases.ts: one packet through its rules, in the kernel of this machine and in the engine. */
describe.skipIf(obstacleHere() !== null)('cases made by hand', () => {
  const bench = new KernelBench();
  beforeAll(() => bench.start());
  afterAll(() => bench.close());

  let before: { readonly pieces: Pieces; readonly files: Files } | null = null;
  it.each(CASES.map((one, at) => [one.name, one, at] as const))('%s', async (_name, one, at) => {
    const { pieces, flow, sharesRules } = one;
    const files = before?.pieces === pieces ? before.files : await bench.mustLoad(ruleSetOf(pieces));
    before = { pieces, files };
    const sent = sharesRules === true ? flow : { ...flow, sport: flow.sport + at };
    const { judgement } = await judgeSlowly(bench, namespaceOf(files), sent);
    expect(judgement.kind === 'wrong' ? judgement.why : '').toBe('');
  });
});
