import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { KubeconfigError } from './errors.js';
import { asRecord, asString } from './json.js';
import type { AuthInput, Connection, ConnectionOptions } from './kubeconfig.js';

/**
 * Credentials of the common forms: client certificate, token, token file, user and password, exec plugin. What is rarer
 * (auth-provider, proxy-url) goes through the KubeConfig of @kubernetes/client-node, which costs ten times the start-up.
 */
export async function authOf(input: AuthInput): Promise<Connection> {
  const proxy = asString(input.cluster.body['proxy-url']) ?? proxyFromEnvironment(input.server);
  if (input.user.body['auth-provider'] !== undefined || proxy !== null) {
    const { libraryConnection } = await import('./kube-library.js');
    return libraryConnection(input, proxy);
  }
  const tls = clusterTls(input);
  let material = certificates(input);
  const exec = asRecord(input.user.body['exec']);
  const plugin = exec === null ? null : (await import('./kube-exec.js')).execCredential(exec, input);
  let agent: http.Agent | null = null;
  const agentFor = (next: typeof material): http.Agent => {
    if (agent !== null && next.cert === material.cert && next.key === material.key) return agent;
    agent?.destroy();
    material = next;
    const shared = { keepAlive: true, maxSockets: 32, ...tls, ...next };
    agent = input.server.protocol === 'http:' ? new http.Agent(shared) : new https.Agent(shared);
    return agent;
  };
  return {
    context: input.context,
    server: input.server,
    namespace: input.namespace,
    options: async (): Promise<ConnectionOptions> => {
      const credential = plugin === null ? null : await plugin();
      const authorization = credential?.token == null ? staticAuthorization(input) : `Bearer ${credential.token}`;
      const given =
        credential?.cert == null ? certificates(input) : { cert: credential.cert, key: credential.key ?? undefined };
      return {
        agent: agentFor(given),
        headers: { ...input.impersonate, ...(authorization === null ? {} : { Authorization: authorization }) },
      };
    },
    close: () => agent?.destroy(),
  };
}

/** HTTPS_PROXY and NO_PROXY, as every Go client honours them. */
function proxyFromEnvironment(server: URL): string | null {
  if (server.protocol !== 'https:') return null;
  const proxy = process.env['HTTPS_PROXY'] ?? process.env['https_proxy'] ?? '';
  if (proxy === '') return null;
  const none = (process.env['NO_PROXY'] ?? process.env['no_proxy'] ?? '').split(',').map((entry) => entry.trim());
  const host = server.hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost' || host.startsWith('127.') || host === '::1') return null;
  const excepted = none.some(
    (entry) =>
      entry !== '' && (entry === '*' || host === entry || host.endsWith(entry.startsWith('.') ? entry : `.${entry}`)),
  );
  return excepted ? null : proxy;
}

function clusterTls(input: AuthInput): https.AgentOptions {
  const { body } = input.cluster;
  const ca = pem(input.cluster, 'certificate-authority');
  const servername = asString(body['tls-server-name']);
  return {
    ...(ca === null ? {} : { ca }),
    ...(servername === null ? {} : { servername }),
    ...(body['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
  };
}

function certificates(input: AuthInput): { readonly cert?: string; readonly key?: string | undefined } {
  const cert = pem(input.user, 'client-certificate');
  const key = pem(input.user, 'client-key');
  return cert === null || key === null ? {} : { cert, key };
}

/** `<name>-data` (base64) wins over `<name>` (a file), as in kubectl. */
function pem(entry: AuthInput['user'], name: string): string | null {
  const data = asString(entry.body[`${name}-data`]);
  if (data !== null && data !== '') return Buffer.from(data, 'base64').toString('utf8');
  const file = asString(entry.body[name]);
  return file === null || file === '' ? null : readNamed(entry, file);
}

function readNamed(entry: AuthInput['user'], file: string): string {
  try {
    return readFileSync(path.resolve(entry.folder, file), 'utf8');
  } catch {
    throw new KubeconfigError(`the kubeconfig names ${file}, which cannot be read`);
  }
}

function staticAuthorization(input: AuthInput): string | null {
  const { body } = input.user;
  const file = asString(body['tokenFile']);
  // read each time: the kubelet rotates a projected token
  if (file !== null && file !== '') return `Bearer ${readNamed(input.user, file).trim()}`;
  const token = asString(body['token']);
  if (token !== null && token !== '') return `Bearer ${token}`;
  const user = asString(body['username']);
  if (user === null) return null;
  return `Basic ${Buffer.from(`${user}:${asString(body['password']) ?? ''}`).toString('base64')}`;
}
