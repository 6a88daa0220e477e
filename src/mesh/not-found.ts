import { describeCandidate, spellingOf, type Candidate } from './candidates.js';
import { lookUp, type Role } from './find-names.js';
import { failed, type NotFound } from './find-result.js';
import type { Mesh } from './model.js';
import { isTerminated } from './order.js';
import { nearNames, nearNamespaces } from './near.js';
import type { Reading, Reference } from './reference.js';

/** Words that name a thing, or a host. */
type Named = Extract<Reference, { readonly form: 'named' }>;

/** False where the list of namespaces is not whole: nobody knows then. */
export function isNoNamespace(mesh: Mesh, namespace: string): boolean {
  const { state, items } = mesh.list('namespaces');
  return state === 'read' && items.length > 0 && mesh.namespace(namespace) === null;
}

export function noNamespace(namespace: string): string {
  return `there is no namespace ${namespace}`;
}

/** Each thing once, in the order of their names. */
export function unique(candidates: readonly Candidate[]): readonly Candidate[] {
  const seen = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const key = `${candidate.kind} ${candidate.namespace}/${candidate.name}`;
    if (!seen.has(key)) seen.set(key, candidate);
  }
  return [...seen.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, candidate]) => candidate);
}

/** More than a person reads; the message says how many there are. */
const LISTED = 20;

/** What to type for each. */
export function listOf(candidates: readonly Candidate[], port: number | string | null): NotFound['candidates'] {
  return candidates
    .slice(0, LISTED)
    .map((entry) => ({ type: spellingOf(entry, port), what: describeCandidate(entry) }));
}

/** Says what is there instead: things whose name begins alike, or a workload that has no pods. */
export function notFound(mesh: Mesh, text: string, reference: Named, role: Role): NotFound {
  for (const reading of reference.readings) {
    if (reading.as !== 'object') continue;
    const ended = mesh
      .list('pods')
      .items.find(
        (pod) => pod.name === reading.name && (reading.namespace === null || pod.namespace === reading.namespace),
      );
    if (ended !== undefined && isTerminated(ended)) {
      return failed('not-found', `Pod ${ended.namespace}/${ended.name} has ended (${ended.phase ?? 'no phase'})`);
    }
    const idle = [...mesh.list('deployments').items, ...mesh.list('statefulSets').items].find(
      (entry) => entry.name === reading.name && (reading.namespace === null || entry.namespace === reading.namespace),
    );
    if (idle !== undefined) {
      return failed('not-found', `${idle.kind} ${idle.namespace}/${idle.name} has no running pod`);
    }
  }
  const elsewhere = reference.readings.flatMap((reading) => {
    if (reading.as !== 'object' || reading.namespace === null) return [];
    const names = lookUp(mesh, { ...reading, namespace: null }, role);
    return names.exact.length > 0 ? names.exact : names.prefix;
  });
  const what = role === 'source' ? 'pod, workload or Service with pods' : 'pod, workload, Service or host';
  const nowhere = namespacesOf(reference.readings).find((namespace) => isNoNamespace(mesh, namespace));
  const message = `there is no ${what} "${text}"${nowhere === undefined ? '' : `: ${noNamespace(nowhere)}`}`;
  return failed('not-found', message, listOf(unique(elsewhere), reference.port));
}

function namespacesOf(readings: readonly Reading[]): readonly string[] {
  return readings.flatMap((reading) =>
    reading.as === 'object' && reading.namespace !== null ? reading.namespace : [],
  );
}

/** The failure with what a slip may have meant, where nothing has the name itself. */
export function withNear(
  mesh: Mesh,
  reference: Named,
  role: Role,
  namespace: string | null,
  failure: NotFound,
): NotFound {
  if (failure.problem !== 'not-found' || failure.candidates.length > 0) return failure;
  const near = reference.readings.flatMap((reading) =>
    reading.as === 'host' ? [] : nearNames(mesh, reading.name, reading.namespace ?? namespace, role),
  );
  const otherwise = reference.readings.flatMap((reading) => {
    if (reading.as === 'host' || reading.namespace === null || !isNoNamespace(mesh, reading.namespace)) return [];
    const { name } = reading;
    const port = reference.port === null ? '' : `:${reference.port}`;
    return nearNamespaces(mesh, reading.namespace).flatMap((other) => {
      const there = listOf(nearNames(mesh, name, other, role), reference.port);
      return there.length > 0 ? there : [{ type: `${other}/${name}${port}`, what: `in namespace ${other}` }];
    });
  });
  return { ...failure, candidates: [...listOf(near, reference.port), ...otherwise] };
}

/**
 * A host outside the mesh, where the words can be one: they have a dot, no kind, and their first part is the name of
 * nothing in the cluster (`httpbin.bra` is a slip, `example.com` a host).
 */
export function externalHost(mesh: Mesh, reference: Named, role: Role, failure: NotFound): string | null {
  if (failure.problem !== 'not-found' && failure.problem !== 'unknown') return null;
  const host = reference.readings.find((reading) => reading.as === 'host');
  if (host === undefined || failure.candidates.length > 0) return null;
  if (/\.svc(\.|$)/.test(host.host)) return null;
  // `httpbn.bar`, where bar has a Service httpbin
  const slips = reference.readings.flatMap((reading) =>
    reading.as === 'object' && reading.namespace !== null ? nearNames(mesh, reading.name, reading.namespace, role) : [],
  );
  if (slips.length > 0) return null;
  if (failure.problem === 'unknown') {
    // only the ServiceEntries may be missing: who is called is then known, how it is published is not
    return failure.unknowns.every((unknown) => unknown.fact.includes('serviceentries')) ? host.host : null;
  }
  return host.host;
}
