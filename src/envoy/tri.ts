/**
 * Three-valued matching: yes, no, or a doubt that names the fact which would decide. A doubt never turns into a silent
 * default: whoever gets one forks.
 */
export interface Doubt {
  /** As a statement that can hold or not: "ext_authz answers OK". */
  readonly fact: string;
  readonly reason: string;
}

export type Tri = boolean | Doubt;

export function doubt(fact: string, reason: string): Doubt {
  return { fact, reason };
}

export function not(value: Tri): Tri {
  if (typeof value === 'boolean') return !value;
  return { fact: `not (${value.fact})`, reason: value.reason };
}

/** False as soon as one part is certainly false, whatever the others are. */
export function all<T>(items: readonly T[], test: (item: T) => Tri): Tri {
  let open: Doubt | null = null;
  for (const item of items) {
    const result = test(item);
    if (result === false) return false;
    if (result !== true) open = open === null ? result : join(open, result, 'and');
  }
  return open ?? true;
}

export function any<T>(items: readonly T[], test: (item: T) => Tri): Tri {
  let open: Doubt | null = null;
  for (const item of items) {
    const result = test(item);
    if (result === true) return true;
    if (result !== false) open = open === null ? result : join(open, result, 'or');
  }
  return open ?? false;
}

function join(a: Doubt, b: Doubt, word: string): Doubt {
  if (a.fact === b.fact) return a;
  return {
    fact: `(${a.fact}) ${word} (${b.fact})`,
    reason: a.reason === b.reason ? a.reason : `${a.reason}; ${b.reason}`,
  };
}
