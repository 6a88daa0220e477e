import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, whyNot, type Loaded } from './bench.js';
import { CASES } from './cases.js';
import { judge } from './compare.js';
import { ruleSetOf, type Pieces } from './generate.js';

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
}

describe.skipIf(obstacle !== null)('cases made by hand', () => {
  let bench: KernelBench;
  beforeAll(async () => {
    bench = new KernelBench();
    await bench.listen();
  });
  afterAll(() => bench.close());

  let before: { readonly pieces: Pieces; readonly loaded: Loaded } | null = null;
  it.each(CASES.map((one, at) => [one.name, one, at] as const))('%s', async (_name, one, at) => {
    const { pieces, flow, sharesRules } = one;
    const loaded = before?.pieces === pieces ? before.loaded : await bench.load(ruleSetOf(pieces));
    before = { pieces, loaded };
    if ('refused' in loaded) throw new Error(loaded.refused);
    const sent = sharesRules === true ? flow : { ...flow, sport: flow.sport + at };
    const [seen] = await bench.send([sent], true);
    if (seen === undefined) throw new Error('nothing seen');
    const judgement = judge(namespaceOf(loaded.files), sent, seen);
    expect(judgement.kind === 'wrong' ? judgement.why : '').toBe('');
  });
});
