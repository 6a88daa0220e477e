import { createHmac } from 'node:crypto';

/**
 * Other addresses in the place of the real ones, with the same common prefixes: bit i is flipped or not by a keyed function
 * of the bits before it (Crypto-PAn), so that routes, ranges and sets still take the same packets. Ranges that mean
 * something (private, loopback, link-local, multicast) stay themselves.
 */
export class Addresses {
  private readonly key: Buffer;
  private readonly flips = new Map<string, number>();
  private readonly known = new Map<string, string>();

  constructor(key: Buffer) {
    this.key = key;
  }

  /** Every address in a text; `10.244.0.0/16` keeps its zeros. */
  text(text: string): string {
    return text
      .replace(
        /(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.]\d|\d)(?:\/(\d{1,2}))?/g,
        (whole, ip: string, length?: string) => this.v4(whole, ip, length === undefined ? null : Number(length)),
      )
      .replace(
        /(?<![0-9A-Za-z:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![0-9A-Za-z:.])(?:\/(\d{1,3}))?/g,
        (whole, length?: string) =>
          this.v6(whole, whole.split('/')[0] ?? whole, length === undefined ? null : Number(length)),
      );
  }

  private v4(whole: string, ip: string, length: number | null): string {
    const octets = ip.split('.').map(Number);
    if (octets.some((octet) => octet > 255)) return whole;
    const bits = octets.map((octet) => octet.toString(2).padStart(8, '0')).join('');
    const kept = keptV4(octets);
    const out = this.bits(`4${ip}/${length ?? ''}`, bits, kept, length);
    const renamed = [0, 8, 16, 24].map((at) => Number.parseInt(out.slice(at, at + 8), 2)).join('.');
    return length === null ? renamed : `${renamed}/${length}`;
  }

  private v6(whole: string, ip: string, length: number | null): string {
    if (!isIpv6(ip)) return whole;
    if (/^(?:::1?|fe80:|ff|fd16:9254:7127:|::ffff:)/i.test(ip)) return whole;
    const [head = '', tail] = ip.split('::');
    const before = head === '' ? [] : head.split(':');
    const after = tail === undefined || tail === '' ? [] : tail.split(':');
    const zeros = tail === undefined ? [] : new Array<string>(8 - before.length - after.length).fill('0');
    const bits = [...before, ...zeros, ...after]
      .map((g) => Number.parseInt(g, 16).toString(2).padStart(16, '0'))
      .join('');
    const out = this.bits(`6${ip}/${length ?? ''}`, bits, 8, length);
    const groups = Array.from({ length: 8 }, (_, i) => Number.parseInt(out.slice(i * 16, i * 16 + 16), 2).toString(16));
    const long = groups.join(':');
    const short = long.replace(/(?:^|:)0(?::0)+(?::|$)/, '::');
    return length === null ? short : `${short}/${length}`;
  }

  private bits(id: string, bits: string, kept: number, length: number | null): string {
    const held = this.known.get(id);
    if (held !== undefined) return held;
    // a network has zeros after its length, and keeps them; an address with a length is an address
    const network = length !== null && !bits.slice(length).includes('1');
    const upTo = network ? Math.max(length, 0) : bits.length;
    let out = bits.slice(0, kept);
    for (let at = kept; at < bits.length; at++) {
      out += at < upTo ? String(Number(bits[at]) ^ this.flip(bits.slice(0, at))) : (bits[at] ?? '0');
    }
    this.known.set(id, out);
    return out;
  }

  private flip(prefix: string): number {
    const held = this.flips.get(prefix);
    if (held !== undefined) return held;
    const bit = (createHmac('sha256', this.key).update(prefix).digest()[0] ?? 0) & 1;
    this.flips.set(prefix, bit);
    return bit;
  }
}

/** The text holds hex groups and colons only: eight groups, or fewer around one `::`. MAC addresses and times are neither. */
function isIpv6(text: string): boolean {
  const halves = text.split('::');
  const groups = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  if (groups.some((group) => group === '')) return false;
  return halves.length === 2 ? groups.length <= 7 : halves.length === 1 && groups.length === 8;
}

/** How many leading bits stay: all of an address that means something by itself, the class of a private one. */
function keptV4([a = 0, b = 0]: readonly number[]): number {
  if (a === 0 || a === 127 || a >= 224 || (a === 169 && b === 254)) return 32;
  if (a === 10) return 8;
  if (a === 172 && b >= 16 && b < 32) return 12;
  // the tunnels of 1.18 have fixed addresses in 192.168.126.0/23
  if (a === 192 && b === 168) return 32;
  return 0;
}
