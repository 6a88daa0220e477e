import { MAX_FILE_BYTES } from '../snapshot/inside.js';
import { redactJson, redactLines } from '../snapshot/redact-stream.js';
import type { Cluster } from './cluster.js';
import { asCollectError, CollectError } from './errors.js';
import { exec, podPath } from './exec.js';
import { podFolder, podId, type PodFacts } from './pod.js';
import { getThroughPod } from './port-forward.js';
import { getStream, limited, retried, seconds, type Session } from './request.js';

/** Envoy's and ztunnel's admin port, on the loopback address of the pod. */
const ADMIN_PORT = 15000;

/** What is asked of an admin port for a file of the snapshot (contract). */
const ADMIN_PATHS: Readonly<Record<string, string>> = {
  'ztunnel/config_dump.json': '/config_dump',
  'envoy/config_dump.json': '/config_dump?include_eds',
  'envoy/clusters.json': '/clusters?format=json',
  'envoy/server_info.json': '/server_info',
};

export const ZTUNNEL_FILES = ['ztunnel/config_dump.json'];
export const ENVOY_FILES = ['envoy/config_dump.json', 'envoy/clusters.json', 'envoy/server_info.json'];

export function adminPath(file: string): string | null {
  return ADMIN_PATHS[file] ?? null;
}

/** A pod that answers slowly costs this much, in multiples of the request timeout, and no more. */
const POD_DEADLINE = 4;

/**
 * A session that ends by itself: what hangs in one pod must not hold the run. The time begins with the first slot: waiting
 * for other pods costs none of it.
 */
export async function withDeadline<T>(session: Session, work: (limited: Session) => Promise<T>): Promise<T> {
  const limit = session.requestTimeout * POD_DEADLINE;
  const own = new AbortController();
  let timer: NodeJS.Timeout | null = null;
  const slots = {
    take: async (): Promise<() => void> => {
      const release = await session.slots.take();
      timer ??= setTimeout(() => own.abort(), limit);
      return release;
    },
  };
  try {
    return await work({ ...session, slots, signal: AbortSignal.any([session.signal, own.signal]) });
  } catch (error) {
    if (own.signal.aborted && !session.signal.aborted) {
      throw new CollectError('timeout', `not done within ${seconds(limit)}`);
    }
    throw error;
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

/**
 * One dump of a proxy, streamed to its place without its secrets: by port-forward, which needs nothing of the image; where
 * that is refused, by `pilot-agent request` in the container (Envoy only).
 */
export async function fetchDump(cluster: Cluster, pod: PodFacts, file: string): Promise<void> {
  const path = ADMIN_PATHS[file];
  if (path === undefined) return;
  const target = `${podFolder(pod)}/${file}`;
  try {
    await withDeadline(cluster.session, (session) =>
      retried(session, () =>
        cluster.stream(target, redactJson(limited(getThroughPod(session, pod, ADMIN_PORT, path), MAX_FILE_BYTES))),
      ),
    );
    cluster.sources.set(target, `port-forward ${podId(pod)}:${ADMIN_PORT}`);
  } catch (error) {
    const failure = asCollectError(error);
    if (failure.kind !== 'forbidden' || !file.startsWith('envoy/')) throw failure;
    await dumpByExec(cluster, pod, target, path, failure);
  }
}

async function dumpByExec(
  cluster: Cluster,
  pod: PodFacts,
  target: string,
  path: string,
  refused: CollectError,
): Promise<void> {
  const command = ['pilot-agent', 'request', 'GET', path.slice(1)];
  try {
    const result = await withDeadline(cluster.session, (session) => exec(session, pod, 'istio-proxy', command));
    if (result.exitCode !== 0) throw new CollectError('refused', `pilot-agent: ${result.stderr.trim().slice(0, 300)}`);
    await cluster.stream(target, redactJson(once(Buffer.from(result.stdout))));
    cluster.sources.set(target, `exec ${podId(pod)}: pilot-agent request`);
  } catch (error) {
    throw new CollectError('forbidden', `${refused.message}; ${asCollectError(error).message}`);
  }
}

async function* once(buffer: Buffer): AsyncGenerator<Buffer> {
  yield buffer;
}

/** As many lines as the recordings of a proxy hold; a log that is being flooded must not fill the disk. */
const LOG_LINES = 2500;
const LOG_BYTES = 16 * 1024 * 1024;

/** The end of a container's log, without credentials. */
export async function fetchLog(cluster: Cluster, pod: PodFacts, container: string): Promise<void> {
  const target = `${podFolder(pod)}/logs/${container}.log`;
  await cluster.stream(target, redactLines(await logStream(cluster.session, pod, container)));
}

export async function logStream(session: Session, pod: PodFacts, container: string): Promise<AsyncIterable<Buffer>> {
  const query = { container, tailLines: LOG_LINES, limitBytes: LOG_BYTES };
  return retried(session, () => getStream(session, podPath(pod, 'log'), query, '*/*'));
}
