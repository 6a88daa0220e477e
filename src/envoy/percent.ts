import { number, string, type JsonObject } from '../formats/envoy-json.js';

/** envoy.type.v3.FractionalPercent. */
export interface Percent {
  readonly numerator: number;
  readonly denominator: number;
}

const DENOMINATORS: Readonly<Record<string, number>> = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 };

/** Absent numerator is 0, absent denominator HUNDRED. */
export function percent(value: JsonObject): Percent {
  return {
    numerator: number(value['numerator']) ?? 0,
    denominator: DENOMINATORS[string(value['denominator']) ?? 'HUNDRED'] ?? 100,
  };
}

/** As a share of 1. */
export function shareOf({ numerator, denominator }: Percent): number {
  return Math.min(1, numerator / denominator);
}
