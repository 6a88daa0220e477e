import { BlockList, isIP } from 'node:net';
import { KubeconfigError } from './errors.js';

/** What client-go takes as `proxy-url` (parseProxyURL of tools/clientcmd/helpers.go, k8s.io/client-go v0.34.2). */
const PROXY_URL = ['http:', 'https:', 'socks5:'];

/** What Go takes from the environment (net/http/transport.go of Go 1.26). */
const ENVIRONMENT = [...PROXY_URL, 'socks5h:'];

export interface Proxy {
  /** With a scheme in small letters; may hold a password. */
  readonly url: string;
  /** What a person is told of it: host, port, and where it comes from if not from the kubeconfig. */
  readonly said: string;
}

/** The `proxy-url` of a cluster. Throws KubeconfigError, which repeats nothing of it: it may hold a password. */
export function checkedProxy(text: string): Proxy {
  const url = checked(text, 'proxy-url', PROXY_URL);
  return { url: url.href, said: url.host };
}

function checked(text: string, where: string, schemes: readonly string[]): URL {
  let url: URL | null;
  try {
    url = new URL(text);
  } catch {
    url = null;
  }
  if (url === null || url.hostname === '') throw new KubeconfigError(`the ${where} is no URL of a proxy`);
  if (!schemes.includes(url.protocol)) {
    throw new KubeconfigError(
      `the ${where} has the scheme ${url.protocol.slice(0, -1)}; http, https or socks5 can be used`,
    );
  }
  return url;
}

/**
 * HTTPS_PROXY, for a server without TLS HTTP_PROXY, and NO_PROXY: as every Go client honours them
 * (http/httpproxy/proxy.go of golang.org/x/net v0.38.0, which k8s.io/client-go v0.34.2 requires).
 */
export function proxyFromEnvironment(server: URL, env: NodeJS.ProcessEnv): Proxy | null {
  const isTls = server.protocol === 'https:';
  const upper = isTls ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const name = env[upper] ? upper : upper.toLowerCase();
  const proxy = env[name] ?? '';
  if (proxy === '') return null;
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return null;
  const none = (env['NO_PROXY'] || env['no_proxy'] || '').split(',').map((entry) => entry.trim().toLowerCase());
  const port = server.port || (isTls ? '443' : '80');
  if (none.some((entry) => excepts(entry, host, port))) return null;
  const url = checked(/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(proxy) ? proxy : `http://${proxy}`, name, ENVIRONMENT);
  return { url: url.href, said: `${url.host} of ${name}` };
}

/** One entry of NO_PROXY: `*`, a network, an address or a domain, these two with a port where they have one. */
function excepts(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const network = /^([^/]+)\/(\d{1,3})$/.exec(entry);
  if (network !== null) return contains(network[1] ?? '', Number(network[2]), host);
  const withPort = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(entry);
  const name = withPort === null ? entry.replace(/^\[|\]$/g, '') : (withPort[1] ?? withPort[2] ?? '');
  const only = withPort?.[3] ?? '';
  if (name === '' || (only !== '' && only !== port)) return false;
  if (isIP(name) !== 0) return contains(name, isIP(name) === 4 ? 32 : 128, host);
  const suffix = name.startsWith('*.') ? name.slice(1) : name;
  return suffix.startsWith('.') ? host.endsWith(suffix) : host === suffix || host.endsWith(`.${suffix}`);
}

function contains(network: string, bits: number, host: string): boolean {
  const family = isIP(network);
  if (family === 0 || isIP(host) !== family || bits > (family === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const type = family === 4 ? 'ipv4' : 'ipv6';
  list.addSubnet(network, bits, type);
  return list.check(host, type);
}
