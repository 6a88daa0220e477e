import type { Evidence } from '../../formats/evidence.js';
import { numberOf, type JsonObject } from '../../formats/netns-json.js';
import { FactMissing } from '../choices.js';
import type { Flow } from '../flow.js';
import { placeOf } from '../runtime.js';
import { carries } from './payload.js';
import type { Draw, Expression, Getter, NftContext } from './context.js';
import type { Value } from './value.js';

/** More members than this are not followed one by one, nor sorted by what is done with them. */
const MAX_MEMBERS = 64;
const MAX_SORTED = 65536;

/** `numgen`, by chance or by a counter of which nobody knows where it stands; `jhash`, `symhash`: a hash of the packet. */
export function drawn(json: JsonObject, { evidence, runtime }: NftContext): Expression | null {
  const mod = numberOf(json['mod']);
  const offset = numberOf(json['offset']) ?? 0;
  if (mod === null || mod < 1) return null;
  const draw: Draw = { mod, offset, readable: carries(json['expr'], runtime) };
  return { get: (flow) => (draw.readable(flow) ? one(flow, draw, evidence) : null), kinds: ['int'], draw };
}

function one(flow: Flow, { mod, offset }: Draw, evidence: Evidence): number {
  if (mod === 1) return offset;
  if (mod > MAX_MEMBERS) {
    throw new FactMissing({
      fact: `the number below ${mod} that is drawn at ${placeOf(evidence)}`,
      reason: 'too many to follow one by one',
    });
  }
  const options = Array.from({ length: mod }, () => ({ probability: 1 / mod, condition: null }));
  return offset + flow.choices.decide(null, options, null);
}

/** The numbers that are treated alike: one of them, and their share. */
interface Sort {
  readonly value: number;
  readonly count: number;
}

/**
 * The value of an expression of which only `use` is made. Of a number that is drawn those that are used alike are followed
 * together: `numgen random mod 100 vmap { 0-29 : …, 30-99 : … }` has two ways.
 */
export function sorted(expression: Expression, use: (value: Value, flow: Flow) => unknown): Getter {
  const { draw, get } = expression;
  if (draw === undefined || draw.mod > MAX_SORTED) return get;
  let sorts: readonly Sort[] | null = null;
  return (flow) => {
    if (!draw.readable(flow)) return null;
    sorts ??= sort(draw, (value) => use(value, flow));
    const options = sorts.map(({ count }) => ({ probability: count / draw.mod, condition: null }));
    return sorts[options.length === 1 ? 0 : flow.choices.decide(null, options, null)]?.value ?? null;
  };
}

function sort({ mod, offset }: Draw, use: (value: number) => unknown): readonly Sort[] {
  const sorts = new Map<unknown, { value: number; count: number }>();
  for (let at = 0; at < mod; at++) {
    const key = use(at + offset);
    const known = sorts.get(key);
    if (known === undefined) sorts.set(key, { value: at + offset, count: 1 });
    else known.count++;
  }
  return [...sorts.values()];
}
