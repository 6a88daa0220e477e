import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from './cluster.js';
import { CollectError } from './errors.js';
import { podPath } from './exec.js';
import { asArray, asString, at } from './json.js';
import { podId, type PodFacts } from './pod.js';
import { getBody, patchJson } from './request.js';
import { parseJson } from './api.js';

/** Enough to read rules, sets and routes as root, and nothing else. */
export const NET_ADMIN_ONLY = {
  runAsUser: 0,
  runAsNonRoot: false,
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] },
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Why the container of this status will never run, in the kubelet's words; null: it may still. */
export function whyNotRunning(status: unknown): string | null {
  const ended = asString(at(status, 'state', 'terminated', 'reason'));
  if (ended !== null) return ended;
  const waiting = asString(at(status, 'state', 'waiting', 'reason'));
  return waiting !== null && /ImagePull|InvalidImage|CreateContainer/.test(waiting) ? waiting : null;
}

/**
 * Starts an ephemeral container in a pod and gives its name. It has NET_ADMIN and nothing else, ends by itself after five
 * minutes, and stays in the pod's specification: Kubernetes cannot take one out again, so the person is told.
 */
export async function debugContainer(cluster: Cluster, pod: PodFacts, image: string): Promise<string> {
  const name = `meshpath-${Math.random().toString(36).slice(2, 8)}`;
  cluster.notice(
    `${podId(pod)}: starting the debug container ${name} (${image}, NET_ADMIN only); it ends after 5 minutes, but its entry stays in the pod until the pod is deleted`,
  );
  const container = {
    name,
    image,
    command: ['sh', '-c', 'sleep 300'],
    securityContext: NET_ADMIN_ONLY,
  };
  const { session } = cluster;
  await patchJson(session, podPath(pod, 'ephemeralcontainers'), { spec: { ephemeralContainers: [container] } });
  const path = `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}`;
  const until = Date.now() + 4 * session.requestTimeout;
  while (Date.now() < until) {
    const now = parseJson(await getBody(session, path), path);
    const status = asArray(at(now, 'status', 'ephemeralContainerStatuses')).find((s) => at(s, 'name') === name);
    if (at(status, 'state', 'running') !== null) return name;
    const why = whyNotRunning(status);
    if (why !== null) throw new CollectError('refused', `the debug container does not start: ${why}`);
    await sleep(500, undefined, { signal: session.signal });
  }
  throw new CollectError('timeout', 'the debug container did not start in time');
}
