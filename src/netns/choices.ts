import type { Unknown } from '../formats/evidence.js';

/**
 * Where a packet alone does not decide. The engine runs straight through one way; every point that could go otherwise asks
 * `decide`. Afterwards the run is repeated with the next combination of answers until all ways were taken: no rule has to
 * know that there are forks, and a flow without any costs nothing.
 */
interface Option {
  /** Share of the packets; null where nobody can say. */
  readonly probability: number | null;
  /** "-m recent at iptables-save.txt:12: it matches"; null where the share says all (a load balancer's pick). */
  readonly condition: string | null;
}

interface Taken {
  readonly key: string | null;
  readonly options: readonly Option[];
  readonly unknown: Unknown | null;
  index: number;
}

/** Shared by the many flows without a fork; never written to. */
const NONE: Taken[] = [];
const NONE_GIVEN: readonly number[] = [];

export class Choices {
  private readonly given: readonly number[];
  private taken: Taken[] = NONE;
  private at = 0;
  private answers: Map<string, number> | null = null;

  /** `given`: the answers of a way that was gone before, which is gone again; from their end on the first of each. */
  constructor(given: readonly number[] = NONE_GIVEN) {
    this.given = given;
  }

  /**
   * One of the options. The same key gives the same answer within one way; null: every question is a new one (random).
   */
  decide(key: string | null, options: readonly Option[], unknown: Unknown | null): number {
    if (key !== null) {
      const before = this.answers?.get(key);
      if (before !== undefined) return before;
    }
    let choice = this.taken[this.at];
    if (choice === undefined) {
      choice = { key, options, unknown, index: this.given[this.at] ?? 0 };
      if (this.taken === NONE) this.taken = [];
      this.taken.push(choice);
    }
    this.at++;
    if (key !== null) (this.answers ??= new Map<string, number>()).set(key, choice.index);
    return choice.index;
  }

  /** Whether it is so: both ways, of unknown share. */
  either(key: string, condition: string, unknown: Unknown | null): boolean {
    return (
      this.decide(
        key,
        [
          { probability: null, condition },
          { probability: null, condition: `not: ${condition}` },
        ],
        unknown,
      ) === 0
    );
  }

  /** Prepares the next way; false when all were taken. */
  next(): boolean {
    while (this.taken.length > 0) {
      const last = this.taken[this.taken.length - 1];
      if (last !== undefined && last.index + 1 < last.options.length) {
        last.index++;
        this.rewind();
        return true;
      }
      this.taken.pop();
    }
    this.rewind();
    return false;
  }

  private rewind(): void {
    this.at = 0;
    this.answers?.clear();
  }

  get forked(): boolean {
    return this.taken.length > 0;
  }

  /** The answers of this way, in the order in which they were asked for. */
  indexes(): readonly number[] {
    return this.taken === NONE ? NONE_GIVEN : this.taken.map(({ index }) => index);
  }

  /** Product of the shares that are known. */
  knownShare(): number {
    return this.taken.reduce((product, { options, index }) => product * (options[index]?.probability ?? 1), 1);
  }

  /** The answers of this way to what nobody can say the share of: what was asked, and which option was taken. */
  openAnswers(): ReadonlyMap<string, number> {
    const answers = new Map<string, number>();
    this.taken.forEach(({ key, options, index }, place) => {
      if (options[index]?.probability === null) answers.set(key ?? `choice ${place}`, index);
    });
    return answers;
  }

  conditions(): readonly string[] {
    return this.taken.flatMap(({ options, index }) => options[index]?.condition ?? []);
  }

  unknowns(): readonly Unknown[] {
    return this.taken.flatMap(({ unknown }) => unknown ?? []);
  }
}

/** Thrown where nothing can be said any more without a fact that is not there. Caught by the pipeline, never seen outside. */
export class FactMissing extends Error {
  readonly unknown: Unknown;

  constructor(unknown: Unknown) {
    super(`${unknown.fact}: ${unknown.reason}`);
    this.unknown = unknown;
  }
}
