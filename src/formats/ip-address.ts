import type { Evidence, ParseProblem } from './evidence.js';
import { parseIp, type Ip } from './ip.js';
import { isObject, numberOf, parseJsonList, stringOf, stringsOf, type JsonObject } from './netns-json.js';

/** `ip -j -d address`: the devices with their addresses, in the kernel's order (which REDIRECT and MASQUERADE follow). */
export interface IpAddresses {
  readonly file: string;
  readonly devices: readonly IpDevice[];
  readonly problems: readonly ParseProblem[];
}

export interface IpDevice {
  readonly name: string;
  readonly index: number;
  readonly flags: readonly string[];
  readonly up: boolean;
  readonly kind: string | null;
  /** ARPHRD_* in the words of ip: "ether", "loopback", "none". */
  readonly linkType: string | null;
  /** `eth0@if5`: the index of the peer in another namespace; a peer in the same one is `link`. */
  readonly linkIndex: number | null;
  readonly link: string | null;
  readonly linkNetnsid: number | null;
  readonly mac: string | null;
  readonly mtu: number | null;
  readonly master: string | null;
  /** Device group number or name as printed ("default"). */
  readonly group: string | null;
  readonly addresses: readonly IpDeviceAddress[];
  readonly tunnel: { kind: string; id: number | null; remote: string | null; port: number | null } | null;
  readonly evidence: Evidence;
}

export interface IpDeviceAddress {
  readonly ip: Ip;
  readonly text: string;
  readonly prefix: number;
  readonly scope: string;
  readonly secondary: boolean;
  /** IPv6: not usable yet, or no more preferred. */
  readonly tentative: boolean;
  readonly deprecated: boolean;
  /** The other end of a point-to-point address: then the prefix is the peer's. */
  readonly peer: Ip | null;
}

export function parseIpAddresses(file: string, text: string): IpAddresses {
  const parsed = parseJsonList(text);
  if ('error' in parsed) return { file, devices: [], problems: [{ file, message: parsed.error }] };
  const devices: IpDevice[] = [];
  const problems: ParseProblem[] = [];
  parsed.list.forEach((item, index) => {
    const pointer = `/${index}`;
    const device = isObject(item) ? deviceOf(item, file, pointer) : null;
    // iproute2 pads its lists with empty objects when it filters
    if (device === null && !(isObject(item) && Object.keys(item).length === 0)) {
      problems.push({ file, pointer, message: 'not a device' });
    } else if (device !== null) devices.push(device);
  });
  return { file, devices, problems };
}

function deviceOf(item: JsonObject, file: string, pointer: string): IpDevice | null {
  const name = stringOf(item['ifname']);
  const index = numberOf(item['ifindex']);
  if (name === null || index === null) return null;
  const flags = stringsOf(item['flags']);
  const info = isObject(item['linkinfo']) ? item['linkinfo'] : {};
  const kind = stringOf(info['info_kind']);
  const data = isObject(info['info_data']) ? info['info_data'] : {};
  const list = Array.isArray(item['addr_info']) ? item['addr_info'].filter(isObject) : [];
  const addresses = list.map(addressOf).filter((address): address is IpDeviceAddress => address !== null);
  const tunnel =
    kind !== null && ['geneve', 'vxlan', 'gre', 'ipip', 'sit', 'wireguard'].includes(kind)
      ? {
          kind,
          id: numberOf(data['id']),
          remote: stringOf(data['remote']) ?? stringOf(data['remote6']),
          port: numberOf(data['port']),
        }
      : null;
  const shown = addresses.map((address) => `${address.text}/${address.prefix}`).join(' ');
  return {
    name,
    index,
    flags,
    up: flags.includes('UP'),
    kind,
    linkType: stringOf(item['link_type']),
    linkIndex: numberOf(item['link_index']),
    link: stringOf(item['link']),
    linkNetnsid: numberOf(item['link_netnsid']),
    mac: stringOf(item['address']),
    mtu: numberOf(item['mtu']),
    master: stringOf(item['master']),
    group: stringOf(item['group']),
    addresses,
    tunnel,
    evidence: { file, pointer, text: `${index}: ${name} <${flags.join(',')}> ${shown}`.trim() },
  };
}

function addressOf(item: JsonObject): IpDeviceAddress | null {
  const text = stringOf(item['local']);
  const ip = text === null ? null : parseIp(text);
  const prefix = numberOf(item['prefixlen']);
  if (text === null || ip === null || prefix === null) return null;
  const peer = stringOf(item['address']);
  return {
    ip,
    text,
    prefix,
    scope: stringOf(item['scope']) ?? 'global',
    secondary: item['secondary'] === true,
    tentative: item['tentative'] === true && item['optimistic'] !== true,
    deprecated: item['deprecated'] === true,
    peer: peer === null ? null : parseIp(peer),
  };
}
