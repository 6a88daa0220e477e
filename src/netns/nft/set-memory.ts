import type { NftSet } from '../../formats/nft-ruleset.js';
import type { Flow, NftSetChanges } from '../flow.js';

/** The packet itself meets in later rules what earlier ones put into a set. */
export function changesOf(flow: Flow, set: NftSet): NftSetChanges {
  flow.setChanges ??= new Map();
  let changes = flow.setChanges.get(set);
  if (changes === undefined) {
    changes = { held: new Map(), added: 0, untold: false };
    flow.setChanges.set(set, changes);
  }
  return changes;
}

/** Null: nothing was said of this key. */
export function changeOf(flow: Flow, set: NftSet, key: string | number | bigint): boolean | null {
  return flow.setChanges?.get(set)?.held.get(key) ?? null;
}
