import { describe, expect, it } from 'vitest';
import { judge } from '../kernel/compare.js';
import type { RecordedFlows } from '../kernel/recorder.js';
import { loadRecorded, namespaceOf } from './vectors.js';

/**
 * What the harness of test/kernel saw on Linux 6.18: the cases made by hand (test/kernel/cases.ts), and random rule sets
 * chosen so that together they name nearly everything that the generator can write; and rule sets written after the sources of
 * programs (test/kernel/programs), also as the tools of Debian 11 and 13 and of Ubuntu 22.04 and 24.04 load and print them
 * (test/kernel/other-tools.sh). Here without root, for every run.
 */
describe.each(['kernel-random', 'kernel-programs', 'kernel-tools'])(
  'what the kernel of the harness did: %s',
  (name) => {
    const sets = loadRecorded<RecordedFlows>(name);
    it.each(sets.map((set) => [set.name, set] as const))('%s', (_name, { files, flows, seen, open }) => {
      const netns = namespaceOf(files);
      const wrong = flows.flatMap((flow, at) => {
        const one = seen[at];
        if (one === undefined) return ['nothing recorded'];
        const judgement = judge(netns, flow, one);
        if (judgement.kind === 'wrong') return [`${JSON.stringify(flow)}\n${judgement.why}`];
        // a fork that nothing forces is no answer
        const certain = open?.includes(at) !== true;
        return certain === (judgement.kind === 'agrees') ? [] : [`${JSON.stringify(flow)}\n${judgement.kind}`];
      });
      expect(wrong).toEqual([]);
    });
  },
);
