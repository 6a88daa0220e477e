import http from 'node:http';
import { KubeConfig, type User } from '@kubernetes/client-node';
import type { RequestOptions } from 'node:https';
import { KubeconfigError } from './errors.js';
import type { AuthInput } from './kubeconfig.js';

/**
 * What is left to @kubernetes/client-node: agents that go through a proxy, and the credentials of auth providers. Nothing is
 * asked of the cluster by it.
 */
interface TlsMaterial {
  /** PEM. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/** An agent that reaches the server of the kubeconfig through `proxy` (CONNECT, or SOCKS). */
export async function proxyAgent(input: AuthInput, material: TlsMaterial, proxy: string): Promise<http.Agent> {
  const { ca, cert, key } = material;
  const user = {
    ...(cert === null ? {} : { certData: base64(cert) }),
    ...(key === null ? {} : { keyData: base64(key) }),
  };
  const options: RequestOptions = {};
  await configOf(input, { ca, proxy, user }).applyToHTTPSOptions(options);
  if (!(options.agent instanceof http.Agent)) throw new KubeconfigError('the proxy cannot be used');
  // the library leaves it off: every request would make its way through the proxy and a TLS handshake
  return Object.assign(options.agent, { keepAlive: true });
}

/** The Authorization header of a user with an `auth-provider`; null: it gives none. Throws KubeconfigError. */
export async function providerAuthorization(input: AuthInput): Promise<string | null> {
  const options: RequestOptions = {};
  try {
    const user = { authProvider: input.user.body['auth-provider'] };
    await configOf(input, { ca: null, proxy: null, user }).applyToHTTPSOptions(options);
  } catch (error) {
    // its message may quote what a plugin printed, which may be a token
    const name = error instanceof Error ? error.name : 'error';
    throw new KubeconfigError(
      `user of context ${input.context}: its credentials could not be had (${name} in the plugin's answer or its start)`,
    );
  }
  const headers = new Map(Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]));
  const authorization = headers.get('authorization');
  return typeof authorization === 'string' ? authorization : null;
}

interface Parts {
  readonly ca: string | null;
  readonly proxy: string | null;
  readonly user: Omit<User, 'name'>;
}

function configOf(input: AuthInput, { ca, proxy, user }: Parts): KubeConfig {
  const { body } = input.cluster;
  const servername = body['tls-server-name'];
  const config = new KubeConfig();
  config.loadFromOptions({
    clusters: [
      {
        name: 'cluster',
        server: input.server.href.replace(/\/$/, ''),
        skipTLSVerify: body['insecure-skip-tls-verify'] === true || input.server.protocol === 'http:',
        ...(ca === null ? {} : { caData: base64(ca) }),
        ...(typeof servername === 'string' ? { tlsServerName: servername } : {}),
        // as in Go (net/http/transport.go of Go 1.26), the proxy resolves the names; the library would, for socks5
        ...(proxy === null ? {} : { proxyUrl: proxy.replace(/^socks5:/, 'socks5h:') }),
      },
    ],
    users: [{ name: 'user', ...user }],
    contexts: [{ name: 'context', cluster: 'cluster', user: 'user' }],
    currentContext: 'context',
  });
  return config;
}

function base64(pem: string): string {
  return Buffer.from(pem, 'utf8').toString('base64');
}
