import { canonicalIp, formatIp, parseIp, splitHostPort, unmapIp, type Ip } from '../formats/ip.js';
import { remember } from './remember.js';

/** CONNECT authority: `ip:port` or `host:port`. */
export type Authority =
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'host'; readonly hostname: string; readonly port: number };

export const parseAuthority = remember((text: string): Authority | null => {
  const parts = splitHostPort(text);
  if (parts === null) return null;
  const ip = canonicalIp(parts.host);
  if (ip !== null) return { kind: 'address', ip, port: parts.port };
  return parts.host === '' ? null : { kind: 'host', hostname: parts.host, port: parts.port };
});

/** v4-mapped addresses as IPv4, as ztunnel's to_canonical() has it; null where the text is no address. */
export const canonicalAddress = remember((text: string): string | null => {
  const ip = parseIp(text);
  return ip === null ? null : formatIp(unmapIp(ip));
});

/** For addresses that were read before. */
export const knownIp = remember((text: string): Ip => {
  const ip = parseIp(text);
  if (ip === null) throw new Error(`not an address: ${text}`);
  return ip;
});
