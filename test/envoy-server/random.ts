/** A seeded generator (mulberry32): the same seed gives the same configurations and requests everywhere. */
export interface Random {
  /** Integer in [0, below). */
  int(below: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** Up to `most` different items, at least `least`. */
  some<T>(items: readonly T[], least: number, most: number): readonly T[];
}

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const int = (below: number): number => Math.floor(next() * below);
  const pick = <T>(items: readonly T[]): T => {
    const item = items[int(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  };
  return {
    int,
    pick,
    chance: (probability) => next() < probability,
    some: (items, least, most) => {
      const left = [...items];
      const count = Math.min(items.length, least + int(most - least + 1));
      const found = [];
      for (let i = 0; i < count; i++) found.push(...left.splice(int(left.length), 1));
      return found;
    },
  };
}
