import type { NetworkNamespace } from '../../src/netns/face.js';
import type { Files } from '../netns/netns-files.js';
import { namespaceOf } from '../netns/vectors.js';
import type { KernelBench } from './bench.js';
import { generate, ruleSetOf, type Pieces } from './generate.js';
import { Random } from './random.js';

/** How many random rule sets (MESHPATH_KERNEL_SETS), and the first seed (MESHPATH_KERNEL_SEED). */
export function setsAsked(usual: number): number {
  return Number(process.env['MESHPATH_KERNEL_SETS'] ?? usual);
}
export const SEED = Number(process.env['MESHPATH_KERNEL_SEED'] ?? 1);

/** What helps to find a fault of the harness; MESHPATH_KERNEL_DEBUG asks for it. */
export function debug(words: string): void {
  if (process.env['MESHPATH_KERNEL_DEBUG'] !== undefined) process.stderr.write(`${words}\n`);
}

/** What such bytes are read as; a snapshot with them is not used. */
const NO_TEXT = '\ufffd';

/** A random rule set that is loaded. */
export interface RandomSet {
  readonly number: number;
  readonly seed: number;
  readonly pieces: Pieces;
  /** Goes on behind the rules: packets are drawn from it. */
  readonly random: Random;
  readonly files: Files;
  readonly netns: NetworkNamespace;
}

/** One set after the other, each loaded when it is asked for; `refused`: told of each that the tools do not take. */
export async function* randomSets(
  bench: KernelBench,
  count: number,
  refused: (why: string) => void,
): AsyncGenerator<RandomSet> {
  for (let number = 0; number < count; number++) {
    const seed = SEED + number;
    const random = new Random(seed);
    const pieces = generate(random, seed);
    const loaded = await bench.load(ruleSetOf(pieces));
    if ('refused' in loaded) refused(loaded.refused);
    else if (Object.values(loaded.files).some((text) => text.includes(NO_TEXT)))
      refused('printed bytes that are no text');
    else yield { number, seed, pieces, random, files: loaded.files, netns: namespaceOf(loaded.files) };
  }
}
