import type { Unknown } from '../formats/evidence.js';

/** A fact that was read, or what would decide it: a check may conclude only from what was read whole. */
export type Known<T> =
  { readonly kind: 'known'; readonly value: T } | { readonly kind: 'unknown'; readonly unknown: Unknown };

export function known<T>(value: T): Known<T> {
  return { kind: 'known', value };
}

export function unknown(fact: string, reason: string): { readonly kind: 'unknown'; readonly unknown: Unknown } {
  return { kind: 'unknown', unknown: { fact, reason } };
}
