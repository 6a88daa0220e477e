import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, whyNot } from './bench.js';
import { CASES } from './cases.js';
import { judge } from './compare.js';
import { ruleSetOf } from './generate.js';

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

  it.each(CASES.map((one, at) => [one.name, one, at] as const))('%s', async (_name, { pieces, flow }, at) => {
    const loaded = await bench.load(ruleSetOf(pieces));
    if ('refused' in loaded) throw new Error(loaded.refused);
    const sent = { ...flow, sport: flow.sport + at };
    const [seen] = await bench.send([sent], true);
    if (seen === undefined) throw new Error('nothing seen');
    const judgement = judge(namespaceOf(loaded.files), sent, seen);
    expect(judgement.kind === 'wrong' ? judgement.why : '').toBe('');
  });
});
