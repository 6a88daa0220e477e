import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { NftSet } from '../../formats/nft-ruleset.js';
import type { Flow } from '../flow.js';
import type { NftContext } from './context.js';
import { compileExpression } from './expression.js';
import { changesOf } from './set-memory.js';
import { compileMap, compileSetMembers, elementKey, setNamed, type Members } from './sets.js';
import type { Kind } from './value.js';
import { STATEFUL, undecidable } from './undecidable.js';
import { BREAK, keyOf, NEXT, type Statement } from './verdict.js';

/**
 * `add @set { … }`, `update`, `delete`: nft_dynset_eval (linux net/netfilter/nft_dynset.c, v6.12). The rule breaks off where
 * the key has no value for the packet, or the set is full; a statement of the element (limit, ct count) may end it too.
 */
export function setChange(body: JsonObject, context: NftContext): Statement {
  const name = stringOf(body['set'] ?? body['map']) ?? '';
  const set = setNamed(name, context);
  const key = compileExpression(keyJson(body['elem']), context);
  const members = key === null ? null : membersOf(name, set, key.kinds, context);
  const passes = conditions(body, context);
  if (set === null || key === null || members === null) {
    const open = undecidable('set', body, context);
    return (flow) => (open(flow) === NEXT ? passes(flow) : BREAK);
  }
  const deletes = body['op'] === 'delete';
  return (flow) => {
    const value = key.get(flow);
    if (value === null) return key.owner !== undefined && flow.local ? passes(flow) : BREAK;
    if (deletes) {
      changesOf(flow, set).set(elementKey(value), false);
      return NEXT;
    }
    if (members(value, flow) === false) {
      if (isFull(set, flow)) return BREAK;
      changesOf(flow, set).set(elementKey(value), true);
    }
    return passes(flow);
  };
}

function membersOf(name: string, set: NftSet | null, kinds: readonly Kind[], context: NftContext): Members | null {
  if (set?.isMap !== true) return compileSetMembers(name, kinds, context);
  const map = compileMap(name, kinds, context, () => true);
  return map === null ? null : (value, flow) => map(value, flow) ?? false;
}

/** The element may stand with a timeout or a comment of its own. */
function keyJson(json: unknown): unknown {
  return isObject(json) && isObject(json['elem']) ? json['elem']['val'] : json;
}

function isFull(set: NftSet, flow: Flow): boolean {
  if (set.size === null) return false;
  let held = set.elements.length;
  for (const added of changesOf(flow, set).values()) held += added ? 1 : -1;
  return held >= set.size;
}

function conditions(body: JsonObject, context: NftContext): Statement {
  const list = Array.isArray(body['stmt']) ? body['stmt'] : [];
  const open = list
    .filter((json) => STATEFUL.has(keyOf(json)))
    .map((json) => undecidable(keyOf(json), isObject(json) ? json[keyOf(json)] : null, context));
  return (flow) => (open.every((statement) => statement(flow) === NEXT) ? NEXT : BREAK);
}
