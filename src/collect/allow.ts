import { KINDS } from './kinds.js';

/**
 * The one place that says what may be asked of a cluster. Every request passes `assertAllowed` before it reaches the
 * wire: a request that is not in this list is a defect of meshpath, never a request.
 */
interface Permission {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: RegExp;
  readonly why: string;
  /** Only with --allow-debug-container. */
  readonly grant?: 'debug-container';
}

// no dots alone: `..` would be another path for a server that resolves it
const NAME = '(?!\\.{1,2}(?:/|$))[A-Za-z0-9.:_-]+';
const PODS = `/api/v1/namespaces/${NAME}/pods/${NAME}`;

function resources(): string {
  const groups = new Map<string, string[]>();
  for (const k of KINDS) groups.set(k.group, [...(groups.get(k.group) ?? []), k.plural]);
  const roots = [...groups].map(([group, plurals]) => {
    const root = group === '' ? '/api/v1' : `/apis/${group.replaceAll('.', '\\.')}/v[0-9a-z]+`;
    return `${root}(?:/namespaces/${NAME})?/(?:${plurals.join('|')})(?:/${NAME})?`;
  });
  return roots.join('|');
}

export const PERMISSIONS: readonly Permission[] = [
  { method: 'GET', path: new RegExp(`^(?:${resources()})$`), why: 'lists and objects of the kinds of a snapshot' },
  { method: 'GET', path: /^\/version$/, why: 'the release of the API server, for the manifest' },
  { method: 'GET', path: /^\/apis(?:\/[a-z0-9.-]+){0,2}$/, why: 'which groups and versions are served' },
  { method: 'GET', path: new RegExp(`^${PODS}/log$`), why: 'logs of proxies and of istio-init' },
  { method: 'GET', path: new RegExp(`^${PODS}/portforward$`), why: 'admin ports of ztunnel and Envoy' },
  { method: 'GET', path: new RegExp(`^${PODS}/exec$`), why: 'rules, sets and routes of network namespaces' },
  {
    method: 'POST',
    path: /^\/apis\/authorization\.k8s\.io\/v1\/selfsubjectaccessreviews$/,
    why: 'asks what the user may do; stores nothing',
  },
  {
    method: 'PATCH',
    path: new RegExp(`^${PODS}/ephemeralcontainers$`),
    why: 'a debug container where nothing else reads the network namespace',
    grant: 'debug-container',
  },
  {
    method: 'POST',
    path: new RegExp(`^/api/v1/namespaces/${NAME}/pods$`),
    why: 'a debug pod on the host network of a node that nothing else reads',
    grant: 'debug-container',
  },
  {
    method: 'DELETE',
    path: new RegExp(`^/api/v1/namespaces/${NAME}/pods/meshpath-[a-z0-9]{6}$`),
    why: 'takes that debug pod away again',
    grant: 'debug-container',
  },
];

export interface Grants {
  readonly debugContainer: boolean;
}

/** A request that is not in the list: never sent, never tried again. */
export class NotAllowedError extends Error {}

/** Throws where the request is none that meshpath may make. `path` without query. */
export function assertAllowed(method: string, path: string, grants: Grants): void {
  const allowed = PERMISSIONS.some(
    (p) => p.method === method && p.path.test(path) && (p.grant === undefined || grants.debugContainer),
  );
  if (!allowed) throw new NotAllowedError(`meshpath must not ask for ${method} ${path}`);
}
