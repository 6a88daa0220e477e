import type { Packet } from '../../src/netns/face.js';
import { DEFAULT_RULES, device, deviceSettings, localRoute, type Files } from './netns-files.js';
import { asking } from './packets.js';

export { verdicts } from './packets.js';

/** A namespace of two devices, without rules. */
export const SYSCTLS = `${deviceSettings(['all', 'lo', 'eth0', 'eth1'])}net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n`;
export const FILES: Files = {
  'iptables-save.txt': '',
  'ip6tables-save.txt': '',
  'ip-rule.json': DEFAULT_RULES,
  'ip6-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    { dst: '10.1.0.0/24', dev: 'eth1', protocol: 'kernel', scope: 'link', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
    localRoute('10.0.0.6', 'eth0'),
  ]),
  'ip6-route.json': JSON.stringify([
    { dst: 'default', gateway: 'fd00::1', dev: 'eth0', metric: 1024, flags: [], pref: 'medium' },
    { dst: 'fd01::/64', dev: 'eth1', protocol: 'kernel', metric: 256, flags: [], pref: 'medium' },
    localRoute('fd00::5', 'eth0'),
    { type: 'multicast', dst: 'ff00::/8', dev: 'eth0', table: 'local', protocol: 'kernel', metric: 256, flags: [] },
  ]),
  'sysctl.txt': SYSCTLS,
  'sockets.txt':
    'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:15001 0.0.0.0:*\nLISTEN 0 128 10.0.0.5:7070 0.0.0.0:*\nUNCONN 0 0 0.0.0.0:53 0.0.0.0:*\nUNCONN 0 0 0.0.0.0:15053 0.0.0.0:*\n',
  'ip-address.json': JSON.stringify([
    device(1, 'lo'),
    device(2, 'eth0', '10.0.0.5', '10.0.0.6', 'fd00::5'),
    device(3, 'eth1', '10.1.0.5', 'fd01::5'),
  ]),
};

/** How the first packet of a connection ends, with the files and the packet as named and all else usual. */
export const ask = asking(FILES);

/** What a process here sends out of eth0. */
export const OUT: Partial<Packet> = {
  direction: 'out',
  iif: null,
  src: { ip: '10.0.0.5', port: 40000 },
  dst: { ip: '8.8.8.8', port: 443 },
};
