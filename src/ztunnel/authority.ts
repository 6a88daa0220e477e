import { canonicalIp, formatIp, parseIp, splitHostPort, unmapIp, type Ip } from '../formats/ip.js';

/** CONNECT authority: `ip:port` or `host:port`. */
export type Authority =
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'host'; readonly hostname: string; readonly port: number };

export function parseAuthority(text: string): Authority | null {
  const parts = splitHostPort(text);
  if (parts === null) return null;
  const ip = canonicalIp(parts.host);
  if (ip !== null) return { kind: 'address', ip, port: parts.port };
  return parts.host === '' ? null : { kind: 'host', hostname: parts.host, port: parts.port };
}

/** An address in both forms; v4-mapped ones are IPv4, as ztunnel's to_canonical() has it. */
export interface Address {
  readonly ip: Ip;
  readonly text: string;
}

/** Null where the text is no address. */
export function readAddress(text: string): Address | null {
  const v4 = scanIpv4(text);
  if (v4 !== null) return { ip: { family: 4, value: v4 }, text };
  const ip = parseIp(text);
  if (ip === null) return null;
  const plain = unmapIp(ip);
  return { ip: plain, text: formatIp(plain) };
}

/** A dotted quad without leading zeros, as parseIpv4() has it, without a regular expression: addresses are read most. */
function scanIpv4(text: string): number | null {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 46) {
      if (octet < 0 || dots === 3) return null;
      value = value * 256 + octet;
      octet = -1;
      dots++;
    } else {
      const digit = code - 48;
      if (digit < 0 || digit > 9 || octet === 0) return null;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return null;
    }
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : null;
}

/** Null where the text is no address. */
export function canonicalAddress(text: string): string | null {
  return readAddress(text)?.text ?? null;
}

/** For addresses that were read before. */
export function knownIp(text: string): Ip {
  const address = readAddress(text);
  if (address === null) throw new Error(`not an address: ${text}`);
  return address.ip;
}
