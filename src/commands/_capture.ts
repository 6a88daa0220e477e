import { existsSync } from 'node:fs';
import path from 'node:path';
import { collect, type Cost } from '../collect/collect.js';
import { CollectError } from '../collect/errors.js';
import type { Plan } from '../collect/plan.js';
import { fileNameOf } from '../snapshot/clusters.js';
import { MANIFEST_FILE, parseManifest } from '../snapshot/manifest.js';
import { OutputError } from '../snapshot/output-error.js';
import { archiveSink } from '../snapshot/write-archive.js';
import { folderSink, isFree, type SnapshotSink } from '../snapshot/write.js';
import { writeOut } from './_base.js';
import { ExpectedError, INTERRUPTED, RIGHTS_HINT } from './_errors.js';
import { withCluster, type ClusterFlags } from './_source.js';
import { checkWords } from './_words.js';

export interface CaptureFlags extends ClusterFlags {
  readonly for?: string | undefined;
  readonly 'all-namespaces'?: boolean | undefined;
  readonly 'output-file'?: string | undefined;
  readonly pseudonymize?: boolean | undefined;
}

/** Writes the snapshot and prints where it is. A capture that was interrupted is written all the same, and says so. */
export async function runCapture(flags: CaptureFlags): Promise<void> {
  const target = flags['output-file'] ?? `meshpath-${fileNameOf(flags.context?.[0] ?? 'snapshot')}.tar.gz`;
  const plan = await planOf(flags);
  let problems = 0;
  const cost = await withCluster(flags, async (options, contexts): Promise<Cost | null> => {
    // in here: a flag that is wrong leaves no folder behind
    const out = outputOf(target);
    const sink = flags.pseudonymize === true ? await pseudonymized(out.sink) : { ...out.sink, end: () => undefined };
    const read = await collect(sink, plan, options, contexts).catch(async (error: unknown) => {
      if (error instanceof CollectError && error.kind === 'cancelled') return null;
      await out.discard();
      throw error;
    });
    const whole = options.signal.aborted ? null : read;
    if (sink.snapshot('written').list('kubernetes').length === 0) {
      await out.discard();
      if (whole === null) throw new ExpectedError('interrupted before anything was read', INTERRUPTED);
      throw new ExpectedError('no list of the cluster could be read: there is nothing to capture', 3, [RIGHTS_HINT]);
    }
    // still in here, where Ctrl-C is heard: an archive that has been begun is finished
    sink.end();
    await out.close();
    problems = out.problems();
    return whole;
  }).catch((error: unknown) => {
    throw error instanceof OutputError ? new ExpectedError(error.message, 2) : error;
  });
  if (cost === null) process.exitCode = INTERRUPTED;
  if (cost !== null && flags.timings === true) {
    const size = (cost.bytes / 1024 / 1024).toFixed(1);
    process.stderr.write(`${cost.requests} requests, ${size} MB, ${cost.retries} tried again, ${cost.rounds} rounds\n`);
  }
  const missing = problems === 0 ? '' : ` (${problems} things could not be read: see snapshot.json)`;
  process.stderr.write(`${cost === null ? 'interrupted; what was read is in' : 'written:'} ${target}${missing}\n`);
  await writeOut(`${target}\n`);
}

async function planOf(flags: CaptureFlags): Promise<Plan> {
  if (flags.for !== undefined) {
    const words = flags.for.trim().split(/\s+/);
    const [from, to] = words;
    if (from === undefined || to === undefined || words.length > 2) {
      throw new ExpectedError(`--for ${JSON.stringify(flags.for)}: expected "FROM TO", as trace takes them`, 2);
    }
    checkWords({ from, to }, flags.context ?? []);
    const namespace = flags.namespace ?? null;
    const { answer } = await import('./_answer.js');
    return {
      kind: 'trace',
      from,
      to,
      namespace,
      ask: (snapshot) => answer(snapshot, { from, to, namespace: namespace ?? undefined }),
    };
  }
  if (flags['all-namespaces'] === true) return { kind: 'scope', namespaces: 'all', ask: null };
  if (flags.namespace === undefined) {
    throw new ExpectedError('what to capture: --for "FROM TO", --namespace NAME or --all-namespaces', 2);
  }
  return { kind: 'scope', namespaces: [flags.namespace], ask: null };
}

interface Output {
  readonly sink: SnapshotSink;
  close(): Promise<void>;
  discard(): Promise<void>;
  problems(): number;
}

function outputOf(target: string): Output {
  // of each cluster, the last that it said: the first has the manifest, the others have a file each
  const counts = new Map<string, number>();
  const problems = (): number => [...counts.values()].reduce((sum, count) => sum + count, 0);
  const counting = (sink: SnapshotSink): SnapshotSink => ({
    ...sink,
    put: (file, text) => {
      if (path.posix.basename(file) === MANIFEST_FILE) {
        counts.set(file, parseManifest(text).manifest?.problems.length ?? 0);
      }
      sink.put(file, text);
    },
    manifest: (manifest) => {
      counts.set(MANIFEST_FILE, manifest.problems.length);
      sink.manifest(manifest);
    },
  });
  if (/\.(?:tar\.gz|tgz)$/.test(target)) {
    if (existsSync(target)) throw new ExpectedError(`${target} exists: meshpath writes over nothing`, 2);
    const archive = archiveSink(target);
    return {
      sink: counting(archive),
      close: () => archive.close(),
      discard: () => archive.discard(),
      problems,
    };
  }
  if (!isFree(target)) throw new ExpectedError(`${target} is not an empty folder: meshpath writes over nothing`, 2);
  const sink = folderSink(target);
  // what was read before it failed stays: a folder is valid at any moment
  return {
    sink: counting(sink),
    close: () => Promise.resolve(),
    discard: () => Promise.resolve(),
    problems,
  };
}

async function pseudonymized(sink: SnapshotSink): Promise<SnapshotSink & { readonly end: () => void }> {
  const { pseudonymizingSink } = await import('../snapshot/redact-names.js');
  return pseudonymizingSink(sink);
}
