import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { Flow } from '../kernel/bench.js';
import { questionOf } from '../kernel/compare.js';
import type { NetnsOutcome, NetworkNamespace } from '../../src/netns/face.js';
import { namespaceOf } from './vectors.js';

/** What one file of a namespace leaves open when it is missing or cut off: nothing that is certain may then be another thing. */
interface Recorded {
  readonly texts: readonly string[];
  readonly sets: readonly {
    readonly name: string;
    readonly files: Readonly<Record<string, number>>;
    readonly flows: readonly Flow[];
  }[];
}

const file = new URL('./fixtures/kernel-programs.json.gz', import.meta.url);
const { texts, sets } = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as Recorded;

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

/** In the middle of a line, where that can be seen. */
function cutAt(text: string, share: number): string {
  const place = Math.floor(text.length * share);
  return text.slice(0, text[place] === '\n' || text[place - 1] === '\n' ? Math.max(0, place - 3) : place);
}

describe('a file that is missing or cut off', () => {
  it.each(sets.map((set) => [set.name, set] as const))('%s', (_name, { files, flows }) => {
    const whole = Object.fromEntries(Object.entries(files).map(([name, place]) => [name, texts[place] ?? '']));
    const netns = namespaceOf(whole);
    for (const [name, text] of Object.entries(whole)) {
      const without = Object.fromEntries(Object.entries(whole).filter(([other]) => other !== name));
      // without nft's list there is no nft: no other file says so; of a shorter list of sockets nobody sees what is left out
      const partials = [
        ...(name === 'nft-ruleset.json' ? [] : [without]),
        ...(name === 'sockets.txt'
          ? []
          : [0, 0.3, 0.7, 0.98].map((share) => ({ ...whole, [name]: cutAt(text, share) }))),
      ];
      // an empty list of sets, or no rules at all, is a file of its own right
      const usable = partials.filter((one) => (one as Record<string, string>)[name] !== '' || name.startsWith('ip-'));
      for (const partial of usable) {
        const damaged = namespaceOf(partial);
        // each packet twice: what was missing for the first is missing for the second
        const wrong = [...flows.slice(0, 8), ...flows.slice(0, 8)].flatMap(
          (flow) => contradiction(netns, damaged, flow) ?? [],
        );
        expect(wrong, name).toEqual([]);
      }
    }
  });
});
