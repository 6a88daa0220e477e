import { assertNever, type Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { describeCandidate, podsOfService, type Candidate } from './candidates.js';
import { lookUp, type Names, type Role } from './find-names.js';
import { destinationOf, type Wanted } from './find-ports.js';
import { failed, type FindResult, type NotFound } from './find-result.js';
import type { Mesh } from './model.js';
import { nearNodes } from './near.js';
import { externalHost, isNoNamespace, listOf, noNamespace, notFound, unique, withNear } from './not-found.js';
import type { Destination, Source } from './question.js';
import { parseReference, SCHEME_PORTS, type Reading, type Reference } from './reference.js';

/** Who sends. `namespace`: of -n, null where it was not given. */
export function findSource(
  mesh: Mesh,
  text: string,
  options: { readonly namespace: string | null },
): FindResult<Source> {
  const reference = parseReference(text);
  const found = (value: Source, unknowns: readonly Unknown[] = []): FindResult<Source> => ({
    kind: 'found',
    value,
    path: null,
    scheme: null,
    unknowns,
  });
  switch (reference.form) {
    case 'invalid':
      return failed('invalid', `"${text}": ${reference.reason}`);
    case 'external':
      return found({ kind: 'external', name: reference.name });
    case 'node':
      return findNode(mesh, reference.name, (name, node) => found({ kind: 'node', name, node }));
    case 'ip':
      return sourceByIp(mesh, reference.ip, found);
    case 'named': {
      const picked = pick(mesh, text, reference, 'source', [options.namespace]);
      if (picked.kind === 'failed') return withNear(mesh, reference, 'source', options.namespace, picked);
      const pods = podsBehind(mesh, picked.candidate);
      const [pod, ...also] = pods;
      if (pod === undefined) return failed('not-found', `${describeCandidate(picked.candidate)} has no running pod`);
      if (pod.node === null && pod.phase === 'Pending') {
        return failed('not-found', `Pod ${pod.namespace}/${pod.name} is on no node yet (Pending): it sends nothing`);
      }
      return found({ kind: 'pod', pod, also }, picked.unknowns);
    }
    default:
      return assertNever(reference);
  }
}

/**
 * What is called. `namespace`: of -n · `sourceNamespace`: where a bare name is looked up next, as the client's DNS search
 * would · `port`: of --port · `direct`: the pod's own address instead of the Service's.
 */
export function findDestination(mesh: Mesh, text: string, options: DestinationOptions): FindResult<Destination> {
  const reference = parseReference(text);
  switch (reference.form) {
    case 'invalid':
      return failed('invalid', `"${text}": ${reference.reason}`);
    case 'external':
      return failed('invalid', `"${text}": say which host or address outside the cluster is called`);
    case 'node':
      return findNode(mesh, reference.name, (name, node) => {
        const ip = node?.internalIps[0];
        if (node === null || ip === undefined) return failed('unknown', `the address of node ${name} is not known`);
        return finish(mesh, { kind: 'node', node, ip }, text, reference, null, options);
      });
    case 'ip':
      return finish(mesh, { kind: 'ip', ip: reference.ip }, text, reference, reference.path, options);
    case 'named': {
      const role: Role = options.direct ? 'direct' : 'destination';
      const picked = pick(mesh, text, reference, role, [options.namespace, options.sourceNamespace]);
      if (picked.kind === 'failed') {
        const host = externalHost(mesh, reference, role, picked);
        if (host === null) return withNear(mesh, reference, role, options.namespace, picked);
        return finish(mesh, { kind: 'host', host }, text, reference, reference.path, options, picked.unknowns);
      }
      const wanted: Wanted = { kind: 'candidate', candidate: picked.candidate, direct: options.direct };
      return finish(mesh, wanted, text, reference, reference.path, options, picked.unknowns);
    }
    default:
      return assertNever(reference);
  }
}

export interface DestinationOptions {
  readonly namespace: string | null;
  readonly sourceNamespace: string | null;
  readonly port: number | null;
  readonly direct: boolean;
  readonly protocol: 'http' | 'tcp' | 'udp';
}

function finish(
  mesh: Mesh,
  wanted: Wanted,
  text: string,
  reference: Exclude<Reference, { readonly form: 'invalid' }>,
  path: string | null,
  options: DestinationOptions,
  unknowns: readonly Unknown[] = [],
): FindResult<Destination> {
  const said = reference.form === 'external' ? null : reference.port;
  if (said !== null && options.port !== null && said !== options.port) {
    return failed('invalid', `"${text}" names port ${said}, --port ${options.port}: which one?`);
  }
  const scheme = reference.form === 'ip' || reference.form === 'named' ? reference.scheme : null;
  const implied = scheme === null ? null : (SCHEME_PORTS[scheme] ?? null);
  const result = destinationOf(mesh, wanted, options.port ?? said ?? implied, options.protocol);
  if (result.kind === 'failed') return result;
  return { kind: 'found', value: result.value, path, scheme, unknowns: [...unknowns, ...result.unknowns] };
}

function findNode<T>(
  mesh: Mesh,
  name: string,
  make: (name: string, node: ReturnType<Mesh['nodeByName']>) => FindResult<T>,
): FindResult<T> {
  const node = mesh.nodeByName(name);
  if (node !== null) return make(node.name, node);
  const missing = mesh.unknownOf('nodes', `node ${name}`);
  // a snapshot without the list may still hold the node's own files
  if (missing !== null && mesh.snapshot.list('nodes').includes(name)) return make(name, null);
  if (missing !== null) return failed('unknown', `the list of nodes is not known: ${missing.reason}`, [], [missing]);
  const nodes = nearNodes(mesh, name).map((near) => ({ type: `node/${near}`, what: `Node ${near}` }));
  return failed('not-found', `there is no node ${name}`, nodes);
}

function sourceByIp(
  mesh: Mesh,
  ip: string,
  found: (value: Source, unknowns?: readonly Unknown[]) => FindResult<Source>,
): FindResult<Source> {
  const [pod, ...also] = mesh.podsByIp(ip);
  if (pod !== undefined) return found({ kind: 'pod', pod, also });
  const node = mesh.nodeByIp(ip);
  if (node !== null) return found({ kind: 'node', name: node.name, node });
  const missing =
    mesh.unknownOf('pods', `pod with address ${ip}`) ?? mesh.unknownOf('nodes', `node with address ${ip}`);
  if (missing !== null) return failed('unknown', `who has ${ip} is not known: ${missing.reason}`, [], [missing]);
  return failed('not-found', `no pod and no node has ${ip}; "external" is a client outside the cluster`);
}

function podsBehind(mesh: Mesh, candidate: Candidate): readonly Pod[] {
  switch (candidate.is) {
    case 'pods':
      return candidate.pods;
    case 'service':
      return podsOfService(mesh, candidate.service);
    case 'serviceEntry':
      return [];
  }
}

type Picked =
  { readonly kind: 'picked'; readonly candidate: Candidate; readonly unknowns: readonly Unknown[] } | NotFound;

/**
 * One candidate of all that the words can mean. A name without namespace is looked for in `namespaces` first, in their
 * order; then everywhere, and only one thing of that name will do.
 */
function pick(
  mesh: Mesh,
  text: string,
  reference: Extract<Reference, { readonly form: 'named' }>,
  role: Role,
  namespaces: readonly (string | null)[],
): Picked {
  const names = reference.readings.map((reading) => lookUp(mesh, reading, role));
  const given = hasNamespace(reference.readings) ? [] : namespaces.filter((name) => name !== null);
  // a source is in the namespace that was given; else that of the context goes before others, as kubectl has it
  const isBound = role === 'source' && given.length > 0;
  const usual = mesh.snapshot.manifest?.cluster.namespace;
  const isFree = usual !== undefined && !isBound && !hasNamespace(reference.readings);
  const preferred = isFree ? [...given, usual] : given;
  for (const how of ['exact', 'prefix'] as const) {
    for (const namespace of [...preferred, null]) {
      // a name that only begins so is meant where nothing can be called so
      const entries = names.filter((entry) => how === 'exact' || entry.unknownsIn(namespace).length === 0);
      const all = unique(entries.flatMap((entry) => entry[how]));
      const found = all.filter((one) => namespace === null || one.namespace === namespace);
      const first = found[0];
      if (first === undefined) continue;
      // -n was given and the thing is elsewhere: a source must be named where it is
      if (namespace === null && isBound) {
        const where = given[0] ?? '';
        const elsewhere = listOf(found, reference.port);
        if (isNoNamespace(mesh, where)) return failed('not-found', noNamespace(where), elsewhere);
        const unread = unknownsOf(names, reference.readings, where);
        if (unread.length === 0) return failed('not-found', `no "${text}" in namespace ${where}`, elsewhere);
        return inNoList(`"${text}"`, ` of namespace ${where}`, unread, elsewhere);
      }
      if (found.length > 1) {
        return failed('ambiguous', `"${text}" can be ${found.length} things`, listOf(found, reference.port));
      }
      const unknowns = entries.filter((entry) => entry[how].length > 0).flatMap((entry) => entry.unknownsIn(namespace));
      return { kind: 'picked', candidate: first, unknowns: dedupe(unknowns) };
    }
  }
  const unknowns = unknownsOf(names, reference.readings, isBound ? (given[0] ?? null) : null);
  return unknowns.length > 0 ? inNoList(`"${text}"`, '', unknowns, []) : notFound(mesh, text, reference, role);
}

/** Lists that could not be read and may hold what the words mean, in one namespace or (null) anywhere. */
function unknownsOf(
  names: readonly Names[],
  readings: readonly Reading[],
  namespace: string | null,
): readonly Unknown[] {
  const likely = names.filter((_, index) => !isDottedName(readings, index));
  return dedupe(likely.flatMap((entry) => entry.unknownsIn(namespace)));
}

function inNoList(
  what: string,
  where: string,
  unknowns: readonly Unknown[],
  candidates: NotFound['candidates'],
): NotFound {
  const reasons = unknowns.map((unknown) => `${unknown.fact}: ${unknown.reason}`).join('; ');
  return failed('unknown', `${what} is in no list${where} that could be read (${reasons})`, candidates, unknowns);
}

/** `sleep.foo` as the whole name of something, where it can also be `sleep` in the namespace foo. */
function isDottedName(readings: readonly Reading[], index: number): boolean {
  const reading = readings[index];
  const isDotted = reading?.as === 'object' && reading.namespace === null && reading.name.includes('.');
  return isDotted && readings.some((other) => other.as === 'object' && other.namespace !== null);
}

function hasNamespace(readings: readonly Reading[]): boolean {
  return readings.every((reading) => reading.as === 'object' && reading.namespace !== null);
}

function dedupe(unknowns: readonly Unknown[]): readonly Unknown[] {
  return [...new Map(unknowns.map((unknown) => [unknown.fact, unknown])).values()];
}
