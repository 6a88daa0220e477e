import { isName } from './json.js';

/**
 * What a person may have meant, as far as it decides what to fetch: no more than names, namespaces and addresses. Which
 * object it really is, is decided by the mesh, on the snapshot.
 */
export interface Reference {
  readonly external: boolean;
  readonly node: string | null;
  readonly address: string | null;
  /** Readings in the order of likelihood: `a.b` is a name in a namespace, or a host's first label and namespace. */
  readonly names: readonly { readonly name: string; readonly namespace: string | null }[];
}

const KIND_WORDS =
  /^(?:po|pods?|deploy|deployments?|deployment\.apps|sts|statefulsets?|ds|daemonsets?|rs|replicasets?|jobs?|svc|services?|se|serviceentr(?:y|ies)|gtw|gateways?)$/i;

const NONE: Reference = { external: false, node: null, address: null, names: [] };

/**
 * What is no name of Kubernetes names nothing that could be asked for: whether the words mean anything is for the mesh to say.
 * `sleep`, `foo/sleep`, `deploy/sleep.foo`, `foo/deploy/sleep`, `node/n1`, `external`, `10.0.0.1:80`, `http://h.ns:80/p`.
 */
export function parseReference(given: string): Reference {
  const read = wordsOf(given);
  const names = read.names.filter(({ name, namespace }) => isName(name) && (namespace === null || isName(namespace)));
  return { ...read, node: read.node !== null && isName(read.node) ? read.node : null, names };
}

/** The same words as src/mesh/reference.ts takes; a port and a path are not needed here. */
function wordsOf(given: string): Reference {
  const text = given.trim();
  if (/^external(?:\/[^/]+)?$/.test(text)) return { ...NONE, external: true };
  const node = /^(?:no|nodes?)\/([^/:]+)/.exec(text);
  if (node !== null) return { ...NONE, node: node[1] ?? null };
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text);
  const authority = url === null ? text : (url[1] ?? '').replace(/^.*@/, '');
  const address = ADDRESS.exec(authority);
  if (address !== null) return { ...NONE, address: address[1] ?? address[2] ?? address[3] ?? null };
  const words = (/^[^:]+/.exec(authority)?.[0] ?? '').split('/').filter((word) => word !== '');
  const last = words.pop();
  if (last === undefined) return NONE;
  const namespace = words.find((word) => !KIND_WORDS.test(word)) ?? null;
  if (namespace !== null) return { ...NONE, names: [{ name: last, namespace }] };
  // a namespace may be called "gateway" or "jobs"
  const kind = words.map((word) => ({ name: last, namespace: word }));
  return { ...NONE, names: [...readings(last), ...kind] };
}

/** In brackets, of version 4, of version 6. */
const ADDRESS =
  /^(?:\[([0-9a-fA-F:.]+)\](?::.*|\/.*)?|(\d+\.\d+\.\d+\.\d+)(?:[:/].*)?|([0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*))$/;

function readings(dotted: string): Reference['names'] {
  const labels = dotted.split('.');
  const [first = ''] = labels;
  if (labels.length === 1) return [{ name: dotted, namespace: null }];
  const cut = dotted.lastIndexOf('.');
  const out = [{ name: dotted.slice(0, cut), namespace: dotted.slice(cut + 1) }];
  // httpbin.bar.svc.cluster.local, web-0.web.bar.svc: the namespace stands before svc
  const svc = labels.indexOf('svc');
  if (svc >= 2) out.unshift({ name: labels[svc - 2] ?? first, namespace: labels[svc - 1] ?? '' });
  return out;
}
