import packageJson from '../../package.json' with { type: 'json' };
import type { CollectOptions, Plan, Progress } from '../collect/plan.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ExpectedError, INTERRUPTED, RIGHTS_HINT } from './_errors.js';

export interface ClusterFlags {
  readonly context?: readonly string[] | undefined;
  readonly kubeconfig?: string | undefined;
  readonly namespace?: string | undefined;
  readonly as?: string | undefined;
  readonly 'as-group'?: readonly string[] | undefined;
  readonly 'request-timeout': string;
  readonly concurrency: number;
  readonly 'allow-debug-container'?: string | undefined;
  readonly timings?: boolean | undefined;
}

export interface SourceFlags extends ClusterFlags {
  readonly snapshot?: string | undefined;
}

/**
 * What the command answers from: the recorded snapshot where --snapshot is given (nothing of a cluster is loaded then),
 * else one collected live, in memory, for this plan. On a recorded one `plan.ask` is not run: the caller asks itself.
 */
export async function openSource(flags: SourceFlags, plan: Plan): Promise<Snapshot> {
  if (flags.snapshot !== undefined) {
    const { recorded } = await import('./_recorded.js');
    return recorded(flags.snapshot);
  }
  const [{ collect }, { memorySink }] = await Promise.all([
    import('../collect/collect.js'),
    import('../snapshot/write.js'),
  ]);
  return withCluster(flags, async (options, contexts) => {
    const sink = memorySink();
    await collect(sink, plan, options, contexts);
    return sink.snapshot(contexts[0] ?? 'cluster');
  });
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with the options of the flags: progress and timings on stderr, Ctrl-C as a signal, errors of the collector
 * as errors of the command line (2) or of a cluster that cannot be read (3).
 */
export async function withCluster<T>(
  flags: ClusterFlags,
  work: (options: CollectOptions, contexts: readonly string[]) => Promise<T>,
): Promise<T> {
  const { CollectError, KubeconfigError } = await import('../collect/errors.js');
  const abort = new AbortController();
  const stopListening = (): void => {
    for (const signal of SIGNALS) process.removeListener(signal, onInterrupt);
  };
  // Not `once`: signal-exit, which gives the cursor of the spinner back, lets the process die of a signal that nobody else
  // listens to any more. Who is in a hurry presses it again.
  const onInterrupt = (signal: NodeJS.Signals): void => {
    if (!abort.signal.aborted) return abort.abort();
    stopListening();
    process.kill(process.pid, signal);
  };
  for (const signal of SIGNALS) process.on(signal, onInterrupt);
  const { progressOn } = await import('./_progress.js');
  const shown = progressOn(() => process.stderr, flags.timings === true);
  try {
    return await work(optionsOf(flags, abort.signal, shown.progress), flags.context ?? []);
  } catch (error) {
    if (error instanceof KubeconfigError) throw new ExpectedError(error.message, 2);
    if (error instanceof CollectError && error.kind === 'cancelled') {
      throw new ExpectedError('interrupted before all was read: no answer', INTERRUPTED);
    }
    if (error instanceof CollectError) {
      throw new ExpectedError(`the cluster cannot be read: ${error.message}`, 3, [
        ...(error.status === 403 ? [RIGHTS_HINT] : []),
        'A recorded snapshot is read with --snapshot.',
      ]);
    }
    throw error;
  } finally {
    stopListening();
    shown.stop();
  }
}

/** What Kubernetes takes as the name of a namespace (RFC 1123 label). */
const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function optionsOf(flags: ClusterFlags, signal: AbortSignal, progress: (progress: Progress) => void): CollectOptions {
  const { namespace } = flags;
  if (namespace !== undefined && !NAMESPACE.test(namespace)) {
    throw new ExpectedError(
      `-n ${JSON.stringify(namespace)}: no name of a namespace (small letters, digits, dashes)`,
      2,
    );
  }
  return {
    kubeconfig: flags.kubeconfig ?? null,
    context: null,
    as: flags.as ?? null,
    asGroups: flags['as-group'] ?? [],
    requestTimeout: parseDuration(flags['request-timeout']),
    concurrency: flags.concurrency,
    debugImage: flags['allow-debug-container'] ?? null,
    meshpathVersion: packageJson.version,
    signal,
    progress,
  };
}

/** `15s`, `2m`, `500ms`, `30` (seconds, as kubectl reads it). */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|)$/.exec(text.trim());
  const value = Number(match?.[1]);
  if (match === null || value <= 0) throw new ExpectedError(`--request-timeout ${text}: expected 15s, 2m or 500ms`, 2);
  return value * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? ''] ?? 1000);
}
