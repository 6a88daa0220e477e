import { setMaxListeners } from 'node:events';
import { partOf, prefixesOf, splitCluster } from '../snapshot/clusters.js';
import { MANIFEST_FILE } from '../snapshot/manifest.js';
import { scrub } from '../snapshot/redact.js';
import { manifestText, type SnapshotSink } from '../snapshot/write.js';
import { discover, serverVersion } from './api.js';
import { Cluster, nameOf, NODES, PODS } from './cluster.js';
import { CollectError } from './errors.js';
import { Fetcher } from './fetch.js';
import { KINDS, kindFile } from './kinds.js';
import { connect, type Connection } from './kubeconfig.js';
import { emptyManifest, manifestOf } from './manifest.js';
import type { Ask, CollectOptions, Plan } from './plan.js';
import { parseReference } from './reference.js';
import { slotsOf, type Counters, type Session, type Slots } from './request.js';
import { podFacts } from './pod.js';
import { preflight } from './preflight.js';
import { TraceScope } from './trace-scope.js';
import { addressesIn, askedOf, mayBePod, tracked, wayOf } from './tracking.js';

/** What a run cost, for --timings and for the tests that hold it to its path. */
export interface Cost {
  readonly requests: number;
  readonly bytes: number;
  readonly retries: number;
  readonly rounds: number;
}

/**
 * Fills `sink` with what the plan needs of the given contexts (none: the current one). The first is the cluster at the root
 * of the snapshot; each further one lies under `clusters/<context>/`. Throws KubeconfigError where the command line is wrong,
 * CollectError where the (first) cluster cannot be read at all; everything smaller is a problem in the manifest.
 */
export async function collect(
  sink: SnapshotSink,
  plan: Plan,
  options: CollectOptions,
  contexts: readonly string[],
): Promise<Cost> {
  const [first = null, ...others] = [...new Set(contexts)];
  // every request and stream listens for the one signal that ends them all
  setMaxListeners(0, options.signal);
  const run: Run = { plan, options, slots: slotsOf(options.concurrency) };
  const tried = await Promise.allSettled([
    openOne(sink, run, first, ''),
    ...prefixesOf(others).map(([context, prefix]) => openOther(sink, run, context, prefix)),
  ]);
  const opened = tried.flatMap((one) => (one.status === 'fulfilled' && one.value !== null ? [one.value] : []));
  let rounds = 0;
  try {
    for (const one of tried) if (one.status === 'rejected') throw one.reason;
    rounds = await fill(sink, plan, opened);
  } finally {
    await Promise.all(opened.map((one) => one.end()));
  }
  const sum = (of: (count: Counters) => number): number =>
    opened.reduce((total, { cluster }) => total + of(cluster.session.count), 0);
  return { requests: sum((c) => c.requests), bytes: sum((c) => c.bytes), retries: sum((c) => c.retries), rounds };
}

/** One cluster that is being read into its place in the snapshot. */
interface Opened {
  readonly prefix: string;
  readonly context: string;
  /** Namespace of the context, null where it names none. */
  readonly namespace: string | null;
  readonly cluster: Cluster;
  readonly scope: TraceScope;
  readonly fetcher: Fetcher;
  readonly versionRead: Promise<void>;
  /** Brings what has been read so far to the sink. */
  readonly write: () => void;
  readonly end: () => Promise<void>;
}

/** What the clusters of one run share. */
interface Run {
  readonly plan: Plan;
  readonly options: CollectOptions;
  readonly slots: Slots;
}

async function openOne(
  sink: SnapshotSink,
  { plan, options, slots }: Run,
  context: string | null,
  prefix: string,
): Promise<Opened> {
  const tell = (message: string): void => options.progress({ kind: 'said', message: scrub(message) ?? message });
  const connection = await connect({ ...options, context, tell });
  const session: Session = {
    connection,
    grants: { debugContainer: options.debugImage !== null },
    requestTimeout: options.requestTimeout,
    signal: options.signal,
    count: { requests: 0, bytes: 0, retries: 0 },
    slots,
  };
  // alone, and first: what cannot be reached at all is found out by one connection
  const served = await discover(session).catch((error: unknown) => {
    connection.close();
    throw error instanceof CollectError ? named(error, connection) : error;
  });
  let version: string | null = null;
  const versionRead = serverVersion(session).then(
    (said) => {
      version = said;
    },
    // a server that hides it is read all the same; a run that was interrupted ends elsewhere
    () => undefined,
  );
  const { concurrency, debugImage, progress } = options;
  const cluster = new Cluster({ session, served, sink, concurrency, debugImage, progress });
  const scope = new TraceScope(cluster);
  const write = (): void => {
    cluster.flush();
    sink.manifest(manifestOf(cluster, plan, options, connection, version));
  };
  return {
    prefix,
    context: connection.context,
    namespace: connection.namespace,
    cluster,
    scope,
    fetcher: new Fetcher(cluster, scope, { whole: plan.kind === 'scope' && plan.ask === null }),
    versionRead,
    write,
    end: async () => {
      await cluster.released();
      if (options.signal.aborted) cluster.problem('.', 'the capture was interrupted: what is not here was not read');
      write();
      connection.close();
    },
  };
}

/** Which of the clusters that a person works with it is. */
function named(error: CollectError, { context, server, proxy }: Connection): CollectError {
  if (error.kind === 'cancelled') return error;
  const through = proxy === null ? '' : ` through the proxy ${proxy}`;
  return new CollectError(
    error.kind,
    `${error.message} (context ${context}, ${server.origin}${through})`,
    error.status,
  );
}

/** A further cluster that cannot be read is missing, and said so; the others are read. */
async function openOther(sink: SnapshotSink, run: Run, context: string, prefix: string): Promise<Opened | null> {
  const { plan, options } = run;
  const own = below(sink, prefix);
  try {
    return await openOne(own, run, context, prefix);
  } catch (error) {
    if (!(error instanceof CollectError) || error.kind === 'cancelled') throw error;
    options.progress({ kind: 'notice', message: `a cluster cannot be read: ${error.message}` });
    own.manifest(emptyManifest(plan, options, context, [{ file: '.', reason: error.message }]));
    return null;
  }
}

/** The part of a sink that holds one further cluster. */
function below(sink: SnapshotSink, prefix: string): SnapshotSink {
  return {
    put: (file, text) => sink.put(prefix + file, text),
    stream: (file, chunks) => sink.stream(prefix + file, chunks),
    manifest: (manifest) => sink.put(prefix + MANIFEST_FILE, manifestText(manifest)),
    snapshot: (name) => partOf(sink.snapshot(name), prefix),
  };
}

async function fill(sink: SnapshotSink, plan: Plan, opened: readonly Opened[]): Promise<number> {
  const names = opened.map(({ context }) => context);
  if (plan.kind === 'trace') {
    await Promise.all(opened.map((one) => beginTrace(one, plan, names)));
    return askUntilQuiet(sink, plan.ask, opened);
  }
  const { ask } = plan;
  for (const { cluster } of opened) {
    if (cluster.debugImage !== null) {
      cluster.notice('no debug container is started: only what a trace from FROM to TO goes through may get one');
    }
  }
  const nodes = await Promise.all(opened.map((one) => beginScope(one, plan)));
  if (ask !== null) return askUntilQuiet(sink, ask, opened);
  await Promise.all(opened.map((one, at) => one.fetcher.everything(nodes[at] ?? new Set(), plan.namespaces)));
  return 1;
}

async function beginTrace(one: Opened, plan: Plan & { kind: 'trace' }, names: readonly string[]): Promise<void> {
  const { cluster, scope } = one;
  const fallback = plan.namespace === null ? [one.namespace ?? 'default'] : [plan.namespace];
  const config = KINDS.filter((kind) => kind.size === 'config' && kindFile(kind) !== 'kubernetes/namespaces.json');
  const meant = [plan.from, plan.to]
    .map((text) => splitCluster(text, names))
    .filter(({ cluster: of }) => of === null || of === one.context)
    .map(({ words }) => parseReference(words));
  // a name that is refused everywhere is looked for in the namespace of the context
  if (meant.some((reference) => reference.names.some(({ namespace }) => namespace === null))) {
    for (const namespace of fallback) cluster.namespaces.add(namespace);
  }
  await Promise.all([
    ...config.map((kind) => cluster.task(`reading ${kind.plural}`, kindFile(kind), () => cluster.list(kind, 'all'))),
    one.versionRead,
    scope.namespaceObjects(),
    scope.meshPods(),
    ...meant.map((reference) => scope.resolve(reference, fallback)),
  ]);
  // what may be read of some namespaces only: by now it is known of which
  await Promise.all(config.filter((kind) => cluster.refused.has(kind)).map((kind) => cluster.list(kind, 'all')));
  await preflight(cluster, [...cluster.namespaces], [...scope.istioNamespaces]);
}

/** Gives the nodes that the scope concerns. */
async function beginScope(one: Opened, plan: Plan & { kind: 'scope' }): Promise<ReadonlySet<string>> {
  const { cluster, scope } = one;
  const { namespaces } = plan;
  if (namespaces !== 'all') for (const namespace of namespaces) cluster.namespaces.add(namespace);
  await Promise.all([
    ...KINDS.filter((kind) => plan.ask === null || kind.size !== 'events').map((kind) =>
      cluster.task(`reading ${kind.plural}`, kindFile(kind), () =>
        cluster.list(kind, kind.size === 'config' ? 'all' : namespaces),
      ),
    ),
    one.versionRead,
    scope.meshPods(),
  ]);
  // what may be read of some namespaces only: the mesh has settings and policies in its own
  const refused = KINDS.filter((kind) => kind.size === 'config' && cluster.refused.has(kind) && kind.namespaced);
  const ofMesh = (): Promise<void>[] => refused.map((kind) => cluster.list(kind, [...scope.istioNamespaces]));
  await Promise.all([...ofMesh(), scope.namespacesByName()]);
  one.write();
  const concerned = cluster
    .items(PODS)
    .map(podFacts)
    .filter((pod) => namespaces === 'all' || namespaces.includes(pod.namespace));
  const all = namespaces === 'all' ? cluster.items(NODES).map(nameOf) : [];
  const nodes = new Set([...concerned.map((pod) => pod.node), ...all].filter((node) => node !== ''));
  if (namespaces !== 'all') await Promise.all([...nodes].map((node) => scope.agents(node)));
  // where its agents were found
  await Promise.all(ofMesh());
  await preflight(cluster, namespaces === 'all' ? [] : namespaces, [...scope.istioNamespaces]);
  return nodes;
}

const ROUNDS = 40;

/** Asks, fetches what was missed wherever it was missed, asks again: until nothing is missed that was not tried. */
async function askUntilQuiet(sink: SnapshotSink, ask: Ask, opened: readonly Opened[]): Promise<number> {
  for (let round = 1; ; round++) {
    for (const one of opened) one.write();
    const { snapshot, asked } = tracked(sink.snapshot('live'));
    let answer: unknown = null;
    let failure: unknown = null;
    const began = performance.now();
    try {
      answer = await ask(snapshot);
    } catch (error) {
      // "no such workload" may only mean: not read yet
      failure = error;
    }
    opened[0]?.cluster.took('asking the question', performance.now() - began);
    const fetched = await Promise.all(opened.map((one) => one.fetcher.fetch(askedOf(asked, one.prefix))));
    const unknown = [...addressesIn(answer)].filter(mayBePod).sort();
    const found = await Promise.all(opened.flatMap(({ scope }) => unknown.map((address) => scope.lookUp(address))));
    // last: what the next answer asks for may come in a way that changes nothing in the cluster
    const way = wayOf(answer);
    const more = fetched.includes(true) || found.includes(true);
    const debugged = more
      ? []
      : await Promise.all(opened.map((one) => one.fetcher.debug(askedOf(asked, one.prefix), way)));
    if (opened.some(({ cluster }) => cluster.session.signal.aborted))
      throw new CollectError('cancelled', 'interrupted');
    if (!more && !debugged.includes(true)) {
      if (failure !== null) throw failure instanceof Error ? failure : new Error(String(failure));
      return round;
    }
    if (round === ROUNDS) throw new Error(`the question still asks for more after ${ROUNDS} rounds`);
  }
}
