import type { Unknown } from '../formats/evidence.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import { readZtunnelDump } from '../formats/ztunnel-dump.js';
import { behavioursOf } from './behaviour.js';
import { dnsAnswer } from './dns.js';
import { Engine, printOutcomes } from './engine.js';
import type { Ztunnel, ZtunnelConnection, ZtunnelDnsAnswer, ZtunnelDnsQuestion, ZtunnelOutcome } from './face.js';
import { undecided } from './outcome.js';

/**
 * One ztunnel from its config_dump, of any release since 1.18. Nothing is thrown: from a file that is no dump, every
 * question is answered `unknown` with the file named.
 */
export function loadZtunnel(file: string, text: string): Ztunnel {
  const read = readZtunnelDump(file, text);
  return read.kind === 'unusable' ? unusable(file, read.reason) : ztunnelOf(read.dump);
}

/** One ztunnel from its dump, read before. */
export function ztunnelOf(dump: ZtunnelDump): Ztunnel {
  const problems = dump.problems.map((problem) => ({
    fact: `${problem.file}${problem.pointer ?? ''}`,
    reason: problem.message,
  }));
  const engines = behavioursOf(dump.shape, dump.version).map((behaviour) => new Engine(dump, behaviour));
  return {
    file: dump.file,
    version: dump.version,
    era: dump.shape,
    localNode: dump.config.localNode,
    usable: true,
    pods: dump.pods,
    problems,
    decide: (connection) => agreed(engines, connection, dump),
    resolve: (question) => agreedAnswer(engines, question, dump),
  };
}

function unusable(file: string, reason: string): Ztunnel {
  const unknown: Unknown = { fact: `configuration of ztunnel: ${file}`, reason };
  return {
    file,
    version: null,
    era: 'unknown',
    localNode: null,
    usable: false,
    pods: null,
    problems: [unknown],
    decide: () => [undecided([unknown], [])],
    resolve: () => dnsAnswer({ kind: 'unknown', summary: reason, unknowns: [unknown] }),
  };
}

/** Where the dump does not name its release, only what all possible releases say is certain. */
function agreed(
  engines: readonly Engine[],
  connection: ZtunnelConnection,
  dump: ZtunnelDump,
): readonly ZtunnelOutcome[] {
  const [first, ...others] = engines;
  if (first === undefined) return [];
  const answer = first.decide(connection);
  if (others.length === 0) return answer;
  const expected = printOutcomes(answer);
  if (others.every((engine) => printOutcomes(engine.decide(connection)) === expected)) return answer;
  const unknown = {
    fact: `release of ztunnel: ${dump.file}/version`,
    reason: 'the dump does not name its release, and the releases with this layout decide differently',
  };
  return [undecided([unknown], [])];
}

function agreedAnswer(engines: readonly Engine[], question: ZtunnelDnsQuestion, dump: ZtunnelDump): ZtunnelDnsAnswer {
  const answers = engines.map((engine) => engine.resolve(question));
  const [first] = answers;
  if (first !== undefined && answers.every((answer) => JSON.stringify(answer) === JSON.stringify(first))) return first;
  const unknown = { fact: `release of ztunnel: ${dump.file}/version`, reason: 'the dump does not name its release' };
  return dnsAnswer({ kind: 'unknown', summary: unknown.reason, unknowns: [unknown] });
}
