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
  /^(?:po|pods?|deploy|deployments?|sts|statefulsets?|ds|daemonsets?|rs|replicasets?|jobs?|svc|services?|se|serviceentr(?:y|ies)|gtw|gateways?)$/i;

const NONE: Reference = { external: false, node: null, address: null, names: [] };

/** `sleep`, `foo/sleep`, `deploy/sleep.foo`, `foo/deploy/sleep`, `node/n1`, `external`, `10.0.0.1:80`, `http://h.ns:80/p`. */
export function parseReference(given: string): Reference {
  const text = given.trim();
  if (text === 'external') return { ...NONE, external: true };
  const node = /^nodes?\/(.+)$/.exec(text);
  if (node !== null) return { ...NONE, node: node[1] ?? null };
  const url = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(text);
  const authority = url === null ? text : (url[1] ?? '').replace(/^[^@]*@/, '');
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::\d+)?$/.exec(authority);
  if (bracketed !== null) return { ...NONE, address: bracketed[1] ?? null };
  const bare = authority.replace(/:\d+$/, '');
  if (/^\d+\.\d+\.\d+\.\d+$/.test(bare)) return { ...NONE, address: bare };
  if (/^[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*$/.test(authority)) return { ...NONE, address: authority };
  const parts = bare.split('/').filter((part) => part !== '');
  const last = parts.pop();
  if (last === undefined) return NONE;
  const namespace = parts.find((part) => !KIND_WORDS.test(part)) ?? null;
  if (namespace !== null) return { ...NONE, names: [{ name: last, namespace }] };
  return { ...NONE, names: readings(last) };
}

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
