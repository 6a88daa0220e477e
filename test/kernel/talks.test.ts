import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namespaceOf } from '../netns/vectors.js';
import { whyNot, type Flow } from './bench.js';
import type { KernelCase } from './cases/case.js';
import { TALKS } from './cases/talks.js';
import type { Judgement } from './compare.js';
import { isAskable, judgeSaid } from './compare-talk.js';
import type { Said } from './conversation.js';
import { ruleSetOf } from './generate.js';
import { talkThrough } from './scripts.js';
import { TalkBench } from './talk.js';
import { TalkRecorder } from './talk-recorder.js';

const obstacle = whyNot();
if (obstacle !== null && process.env['CI'] === 'true') {
  throw new Error(`the kernel tests cannot run here: ${obstacle}`);
}

type Judged = Said & { readonly judgement: Judgement };

/** Neighbours with the same rules, of which every fourth conversation is led: all rules meet all flows in the end. */
const BY_RULES: readonly (readonly KernelCase[])[] = [...new Set(TALKS.map(({ pieces }) => pieces))].map(
  (pieces, set) =>
    TALKS.filter((one) => one.pieces === pieces).filter((_, at, all) => all.length < 6 || at % 4 === set % 4),
);

/** Conversations made by hand, each led through to its end. */
describe.skipIf(obstacle !== null)('conversations made by hand', () => {
  let bench: TalkBench;
  const recorder = new TalkRecorder();
  beforeAll(async () => {
    bench = new TalkBench();
    await bench.listen();
  });
  const counts = { agrees: 0, forked: 0, unknown: 0, wrong: 0 };
  afterAll(() => {
    process.stderr.write(`talks: ${JSON.stringify(counts)}\n`);
    recorder.write();
    bench.close();
  });

  it.each(BY_RULES.map((few) => [few[0]?.name ?? '', few] as const))('%s', async (name, few) => {
    const [first] = few;
    if (first === undefined) return;
    const loaded = await bench.load(ruleSetOf(first.pieces));
    if ('refused' in loaded) throw new Error(loaded.refused);
    const netns = namespaceOf(loaded.files);
    const lead = async (flow: Flow, slow: boolean): Promise<readonly Judged[]> => {
      const said = await talkThrough(bench, flow, slow);
      const asked = said.filter((one) => isAskable(one, loaded.files));
      return asked.map((one) => ({ ...one, judgement: judgeSaid(netns, one.packet, one.seen) }));
    };
    const judged: Judged[] = [];
    for (const { flow } of few) {
      const fast = await lead(flow, false);
      // what is not believed is said again, slowly
      judged.push(...(fast.some(({ judgement }) => judgement.kind === 'wrong') ? await lead(flow, true) : fast));
    }
    const said = judged.map(({ packet, seen, judgement }) => ({ packet, seen, open: judgement.kind !== 'agrees' }));
    recorder.add(name, loaded.files, said);
    for (const { judgement } of judged) counts[judgement.kind]++;
    const wrong = judged.flatMap(({ label, packet, judgement }) =>
      judgement.kind === 'wrong' ? [`${label}: ${JSON.stringify(packet)}\n${judgement.why}`] : [],
    );
    expect(wrong.join('\n\n')).toBe('');
  });
});
