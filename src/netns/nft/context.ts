import type { Evidence } from '../../formats/evidence.js';
import type { NftSet, NftVersion } from '../../formats/nft-ruleset.js';
import type { Family } from '../address.js';
import type { Action, Flow } from '../flow.js';
import type { Test } from '../head.js';
import type { Runtime } from '../runtime.js';
import type { Kind, Value } from './value.js';

/** Null: the expression has no value for this packet, and the rule does not match (NFT_BREAK). */
export type Getter = (flow: Flow) => Value | null;

export interface Expression {
  readonly get: Getter;
  /** Of each part of a concatenation; one for a plain expression. */
  readonly kinds: readonly Kind[];
  /** The uid or gid of a process, which may be unknown. */
  readonly owner?: 'uid' | 'gid';
  /** A number written in the rule. */
  readonly constant?: number;
  /** A number drawn by chance, by a hash or by a counter. */
  readonly draw?: Draw;
  /** The test for one value, in one step; where there is none, `get` and a comparison. */
  readonly equals?: (wanted: Value, negated: boolean) => Test;
}

/** `numgen`, `jhash`, `symhash`: a number of `mod` ones, from `offset` on. */
export interface Draw {
  readonly mod: number;
  readonly offset: number;
  /** Whether the packet has what is hashed; of another one the rule breaks off. */
  readonly readable: (flow: Flow) => boolean;
}

export interface NftContext {
  readonly family: Family;
  readonly runtime: Runtime;
  readonly evidence: Evidence;
  readonly sets: ReadonlyMap<string, NftSet>;
  /** Of the nft that printed the rule; null: not known. */
  readonly version: NftVersion | null;
  /** The rule stands in a table of both families and names neither. */
  readonly anyFamily: boolean;
  /** The chains of the table, as what jumping to them does. */
  jump(chain: string): Action;
  goTo(chain: string): Action;
}
