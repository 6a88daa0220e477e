import type { Evidence } from '../../formats/evidence.js';
import type { Flow, Predicate } from '../flow.js';
import { placeOf } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

export const statistic: MatchCompiler = (match, _family, _runtime, evidence) => {
  const options = new Options(match);
  const mode = options.value('--mode');
  if (mode === 'random') {
    const option = options.take('--probability');
    const share = Number(option?.values[0]);
    if (option === null || !options.done || !(share >= 0 && share <= 1)) return null;
    const yes = option.negated ? 1 - share : share;
    return (flow) => chance(flow, yes);
  }
  const every = options.take('--every');
  options.take('--packet');
  const count = Number(every?.values[0]);
  if (mode !== 'nth' || every === null || !options.done || !(count >= 1)) return null;
  const share = every.negated ? 1 - 1 / count : 1 / count;
  const condition = `the counter of ${placeOf(evidence)} stands at its ${count}th packet`;
  return (flow) =>
    flow.choices.decide(
      null,
      [
        { probability: share, condition },
        { probability: 1 - share, condition: `not: ${condition}` },
      ],
      null,
    ) === 0;
};

function chance(flow: Flow, share: number): boolean {
  if (share >= 1) return true;
  if (share <= 0) return false;
  return (
    flow.choices.decide(
      null,
      [
        { probability: share, condition: null },
        { probability: 1 - share, condition: null },
      ],
      null,
    ) === 0
  );
}

/** What no packet shows: both ways, the same answer for the same rule. */
export function undecidable(name: string, evidence: Evidence, text: string): Predicate {
  const condition = `-m ${name} at ${placeOf(evidence)} matches`;
  const unknown = { fact: `state of -m ${name} (${text})`, reason: 'the packet does not decide it' };
  return (flow) => flow.choices.either(`match ${placeOf(evidence)} ${text}`, condition, unknown);
}
