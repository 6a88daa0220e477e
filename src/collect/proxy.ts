import { BlockList, isIP } from 'node:net';
import { KubeconfigError } from './errors.js';

/** A proxy's URL. Throws KubeconfigError, which repeats nothing of it: it may hold a password. */
export function checkedProxy(text: string, where: string): string {
  let url: URL | null;
  try {
    url = new URL(text);
  } catch {
    url = null;
  }
  if (url === null || url.hostname === '') throw new KubeconfigError(`the ${where} is no URL of a proxy`);
  if (!['http:', 'https:', 'socks5:'].includes(url.protocol)) {
    throw new KubeconfigError(
      `the ${where} has the scheme ${url.protocol.slice(0, -1)}; http, https or socks5 can be used`,
    );
  }
  return text;
}

/** HTTPS_PROXY and NO_PROXY, as every Go client honours them (golang.org/x/net/http/httpproxy, v0.43.0). */
export function proxyFromEnvironment(server: URL, env: NodeJS.ProcessEnv): string | null {
  if (server.protocol !== 'https:') return null;
  const proxy = env['HTTPS_PROXY'] || env['https_proxy'] || '';
  if (proxy === '') return null;
  const host = server.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))) return null;
  const none = (env['NO_PROXY'] || env['no_proxy'] || '').split(',').map((entry) => entry.trim().toLowerCase());
  const port = server.port || '443';
  if (none.some((entry) => excepts(entry, host, port))) return null;
  return checkedProxy(/^[a-z][a-z0-9+.-]*:\/\/[^/]/i.test(proxy) ? proxy : `http://${proxy}`, 'HTTPS_PROXY');
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
