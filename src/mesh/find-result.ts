import type { Unknown } from '../formats/evidence.js';

/**
 * invalid: the words cannot be read · not-found: nothing has this name · ambiguous: several things have it · port: it must
 * be said which port · unknown: a list is missing that would tell.
 */
export type FindProblem = 'invalid' | 'not-found' | 'ambiguous' | 'port' | 'unknown';

export interface NotFound {
  readonly kind: 'failed';
  readonly problem: FindProblem;
  readonly message: string;
  /** What to type for each thing that may have been meant. */
  readonly candidates: readonly { readonly type: string; readonly what: string }[];
  readonly unknowns: readonly Unknown[];
}

export type FindResult<T> =
  | {
      readonly kind: 'found';
      readonly value: T;
      /** Path of a URL; null where none was given. */
      readonly path: string | null;
      readonly scheme: string | null;
      /** Lists that are not whole, where what was found could be something else with them. */
      readonly unknowns: readonly Unknown[];
    }
  | NotFound;

export function failed(
  problem: FindProblem,
  message: string,
  candidates: NotFound['candidates'] = [],
  unknowns: readonly Unknown[] = [],
): NotFound {
  return { kind: 'failed', problem, message, candidates, unknowns };
}
