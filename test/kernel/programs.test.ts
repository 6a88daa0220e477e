import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, whyNot, type Flow, type Seen } from './bench.js';
import { judge, type Judgement } from './compare.js';
import { FORMS, PROGRAMS } from './programs/index.js';
import { packets, poolsNamedIn } from './programs/program.js';
import { Random } from './random.js';
import { Recorder } from './recorder.js';
import type { NetworkNamespace } from '../../src/netns/face.js';

/** Rule sets written after the sources of programs that no recording holds, and small ones that ask for one form each. */
const PACKETS = 40;

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
}

describe.skipIf(obstacle !== null)('rule sets after the sources of programs', () => {
  let bench: KernelBench;
  const recorder = new Recorder();
  beforeAll(async () => {
    bench = new KernelBench();
    await bench.listen();
  });
  afterAll(() => {
    recorder.write();
    bench.close();
  });

  /** What is not believed is asked again, slowly. */
  async function held(
    netns: NetworkNamespace,
    flow: Flow,
    fast: Seen | undefined,
    port: number,
  ): Promise<{ readonly flow: Flow; readonly seen: Seen; readonly judgement: Judgement }> {
    if (fast !== undefined) {
      const judgement = judge(netns, flow, fast);
      if (judgement.kind !== 'wrong') return { flow, seen: fast, judgement };
    }
    const again = { ...flow, sport: port };
    const [seen] = await bench.send([again], true);
    if (seen === undefined) throw new Error('nothing seen');
    return { flow: again, seen, judgement: judge(netns, again, seen) };
  }

  it.each(PROGRAMS.map((program, number) => [program.name, program, number] as const))(
    '%s',
    async (name, { rules }, number) => {
      const loaded = await bench.load(rules);
      if ('refused' in loaded) throw new Error(loaded.refused);
      const netns = namespaceOf(loaded.files);
      const pools = poolsNamedIn(Object.values(rules).join('\n'));
      const flows = packets(new Random(number), number * PACKETS, PACKETS, pools);
      const seen = await bench.send(flows);
      const results = [];
      for (const [at, flow] of flows.entries()) results.push(await held(netns, flow, seen[at], flow.sport + 15_000));
      const wrong = results.flatMap(({ flow, judgement }) =>
        judgement.kind === 'wrong' ? [`${JSON.stringify(flow)}\n${judgement.why}`] : [],
      );
      const open = results.flatMap(({ judgement }, at) => (judgement.kind === 'agrees' ? [] : [at]));
      recorder.add(
        name,
        loaded.files,
        results.map((one) => one.flow),
        results.map((one) => one.seen),
        open,
      );
      expect(wrong.join('\n\n')).toBe('');
      expect(results.filter(({ judgement }) => judgement.kind === 'unknown').length).toBeLessThanOrEqual(
        PACKETS * 0.02,
      );
    },
  );

  let port = 40_000;
  it.each(FORMS.map((form) => [form.name, form] as const))('%s', async (name, { rules, flows, open }) => {
    const loaded = await bench.load(rules);
    if ('refused' in loaded) throw new Error(loaded.refused);
    const netns = namespaceOf(loaded.files);
    const results = [];
    for (const flow of flows) results.push(await held(netns, flow, undefined, ++port));
    recorder.add(
      name,
      loaded.files,
      results.map((one) => one.flow),
      results.map((one) => one.seen),
      open === true ? results.map((_, at) => at) : [],
    );
    for (const { judgement } of results) {
      expect(judgement.kind === 'wrong' ? judgement.why : judgement.kind).toBe(open === true ? 'forked' : 'agrees');
    }
  });
});
