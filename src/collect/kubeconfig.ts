import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import type { Agent } from 'node:http';
import { KubeconfigError } from './errors.js';
import { asArray, asRecord, asString, type Doc } from './json.js';
import { parsePlainYaml } from './plain-yaml.js';

/** What is needed to speak to one API server as one user. */
export interface Connection {
  readonly context: string;
  readonly server: URL;
  /** The proxy that the server is reached through, as a person is told of it: "HOST:PORT of HTTPS_PROXY"; null: none. */
  readonly proxy: string | null;
  /** Namespace of the context, null where it names none. */
  readonly namespace: string | null;
  /**
   * Options for node:https (or node:http) and for a WebSocket: agent, TLS, credentials. Fresh tokens each time; a credential
   * plugin that runs for it is stopped by the signal.
   */
  options(signal: AbortSignal): Promise<ConnectionOptions>;
  close(): void;
}

export interface ConnectionOptions {
  readonly agent: Agent;
  readonly headers: Headers;
}

/** An array is sent as that many lines of the header. */
export type Headers = Readonly<Record<string, string | string[]>>;

export interface ConnectOptions {
  readonly kubeconfig: string | null;
  readonly context: string | null;
  readonly as: string | null;
  readonly asGroups: readonly string[];
  /** Shown what a credential plugin says while it waits for a person. */
  readonly tell: (message: string) => void;
}

const IN_CLUSTER = '/var/run/secrets/kubernetes.io/serviceaccount';

/** One kubeconfig file, or the files of $KUBECONFIG as kubectl merges them: the first that sets a name wins. */
interface Merged {
  readonly currentContext: string | null;
  readonly contexts: ReadonlyMap<string, Entry>;
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
}

interface Entry {
  readonly body: Doc;
  /** Folder of the file, which relative paths in it start from. */
  readonly folder: string;
}

/** Opens a context. Throws KubeconfigError where the files are missing, malformed or do not hold it. */
export async function connect(options: ConnectOptions): Promise<Connection> {
  const files = kubeconfigFiles(options.kubeconfig);
  if (files.length === 0 && options.context === null && existsSync(path.join(IN_CLUSTER, 'token'))) {
    return inCluster(options);
  }
  if (files.length === 0) {
    throw new KubeconfigError('no kubeconfig: give --kubeconfig, set KUBECONFIG, or make ~/.kube/config');
  }
  const merged = await readKubeconfigs(files);
  const name = options.context ?? merged.currentContext;
  if (name === null || name === '') {
    const known = [...merged.contexts.keys()].join(', ');
    throw new KubeconfigError(
      `${files.join(', ')}: no current-context; choose one with --context (${known || 'it has none'})`,
    );
  }
  const context = merged.contexts.get(name);
  if (context === undefined) {
    const known = [...merged.contexts.keys()].join(', ');
    throw new KubeconfigError(`no context ${JSON.stringify(name)} in the kubeconfig (${known || 'it has none'})`);
  }
  const cluster = merged.clusters.get(asString(context.body['cluster']) ?? '');
  const server = asString(cluster?.body['server']);
  if (cluster === undefined || server === null) {
    throw new KubeconfigError(`context ${name}: its cluster is not in the kubeconfig, or names no server`);
  }
  const userName = asString(context.body['user']) ?? '';
  const user = merged.users.get(userName) ?? (userName === '' ? { body: {}, folder: '' } : null);
  if (user === null) {
    throw new KubeconfigError(`context ${name}: its user ${JSON.stringify(userName)} is not in the kubeconfig`);
  }
  const namespace = asString(context.body['namespace']);
  const { authOf } = await import('./kube-auth.js');
  return authOf({
    context: name,
    server: parseServer(server),
    namespace,
    cluster,
    user,
    impersonate: impersonation(options, user.body),
    tell: options.tell,
  });
}

function parseServer(server: string): URL {
  try {
    return new URL(server.includes('://') ? server : `https://${server}`);
  } catch {
    // what stands before the "@" may be a password
    const shown = server.replace(/^([a-z][a-z0-9+.-]*:\/\/)?.*@/is, '$1***@');
    throw new KubeconfigError(`the server ${JSON.stringify(shown)} of the kubeconfig is no URL`);
  }
}

/**
 * Flags win over the user's `as`, `as-groups`; one by one, as client-go merges them (getAuthInfo of
 * tools/clientcmd/client_config.go, k8s.io/client-go v0.34.2).
 */
function impersonation(options: ConnectOptions, user: Doc): Headers {
  const as = options.as ?? (asString(user['as']) || null);
  const groups = options.asGroups.length > 0 ? options.asGroups : texts(user['as-groups']);
  const uid = asString(user['as-uid']) ?? '';
  const extra = Object.entries(asRecord(user['as-user-extra']) ?? {});
  if (as === null) {
    if (options.asGroups.length > 0) throw new KubeconfigError('--as-group needs --as');
    if (groups.length > 0 || uid !== '' || extra.length > 0) {
      throw new KubeconfigError('the user of the kubeconfig has as-groups, as-uid or as-user-extra, but no "as"');
    }
    return {};
  }
  const headers: Record<string, string | string[]> = { 'Impersonate-User': as };
  if (uid !== '') headers['Impersonate-Uid'] = uid;
  if (groups.length > 0) headers['Impersonate-Group'] = [...groups];
  for (const [key, values] of extra) headers[`Impersonate-Extra-${headerKey(key)}`] = texts(values);
  for (const [name, values] of Object.entries(headers)) {
    if ([values].flat().some((value) => /[^\t\x20-\x7e]/.test(value))) {
      throw new KubeconfigError(`${name}: a user or group with a line break or a letter that no header can carry`);
    }
  }
  return headers;
}

function texts(value: unknown): string[] {
  return asArray(value).flatMap((item) => asString(item) ?? []);
}

/**
 * What is no letter of a header's name is written %XX (headerKeyEscape of transport/round_trippers.go, k8s.io/client-go
 * v0.34.2).
 */
function headerKey(key: string): string {
  return [...Buffer.from(key, 'utf8')]
    .map((byte) => String.fromCharCode(byte))
    .map((letter) =>
      /[!#$&'*+.^_`|~0-9A-Za-z-]/.test(letter)
        ? letter
        : `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    )
    .join('');
}

async function inCluster(options: ConnectOptions): Promise<Connection> {
  const host = process.env['KUBERNETES_SERVICE_HOST'];
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined) throw new KubeconfigError('no kubeconfig, and KUBERNETES_SERVICE_HOST is not set');
  const { authOf } = await import('./kube-auth.js');
  const folder = IN_CLUSTER;
  const namespaceFile = path.join(folder, 'namespace');
  return authOf({
    context: 'in-cluster',
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : null,
    cluster: { body: { 'certificate-authority': 'ca.crt' }, folder },
    user: { body: { tokenFile: 'token' }, folder },
    impersonate: impersonation(options, {}),
    tell: options.tell,
  });
}

/** --kubeconfig alone, else the files of $KUBECONFIG that exist, else ~/.kube/config where it exists. */
function kubeconfigFiles(given: string | null): readonly string[] {
  if (given !== null) {
    if (!existsSync(given)) throw new KubeconfigError(`no kubeconfig at ${given}`);
    return [given];
  }
  const variable = process.env['KUBECONFIG'];
  if (variable !== undefined && variable !== '') {
    const listed = variable.split(path.delimiter).filter((file) => file !== '');
    const there = listed.filter((file) => existsSync(file));
    if (there.length === 0) throw new KubeconfigError(`KUBECONFIG names ${variable}, which does not exist`);
    return there;
  }
  const home = path.join(homedir(), '.kube', 'config');
  return existsSync(home) ? [home] : [];
}

async function readKubeconfigs(files: readonly string[]): Promise<Merged> {
  const contexts = new Map<string, Entry>();
  const clusters = new Map<string, Entry>();
  const users = new Map<string, Entry>();
  let currentContext: string | null = null;
  for (const file of files) {
    let root: Doc | null;
    try {
      const text = readFileSync(file, 'utf8');
      root = asRecord((parsePlainYaml(text) ?? { value: (await import('./yaml.js')).parseYaml(text) }).value);
    } catch (error) {
      const [reason] = (error instanceof Error ? error.message : String(error)).split('\n');
      throw new KubeconfigError(`${file} cannot be read: ${reason ?? ''}`);
    }
    if (root === null) throw new KubeconfigError(`${file} is no kubeconfig`);
    currentContext ??= asString(root['current-context']) || null;
    const folder = path.dirname(path.resolve(file));
    for (const [target, list, inner] of [
      [contexts, 'contexts', 'context'],
      [clusters, 'clusters', 'cluster'],
      [users, 'users', 'user'],
    ] as const) {
      for (const item of asArray(root[list])) {
        const record = asRecord(item);
        const name = asString(record?.['name']);
        if (name !== null && !target.has(name)) target.set(name, { body: asRecord(record?.[inner]) ?? {}, folder });
      }
    }
  }
  return { currentContext, contexts, clusters, users };
}

export interface AuthInput {
  readonly context: string;
  readonly server: URL;
  readonly namespace: string | null;
  readonly cluster: Entry;
  readonly user: Entry;
  readonly impersonate: Headers;
  readonly tell: (message: string) => void;
}
