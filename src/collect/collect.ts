import { setMaxListeners } from 'node:events';
import type { SnapshotSink, WrittenManifest } from '../snapshot/write.js';
import { discover, serverVersion } from './api.js';
import { Cluster, nameOf, NODES, PODS } from './cluster.js';
import { CollectError } from './errors.js';
import { Fetcher } from './fetch.js';
import { asArray, asString, at } from './json.js';
import { KINDS, kindFile } from './kinds.js';
import { connect } from './kubeconfig.js';
import type { CollectOptions, Plan } from './plan.js';
import { parseReference } from './reference.js';
import type { Session } from './request.js';
import { podFacts } from './pod.js';
import { preflight } from './preflight.js';
import { TraceScope } from './trace-scope.js';
import { addressesIn, mayBePod, tracked } from './tracking.js';

/** What a run cost, for --timings and for the tests that hold it to its path. */
export interface Cost {
  readonly requests: number;
  readonly bytes: number;
  readonly retries: number;
  readonly rounds: number;
}

/**
 * Fills `sink` with what the plan needs of the given contexts (none: the current one). The first is the cluster that is
 * asked; each further one lies whole under `clusters/<context>/`. Throws KubeconfigError where the command line is wrong,
 * CollectError where the cluster cannot be read at all; everything smaller is a problem in the manifest.
 */
export async function collect(
  sink: SnapshotSink,
  plan: Plan,
  options: CollectOptions,
  contexts: readonly string[],
): Promise<Cost> {
  const [first = null, ...others] = contexts;
  const cost = await collectOne(sink, plan, { ...options, context: first });
  // what a trace asks of the other clusters is not known yet: their lists are read, as far as they concern its names
  const elsewhere: Plan = plan.kind === 'trace' ? { ...plan, ask: () => null } : plan;
  const more = await Promise.all(
    others.map((context) =>
      collectOne(below(sink, `clusters/${folderName(context)}`), elsewhere, { ...options, context }),
    ),
  );
  return [cost, ...more].reduce((a, b) => ({
    requests: a.requests + b.requests,
    bytes: a.bytes + b.bytes,
    retries: a.retries + b.retries,
    rounds: Math.max(a.rounds, b.rounds),
  }));
}

/** Contexts of EKS and GKE hold colons and slashes. */
function folderName(context: string): string {
  return context.replace(/[^A-Za-z0-9._-]/g, '_').replace(/^\.+/, '_');
}

function below(sink: SnapshotSink, folder: string): SnapshotSink {
  return {
    put: (file, text) => sink.put(`${folder}/${file}`, text),
    stream: (file, chunks) => sink.stream(`${folder}/${file}`, chunks),
    manifest: (manifest) => sink.put(`${folder}/snapshot.json`, `${JSON.stringify(manifest, null, 2)}\n`),
    snapshot: (name) => {
      const whole = sink.snapshot(name);
      return { ...whole, read: (p) => whole.read(`${folder}/${p}`), list: (p) => whole.list(`${folder}/${p}`) };
    },
  };
}

async function collectOne(sink: SnapshotSink, plan: Plan, options: CollectOptions): Promise<Cost> {
  const connection = await connect(options);
  // every request and stream listens for the one signal that ends them all
  setMaxListeners(0, options.signal);
  const session: Session = {
    connection,
    grants: { debugContainer: options.debugImage !== null },
    requestTimeout: options.requestTimeout,
    signal: options.signal,
    count: { requests: 0, bytes: 0, retries: 0 },
  };
  let rounds = 0;
  try {
    // alone, and first: what cannot be reached at all is found out by one connection
    const served = await discover(session);
    let version: string | null = null;
    const versionRead = serverVersion(session).then(
      (said) => {
        version = said;
      },
      // a server that hides it is read all the same; a run that was interrupted ends elsewhere
      () => undefined,
    );
    const cluster = new Cluster({
      session,
      served,
      sink,
      concurrency: options.concurrency,
      debugImage: options.debugImage,
      progress: options.progress,
    });
    const manifest = (): void => sink.manifest(manifestOf(cluster, plan, options, connection.context, version));
    try {
      rounds =
        plan.kind === 'trace'
          ? await collectTrace(cluster, sink, plan, connection.namespace, manifest, versionRead)
          : await collectScope(cluster, sink, plan, manifest, versionRead);
    } finally {
      if (options.signal.aborted) cluster.problem('.', 'the capture was interrupted: what is not here was not read');
      cluster.flush();
      manifest();
    }
  } finally {
    connection.close();
  }
  return { ...session.count, rounds };
}

const ROUNDS = 40;

type Manifest = () => void;

async function collectTrace(
  cluster: Cluster,
  sink: SnapshotSink,
  plan: Plan & { kind: 'trace' },
  contextNamespace: string | null,
  manifest: Manifest,
  versionRead: Promise<void>,
): Promise<number> {
  const scope = new TraceScope(cluster);
  const fetcher = new Fetcher(cluster, scope, { whole: false });
  const fallback = plan.namespace === null ? [contextNamespace ?? 'default'] : [plan.namespace];
  const config = KINDS.filter((kind) => kind.size === 'config' && kindFile(kind) !== 'kubernetes/namespaces.json');
  // a name that is refused everywhere is looked for in the namespace of the context
  for (const namespace of fallback) cluster.namespaces.add(namespace);
  await Promise.all([
    ...config.map((kind) => cluster.task(`reading ${kind.plural}`, kindFile(kind), () => cluster.list(kind, 'all'))),
    versionRead,
    scope.namespaceObjects(),
    scope.meshPods(),
    ...[plan.from, plan.to].map((text) => scope.resolve(parseReference(text), fallback)),
  ]);
  await preflight(cluster, [...cluster.namespaces], [...scope.istioNamespaces]);
  return askUntilQuiet(cluster, sink, plan.ask, fetcher, scope, manifest);
}

async function collectScope(
  cluster: Cluster,
  sink: SnapshotSink,
  plan: Plan & { kind: 'scope' },
  manifest: Manifest,
  versionRead: Promise<void>,
): Promise<number> {
  const scope = new TraceScope(cluster);
  const { namespaces } = plan;
  if (namespaces !== 'all') for (const namespace of namespaces) cluster.namespaces.add(namespace);
  const fetcher = new Fetcher(cluster, scope, { whole: plan.ask === null });
  await Promise.all([
    ...KINDS.filter((kind) => plan.ask === null || kind.size !== 'events').map((kind) =>
      cluster.task(`reading ${kind.plural}`, kindFile(kind), () =>
        cluster.list(kind, kind.size === 'config' ? 'all' : namespaces),
      ),
    ),
    versionRead,
    scope.meshPods(),
  ]);
  cluster.flush();
  manifest();
  const concerned = cluster
    .items(PODS)
    .map(podFacts)
    .filter((pod) => namespaces === 'all' || namespaces.includes(pod.namespace));
  const all = namespaces === 'all' ? cluster.items(NODES).map(nameOf) : [];
  const nodes = new Set([...concerned.map((pod) => pod.node), ...all].filter((node) => node !== ''));
  if (namespaces !== 'all') await Promise.all([...nodes].map((node) => scope.agents(node)));
  await preflight(cluster, namespaces === 'all' ? [] : namespaces, [...scope.istioNamespaces]);
  if (plan.ask !== null) return askUntilQuiet(cluster, sink, plan.ask, fetcher, scope, manifest);
  await fetcher.everything(nodes, namespaces);
  return 1;
}

/** Asks, fetches what was missed, asks again: until nothing is missed that was not tried. */
async function askUntilQuiet(
  cluster: Cluster,
  sink: SnapshotSink,
  ask: (snapshot: ReturnType<SnapshotSink['snapshot']>) => unknown,
  fetcher: Fetcher,
  scope: TraceScope,
  manifest: Manifest,
): Promise<number> {
  for (let round = 1; ; round++) {
    cluster.flush();
    manifest();
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
    cluster.took('asking the question', performance.now() - began);
    const fetched = await fetcher.fetch(asked);
    const unknown = [...addressesIn(answer)].filter(mayBePod).sort();
    const found = await Promise.all(unknown.map((address) => scope.lookUp(address)));
    if (cluster.session.signal.aborted) throw new CollectError('cancelled', 'interrupted');
    if (!fetched && !found.includes(true)) {
      if (failure !== null) throw failure instanceof Error ? failure : new Error(String(failure));
      return round;
    }
    if (round === ROUNDS) throw new Error(`the question still asks for more after ${ROUNDS} rounds`);
  }
}

function manifestOf(
  cluster: Cluster,
  plan: Plan,
  options: CollectOptions,
  context: string,
  version: string | null,
): WrittenManifest {
  const note =
    plan.kind === 'trace'
      ? `trace ${plan.from} ${plan.to}`
      : plan.namespaces === 'all'
        ? null
        : `namespaces ${plan.namespaces.join(', ')}`;
  const sorted = (map: ReadonlyMap<string, string>): [string, string][] =>
    [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    capturedAt: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    meshpathVersion: options.meshpathVersion,
    cluster: { context, server: version, istio: istioReleases(cluster) },
    scope: { kind: plan.kind === 'scope' && plan.namespaces === 'all' ? 'all' : 'trace', note },
    redacted: true,
    problems: sorted(cluster.problems).map(([file, reason]) => ({ file, reason })),
    sources: sorted(cluster.sources).map(([path, by]) => ({ path, by })),
  };
}

/** Releases of the istiods that run, by the tags of their images. */
function istioReleases(cluster: Cluster): readonly string[] {
  const tags = new Set<string>();
  for (const pod of cluster.items(PODS)) {
    if (at(pod, 'metadata', 'labels', 'app') !== 'istiod') continue;
    for (const container of asArray(at(pod, 'spec', 'containers'))) {
      const tag = /:(\d+\.\d+\.\d+[^@:/]*)(?:@.*)?$/.exec(asString(at(container, 'image')) ?? '')?.[1];
      if (tag !== undefined) tags.add(tag.replace(/-(?:distroless|debug)$/, ''));
    }
  }
  return [...tags].sort();
}
