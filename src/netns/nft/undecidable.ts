import { placeOf } from '../runtime.js';
import type { NftContext } from './context.js';
import { BREAK, NEXT, type Statement } from './verdict.js';

/** A statement whose answer hangs on what came before the packet: both ways. */
export function undecidable(key: string, body: unknown, { evidence }: Pick<NftContext, 'evidence'>): Statement {
  const words = JSON.stringify({ [key]: body });
  const condition = `${words} at ${placeOf(evidence)} lets the packet pass`;
  const unknown = { fact: `state of ${key} at ${placeOf(evidence)}`, reason: 'the packet does not decide it' };
  return (flow) => (flow.choices.either(`nft ${placeOf(evidence)} ${words}`, condition, unknown) ? NEXT : BREAK);
}

/** Statements, of a rule or of an element of a set, that pass some packets and others not. */
export const STATEFUL: ReadonlySet<string> = new Set(['limit', 'quota', 'ct count', 'meter', 'connlimit']);
