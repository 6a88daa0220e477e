import type { ServicePort } from '../formats/kubernetes-types.js';
import type { Unknown } from '../formats/evidence.js';
import { findDestination, findSource } from '../mesh/find.js';
import type { FindResult, NotFound } from '../mesh/find-result.js';
import type { Mesh } from '../mesh/model.js';
import type { Destination, Question, Source } from '../mesh/question.js';
import { ExpectedError, RIGHTS_HINT } from './_errors.js';

/** What a person asks of `trace`, as words. */
export interface QuestionWords {
  readonly from: string;
  readonly to: string;
  readonly namespace?: string | undefined;
  readonly port?: number | undefined;
  readonly protocol?: Question['protocol'] | undefined;
  readonly method?: string | undefined;
  readonly path?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly direct?: boolean | undefined;
}

/** The question that the words mean in this mesh. Throws FindError where they fit nothing, or more than one thing. */
export function questionOf(
  mesh: Mesh,
  words: QuestionWords,
): { readonly question: Question; readonly unknowns: readonly Unknown[] } {
  const namespace = words.namespace ?? null;
  const source = findSource(mesh, words.from, { namespace });
  if (source.kind === 'failed') throw new FindError('FROM', source);
  const destination = calledIn(mesh, words, source.value);
  if (destination.kind === 'failed') throw new FindError('TO', destination);
  const question: Question = {
    source: source.value,
    destination: destination.value,
    protocol: words.protocol ?? protocolOf(destination.value),
    method: words.method ?? 'GET',
    path: words.path ?? destination.path ?? '/',
    headers: words.headers ?? {},
  };
  return { question, unknowns: [...source.unknowns, ...destination.unknowns] };
}

/** What TO means in this mesh, called by `source`. */
export function calledIn(mesh: Mesh, words: QuestionWords, source: Source): FindResult<Destination> {
  return findDestination(mesh, words.to, {
    namespace: words.namespace ?? null,
    sourceNamespace: source.kind === 'pod' ? source.pod.namespace : null,
    port: words.port ?? null,
    direct: words.direct ?? false,
    protocol: words.protocol ?? 'http',
  });
}

/** Words that name nothing, or too much. 3 where a list that would tell could not be read. */
export class FindError extends ExpectedError {
  readonly unknowns: readonly Unknown[];

  constructor(argument: 'FROM' | 'TO', failure: NotFound) {
    const width = Math.max(0, ...failure.candidates.map((candidate) => candidate.type.length));
    const options = failure.candidates.map((candidate) => `${candidate.type.padEnd(width)}  ${candidate.what}`);
    super(`${argument}: ${failure.message}`, failure.problem === 'unknown' ? 3 : 2, [
      ...(options.length === 0 ? [] : ['Type one of:', ...options.map((line) => `  ${line}`)]),
      ...(failure.problem === 'unknown' && /forbidden/.test(failure.message) ? [RIGHTS_HINT] : []),
    ]);
    this.unknowns = failure.unknowns;
  }
}

/**
 * What a client speaks to this port where nobody says: as the port is declared (istio pkg/config/protocol: appProtocol, else
 * the name up to the first dash), HTTP where it is declared as nothing.
 */
function protocolOf(destination: Destination): Question['protocol'] {
  const port = destination.kind === 'service' ? destination.servicePort : null;
  if (port === null) return 'http';
  if (port.protocol.toUpperCase() === 'UDP') return 'udp';
  return OPAQUE.has(declaredAs(port)) ? 'tcp' : 'http';
}

function declaredAs(port: ServicePort): string {
  return (port.appProtocol ?? port.name?.split('-')[0] ?? '').toLowerCase();
}

const OPAQUE: ReadonlySet<string> = new Set(['tcp', 'tls', 'https', 'mongo', 'mysql', 'redis', 'kubernetes.io/wss']);
