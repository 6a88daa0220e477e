import type { Getter } from './context.js';
import type { Value } from './value.js';

export const OPERATORS = ['&', '|', '^', '<<', '>>'] as const;
export type Operator = (typeof OPERATORS)[number];

/** The arithmetic of most rules. */
export function masked(get: Getter, mask: number): Getter {
  return (flow) => {
    const value = get(flow);
    if (typeof value === 'number') return (value & mask) >>> 0;
    return value === null ? null : compute('&', value, mask);
  };
}

export function compute(operator: Operator, a: Value, b: Value): Value | null {
  if (typeof a === 'bigint' || typeof b === 'bigint') {
    if (typeof a === 'object' || typeof b === 'object') return null;
    const [x, y] = [BigInt(a), BigInt(b)];
    if (operator === '&') return x & y;
    if (operator === '|') return x | y;
    return operator === '^' ? x ^ y : null;
  }
  if (typeof a !== 'number' || typeof b !== 'number') return null;
  switch (operator) {
    case '&':
      return (a & b) >>> 0;
    case '|':
      return (a | b) >>> 0;
    case '^':
      return (a ^ b) >>> 0;
    case '<<':
      return (a << b) >>> 0;
    case '>>':
      return a >>> b;
  }
}
