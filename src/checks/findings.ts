import type { Unknown } from '../formats/evidence.js';
import { readZtunnelDump } from '../formats/ztunnel-dump.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { podFolder } from '../mesh/folders.js';
import type { Question as MeshQuestion } from '../mesh/question.js';
import type { Engines } from '../walk/engines.js';
import { placeOfPod } from '../walk/place.js';
import type { Path } from '../walk/trace.js';
import type { Check, Question } from './context.js';
import { CHECKS } from './registry.js';
import { runChecks, type CheckReport } from './run.js';

/** The findings of one trace, with the engines that walked it: what they have read is not read again. */
export function findingsOf(
  engines: Engines,
  question: MeshQuestion,
  paths: readonly Path[],
  expected: readonly Path[],
  checks: readonly Check[] = CHECKS,
): CheckReport {
  const { snapshot, mesh } = engines;
  const dumps = new Map<string, ZtunnelDump | Unknown>();
  const ztunnel = (pod: Pod): ZtunnelDump | Unknown => {
    const path = `${podFolder(pod) ?? 'no-such-name'}/ztunnel/config_dump.json`;
    const known = dumps.get(path);
    if (known !== undefined) return known;
    const made = readDump(engines, path, pod);
    dumps.set(path, made);
    return made;
  };
  return runChecks(
    {
      snapshot,
      mesh,
      question: questionOf(question),
      paths,
      expected,
      netns: (pod) => engines.netns(placeOfPod(pod)),
      ztunnel,
      envoy: (pod) => engines.envoy(pod),
    },
    checks,
  );
}

function readDump(engines: Engines, path: string, pod: Pod): ZtunnelDump | Unknown {
  const fact = `configuration of ztunnel ${pod.namespace}/${pod.name} (${path})`;
  const file = engines.snapshot.read(path);
  if (file.kind !== 'text') return { fact, reason: file.reason };
  const read = readZtunnelDump(path, file.text);
  return read.kind === 'dump' ? read.dump : { fact, reason: read.reason };
}

function questionOf({ source, destination, protocol, method, path, headers }: MeshQuestion): Question {
  const service = destination.kind === 'service' ? destination.service : null;
  const host = 'host' in destination ? destination.host : null;
  return {
    source: source.kind === 'pod' ? source.pod : null,
    sourceNode: source.kind === 'node' ? source.name : null,
    service,
    pods: destination.kind === 'pod' ? [destination.pod, ...destination.also] : [],
    ip: 'ip' in destination ? destination.ip : null,
    port: destination.port,
    host,
    request: protocol === 'http' ? { protocol, method, path, headers } : { protocol },
  };
}
