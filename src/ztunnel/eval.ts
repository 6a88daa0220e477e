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
  const outcomes = ztunnel.decide(read.question).map(published);
  return { text: JSON.stringify({ id: read.id, outcomes }), malformed: false };
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
