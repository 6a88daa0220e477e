import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Files } from '../netns/netns-files.js';
import { namespaceOf } from '../netns/vectors.js';
import { KernelBench, obstacleHere } from './bench.js';
import { packets } from './generate/packets.js';
import { judgeFlows, judgeSlowly, wrongFlows, type JudgedFlow } from './judge-flows.js';
import { FORMS, PROGRAMS } from './programs/index.js';
import { poolsNamedIn } from './programs/program.js';
import { Random } from './random.js';
import { Recorder, type RecordedFlows } from './recorder.js';

/** Rule sets written after the sources of programs that no recording holds, and small ones that ask for one form each. */
const PACKETS = 40;

describe.skipIf(obstacleHere() !== null)('rule sets after the sources of programs', () => {
  const bench = new KernelBench();
  const recorder = new Recorder<RecordedFlows>();
  beforeAll(() => bench.start());
  afterAll(() => {
    recorder.write();
    bench.close();
  });

  function record(name: string, files: Files, judged: readonly JudgedFlow[]): void {
    const open = judged.flatMap(({ judgement }, at) => (judgement.kind === 'agrees' ? [] : [at]));
    recorder.add(name, files, { flows: judged.map(({ flow }) => flow), seen: judged.map(({ seen }) => seen), open });
  }

  it.each(PROGRAMS.map((program, number) => [program.name, program, number] as const))(
    '%s',
    async (name, { rules }, number) => {
      const files = await bench.mustLoad(rules);
      const pools = poolsNamedIn(Object.values(rules).join('\n'));
      const flows = packets(new Random(number), number * PACKETS, PACKETS, pools);
      const judged = await judgeFlows(bench, namespaceOf(files), flows);
      record(name, files, judged);
      expect(wrongFlows(judged).join('\n\n')).toBe('');
      const unknown = judged.filter(({ judgement }) => judgement.kind === 'unknown');
      expect(unknown.length).toBeLessThanOrEqual(PACKETS * 0.02);
    },
  );

  let port = 40_000;
  it.each(FORMS.map((form) => [form.name, form] as const))('%s', async (name, { rules, flows, open }) => {
    const files = await bench.mustLoad(rules);
    const netns = namespaceOf(files);
    const judged: JudgedFlow[] = [];
    for (const flow of flows) judged.push(await judgeSlowly(bench, netns, { ...flow, sport: ++port }));
    record(name, files, judged);
    for (const { judgement } of judged) {
      expect(judgement.kind === 'wrong' ? judgement.why : judgement.kind).toBe(open === true ? 'forked' : 'agrees');
    }
  });
});
