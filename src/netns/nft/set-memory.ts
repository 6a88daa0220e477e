import type { NftSet } from '../../formats/nft-ruleset.js';
import type { Flow } from '../flow.js';

/** What rules added to a set (true) or deleted from it (false) while the packet passed, by the element's key. */
type Changes = Map<string | number | bigint, boolean>;

/** The packet itself meets in later rules what earlier ones put into a set. */
export function changesOf(flow: Flow, set: NftSet): Changes {
  flow.setChanges ??= new Map();
  let changes = flow.setChanges.get(set);
  if (changes === undefined) {
    changes = new Map();
    flow.setChanges.set(set, changes);
  }
  return changes;
}

/** Null: nothing was said of this key. */
export function changeOf(flow: Flow, set: NftSet, key: string | number | bigint): boolean | null {
  return flow.setChanges?.get(set)?.get(key) ?? null;
}
