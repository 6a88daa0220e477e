import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { NftContext } from './context.js';
import { compileExpression } from './expression.js';
import { carries } from './payload.js';
import { changesOf } from './set-memory.js';
import { compileSetMembers, elementKey, setNamed } from './sets.js';
import { placeOf } from '../runtime.js';
import { STATEFUL, undecidable } from './undecidable.js';
import { printedBy } from './version.js';
import { BREAK, keyOf, NEXT, type Statement } from './verdict.js';

/**
 * `add @set { … }`, `update`, `delete`: nft_dynset_eval (linux net/netfilter/nft_dynset.c, v6.12). The rule breaks off where
 * the key has no value for the packet, or the set is full; a statement of the element (limit, ct count) may end it too.
 */
export function setChange(body: JsonObject, context: NftContext): Statement {
  const name = stringOf(body['set'] ?? body['map']) ?? '';
  const set = setNamed(name, context);
  const key = compileExpression(keyJson(body['elem']), context);
  const members = key === null ? null : compileSetMembers(name, key.kinds, context);
  const passes = conditions(body, context);
  if (set === null || key === null || members === null) {
    const open = undecidable('set', body, context);
    const possible = carries(body['elem'], context.runtime);
    return (flow) => (possible(flow) && open(flow) === NEXT ? passes(flow) : BREAK);
  }
  const deletes = body['op'] === 'delete';
  return (flow) => {
    const value = key.get(flow);
    if (value === null) return key.owner !== undefined && flow.local ? passes(flow) : BREAK;
    if (deletes) {
      changesOf(flow, set).held.set(elementKey(value), false);
      return NEXT;
    }
    if (members(value, flow) === false) {
      const changes = changesOf(flow, set);
      // nft_rhash_delete leaves the place to the garbage collector (linux net/netfilter/nft_set_hash.c, v6.12)
      if (set.size !== null && set.elements.length + changes.added >= set.size) return BREAK;
      changes.held.set(elementKey(value), true);
      changes.added++;
    }
    return passes(flow);
  };
}

/** The element may stand with a timeout or a comment of its own. */
function keyJson(json: unknown): unknown {
  return isObject(json) && isObject(json['elem']) ? json['elem']['val'] : json;
}

/** A change that nft prints as text alone: later rules do not know what the set holds for this packet. */
export function changeAsText(text: string, context: NftContext): Statement | null {
  const name = /^(?:add|update|delete) (@\S+)/.exec(text)?.[1];
  if (name === undefined) return null;
  const set = setNamed(name, context);
  const open = undecidable(text, null, context);
  return (flow) => {
    if (open(flow) !== NEXT) return BREAK;
    if (set !== null) changesOf(flow, set).untold = true;
    return NEXT;
  };
}

function conditions(body: JsonObject, context: NftContext): Statement {
  const list = Array.isArray(body['stmt']) ? body['stmt'] : [];
  if (list.length === 0 && !printedBy(context.version).elementStatements) return perhapsLimited(context);
  const open = list
    .filter((json) => STATEFUL.has(keyOf(json)))
    .map((json) => undecidable(keyOf(json), isObject(json) ? json[keyOf(json)] : null, context));
  return (flow) => (open.every((statement) => statement(flow) === NEXT) ? NEXT : BREAK);
}

/** What the element asks for, which nft does not print: most often nothing. */
function perhapsLimited({ evidence }: NftContext): Statement {
  const place = placeOf(evidence);
  const words = `no limit of the element at ${place} stops the packet`;
  const unknown = {
    fact: `limits of the element at ${place}`,
    reason: 'nft before 1.0.6 may leave them out of its list',
  };
  return ({ choices }) => (choices.either(`element ${place}`, words, unknown) ? NEXT : BREAK);
}
