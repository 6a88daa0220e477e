import type { Pieces } from './generate.js';

/** Leaves out one piece after the other as long as the case still fails. */
export async function shrink(pieces: Pieces, fails: (smaller: Pieces) => Promise<boolean>): Promise<Pieces> {
  let current = pieces;
  for (let round = 0; round < 3; round++) {
    const before = sizeOf(current);
    for (const field of ['rules4', 'rules6', 'policies', 'shell'] as const) {
      for (let at = current[field].length - 1; at >= 0; at--) {
        const smaller: Pieces = { ...current, [field]: current[field].filter((_, index) => index !== at) };
        if (await fails(smaller)) current = smaller;
      }
    }
    for (let chain = current.nft.length - 1; chain >= 0; chain--) {
      const without: Pieces = { ...current, nft: current.nft.filter((_, index) => index !== chain) };
      if (await fails(without)) {
        current = without;
        continue;
      }
      for (let at = (current.nft[chain]?.rules.length ?? 0) - 1; at >= 0; at--) {
        const nft = current.nft.map((one, index) =>
          index === chain ? { ...one, rules: one.rules.filter((_, rule) => rule !== at) } : one,
        );
        if (await fails({ ...current, nft })) current = { ...current, nft };
      }
    }
    if (sizeOf(current) === before) break;
  }
  return current;
}

function sizeOf({ rules4, rules6, policies, shell, nft }: Pieces): number {
  const chains = nft.reduce((sum, { rules }) => sum + 1 + rules.length, 0);
  return rules4.length + rules6.length + policies.length + shell.length + chains;
}
