/**
 * IP addresses and prefixes. Strict on purpose: `010.0.0.1` and `1.2` are not addresses in any file that is read here
 * (libraries that read them as 8.0.0.1 and 1.0.0.2 would be wrong certain answers).
 */
export type Ip = { readonly family: 4; readonly value: number } | { readonly family: 6; readonly value: bigint };

export interface Cidr {
  readonly ip: Ip;
  readonly prefix: number;
}

/** The 32 bits as an unsigned number, or null where the text is no dotted quad. */
export function parseIpv4(text: string): number | null {
  const { length } = text;
  let value = 0;
  let at = 0;
  for (let dots = 0; ; dots++) {
    // of one digit or more; a zero is an octet of its own: no octet begins with one
    if (at === length) return null;
    let octet = text.charCodeAt(at++) - 0x30;
    if (octet >>> 0 > 9) return null;
    let code = at < length ? text.charCodeAt(at++) : -1;
    while (code >= 0x30 && code <= 0x39) {
      if (octet === 0) return null;
      octet = octet * 10 + code - 0x30;
      if (octet > 255) return null;
      code = at < length ? text.charCodeAt(at++) : -1;
    }
    value = (value << 8) | octet;
    if (dots === 3) return code === -1 ? value >>> 0 : null;
    if (code !== 0x2e) return null;
  }
}

function parseIpv6(text: string): bigint | null {
  const zone = text.indexOf('%');
  let rest = zone >= 0 ? text.slice(0, zone) : text;
  let tail: number[] = [];
  const lastColon = rest.lastIndexOf(':');
  if (rest.includes('.')) {
    const v4 = parseIpv4(rest.slice(lastColon + 1));
    if (v4 === null) return null;
    tail = [Math.floor(v4 / 65536), v4 % 65536];
    rest = rest.slice(0, lastColon);
    // "::ffff:1.2.3.4" leaves "::ffff"; "::1.2.3.4" leaves ":", which must stay a double colon
    if (rest.endsWith(':')) rest += ':';
  }
  const halves = rest.split('::');
  if (halves.length > 2) return null;
  const groups: number[][] = [];
  for (const half of halves) {
    const list: number[] = [];
    for (const group of half === '' ? [] : half.split(':')) {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return null;
      list.push(Number.parseInt(group, 16));
    }
    groups.push(list);
  }
  const head = groups[0] ?? [];
  const back = [...(groups[1] ?? []), ...tail];
  const missing = 8 - head.length - back.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  let value = 0n;
  for (const group of [...head, ...new Array<number>(missing).fill(0), ...back]) value = (value << 16n) | BigInt(group);
  return value;
}

export function parseIp(text: string): Ip | null {
  const v4 = parseIpv4(text);
  if (v4 !== null) return { family: 4, value: v4 };
  if (!text.includes(':')) return null;
  const v6 = parseIpv6(text);
  return v6 === null ? null : { family: 6, value: v6 };
}

export function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** Shortest form (RFC 5952); v4-mapped addresses keep their dotted tail. */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) return formatIpv4(ip.value);
  const mapped = mappedIpv4(ip.value);
  if (mapped !== null) return `::ffff:${formatIpv4(mapped)}`;
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(Number((ip.value >> shift) & 0xffffn));
  let best = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && groups[end] === 0) end++;
    if (end - start > bestLength) {
      best = start;
      bestLength = end - start;
    }
  }
  const hex = (list: readonly number[]): string => list.map((g) => g.toString(16)).join(':');
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

function mappedIpv4(value: bigint): number | null {
  return value >> 32n === 0xffffn ? Number(value & 0xffffffffn) : null;
}

/** ::ffff:a.b.c.d as a.b.c.d, all else unchanged. */
export function unmapIp(ip: Ip): Ip {
  if (ip.family === 4) return ip;
  const v4 = mappedIpv4(ip.value);
  return v4 === null ? ip : { family: 4, value: v4 };
}

/** One spelling per address, or null where the text is none. */
export function canonicalIp(text: string): string | null {
  const ip = parseIp(text);
  return ip === null ? null : formatIp(ip);
}

/** `10.0.0.0/8`, `fd00::/64`; a bare address is a host prefix; `10.0.0.0/255.0.0.0` is read where the mask is contiguous. */
export function parseCidr(text: string): Cidr | null {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (ip === null) return null;
  const width = ip.family === 4 ? 32 : 128;
  if (slash < 0) return { ip, prefix: width };
  const suffix = text.slice(slash + 1);
  if (/^\d{1,3}$/.test(suffix)) {
    const prefix = Number(suffix);
    return prefix <= width ? { ip, prefix } : null;
  }
  const mask = ip.family === 4 ? parseIpv4(suffix) : null;
  if (mask === null) return null;
  const ones = mask === 0 ? 0 : Math.clz32(~mask >>> 0);
  return ipv4Mask(ones) === mask ? { ip, prefix: ones } : null;
}

/** 24 → 0xffffff00, as an unsigned number. */
export function ipv4Mask(prefix: number): number {
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  if (cidr.ip.family === 4) {
    if (ip.family !== 4) return false;
    const mask = ipv4Mask(cidr.prefix);
    return ((cidr.ip.value ^ ip.value) & mask) === 0;
  }
  if (ip.family !== 6) return false;
  return (cidr.ip.value ^ ip.value) >> BigInt(128 - cidr.prefix) === 0n;
}

/** `10.0.0.1:80`, `[fd00::1]:80`, `host:80`. Null where there is no port. */
export function splitHostPort(text: string): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const port = Number(match[3]);
  return port > 65535 ? null : { host: match[1] ?? match[2] ?? '', port };
}

/** The inverse of splitHostPort: IPv6 goes into brackets. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
