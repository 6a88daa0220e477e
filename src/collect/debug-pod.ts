import { setTimeout as sleep } from 'node:timers/promises';
import { parseJson } from './api.js';
import type { Cluster } from './cluster.js';
import { NET_ADMIN_ONLY, whyNotRunning } from './debug-container.js';
import { asCollectError, CollectError } from './errors.js';
import { asArray, asString, at } from './json.js';
import type { PodFacts } from './pod.js';
import { createOnce, deleteOnce, getBody, type Session } from './request.js';

/** Seconds after which the kubelet ends the pod's container, whatever has become of meshpath; the pod itself stays. */
const LIFETIME = 300;

/** Milliseconds for taking the pod away: also after Ctrl-C, when nothing else is asked any more. */
const REMOVAL_TIMEOUT = 10_000;

/**
 * Starts a pod on the host network of a node, hands it to `work`, and removes it again: when the work is done, fails or is
 * interrupted. It has NET_ADMIN and nothing else, no token and no volume. Throws CollectError where it does not start.
 */
export async function withDebugPod<T>(
  cluster: Cluster,
  where: { readonly node: string; readonly namespace: string; readonly image: string },
  work: (pod: PodFacts, container: string) => Promise<T>,
): Promise<T> {
  const { node, namespace, image } = where;
  const name = `meshpath-${Math.random().toString(36).slice(2, 8).padEnd(6, '0')}`;
  const { session } = cluster;
  if (session.signal.aborted) throw new CollectError('cancelled', 'interrupted');
  cluster.notice(
    `node ${node}: starting the debug pod ${namespace}/${name} (${image}, host network, NET_ADMIN only); it is removed afterwards`,
  );
  let made = false;
  let refused = false;
  try {
    try {
      await createOnce(session, `/api/v1/namespaces/${namespace}/pods`, podObject(where, name));
      made = true;
    } catch (error) {
      refused = isFinal(asCollectError(error));
      throw error;
    }
    await running(session, namespace, name);
    const pod: PodFacts = {
      namespace,
      name,
      node,
      hostNetwork: true,
      ips: [],
      running: true,
      labels: {},
      containers: [CONTAINER],
      initContainers: [],
      image,
    };
    return await work(pod, CONTAINER);
  } finally {
    // what was refused was not made, and a pod of that name (409) is another's
    if (!refused) await remove(cluster, namespace, name, made);
  }
}

/** The server has decided: nothing was done, and asking again gives the same. No answer, 408 and 5xx leave it open. */
function isFinal({ status }: CollectError): boolean {
  return status !== null && status >= 400 && status < 500 && status !== 408;
}

const CONTAINER = 'netns';

function podObject(
  where: { readonly node: string; readonly namespace: string; readonly image: string },
  name: string,
): unknown {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: where.namespace,
      labels: { 'app.kubernetes.io/managed-by': 'meshpath', 'sidecar.istio.io/inject': 'false' },
    },
    spec: {
      nodeName: where.node,
      hostNetwork: true,
      restartPolicy: 'Never',
      activeDeadlineSeconds: LIFETIME,
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: CONTAINER,
          image: where.image,
          command: ['sh', '-c', `sleep ${LIFETIME}`],
          securityContext: NET_ADMIN_ONLY,
        },
      ],
    },
  };
}

async function running(session: Session, namespace: string, name: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const until = Date.now() + 4 * session.requestTimeout;
  while (Date.now() < until) {
    const pod = parseJson(await getBody(session, path), path);
    const phase = asString(at(pod, 'status', 'phase'));
    if (phase === 'Running') return;
    const said = asString(at(pod, 'status', 'reason')) ?? asString(at(pod, 'status', 'message')) ?? 'no reason given';
    if (phase === 'Failed' || phase === 'Succeeded') throw new CollectError('refused', `the debug pod ended: ${said}`);
    const why = whyNotRunning(asArray(at(pod, 'status', 'containerStatuses'))[0]);
    if (why !== null) throw new CollectError('refused', `the debug pod does not start: ${why}`);
    await sleep(500, undefined, { signal: session.signal });
  }
  throw new CollectError('timeout', 'the debug pod did not start in time');
}

/**
 * Deletes the pod, again and again where a busy server does not do it. `made` false: nobody knows whether the server has
 * made it or still will, so that a 404 proves nothing before the time is over.
 */
async function remove(cluster: Cluster, namespace: string, name: string, made: boolean): Promise<void> {
  const session: Session = { ...cluster.session, signal: AbortSignal.timeout(REMOVAL_TIMEOUT) };
  const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
  const byHand = `kubectl delete pod --namespace ${namespace} ${name}`;
  for (let last: CollectError | null = null; ;) {
    try {
      await deleteOnce(session, path, { gracePeriodSeconds: 0 });
      return cluster.notice(`the debug pod ${namespace}/${name} is removed`);
    } catch (error) {
      const failure = asCollectError(error);
      if (failure.status === 404 && made) return cluster.notice(`the debug pod ${namespace}/${name} is gone`);
      // once the time is over, what the server said before says more
      if (!session.signal.aborted || last === null) last = failure;
      const final = isFinal(failure) && failure.status !== 404 && failure.status !== 429;
      if (!final && !session.signal.aborted && (await waited(session.signal))) continue;
      return cluster.notice(
        last.status === 404
          ? `the server did not say whether it has made the debug pod ${namespace}/${name}; it is not there now, but may still appear: ${byHand}`
          : `the debug pod ${namespace}/${name} could not be removed (${last.message}): its container ends after 5 minutes, but the pod stays in the list of pods until it is deleted: ${byHand}`,
      );
    }
  }
}

/** Half a second; false where the time is over before. */
function waited(signal: AbortSignal): Promise<boolean> {
  return sleep(500, true, { signal }).catch(() => false);
}
