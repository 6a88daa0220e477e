import type { Unknown } from '../formats/evidence.js';
import { canonicalIp, joinHostPort, splitHostPort } from '../formats/ip.js';
import { findSource } from '../mesh/find.js';
import { failed, type FindResult, type NotFound } from '../mesh/find-result.js';
import { loadMesh } from '../mesh/load.js';
import type { Mesh } from '../mesh/model.js';
import { targetOf, type Destination, type Source } from '../mesh/question.js';
import type { ClusterPart } from '../snapshot/clusters.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Path, Trace } from '../walk/trace.js';
import { destinationParty, requestOf, sourceParty, unknownPath } from './_parties.js';
import { prefixed } from './_prefixed.js';
import { calledIn, FindError, questionOf, type QuestionWords } from './_question.js';

/** A name as it was typed, without the cluster that it may end with. */
interface Named {
  readonly words: string;
  readonly cluster: string | null;
}

interface Part extends ClusterPart {
  readonly mesh: Mesh;
}

/**
 * A trace where the snapshot holds several clusters. FROM decides which cluster it begins in. TO is looked for there first,
 * as the client's own resolver would, then in the others. The way is followed in the first cluster; where it leaves for
 * another, what happens there is not followed yet: it ends as unknown, and names where it goes.
 */
export function answerAcross(
  clusters: readonly ClusterPart[],
  words: QuestionWords,
  from: Named,
  to: Named,
  answerIn: (snapshot: Snapshot, words: QuestionWords) => Trace,
): Trace {
  const parts = clusters.map((cluster): Part => ({ ...cluster, mesh: loadMesh(cluster.snapshot) }));
  const home = homeOf(parts, words, from, to);
  const source = findSource(home.mesh, from.words, { namespace: words.namespace ?? null });
  if (source.kind === 'failed') throw new FindError('FROM', source);
  const plain: QuestionWords = { ...words, from: from.words, to: to.words };
  const { part, destination } = calledFrom(parts, home, plain, to, source.value);
  if (part === home) return leaving(parts, home, placed(answerIn(home.snapshot, plain), home, home));
  const { ip, port } = targetOf(destination);
  if (ip !== null && destination.kind !== 'service') {
    // the address may be of one network for both
    const there = { ...plain, to: joinHostPort(ip, port), port: undefined, direct: false };
    const trace = answerIn(home.snapshot, there);
    const called = { ...trace, destination: destinationParty(part.mesh, destination) };
    return leaving(parts, home, placed(called, home, part));
  }
  return placed(unfollowed(home, part, plain, source.value, destination), home, part);
}

/** The cluster that FROM is in. Throws FindError where it is in none, or in several. */
function homeOf(parts: readonly Part[], words: QuestionWords, from: Named, to: Named): Part {
  const tried = named(parts, from).map((part) => ({
    part,
    result: findSource(part.mesh, from.words, { namespace: words.namespace ?? null }),
  }));
  const found = tried.filter(({ result }) => isThere(result));
  const [first, second] = found;
  if (first === undefined) throw new FindError('FROM', nowhere(tried));
  if (second === undefined) return first.part;
  // a client outside of the clusters begins where what it calls is
  const near = found.filter(
    ({ part, result }) =>
      result.kind === 'found' &&
      result.value.kind === 'external' &&
      named(parts, to).includes(part) &&
      isThere(calledIn(part.mesh, { ...words, to: to.words }, result.value)),
  );
  if (near.length === 1 && near[0] !== undefined) return near[0].part;
  throw new FindError(
    'FROM',
    inSeveral(
      from.words,
      found.map(({ part }) => part),
    ),
  );
}

function calledFrom(
  parts: readonly Part[],
  home: Part,
  words: QuestionWords,
  to: Named,
  source: Source,
): { readonly part: Part; readonly destination: Destination } {
  const look = (part: Part): { readonly part: Part; readonly result: FindResult<Destination> } => ({
    part,
    result: calledIn(part.mesh, words, source),
  });
  const own = look(home);
  const candidates = named(parts, to);
  if (candidates.includes(home) && own.result.kind === 'found' && isObject(own.result.value)) {
    return { part: home, destination: own.result.value };
  }
  const others = candidates.filter((part) => part !== home).map(look);
  const found = others.flatMap(({ part, result }) =>
    result.kind === 'found' && isObject(result.value) ? [{ part, destination: result.value }] : [],
  );
  const [only, another] = found;
  if (another !== undefined)
    throw new FindError(
      'TO',
      inSeveral(
        words.to,
        found.map(({ part }) => part),
      ),
    );
  if (only !== undefined) return only;
  if (!candidates.includes(home)) throw new FindError('TO', nowhere(others));
  // an address or a host of nothing known is called from where the client is
  if (own.result.kind === 'found') return { part: home, destination: own.result.value };
  throw new FindError('TO', isThere(own.result) ? own.result : nowhere([own, ...others]));
}

function named(parts: readonly Part[], { cluster }: Named): readonly Part[] {
  return cluster === null ? parts : parts.filter((part) => part.name === cluster);
}

function isThere(result: FindResult<unknown>): boolean {
  return result.kind === 'found' || result.problem === 'ambiguous' || result.problem === 'port';
}

function isObject(destination: Destination): boolean {
  return destination.kind !== 'address' && destination.kind !== 'host';
}

function inSeveral(words: string, parts: readonly Part[]): NotFound {
  const candidates = parts.map(({ name }) => ({ type: `${words}@${name}`, what: `the one of cluster ${name}` }));
  return failed('ambiguous', `"${words}" is in ${parts.length} clusters of this snapshot`, candidates);
}

/** What the clusters say, in the words of the first that could not even look, else of the first. */
function nowhere(tried: readonly { readonly part: Part; readonly result: FindResult<unknown> }[]): NotFound {
  const failures = tried.flatMap(({ part, result }) => (result.kind === 'failed' ? [{ part, result }] : []));
  const first = failures.find(({ result }) => result.problem === 'unknown') ?? failures[0];
  if (first === undefined) return failed('not-found', 'no cluster of this snapshot has it');
  const candidates = failures.flatMap(({ part, result }) =>
    result.candidates.map(({ type, what }) => ({ type: `${type}@${part.name}`, what: `${what} of ${part.name}` })),
  );
  const where = `cluster ${first.part.name}${failures.length > 1 ? ', and no other cluster has it' : ''}`;
  return { ...first.result, message: `${first.result.message} (${where})`, candidates };
}

/** Evidence in the paths of the whole snapshot, and the names of the clusters beside the ends. */
function placed(trace: Trace, home: Part, destination: Part): Trace {
  const whole = prefixed(trace, home.prefix);
  return {
    ...whole,
    source: { ...whole.source, cluster: home.name },
    destination: { ...whole.destination, cluster: destination.name },
  };
}

/** A Service of another cluster: by which gateway and under which name it is reached is not followed yet. */
function unfollowed(home: Part, part: Part, words: QuestionWords, source: Source, destination: Destination): Trace {
  const { namespace, name } = destinationParty(part.mesh, destination);
  const unknown: Unknown = {
    fact: `how ${namespace}/${name} of cluster ${part.name} is reached from cluster ${home.name}`,
    reason: `cluster ${home.name} has no object of that name, and a way into another cluster is not followed yet`,
  };
  // the request as it would be made there
  const { question } = questionOf(part.mesh, { ...words, from: 'external' });
  return {
    apiVersion: 'meshpath.dev/v1',
    kind: 'Trace',
    source: sourceParty(home.mesh, source),
    destination: destinationParty(part.mesh, destination),
    request: requestOf(question),
    paths: [unknownPath(source, unknown)],
    expected: { paths: [] },
    findings: [],
    unknowns: [unknown],
  };
}

/** Ways that leave the cluster for an address of another one are not delivered there for all we know. */
function leaving(parts: readonly Part[], home: Part, trace: Trace): Trace {
  const others = parts.filter((part) => part !== home);
  const unknowns: Unknown[] = [];
  const mark = (path: Path): Path => {
    const [last, link] = [path.stops.at(-1), path.links.at(-1)];
    if (path.verdict !== 'delivered' || last?.role !== 'external' || link === undefined) return path;
    for (const address of [link.to, ...(link.also ?? [])]) {
      const ip = splitHostPort(address)?.host ?? null;
      for (const other of ip === null ? [] : others) {
        const owner = ip === null ? null : ownerOf(other.mesh, ip);
        if (owner === null) continue;
        const unknown = {
          fact: `what becomes of a connection to ${address} in cluster ${other.name}`,
          reason: `it leaves cluster ${home.name} for ${owner} of cluster ${other.name}: a way into another cluster is not followed yet`,
        };
        unknowns.push(unknown);
        return { ...path, verdict: 'unknown', reason: `not known: ${unknown.fact} (${unknown.reason})` };
      }
    }
    return path;
  };
  const paths = trace.paths.map(mark);
  return { ...trace, paths, unknowns: [...trace.unknowns, ...unknowns] };
}

/** Who has an address in a cluster, as it can be seen from outside. */
function ownerOf(mesh: Mesh, ip: string): string | null {
  const address = canonicalIp(ip) ?? ip;
  const pod = mesh.podsByIp(address)[0];
  if (pod !== undefined) return `Pod ${pod.namespace}/${pod.name}`;
  const node = mesh.nodeByIp(address);
  if (node !== null) return `Node ${node.name}`;
  const service = mesh.servicesByIp(address).find((one) => !one.clusterIps.includes(address));
  return service === undefined ? null : `Service ${service.namespace}/${service.name}`;
}
