import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Doubt } from './tri.js';

/**
 * What is known on one branch of a decision: how likely the branch is, what was decided so far, what was assumed.
 * Immutable, and linked backwards, so that forking costs nothing.
 */
export interface Path {
  /** Null: the share is not known. */
  readonly p: number | null;
  /** A step, or several that were worked out before. */
  readonly steps: Linked<Step | readonly Step[]> | null;
  readonly conditions: Linked<string> | null;
  readonly unknowns: Linked<Unknown> | null;
  /** Facts already forked on: the same fact holds or fails all along one branch. */
  readonly assumed: Linked<{ readonly fact: string; readonly holds: boolean }> | null;
  /** Draws from the stream's random number (see `draw`). */
  readonly drawn: Linked<Draw> | null;
}

export interface Step {
  readonly summary: string;
  readonly evidence: readonly Evidence[];
}

export interface Linked<T> {
  readonly value: T;
  readonly before: Linked<T> | null;
}

/** The stream's random number, modulo `modulus`, lies in [low, high). */
interface Draw {
  readonly modulus: number;
  readonly low: number;
  readonly high: number;
}

export const START: Path = { p: 1, steps: null, conditions: null, unknowns: null, assumed: null, drawn: null };

export function stepOf(summary: string, evidence: Evidence | null): Step {
  return { summary, evidence: evidence === null ? [] : [evidence] };
}

export function step(path: Path, summary: string, evidence: Evidence | null): Path {
  return stepsKept(path, stepOf(summary, evidence));
}

/** A step, or several, that are the same every time, as they were kept. */
export function stepsKept(path: Path, value: Step | readonly Step[]): Path {
  const { p, steps, conditions, unknowns, assumed, drawn } = path;
  return { p, steps: { value, before: steps }, conditions, unknowns, assumed, drawn };
}

export function stepsOf(path: Path): readonly Step[] {
  const groups = linked(path.steps);
  return groups.flatMap((item) => ('summary' in item ? [item] : item));
}

export function withUnknown(path: Path, fact: string, reason: string): Path {
  return { ...path, unknowns: { value: { fact, reason }, before: path.unknowns } };
}

export function withCondition(path: Path, condition: string): Path {
  return { ...path, conditions: { value: condition, before: path.conditions } };
}

/** A branch whose share is known. */
export function weigh(path: Path, share: number | null): Path {
  if (share === 1) return path;
  return { ...path, p: share === null || path.p === null ? null : path.p * share };
}

/**
 * Goes on in both ways that an open question can end, or in the one that this branch already assumed.
 * `kind` condition: the question is open by nature ("ext_authz answers OK"); unknown: a fact is missing.
 */
export function fork(
  path: Path,
  question: Doubt,
  kind: 'condition' | 'unknown',
  yes: (path: Path) => void,
  no: (path: Path) => void,
): void {
  for (let link = path.assumed; link !== null; link = link.before) {
    if (link.value.fact === question.fact) {
      (link.value.holds ? yes : no)(path);
      return;
    }
  }
  const branch = (holds: boolean): Path => {
    const next: Path = {
      ...path,
      p: null,
      assumed: { value: { fact: question.fact, holds }, before: path.assumed },
      conditions: { value: holds ? question.fact : `not: ${question.fact}`, before: path.conditions },
    };
    return kind === 'unknown' ? withUnknown(next, question.fact, question.reason) : next;
  };
  yes(branch(true));
  no(branch(false));
}

/**
 * Envoy uses one random number per stream for every runtime fraction and weighted cluster of a route decision
 * (envoy 1.40 source/common/http/conn_manager_impl.cc passes stream_id_ to Router::Config::route), so that these
 * choices are not independent: each is `random % modulus`. Gives the branch with its exact share, or null where the
 * branch cannot be taken.
 */
export function draw(path: Path, modulus: number, low: number, high: number): Path | null {
  if (high <= low) return null;
  const next: Draw = { modulus, low, high };
  const drawn: Linked<Draw> = { value: next, before: path.drawn };
  const share = conditional(path.drawn, next);
  if (share === 0) return null;
  return { ...weigh(path, share), drawn };
}

function conditional(before: Linked<Draw> | null, next: Draw): number | null {
  if (before === null) return (next.high - next.low) / next.modulus;
  let period = next.modulus;
  const draws: Draw[] = [];
  for (let link: Linked<Draw> | null = before; link !== null; link = link.before) {
    draws.push(link.value);
    period = leastCommonMultiple(period, link.value.modulus);
  }
  if (period > 4_000_000) return null;
  let possible = 0;
  let taken = 0;
  for (let r = 0; r < period; r++) {
    if (!draws.every((draw) => inside(draw, r))) continue;
    possible++;
    if (inside(next, r)) taken++;
  }
  return possible === 0 ? 0 : taken / possible;
}

function inside(draw: Draw, random: number): boolean {
  const rest = random % draw.modulus;
  return rest >= draw.low && rest < draw.high;
}

function leastCommonMultiple(a: number, b: number): number {
  let x = a;
  let y = b;
  while (y !== 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

const NOTHING: readonly never[] = [];

/** In the order in which things happened. */
export function linked<T>(list: Linked<T> | null): readonly T[] {
  if (list === null) return NOTHING;
  const items: T[] = [];
  for (let link: Linked<T> | null = list; link !== null; link = link.before) items.push(link.value);
  return items.reverse();
}
