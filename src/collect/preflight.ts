import { parseJson } from './api.js';
import type { Cluster } from './cluster.js';
import { asCollectError } from './errors.js';
import { at } from './json.js';
import { postJson } from './request.js';

interface Right {
  readonly subresource: 'exec' | 'portforward';
  readonly where: 'mesh' | 'question';
  /** What cannot be said without it. */
  readonly loss: string;
}

/** Beyond reading lists, whose refusal is seen when they are read. */
const RIGHTS: readonly Right[] = [
  {
    subresource: 'exec',
    where: 'mesh',
    loss: 'the rules, sets and routes of pods and nodes stay unknown: whether traffic is really captured cannot be said',
  },
  {
    subresource: 'portforward',
    where: 'mesh',
    loss: 'what the ztunnels hold stays unknown: workloads, policies and certificates as they really are',
  },
  {
    subresource: 'portforward',
    where: 'question',
    loss: 'what the sidecars and waypoints hold stays unknown: listeners, routes and endpoints as they really are',
  },
];

/** Where istiod is not to be seen, its agents are most often here. */
const USUAL = 'istio-system';

/**
 * Asks the API server beforehand what the user may do, and says what will be missing. Nothing follows from it but the
 * notice: what is refused is found out again when it is tried, and recorded with the server's own words.
 */
export async function preflight(cluster: Cluster, question: readonly string[], mesh: readonly string[]): Promise<void> {
  const missing = await Promise.all(
    RIGHTS.map(async (right) => {
      const namespaces = right.where === 'mesh' ? (mesh.length === 0 ? [USUAL] : mesh) : question;
      const may = await Promise.all(namespaces.map((namespace) => allowed(cluster, right, namespace)));
      const refused = namespaces.filter((_, index) => may[index] === false).sort();
      return refused.length === 0
        ? []
        : `no right to pods/${right.subresource} in ${refused.join(', ')}: ${right.loss}`;
    }),
  );
  for (const notice of missing.flat()) cluster.notice(notice);
  if (missing.flat().length > 0) cluster.notice('meshpath rbac prints a ClusterRole with these rights');
}

async function allowed(cluster: Cluster, right: Right, namespace: string): Promise<boolean> {
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    // a WebSocket is opened with GET, which the API server authorizes as `get`
    spec: { resourceAttributes: { namespace, verb: 'get', resource: 'pods', subresource: right.subresource } },
  };
  try {
    const answer = parseJson(Buffer.from(await postJson(cluster.session, path, body)), path);
    return at(answer, 'status', 'allowed') !== false;
  } catch (error) {
    if (asCollectError(error).kind === 'cancelled') throw error;
    return true;
  }
}
