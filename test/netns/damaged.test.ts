import { describe, expect, it } from 'vitest';
import type { Flow } from '../kernel/bench.js';
import { questionOf } from '../kernel/compare.js';
import type { RecordedFlows } from '../kernel/recorder.js';
import type { NetnsOutcome, NetworkNamespace } from '../../src/netns/face.js';
import { damages, type Damage } from './damages.js';
import { ended, loadRecorded, namespaceOfBytes } from './vectors.js';

/** What one file of a namespace leaves open when it is missing or damaged: nothing that is certain may then be another thing. */
const sets = loadRecorded<RecordedFlows>('kernel-programs');

function keyOf({ verdict, src, dst, oif, mark, connmark }: NetnsOutcome): string {
  if (verdict === 'dropped' || verdict === 'rejected') return verdict;
  return [verdict, src.ip, src.port, dst.ip, dst.port, oif, mark, connmark].join(' ');
}

/** Where the files do not show an answer of the whole ones, they say that they do not know. */
function contradiction(whole: NetworkNamespace, partial: NetworkNamespace, flow: Flow): string | null {
  const wanted = whole.send(questionOf(flow)).map(keyOf);
  const outcomes = partial.send(questionOf(flow));
  if (outcomes.some(({ verdict, unknowns }) => verdict === 'unknown' || unknowns.length > 0)) return null;
  const found = outcomes.map(keyOf);
  if (wanted.every((one) => found.includes(one))) return null;
  return `${JSON.stringify(flow)}: ${found.join(' | ')}, not ${wanted.join(' | ')}`;
}

describe('a file that is missing or damaged', () => {
  it.each(sets.map((set, index) => [set.name, set, index] as const))('%s', (_name, { files, flows }, index) => {
    const whole = ended(files);
    const netns = namespaceOfBytes(whole);
    // each packet twice: what was missing for the first is missing for the second
    const asked = [...flows.slice(0, 6), ...flows.slice(0, 6)];
    for (const [name, text] of Object.entries(whole)) {
      // without nft's list there is no nft: no other file of the folder says so
      const missing: readonly Damage[] = name === 'nft-ruleset.json' ? [] : [{ what: 'missing', text: null }];
      for (const { what, text: damaged } of [...missing, ...damages(name, text, index)]) {
        const others = Object.fromEntries(Object.entries(whole).filter(([other]) => other !== name));
        const partial = namespaceOfBytes(damaged === null ? others : { ...others, [name]: damaged });
        const wrong = asked.flatMap((flow) => contradiction(netns, partial, flow) ?? []);
        expect(wrong, `${name}, ${what}`).toEqual([]);
      }
    }
  });
});
