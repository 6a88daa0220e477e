import type { Json, JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import { newTally, runBatch, type Mismatch } from './run.js';
import type { Scenario } from './scenario.js';

/** All configurations that have one part less. Largest parts first: whole lists, then what is in them. */
function* smaller(value: Json | undefined): Iterable<Json> {
  if (Array.isArray(value)) {
    const items = value as readonly Json[];
    for (let i = 0; i < items.length; i++) yield [...items.slice(0, i), ...items.slice(i + 1)];
    for (let i = 0; i < items.length; i++) {
      for (const part of smaller(items[i])) yield [...items.slice(0, i), part, ...items.slice(i + 1)];
    }
  } else if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value as JsonObject);
    for (const [key] of entries) {
      if (key === '@type' || key === 'name' || key === 'access_log') continue;
      yield Object.fromEntries(entries.filter(([other]) => other !== key));
    }
    for (const [key, item] of entries) {
      if (key === 'access_log') continue;
      for (const part of smaller(item)) yield { ...(value as JsonObject), [key]: part };
    }
  }
}

/** What a mismatch is about: another one, met on the way, is no smaller form of it. */
function kind(mismatch: Mismatch): string {
  return (mismatch.differences[0] ?? '').replace(/"[^"]*"|[\d.:]+/g, '');
}

/** Takes parts away as long as Envoy accepts the rest and the mismatch stays; at most `budget` starts of Envoy. */
export async function shrink(
  envoy: string,
  mismatch: Mismatch,
  certificates: Certificates,
  samples: number,
  budget: number,
): Promise<Mismatch> {
  let best: Mismatch = { ...mismatch, scenario: { ...mismatch.scenario, questions: [mismatch.question] } };
  let left = budget;
  const still = async (scenario: Scenario): Promise<Mismatch | null> => {
    left--;
    const tally = newTally();
    try {
      await runBatch(envoy, [scenario], certificates, samples, tally);
    } catch {
      return null;
    }
    const found = tally.mismatches[0];
    return found !== undefined && kind(found) === kind(mismatch) ? found : null;
  };
  for (let progress = true; progress && left > 0;) {
    progress = false;
    for (const listeners of smaller(best.scenario.listeners)) {
      if (left <= 0) break;
      const found = await still({ ...best.scenario, listeners: listeners as readonly JsonObject[] });
      if (found === null) continue;
      best = found;
      progress = true;
      break;
    }
  }
  return best;
}
