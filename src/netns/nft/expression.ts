import type { Evidence } from '../../formats/evidence.js';
import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { unsupported } from '../runtime.js';
import { compute, masked, OPERATORS, type Operator } from './arithmetic.js';
import { connmarkTest, conntrack } from './conntrack.js';
import type { Expression, NftContext } from './context.js';
import { drawn, sorted } from './draw.js';
import { fib } from './fib.js';
import { markTest, meta } from './meta.js';
import { fragmentBits, payload } from './payload.js';
import { presence } from './presence.js';
import { compileMap } from './sets.js';
import { socket } from './socket.js';
import { literal, type Kind, type Value } from './value.js';

/** Null where the expression is not understood: the caller forks. */
export function compileExpression(json: unknown, context: NftContext, kind: Kind = 'int'): Expression | null {
  if (!isObject(json)) {
    const value = literal(json, kind, context.family);
    if (value === null) return null;
    return { get: () => value, kinds: [kind], ...(typeof value === 'number' ? { constant: value } : {}) };
  }
  if (isObject(json['payload'])) return payload(json['payload'], context.family);
  if (isObject(json['meta'])) return meta(stringOf(json['meta']['key']) ?? '', context);
  if (isObject(json['ct'])) return conntrack(json['ct'], context.family);
  if (isObject(json['fib'])) return fib(json['fib'], context);
  if (isObject(json['socket'])) return socket(json['socket'], context);
  if (isObject(json['numgen'])) return drawn(json['numgen'], context);
  if (isObject(json['jhash'])) return drawn(json['jhash'], context);
  if (isObject(json['symhash'])) return drawn(json['symhash'], context);
  if (isObject(json['map'])) return mapped(json['map'], context);
  if (Array.isArray(json['concat'])) return concat(json['concat'], context);
  for (const operator of OPERATORS) {
    const sides = json[operator];
    if (Array.isArray(sides)) return binary(operator, sides, context, kind);
  }
  return presence(json, context.family);
}

/** A map to numbers; addresses are mapped to by NAT and TPROXY alone (nat-statement.ts). */
function mapped(json: JsonObject, context: NftContext): Expression | null {
  const key = compileExpression(json['key'], context);
  if (key === null) return null;
  const map = compileMap(json['data'], key.kinds, context, (value) => literal(value, 'int', context.family));
  if (map === null) return null;
  const get = sorted(key, map);
  return {
    get: (flow) => {
      const value = get(flow);
      if (value === null) return null;
      return map(value, flow);
    },
    kinds: ['int'],
  };
}

function concat(list: readonly unknown[], context: NftContext): Expression | null {
  const parts: Expression[] = [];
  for (const item of list) {
    const part = compileExpression(item, context);
    if (part === null || part.owner !== undefined) return null;
    parts.push(part);
  }
  return {
    get: (flow) => {
      const values: Value[] = [];
      for (const part of parts) {
        const value = part.get(flow);
        if (value === null) return null;
        values.push(value);
      }
      return values;
    },
    kinds: parts.flatMap((part) => part.kinds),
  };
}

function binary(operator: Operator, sides: readonly unknown[], context: NftContext, kind: Kind): Expression | null {
  const fragment = operator === '&' && context.family === 4 ? fragmentBits(sides) : null;
  if (fragment !== null) return fragment;
  const left = compileExpression(sides[0], context, kind);
  if (left === null || left.kinds.length !== 1 || left.owner !== undefined) return null;
  let current = left;
  for (const side of sides.slice(1)) {
    const right = compileExpression(side, context, current.kinds[0] ?? kind);
    if (right === null) return null;
    const before = current.get;
    const { constant } = right;
    if (operator === '&' && constant !== undefined) {
      current = {
        get: masked(before, constant),
        kinds: current.kinds,
        ...(current === left ? maskedEquals(sides[0], constant) : {}),
      };
      continue;
    }
    current = {
      get: (flow) => {
        const a = before(flow);
        const b = right.get(flow);
        return a === null || b === null ? null : compute(operator, a, b);
      },
      kinds: current.kinds,
    };
  }
  return current;
}

/** The test in one step for a mark behind one mask. */
function maskedEquals(side: unknown, mask: number): Pick<Expression, 'equals'> {
  if (isMark('meta', side)) return { equals: markTest(mask) };
  return isMark('ct', side) ? { equals: connmarkTest(mask) } : {};
}

function isMark(of: 'meta' | 'ct', json: unknown): boolean {
  const key = isObject(json) ? json[of] : null;
  return isObject(key) && key['key'] === 'mark';
}

export function unsupportedExpression(json: unknown, evidence: Evidence): ReturnType<typeof unsupported> {
  return unsupported(`nft expression ${JSON.stringify(json)}`, evidence);
}
