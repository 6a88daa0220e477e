import type { Unknown } from '../formats/evidence.js';
import { loadMesh } from '../mesh/load.js';
import type { Question } from '../mesh/question.js';
import { expectedPaths } from '../intent/expected.js';
import type { CheckInput } from '../checks/context.js';
import { runChecks } from '../checks/run.js';
import { targetOf } from '../mesh/question.js';
import { placeOfPod } from '../walk/place.js';
import { clustersOf, splitCluster } from '../snapshot/clusters.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { loadEngines } from '../walk/engines.js';
import { mergeWays, settleForks } from '../walk/merge.js';
import { startsOf } from '../walk/start.js';
import type { Trace } from '../walk/trace.js';
import type { Walked } from '../walk/route.js';
import { walk } from '../walk/walk.js';
import { answerAcross } from './_across.js';
import { destinationParty, requestOf, sourceParty, unknownPath } from './_parties.js';
import { questionOf, type QuestionWords } from './_question.js';

/** Pure: the same snapshot and words give the same answer. Throws FindError where the words fit nothing or too much. */
export function answer(snapshot: Snapshot, words: QuestionWords): Trace {
  const clusters = clustersOf(snapshot);
  const names = clusters.map(({ name }) => name);
  const [from, to] = [splitCluster(words.from, names), splitCluster(words.to, names)];
  if (clusters.length > 1) return answerAcross(clusters, words, from, to, answerIn);
  return answerIn(snapshot, { ...words, from: from.words, to: to.words });
}

/** The same within one cluster. */
function answerIn(snapshot: Snapshot, words: QuestionWords): Trace {
  const mesh = loadMesh(snapshot);
  const { question, unknowns } = questionOf(mesh, words);
  const engines = loadEngines(snapshot, mesh);
  const starts = startsOf(engines, question);
  const walked =
    'unknown' in starts
      ? [unknownWay(question, starts.unknown)]
      : mergeWays(mesh, settleForks(starts.starts.flatMap((s) => walk(engines, s))));
  const paths = walked.map((one) => one.path);
  const expected = expectedPaths(mesh, question);
  const checked = runChecks({
    snapshot,
    mesh,
    question: askedOf(question),
    paths,
    expected,
    lacking: walked.flatMap((one) => one.unknowns),
    netns: (pod) => engines.netns(placeOfPod(pod)),
    ztunnel: (pod) => engines.ztunnelDump(pod),
    envoy: (pod) => engines.envoy(pod),
  });
  return {
    apiVersion: 'meshpath.dev/v1',
    kind: 'Trace',
    source: sourceParty(mesh, question.source),
    destination: destinationParty(mesh, question.destination),
    request: requestOf(question),
    paths,
    expected: { paths: expected },
    findings: checked.findings,
    unknowns: distinct([
      ...unknowns,
      ...('unknown' in starts ? [] : starts.unknowns),
      ...walked.flatMap((one) => one.unknowns),
      ...checked.unknowns,
    ]),
  };
}

/** The question as the checks ask it. */
export function askedOf(question: Question): CheckInput['question'] {
  const { source, destination } = question;
  const target = targetOf(destination);
  return {
    source: source.kind === 'pod' ? source.pod : null,
    sourceNode: source.kind === 'node' ? source.name : null,
    service: destination.kind === 'service' ? destination.service : null,
    pods: destination.kind === 'pod' ? [destination.pod, ...destination.also] : [],
    ip: target.ip,
    port: target.port,
    host: 'host' in destination ? destination.host : null,
    request: requestOf(question),
  };
}

/** The question could not even be begun: one way, of one stop. */
function unknownWay(question: Question, unknown: Unknown): Walked {
  return { path: unknownPath(question.source, unknown), unknowns: [unknown], conditions: [], undecided: [] };
}

function distinct(unknowns: readonly Unknown[]): readonly Unknown[] {
  return [...new Map(unknowns.map((one) => [`${one.fact}\n${one.reason}`, one])).values()];
}
