/** What of the source a decision may look at, besides its network: bits of a set. */
export const LOOKED_AT = {
  /** Its namespace chose between Services. */
  namespace: 1,
  /** Routing preferences. */
  region: 2,
  zone: 4,
  subzone: 8,
  node: 16,
  cluster: 32,
  /** Identity or address: whether it is the waypoint itself, policies of the fast path, kept addresses. */
  person: 64,
} as const;

/** The bits of LOOKED_AT that a decision looked at. */
export interface Touched {
  bits: number;
}

export function untouched(): Touched {
  return { bits: 0 };
}

/**
 * What the dump does not show but ztunnel's answer hangs on (which of two entries was inserted last, …) is asked here.
 * Each possible state of affairs is one world; the engine decides in all of them and is certain only where they agree.
 */
export class World {
  private answers: Map<string, number> | null = null;
  /** Open questions in the order in which they came up, with the number of possibilities. */
  readonly questions: { readonly count: number; readonly chosen: number; readonly reason: string }[] = [];

  private readonly script: readonly number[];
  /** Shared by the worlds of one decision. */
  readonly touched: Touched;

  constructor(script: readonly number[], touched: Touched) {
    this.script = script;
    this.touched = touched;
  }

  /** Which of `count` possibilities holds here. The same key gets the same answer throughout a world. */
  choose(key: string, count: number, reason: () => string): number {
    if (count < 2) return 0;
    this.answers ??= new Map();
    const known = this.answers.get(key);
    if (known !== undefined) return known;
    const chosen = this.script[this.questions.length] ?? 0;
    this.questions.push({ count, chosen, reason: reason() });
    this.answers.set(key, chosen);
    return chosen;
  }
}

/** More worlds than this are not compared: the answer is unknown. */
const MOST_WORLDS = 64;

export type AcrossWorlds<T> =
  | { readonly kind: 'same'; readonly value: T }
  /** The worlds differ (or are too many): what the answer hangs on. */
  | { readonly kind: 'differs'; readonly reasons: readonly string[] };

/** Decides in every possible world; `print` gives equal texts for equal decisions. */
export function acrossWorlds<T>(
  decide: (world: World) => T,
  print: (value: T) => string,
  touched: Touched,
): AcrossWorlds<T> {
  const first = new World([], touched);
  const value = decide(first);
  if (first.questions.length === 0) return { kind: 'same', value };
  const expected = print(value);
  const reasons = new Set(first.questions.map((question) => question.reason));
  let world = first;
  for (let count = 1; ; count++) {
    const script = nextScript(world);
    if (script === null) return { kind: 'same', value };
    if (count >= MOST_WORLDS) return { kind: 'differs', reasons: [...reasons] };
    world = new World(script, touched);
    const other = decide(world);
    for (const question of world.questions) reasons.add(question.reason);
    if (print(other) !== expected) return { kind: 'differs', reasons: [...reasons] };
  }
}

/** Counts up through the choices, the last question fastest. */
function nextScript(world: World): readonly number[] | null {
  const { questions } = world;
  for (let at = questions.length - 1; at >= 0; at--) {
    const question = questions[at];
    if (question !== undefined && question.chosen + 1 < question.count) {
      return [...questions.slice(0, at).map((earlier) => earlier.chosen), question.chosen + 1];
    }
  }
  return null;
}
