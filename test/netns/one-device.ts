import type { Packet } from '../../src/netns/face.js';
import { DEFAULT_RULES, device, deviceSettings, localRoute, type Files } from './netns-files.js';
import { asking } from './packets.js';

/** A namespace of one device beside lo, without rules, that forwards nothing. */
export const FILES: Files = {
  'iptables-save.txt': '',
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    { dst: '10.0.0.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '10.0.0.5', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
    localRoute('127.0.0.0/8', 'lo'),
  ]),
  'ip-address.json': JSON.stringify([
    {
      ifindex: 1,
      ifname: 'lo',
      flags: ['LOOPBACK', 'UP'],
      addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host' }],
    },
    device(2, 'eth0', '10.0.0.5'),
  ]),
  'sysctl.txt': `${deviceSettings(['all', 'lo', 'eth0'], { forwarding: 0 })}net.ipv4.ip_forward = 0\n`,
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:15006 0.0.0.0:*\n',
  'ipset-save.txt': 'create s hash:ip\nadd s 10.0.0.9\n',
};

/** How the first packet of a connection ends, with the files and the packet as named and all else usual. */
export const ask = asking(FILES);

/** What a process here sends. */
export const OUT: Partial<Packet> = {
  direction: 'out',
  iif: null,
  src: { ip: '10.0.0.5', port: 40000 },
  uid: 1000,
  gid: 1000,
};

/** DROP in INPUT where the match holds. */
export function dropping(match: string): Files {
  return { 'iptables-save.txt': `*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ${match} -j DROP\nCOMMIT\n` };
}
