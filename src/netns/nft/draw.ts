import type { Evidence } from '../../formats/evidence.js';
import { numberOf, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { FactMissing } from '../choices.js';
import type { Flow } from '../flow.js';
import { placeOf } from '../runtime.js';
import type { Expression } from './context.js';

/** More members than this are not followed one by one. */
const MAX_MEMBERS = 64;

/** By chance, or by a counter. */
export function numgen(json: JsonObject, evidence: Evidence): Expression | null {
  const mod = numberOf(json['mod']);
  const offset = numberOf(json['offset']) ?? 0;
  if (mod === null || mod < 1) return null;
  const counted = stringOf(json['mode']) === 'inc';
  return { get: (flow) => draw(flow, mod, offset, counted ? placeOf(evidence) : null, evidence), kinds: ['int'] };
}

/** A hash over the packet: one connection always draws the same. */
export function hashed(json: JsonObject, evidence: Evidence): Expression | null {
  const mod = numberOf(json['mod']);
  if (mod === null || mod < 1) return null;
  const offset = numberOf(json['offset']) ?? 0;
  return { get: (flow) => draw(flow, mod, offset, null, evidence), kinds: ['int'] };
}

function draw(flow: Flow, mod: number, offset: number, counter: string | null, evidence: Evidence): number {
  if (mod === 1) return offset;
  if (mod > MAX_MEMBERS) {
    throw new FactMissing({
      fact: `the number below ${mod} that is drawn at ${placeOf(evidence)}`,
      reason: 'too many to follow one by one',
    });
  }
  const options = Array.from({ length: mod }, (_, index) => ({
    probability: 1 / mod,
    condition: counter === null ? null : `the counter at ${counter} stands at ${index}`,
  }));
  return offset + flow.choices.decide(null, options, null);
}
