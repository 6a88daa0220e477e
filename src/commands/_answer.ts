import type { Unknown } from '../formats/evidence.js';
import { loadMesh } from '../mesh/load.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import type { Question } from '../mesh/question.js';
import { expectedPaths } from '../intent/expected.js';
import type { CheckInput } from '../checks/context.js';
import { runChecks } from '../checks/run.js';
import { targetOf } from '../mesh/question.js';
import { placeOfPod } from '../walk/place.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { loadEngines } from '../walk/engines.js';
import { mergeWays, settleForks } from '../walk/merge.js';
import { startsOf } from '../walk/start.js';
import type { Party, Path, Trace } from '../walk/trace.js';
import type { Walked } from '../walk/route.js';
import { walk } from '../walk/walk.js';
import { questionOf, type QuestionWords } from './_question.js';

/** Pure: the same snapshot and words give the same answer. Throws FindError where the words fit nothing or too much. */
export function answer(snapshot: Snapshot, words: QuestionWords): Trace {
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
    source: sourceParty(mesh, question),
    destination: destinationParty(mesh, question),
    request: requestOf(question),
    paths,
    expected: { paths: expected },
    findings: checked.findings,
    unknowns: distinct([...unknowns, ...walked.flatMap((one) => one.unknowns), ...checked.unknowns]),
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

function sourceParty(mesh: Mesh, { source }: Question): Party {
  switch (source.kind) {
    case 'pod': {
      const { pod } = source;
      return {
        kind: 'Pod',
        namespace: pod.namespace,
        name: pod.name,
        ip: pod.ips[0] ?? null,
        node: pod.node,
        mode: modeOf(mesh, pod).mode,
      };
    }
    case 'node':
      return {
        kind: 'Node',
        namespace: null,
        name: source.name,
        ip: source.node?.internalIps[0] ?? null,
        node: source.name,
      };
    case 'external':
      return { kind: 'External', namespace: null, name: source.name, ip: null };
  }
}

function destinationParty(mesh: Mesh, { destination }: Question): Party {
  const { port } = destination;
  switch (destination.kind) {
    case 'service': {
      const { service, ip, host } = destination;
      return { kind: 'Service', namespace: service.namespace, name: service.name, ip, port, host };
    }
    case 'pod': {
      const { pod, ip } = destination;
      return {
        kind: 'Pod',
        namespace: pod.namespace,
        name: pod.name,
        ip,
        node: pod.node,
        mode: modeOf(mesh, pod).mode,
        port,
      };
    }
    case 'serviceEntry': {
      const { entry, ip, host } = destination;
      return { kind: 'ServiceEntry', namespace: entry.namespace, name: entry.name, ip, port, host };
    }
    case 'node':
      return {
        kind: 'Node',
        namespace: null,
        name: destination.node.name,
        ip: destination.ip,
        node: destination.node.name,
        port,
      };
    case 'address':
      return { kind: 'Address', namespace: null, name: destination.ip, ip: destination.ip, port };
    case 'host':
      return { kind: 'Host', namespace: null, name: destination.host, ip: null, port, host: destination.host };
  }
}

function requestOf({ protocol, method, path, headers }: Question): Trace['request'] {
  return protocol === 'http' ? { protocol, method, path, headers } : { protocol };
}

/** The question could not even be begun: one way, of one stop. */
function unknownWay(question: Question, unknown: Unknown): Walked {
  const { source } = question;
  const stop =
    source.kind === 'pod'
      ? {
          role: 'workload' as const,
          namespace: source.pod.namespace,
          name: source.pod.name,
          node: source.pod.node ?? '',
        }
      : source.kind === 'node'
        ? { role: 'workload' as const, namespace: '', name: `node/${source.name}`, node: source.name }
        : { role: 'external' as const, namespace: '', name: 'outside', node: '' };
  const path: Path = {
    probability: 1,
    verdict: 'unknown',
    reason: `not known: ${unknown.fact} (${unknown.reason})`,
    encryption: null,
    stops: [stop],
    links: [],
    hops: [],
  };
  return { path, unknowns: [unknown], conditions: [], undecided: [] };
}

function distinct(unknowns: readonly Unknown[]): readonly Unknown[] {
  return [...new Map(unknowns.map((one) => [`${one.fact}\n${one.reason}`, one])).values()];
}
