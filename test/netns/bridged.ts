import { DEFAULT_RULES, deviceSettings, localRoute, type Files } from './netns-files.js';
import { asking } from './packets.js';

/** A machine whose pods sit on a bridge, and the first packet of a connection from one of them. */

interface DeviceLike {
  readonly ifname: string;
  readonly kind?: string;
  readonly master?: string;
  readonly local?: string;
}

/** `ip -j -d address` of devices that are up. */
export function devices(list: readonly DeviceLike[]): string {
  return JSON.stringify(
    list.map(({ ifname, kind, master, local }, at) => ({
      ifindex: at + 1,
      ifname,
      flags: ['UP'],
      ...(master === undefined ? {} : { master }),
      ...(kind === undefined ? {} : { linkinfo: { info_kind: kind } }),
      addr_info: local === undefined ? [] : [{ family: 'inet', local, prefixlen: 24, scope: 'global' }],
    })),
  );
}

export const BRIDGED: readonly DeviceLike[] = [
  { ifname: 'lo', local: '127.0.0.1' },
  { ifname: 'eth0', local: '10.0.0.5' },
  { ifname: 'cni0', kind: 'bridge', local: '10.244.1.1' },
  { ifname: 'veth1', kind: 'veth', master: 'cni0' },
];
export const settings = (names: readonly string[]): string =>
  `${deviceSettings(names, { forwarding: 1 })}net.ipv4.ip_forward = 1\n`;

export const FILES: Files = {
  'iptables-save.txt': '',
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    { dst: '10.0.0.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', flags: [] },
    { dst: '10.244.1.0/24', dev: 'cni0', protocol: 'kernel', scope: 'link', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
    localRoute('10.244.1.1', 'cni0'),
    localRoute('10.96.0.1', 'kube-ipvs0'),
  ]),
  'ip-address.json': devices(BRIDGED),
  'sysctl.txt': settings(['all', 'lo', 'eth0', 'cni0', 'veth1', 'lxc1']),
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:30080 0.0.0.0:*\n',
  'ipset-save.txt': 'create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd KUBE-NODE-PORT-TCP 30080\n',
};

export const POD = { iif: 'veth1', src: { ip: '10.244.1.9', port: 40000 } };
export const ask = asking(FILES, POD);
