import { parseCidr, type Cidr } from '../formats/ip.js';
import type { IpDevice, IpDeviceAddress } from '../formats/ip-address.js';
import { commonPrefix, isMulticast, prefixTest, scope6, type Addr } from './address.js';
import type { Devices } from './facts.js';

/** RT_SCOPE_* of linux/rtnetlink.h, as iproute2 names them. */
const SCOPES: ReadonlyMap<string, number> = new Map([
  ['global', 0],
  ['site', 200],
  ['link', 253],
  ['host', 254],
  ['nowhere', 255],
]);
const HOST = 254;
const LINK = 253;

export function scopeNumber(name: string): number {
  return SCOPES.get(name) ?? (/^\d+$/.test(name) ? Number(name) : 0);
}

/** inet_select_addr (linux net/ipv4/devinet.c, v6.12): a source on `device` towards `dst`; 0 where there is none. */
export function selectAddress4(devices: Devices, device: string, dst: Addr, scope: number): Addr {
  const own = devices.get(device);
  if (own !== null) {
    const localnet =
      own.addresses.some((address) => scopeNumber(address.scope) > scope) && routeLocalnet(devices, device)
        ? LINK
        : HOST;
    let first: Addr = 0;
    for (const address of primary(own)) {
      if (Math.min(scopeNumber(address.scope), localnet) > scope) continue;
      if (dst === 0 || onLink(address, dst)) return address.ip.value;
      if (first === 0) first = address.ip.value;
    }
    if (first !== 0) return first;
  }
  for (const other of devices.list()) {
    for (const address of primary(other)) {
      const number = scopeNumber(address.scope);
      if (number !== LINK && number <= scope) return address.ip.value;
    }
  }
  return 0;
}

function routeLocalnet(devices: Devices, device: string): boolean {
  return (
    devices.deviceSysctl('net.ipv4.conf.*.route_localnet', device) !== 0 ||
    devices.sysctl('net.ipv4.conf.all.route_localnet') !== 0
  );
}

function* primary(device: IpDevice): Generator<IpDeviceAddress> {
  if (!device.up) return;
  for (const address of device.addresses) if (address.ip.family === 4 && !address.secondary) yield address;
}

function onLink(address: IpDeviceAddress, dst: Addr): boolean {
  const base = address.peer ?? address.ip;
  return prefixTest(4, { ip: base, prefix: address.prefix })?.(dst) ?? false;
}

/** Default policy table of RFC 6724, 2.1, as far as labels go (linux net/ipv6/addrlabel.c). */
const LABELS: readonly (readonly [Cidr, number])[] = (
  [
    ['::1/128', 0],
    ['::ffff:0:0/96', 4],
    ['::/96', 3],
    ['2001::/32', 6],
    ['2001:10::/28', 7],
    ['3ffe::/16', 12],
    ['2002::/16', 2],
    ['fec0::/10', 11],
    ['fc00::/7', 5],
    ['::/0', 1],
  ] as const
).flatMap(([text, label]) => {
  const cidr = parseCidr(text);
  return cidr === null ? [] : [[cidr, label] as const];
});

function labelOf(addr: Addr): number {
  for (const [cidr, label] of LABELS) if (prefixTest(6, cidr)?.(addr) === true) return label;
  return 1;
}

const SCOPE_RANK = { loopback: 1, link: 2, site: 5, global: 14 } as const;

/** ipv6_dev_get_saddr: RFC 6724 rules 1, 2, 3, 5, 6 and 8; 0n where there is none. */
export function selectAddress6(devices: Devices, device: string, dst: Addr): Addr {
  const dstScope = SCOPE_RANK[scope6(dst)];
  const dstLabel = labelOf(dst);
  let best: { addr: Addr; score: readonly number[] } | null = null;
  for (const candidate of devices.list()) {
    if (!candidate.up) continue;
    if ((dstScope <= SCOPE_RANK.link || isMulticast(dst)) && candidate.name !== device) continue;
    for (const address of candidate.addresses) {
      if (address.ip.family !== 6 || address.tentative) continue;
      const addr = address.ip.value;
      const scope = SCOPE_RANK[scope6(addr)];
      const score = [
        addr === dst ? 1 : 0,
        // rule 2: the smallest scope that is not smaller than the destination's
        scope >= dstScope ? 100 - scope : scope - 100,
        address.deprecated ? 0 : 1,
        candidate.name === device ? 1 : 0,
        labelOf(addr) === dstLabel ? 1 : 0,
        Math.min(commonPrefix(6, addr, dst), address.prefix),
      ];
      if (best === null || compare(score, best.score) > 0) best = { addr, score };
    }
  }
  return best?.addr ?? 0n;
}

function compare(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < a.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
