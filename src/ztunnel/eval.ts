import { assertNever } from '../formats/evidence.js';
import { readZtunnelQuestion } from '../formats/ztunnel-question.js';
import type { Ztunnel, ZtunnelOutcome } from './face.js';

export interface EvalAnswer {
  /** One line of JSON, without the newline. */
  readonly text: string;
  /** The question could not be read: exit status 2 after all others are answered. */
  readonly malformed: boolean;
}

/** Answers one line of `meshpath eval ztunnel` (contract: eval). */
export function answerQuestion(ztunnel: Ztunnel, line: string): EvalAnswer {
  const read = readZtunnelQuestion(line);
  if ('error' in read) return { text: JSON.stringify(read), malformed: true };
  const outcomes = textOf(ztunnel.decide(read.question));
  return { text: `{"id":${JSON.stringify(read.id)},"outcomes":${outcomes}}`, malformed: false };
}

/** Longer lists are not kept as text. */
const SHORT = 16;

/** Texts of lists that many questions have as their answer. */
const texts = new WeakMap<readonly ZtunnelOutcome[], string>();

function textOf(outcomes: readonly ZtunnelOutcome[]): string {
  const known = texts.get(outcomes);
  if (known !== undefined) return known;
  const text = JSON.stringify(outcomes.map(published));
  if (outcomes.length <= SHORT) texts.set(outcomes, text);
  return text;
}

/** The fields of the contract, and besides them what a person greps for. */
function published(item: ZtunnelOutcome): object {
  const { probability, action, decidedBy, workload, service, log } = item;
  switch (action) {
    case 'forward': {
      const { protocol, to, target, waypoint, identity, identities } = item;
      const way = { probability, action, protocol, to, target, waypoint, workload, identity };
      const fast = item.viaFastPath === true ? { viaFastPath: true } : {};
      return { ...way, identities, service, ...fast, keepsSource: item.keepsSource, log, decidedBy };
    }
    case 'deny': {
      const drawn = item.perProcess ? { perProcess: true } : {};
      return { probability, action, policy: item.policy, error: item.error, ...drawn, workload, log, decidedBy };
    }
    case 'error':
      return { probability, action, error: item.error, workload, service, log, decidedBy };
    case 'unknown': {
      const reason = item.unknowns.map((unknown) => `${unknown.fact}: ${unknown.reason}`).join('; ');
      return { probability, action, reason, workload, service, decidedBy };
    }
    default:
      return assertNever(action);
  }
}
