import type { NftSet } from '../../formats/nft-ruleset.js';
import type { Flow } from '../flow.js';

/** What rules added to sets (true) or deleted from them (false) while one packet passed, by the element's key. */
type Changes = Map<string | number | bigint, boolean>;

const memory = new WeakMap<Flow, Map<NftSet, Changes>>();

/** The packet itself meets in later rules what earlier ones put into a set. */
export function changesOf(flow: Flow, set: NftSet): Changes {
  let sets = memory.get(flow);
  if (sets === undefined) {
    sets = new Map();
    memory.set(flow, sets);
  }
  let changes = sets.get(set);
  if (changes === undefined) {
    changes = new Map();
    sets.set(set, changes);
  }
  return changes;
}

/** Null: nothing was said of this key. */
export function changeOf(flow: Flow, set: NftSet, key: string | number | bigint): boolean | null {
  return memory.get(flow)?.get(set)?.get(key) ?? null;
}
