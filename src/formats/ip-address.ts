import type { Evidence, ParseProblem } from './evidence.js';
import { parseIp, type Ip } from './ip.js';
import { Fields, isObject, parseJsonList, type JsonObject } from './netns-json.js';

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
    const device = isObject(item) ? deviceOf(item, file, pointer) : 'ifname';
    if (typeof device !== 'string') devices.push(device);
    else {
      const message = `a device without its "${device}", or with one that is not understood`;
      problems.push({ file, pointer, message });
    }
  });
  // the kernel makes lo with the namespace
  if (parsed.list.length === 0) problems.push({ file, message: 'a list without any device' });
  return { file, devices, problems };
}

/** The device, or which of its fields is not as print_linkinfo and print_addrinfo have it (iproute2 ip/ipaddress.c, v6.1). */
function deviceOf(item: JsonObject, file: string, pointer: string): IpDevice | string {
  const fields = new Fields(item);
  fields.require('ifname', 'ifindex', 'flags', 'addr_info');
  const name = fields.text('ifname') ?? '';
  const index = fields.number('ifindex') ?? 0;
  const flags = fields.words('flags');
  const info = new Fields(fields.object('linkinfo') ?? {});
  const kind = info.text('info_kind');
  const data = new Fields(info.object('info_data') ?? {});
  const addresses: IpDeviceAddress[] = [];
  for (const one of fields.objects('addr_info') ?? []) {
    const address = addressOf(new Fields(one));
    if (address === null) fields.reject('addr_info');
    else addresses.push(address);
  }
  const tunnel =
    kind !== null && ['geneve', 'vxlan', 'gre', 'ipip', 'sit', 'wireguard'].includes(kind)
      ? {
          kind,
          id: data.number('id'),
          remote: data.text('remote') ?? data.text('remote6'),
          port: data.number('port'),
        }
      : null;
  const shown = addresses.map((address) => `${address.text}/${address.prefix}`).join(' ');
  const device: IpDevice = {
    name,
    index,
    flags,
    up: flags.includes('UP'),
    kind,
    linkType: fields.text('link_type'),
    linkIndex: fields.number('link_index'),
    // print_linktype: null where there is an index of 0
    link: item['link'] === null ? null : fields.text('link'),
    linkNetnsid: fields.number('link_netnsid'),
    mac: fields.text('address'),
    mtu: fields.number('mtu'),
    master: fields.text('master'),
    group: fields.label('group'),
    addresses,
    tunnel,
    evidence: { file, pointer, text: `${index}: ${name} <${flags.join(',')}> ${shown}`.trim() },
  };
  return fields.odd ?? info.odd ?? data.odd ?? device;
}

function addressOf(fields: Fields): IpDeviceAddress | null {
  fields.require('scope');
  const text = fields.text('local');
  const ip = fields.parsed('local', parseIp);
  const prefix = fields.number('prefixlen');
  const address: Omit<IpDeviceAddress, 'ip' | 'text' | 'prefix'> = {
    scope: fields.label('scope') ?? 'global',
    secondary: fields.flag('secondary'),
    tentative: fields.flag('tentative') && !fields.flag('optimistic'),
    deprecated: fields.flag('deprecated'),
    peer: fields.parsed('address', parseIp),
  };
  if (text === null || ip === null || prefix === null || fields.odd !== null) return null;
  return { ip, text, prefix, ...address };
}
