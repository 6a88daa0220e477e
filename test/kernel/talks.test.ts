import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { obstacleHere, type Flow } from './bench.js';
import type { KernelCase } from './cases/case.js';
import { TALKS } from './cases/talks.js';
import { judgeTalk, wrongOf, type Judged } from './compare-talk.js';
import { ruleSetOf } from './generate.js';
import { Recorder, type RecordedTalks } from './recorder.js';
import { talkThrough } from './scripts.js';
import { TalkBench } from './talk.js';

/** Neighbours with the same rules, of which every fourth conversation is led: all rules meet all flows in the end. */
const BY_RULES: readonly (readonly KernelCase[])[] = [...new Set(TALKS.map(({ pieces }) => pieces))].map(
  (pieces, set) =>
    TALKS.filter((one) => one.pieces === pieces).filter((_, at, all) => all.length < 6 || at % 4 === set % 4),
);

/** Conversations made by hand, each led through to its end. */
describe.skipIf(obstacleHere() !== null)('conversations made by hand', () => {
  const bench = new TalkBench();
  const recorder = new Recorder<RecordedTalks>();
  beforeAll(() => bench.start());
  const counts = { agrees: 0, forked: 0, unknown: 0, wrong: 0 };
  afterAll(() => {
    process.stderr.write(`talks: ${JSON.stringify(counts)}\n`);
    recorder.write();
    bench.close();
  });

  it.each(BY_RULES.map((few) => [few[0]?.name ?? '', few] as const))('%s', async (name, few) => {
    const [first] = few;
    if (first === undefined) return;
    const files = await bench.mustLoad(ruleSetOf(first.pieces));
    const netns = namespaceOf(files);
    const lead = async (flow: Flow, slow: boolean): Promise<readonly Judged[]> =>
      judgeTalk(netns, files, await talkThrough(bench, flow, slow));
    const judged: Judged[] = [];
    for (const { flow } of few) {
      const fast = await lead(flow, false);
      // what is not believed is said again, slowly
      judged.push(...(wrongOf(fast).length > 0 ? await lead(flow, true) : fast));
    }
    const said = judged.map(({ packet, seen, judgement }) => ({ packet, seen, open: judgement.kind !== 'agrees' }));
    recorder.add(name, files, { said });
    for (const { judgement } of judged) counts[judgement.kind]++;
    expect(wrongOf(judged).join('\n\n')).toBe('');
  });
});
