import http from 'node:http';
import type { RequestOptions } from 'node:https';
import { KubeconfigError } from './errors.js';
import type { AuthInput, Connection, ConnectionOptions } from './kubeconfig.js';

/** The forms of a kubeconfig that are left to @kubernetes/client-node: auth providers, and servers behind a proxy. */
export async function libraryConnection(
  input: AuthInput,
  [first, ...rest]: readonly [string, ...string[]],
  proxy: string | null,
): Promise<Connection> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(first);
  for (const file of rest) {
    const more = new KubeConfig();
    more.loadFromFile(file);
    config.mergeConfig(more, true);
  }
  config.setCurrentContext(input.context);
  if (proxy !== null) {
    const cluster = config.getCurrentCluster();
    if (cluster !== null) config.clusters = config.clusters.map((c) => (c === cluster ? { ...c, proxyUrl: proxy } : c));
  }
  let agent: http.Agent | null = null;
  return {
    context: input.context,
    server: input.server,
    namespace: input.namespace,
    options: async (): Promise<ConnectionOptions> => {
      const options: RequestOptions = {};
      try {
        await config.applyToHTTPSOptions(options);
      } catch (error) {
        // its message may quote what a plugin printed, which may be a token
        const name = error instanceof Error ? error.name : 'error';
        throw new KubeconfigError(
          `user of context ${input.context}: its credentials could not be had (${name} in the plugin's answer or its start)`,
        );
      }
      agent ??= options.agent instanceof http.Agent ? options.agent : new http.Agent();
      return { agent, headers: { ...stringHeaders(options.headers), ...basic(options), ...input.impersonate } };
    },
    close: () => agent?.destroy(),
  };
}

function stringHeaders(headers: RequestOptions['headers']): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers ?? {})) if (typeof value === 'string') out[name] = value;
  return out;
}

function basic(options: RequestOptions): Record<string, string> {
  if (typeof options.auth !== 'string') return {};
  return { Authorization: `Basic ${Buffer.from(options.auth).toString('base64')}` };
}
