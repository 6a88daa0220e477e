import { readFileSync } from 'node:fs';
import type { Agent } from 'node:http';
import { isIP } from 'node:net';
import path from 'node:path';
import tls from 'node:tls';
import { KubeconfigError } from './errors.js';
import { asRecord, asString } from './json.js';
import { checkedProxy, proxyFromEnvironment } from './proxy.js';
import type { AuthInput, Connection, ConnectionOptions } from './kubeconfig.js';

/**
 * Credentials of the common forms: client certificate, token, token file, user and password, exec plugin. What is rarer
 * (auth-provider, a proxy) takes parts of @kubernetes/client-node, which costs ten times the start-up.
 */
export async function authOf(input: AuthInput): Promise<Connection> {
  const own = asString(input.cluster.body['proxy-url']) || null;
  const proxy = own === null ? proxyFromEnvironment(input.server, process.env) : checkedProxy(own);
  const exec = asRecord(input.user.body['exec']);
  const plugin =
    exec === null
      ? null
      : (await import('./kube-exec.js')).execCredential(exec, input, pem(input.cluster, 'certificate-authority'));
  const provided =
    input.user.body['auth-provider'] === undefined
      ? null
      : (await import('./kube-library.js')).providerAuthorization.bind(null, input);
  let held: { readonly material: Material; readonly agent: Promise<Agent>; readonly close: () => void } | null = null;
  const agentFor = (material: Material): Promise<Agent> => {
    if (held !== null && held.material.cert === material.cert && held.material.key === material.key) return held.agent;
    held?.close();
    held = { material, ...opened(input, material, proxy?.url ?? null) };
    return held.agent;
  };
  // nothing but the credentials of a plugin has to be waited for
  if (plugin === null) void agentFor(certificates(input)).catch(() => undefined);
  return {
    context: input.context,
    server: input.server,
    proxy: proxy?.said ?? null,
    namespace: input.namespace,
    options: async (signal): Promise<ConnectionOptions> => {
      const credential = plugin === null ? null : await plugin(signal);
      const authorization =
        credential?.token != null
          ? `Bearer ${credential.token}`
          : provided === null
            ? staticAuthorization(input)
            : await provided();
      if (authorization !== null && /[^\t\x20-\x7e]/.test(authorization)) {
        const what = /[\r\n]/.test(authorization) ? 'a line break' : 'a letter that no header can carry';
        throw new KubeconfigError(`the token of context ${input.context} holds ${what}`);
      }
      const given =
        credential?.cert == null ? certificates(input) : { cert: credential.cert, key: credential.key ?? undefined };
      return {
        agent: await agentFor(given),
        headers: { ...input.impersonate, ...(authorization === null ? {} : { Authorization: authorization }) },
      };
    },
    close: () => held?.close(),
  };
}

function opened(input: AuthInput, material: Material, proxy: string | null): Opened {
  if (proxy === null) return input.server.protocol === 'http:' ? plainAgent() : tlsAgent(input, material);
  // the library would say less of what is wrong with them
  if (input.server.protocol !== 'http:') secureContextOf(input, { ...clusterTls(input), ...material });
  const { cert = null, key = null } = material;
  const ca = pem(input.cluster, 'certificate-authority');
  return closing(import('./kube-library.js').then((library) => library.proxyAgent(input, { ca, cert, key }, proxy)));
}

interface Material {
  readonly cert?: string;
  readonly key?: string | undefined;
}

interface Opened {
  readonly agent: Promise<Agent>;
  readonly close: () => void;
}

/** How many requests run at a time is decided where they are sent (request.ts). */
const SHARED = { keepAlive: true };

function plainAgent(): Opened {
  return closing(import('node:http').then((http) => new http.Agent(SHARED)));
}

function closing(agent: Promise<Agent>): Opened {
  // what is wrong with it is said to the first who needs it
  const close = (): void => void agent.then((made) => made.destroy()).catch(() => undefined);
  return { agent, close };
}

/**
 * An agent whose first connection is on its way while the HTTP of Node is being loaded, which takes as long as a handshake.
 * A connection that has failed by then is not used: the agent makes its own, and says what is wrong with it.
 */
function tlsAgent(input: AuthInput, material: Material): Opened {
  const { server } = input;
  const options = clusterTls(input);
  // made once: the authority and the certificates are read anew for every connection otherwise
  const secureContext = secureContextOf(input, { ...options, ...material });
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const name = options.servername ?? (isIP(host) === 0 ? host : '');
  let first: tls.TLSSocket | null = tls.connect({
    ...options,
    secureContext,
    host,
    port: Number(server.port || '443'),
    ALPNProtocols: ['http/1.1'],
    ...(name === '' ? {} : { servername: name }),
  });
  const ignore = (): undefined => undefined;
  first.on('error', ignore);
  // one turn of the event loop: what a near server answers at once is answered before anything is loaded
  const turn = new Promise<void>((resolve) => setImmediate(resolve));
  const agent = turn
    .then(() => import('node:https'))
    .then((https) => {
      const made = new https.Agent({ ...SHARED, ...options, ...material, secureContext });
      const create = made.createConnection.bind(made);
      made.createConnection = (wanted, callback) => {
        const ready = first;
        first = null;
        if (ready === null || ready.destroyed) return create(wanted, callback);
        ready.off('error', ignore);
        return ready;
      };
      return made;
    });
  return {
    agent,
    close: () => {
      first?.destroy();
      void agent.then((made) => made.destroy());
    },
  };
}

function secureContextOf(input: AuthInput, options: tls.SecureContextOptions): tls.SecureContext {
  try {
    return tls.createSecureContext(options);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KubeconfigError(`context ${input.context}: its certificates or its key cannot be used (${why})`);
  }
}

function clusterTls(
  input: AuthInput,
): tls.SecureContextOptions & { servername?: string; rejectUnauthorized?: boolean } {
  const { body } = input.cluster;
  const ca = pem(input.cluster, 'certificate-authority');
  const servername = asString(body['tls-server-name']);
  return {
    ...(ca === null ? {} : { ca }),
    ...(servername === null ? {} : { servername }),
    ...(body['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
  };
}

function certificates(input: AuthInput): Material {
  const cert = pem(input.user, 'client-certificate');
  const key = pem(input.user, 'client-key');
  if (cert !== null && key === null) {
    throw new KubeconfigError(`context ${input.context}: its user has a client-certificate without a client-key`);
  }
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
