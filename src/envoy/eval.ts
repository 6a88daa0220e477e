import { readEnvoyQuestion } from '../formats/envoy-question.js';
import type { Envoy, EnvoyOutcome } from './face.js';

interface EvalAnswer {
  /** One line of JSON, without the newline. */
  readonly text: string;
  /** The question could not be read: exit status 2 after all others are answered. */
  readonly malformed: boolean;
}

/** Answers one line of `meshpath eval envoy` (contract: eval). */
export function answerQuestion(envoy: Envoy, line: string): EvalAnswer {
  const read = readEnvoyQuestion(line);
  if ('error' in read) return { text: JSON.stringify(read), malformed: true };
  const outcomes = envoy.decide(read.question).map(published);
  return { text: JSON.stringify({ id: read.id, outcomes }), malformed: false };
}

/** The fields of the contract, and besides them what tells more of this kind of outcome. */
function published(outcome: EnvoyOutcome): object {
  const { probability, action, listener, filterChain, route, cluster, endpoint, to, tls, hbone } = outcome;
  const { policy, status, upstreamHttp, upstreamTls, conditions, unknowns, decidedBy } = outcome;
  const why = unknowns.map((unknown) => `${unknown.fact}: ${unknown.reason}`).join('; ');
  const reason = outcome.reason ?? (why === '' ? null : why);
  return {
    probability,
    action,
    listener,
    filterChain,
    route,
    cluster,
    endpoint,
    to,
    tls,
    hbone,
    status,
    policy,
    ...(reason === null ? {} : { reason }),
    ...(upstreamHttp === null || action !== 'forward'
      ? {}
      : { upstream: { path: upstreamHttp.path, host: upstreamHttp.authority } }),
    ...(upstreamTls === null ? {} : { upstreamTls }),
    ...(conditions.length === 0 ? {} : { conditions }),
    ...(unknowns.length === 0 ? {} : { unknowns }),
    decidedBy,
  };
}
