import { canonicalIp } from '../formats/ip.js';

/** Kinds that can be named; what kubectl calls them, short and long. */
export type NamedKind =
  'pod' | 'deployment' | 'statefulSet' | 'daemonSet' | 'replicaSet' | 'job' | 'service' | 'serviceEntry' | 'gateway';

const KIND_WORDS: ReadonlyMap<string, NamedKind> = new Map([
  ...['po', 'pod', 'pods'].map((word): [string, NamedKind] => [word, 'pod']),
  ...['deploy', 'deployment', 'deployments', 'deployment.apps'].map((word): [string, NamedKind] => [
    word,
    'deployment',
  ]),
  ...['sts', 'statefulset', 'statefulsets'].map((word): [string, NamedKind] => [word, 'statefulSet']),
  ...['ds', 'daemonset', 'daemonsets'].map((word): [string, NamedKind] => [word, 'daemonSet']),
  ...['rs', 'replicaset', 'replicasets'].map((word): [string, NamedKind] => [word, 'replicaSet']),
  ...['job', 'jobs'].map((word): [string, NamedKind] => [word, 'job']),
  ...['svc', 'service', 'services'].map((word): [string, NamedKind] => [word, 'service']),
  ...['se', 'serviceentry', 'serviceentries'].map((word): [string, NamedKind] => [word, 'serviceEntry']),
  ...['gtw', 'gateway', 'gateways'].map((word): [string, NamedKind] => [word, 'gateway']),
]);

/** One way to read a name: an object, or a host. Several where the words allow it; the cluster decides which exists. */
export type Reading =
  | { readonly as: 'object'; readonly kind: NamedKind | null; readonly namespace: string | null; readonly name: string }
  | { readonly as: 'host'; readonly host: string };

/** What a person wrote, before the cluster is asked. `port`: number, or name of a Service's or container's port. */
export type Reference =
  | { readonly form: 'node'; readonly name: string; readonly port: number | string | null }
  | { readonly form: 'external'; readonly name: string }
  | {
      readonly form: 'ip';
      readonly ip: string;
      readonly port: number | string | null;
      readonly path: string | null;
      readonly scheme: string | null;
    }
  | {
      readonly form: 'named';
      readonly readings: readonly Reading[];
      readonly port: number | string | null;
      readonly path: string | null;
      /** `http`, `https`, `tcp`, … of a URL. */
      readonly scheme: string | null;
    }
  | { readonly form: 'invalid'; readonly reason: string };

/** The port that a URL without one means. */
export const SCHEME_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 80, ws: 80, wss: 443 };

/** The words that `FROM` and `TO` accept; see the table in test/mesh/reference.test.ts. */
export function parseReference(text: string): Reference {
  const trimmed = text.trim();
  if (trimmed === '') return { form: 'invalid', reason: 'an empty name' };
  if (/\s/.test(trimmed)) return { form: 'invalid', reason: 'a name with a blank in it' };
  const url = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)([^#]*)/i.exec(trimmed);
  if (url !== null) return parseUrl(url[1] ?? '', url[2] ?? '', url[3] ?? '');
  if (trimmed === 'external') return { form: 'external', name: 'external' };
  const outside = /^external\/([^/]+)$/.exec(trimmed);
  if (outside?.[1] !== undefined) return { form: 'external', name: outside[1] };
  const node = /^(?:node|nodes|no)\/([^/:]+)(?::(.*))?$/.exec(trimmed);
  if (node?.[1] !== undefined) {
    const port = node[2] === undefined ? null : parsePort(node[2]);
    return port === 'bad'
      ? { form: 'invalid', reason: `"${node[2] ?? ''}" is no port` }
      : { form: 'node', name: node[1], port };
  }
  const address = parseAddress(trimmed);
  if (address !== null) return address;
  return parseNamed(trimmed);
}

function parseUrl(scheme: string, authority: string, rest: string): Reference {
  const lower = scheme.toLowerCase();
  const path = rest === '' ? '/' : rest.startsWith('/') ? rest : `/${rest}`;
  // user names and passwords are no part of a way
  const host = authority.slice(authority.lastIndexOf('@') + 1);
  const http = SCHEME_PORTS[lower] !== undefined;
  const address = parseAddress(host);
  if (address?.form === 'ip') return { ...address, path: http ? path : null, scheme: lower };
  if (address !== null) return address;
  const named = parseHostPort(host);
  if (named === null) return { form: 'invalid', reason: `"${authority}" is no host` };
  const readings = hostReadings(named.name);
  return { form: 'named', readings, port: named.port, path: http ? path : null, scheme: lower };
}

/** `10.0.0.1`, `10.0.0.1:80`, `10.0.0.1:80/path`, `fd00::1`, `[fd00::1]:80/path`. */
function parseAddress(text: string): Reference | null {
  const bare = canonicalIp(text);
  if (bare !== null) return { form: 'ip', ip: bare, port: null, path: null, scheme: null };
  const match = /^(?:\[([0-9a-fA-F:.%]+)\]|(\d+\.\d+\.\d+\.\d+))(?::([^/:]+))?(\/.*)?$/.exec(text);
  if (match === null) return null;
  const ip = canonicalIp(match[1] ?? match[2] ?? '');
  if (ip === null) return { form: 'invalid', reason: `"${match[1] ?? match[2] ?? ''}" is no address` };
  const port = match[3] === undefined ? null : parsePort(match[3]);
  if (port === 'bad') return { form: 'invalid', reason: `"${match[3] ?? ''}" is no port` };
  return { form: 'ip', ip, port, path: match[4] ?? null, scheme: null };
}

/** A number from 1 to 65535, the name of a port (RFC 6335: a letter in it, at most 15 characters), or 'bad'. */
function parsePort(text: string): number | string {
  if (/^\d+$/.test(text)) {
    const port = Number(text);
    return port >= 1 && port <= 65535 ? port : 'bad';
  }
  return /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(text) ? text : 'bad';
}

function parseHostPort(text: string): { readonly name: string; readonly port: number | string | null } | null {
  const match = /^([^:]+)(?::([^:]+))?$/.exec(text);
  if (match?.[1] === undefined) return null;
  const port = match[2] === undefined ? null : parsePort(match[2]);
  return port === 'bad' ? null : { name: match[1], port };
}

/** `[ns/][kind/]name[.ns][:port][/path]`; a path can only follow a port, as a slash before it separates names. */
function parseNamed(text: string): Reference {
  const match = /^([^:]+)(?::([^/:]*)(\/.*)?)?$/.exec(text);
  const words = match?.[1]?.split('/') ?? [];
  if (match === null || words.length > 3 || words.some((word) => !/^[A-Za-z0-9*][-A-Za-z0-9._*]*$/.test(word))) {
    return { form: 'invalid', reason: 'expected [namespace/][kind/]name[:port], an address or a URL' };
  }
  const odd = words.find((word) => word.length > 253 || word.includes('..'));
  if (odd !== undefined) return { form: 'invalid', reason: `"${odd}" is no name that Kubernetes allows` };
  const port = match[2] === undefined ? null : parsePort(match[2]);
  if (port === 'bad') return { form: 'invalid', reason: `"${match[2] ?? ''}" is no port` };
  const readings = readingsOf(words);
  if (readings.length === 0) {
    return { form: 'invalid', reason: `"${words.slice(0, -1).join('/')}" names no kind that can be traced` };
  }
  return { form: 'named', readings, port, path: match[3] ?? null, scheme: null };
}

function readingsOf(words: readonly string[]): readonly Reading[] {
  const [first = '', second = '', third = ''] = words;
  if (words.length === 1) return hostReadings(first);
  if (words.length === 2) {
    const kind = KIND_WORDS.get(first.toLowerCase());
    const inNamespace: Reading = { as: 'object', kind: null, namespace: first, name: second };
    // a namespace may be called "job": what exists decides
    return kind === undefined ? [inNamespace] : [...kindReadings(kind, null, second), inNamespace];
  }
  const kind = KIND_WORDS.get(second.toLowerCase());
  if (kind !== undefined) return [{ as: 'object', kind, namespace: first, name: third }];
  // istioctl's spelling with the kind before the namespace
  const leading = KIND_WORDS.get(first.toLowerCase());
  return leading === undefined ? [] : [{ as: 'object', kind: leading, namespace: second, name: third }];
}

/** `deploy/web.ns`: cut at the last dot (istioctl handlers.inferNsInfo); an object's own name may have dots too. */
function kindReadings(kind: NamedKind, namespace: string | null, name: string): readonly Reading[] {
  const readings: Reading[] = [{ as: 'object', kind, namespace, name }];
  const dot = name.lastIndexOf('.');
  if (dot > 0 && dot < name.length - 1) {
    readings.push({ as: 'object', kind, namespace: name.slice(dot + 1), name: name.slice(0, dot) });
  }
  const service = /^([^.]+)\.([^.]+)\.svc(\..+)?$/.exec(name);
  if (kind === 'service' && service !== null) {
    readings.push({ as: 'object', kind, namespace: service[2] ?? null, name: service[1] ?? '' });
  }
  return readings;
}

function hostReadings(name: string): readonly Reading[] {
  const readings: Reading[] = [{ as: 'object', kind: null, namespace: null, name }];
  const plain = name.replace(/\.$/, '');
  if (!plain.includes('.')) return readings;
  readings.push({ as: 'host', host: plain.toLowerCase() });
  const dot = plain.lastIndexOf('.');
  readings.push({ as: 'object', kind: null, namespace: plain.slice(dot + 1), name: plain.slice(0, dot) });
  return readings;
}
