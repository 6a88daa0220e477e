import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Flow, Seen } from '../kernel/bench.js';
import { judge } from '../kernel/compare.js';
import { namespaceOf } from './vectors.js';

/**
 * What the harness of test/kernel saw on Linux 6.18: the cases made by hand (test/kernel/cases.ts), and random rule sets
 * chosen so that together they name nearly everything that the generator can write; and rule sets written after the sources of
 * programs (test/kernel/programs). Here without root, for every run.
 */
interface Recorded {
  /** Each text once; a set names its files by their place. */
  readonly texts: readonly string[];
  readonly sets: readonly {
    readonly name: string;
    readonly files: Readonly<Record<string, number>>;
    readonly flows: readonly Flow[];
    readonly seen: readonly Seen[];
    /** Places of the flows that the files leave open: the kernel did one of several things. */
    readonly open?: readonly number[];
  }[];
}

function loadRecorded(name: string): Recorded {
  const file = new URL(`./fixtures/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Recorded;
}

describe.each(['kernel-random', 'kernel-programs'])('what the kernel of the harness did: %s', (name) => {
  const { texts, sets } = loadRecorded(name);
  it.each(sets.map((set) => [set.name, set] as const))('%s', (_name, { files, flows, seen, open }) => {
    const netns = namespaceOf(
      Object.fromEntries(Object.entries(files).map(([name, place]) => [name, texts[place] ?? ''])),
    );
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
});
