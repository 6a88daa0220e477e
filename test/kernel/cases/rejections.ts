import type { Flow } from '../bench.js';
import { several } from './battery.js';
import { IN, IN6, made, OUT, SENT, THROUGH, type KernelCase } from './case.js';

const REJECTS = [
  'INPUT -j REJECT',
  'INPUT -p tcp -j REJECT --reject-with tcp-reset',
  'FORWARD -j REJECT',
  'FORWARD -p tcp -j REJECT --reject-with tcp-reset',
  'OUTPUT -j REJECT',
  'OUTPUT -p tcp -j REJECT --reject-with tcp-reset',
];
const REJECTED: readonly Flow[] = [
  { ...IN, dport: 8080 },
  { ...IN, protocol: 'udp', dport: 53 },
  THROUGH,
  { ...IN, iif: 'eth1', src: '10.1.0.77', dst: '127.0.0.1', dport: 9090 },
  { ...IN, src: '203.0.113.9', dport: 8080 },
  { ...THROUGH, src: '203.0.113.9' },
  SENT,
  { ...OUT, dport: 8080 },
  { ...OUT, src: '127.0.0.1', dst: '127.0.0.1', dport: 9090 },
  { ...OUT, src: '0.0.0.0', dst: '8.8.8.8' },
  { ...IN, src: '10.244.1.9', dst: '203.0.113.10' },
];
const REJECTED6: readonly Flow[] = [
  { ...IN6, dport: 80 },
  { ...IN6, src: 'fe80::77', dport: 80 },
  { ...IN6, src: '::', dport: 80 },
  { ...IN6, src: 'fd00:244:1::9', dst: 'fd00:1::77' },
  { ...IN6, src: '2001:db8::9', dport: 80 },
  { ...IN6, src: '2001:db8::9', dst: 'fd00:1::77' },
  { ...IN6, direction: 'out', iif: null, src: 'fd00:1::5', dst: 'fd00:1::5' },
  { ...IN6, direction: 'out', iif: null, src: 'fd00:1::5', dst: '2001:db8::7' },
  { ...IN6, protocol: 'udp', src: 'fd00:244:1::9', dst: '2001:db8:1::10' },
];
const WAYS_BACK: readonly (readonly string[])[] = [
  [],
  ['sysctl -q -w net.ipv4.conf.eth1.route_localnet=1', 'ip route replace 10.1.0.77 dev eth0 proto 99'],
  ['ip rule add pref 500 to 203.0.113.9 prohibit', 'ip -6 rule add pref 500 to 2001:db8::9 prohibit'],
  ['ip route replace unreachable 203.0.113.9 proto 99', 'ip -6 route replace unreachable 2001:db8::9 proto 99'],
  [
    'sysctl -q -w net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth1.route_localnet=1',
    'ip route replace 203.0.113.9 dev eth1 src 10.1.0.5 proto 99',
    'ip -6 route replace 2001:db8::9 dev eth1 src fd00:1::5 proto 99',
    'ip rule add pref 500 from 10.244.1.5 blackhole',
    'ip -6 rule add pref 500 from fd00:244:1::5 blackhole',
  ],
  [
    'ip route replace local 203.0.113.10 dev lo proto 99',
    'ip -6 route replace local 2001:db8:1::10 dev lo proto 99',
    'ip rule add pref 501 iif lo to 10.244.1.1 blackhole',
    'ip rule add pref 502 ipproto icmp prohibit',
    'ip -6 rule add pref 502 ipproto tcp sport 80 prohibit',
  ],
];

/** From which address an error of IPv6 goes out: rules tell the ways of the addresses apart. */
const TO_ITSELF: readonly Flow[] = [
  { ...IN6, iif: 'eth1', src: '2001:db8::1', dst: 'fd00:1::77', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: 'fd00:1::77', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: '2001:db8:1::10', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: 'fd00:1::', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: 'fd00:244:1::', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: 'fd00:1::5', dport: 5353 },
  { ...IN6, src: '2001:db8::1', dst: 'fe80::5', dport: 5353 },
  { ...IN6, iif: 'eth1', src: '2001:db8::1', dst: 'fe80::5', dport: 5353 },
];
const BY_SOURCE: readonly string[] = [
  'not from fd00:1::/64 to 2001:db8::/64 prohibit',
  'not from fd00:244:1::/64 to 2001:db8::/64 prohibit',
  'from fd00:1:: to 2001:db8::/64 prohibit',
  'from 2001:db8:1::/64 to 2001:db8::/64 prohibit',
  'from ::1 to 2001:db8::/64 prohibit',
  'from fe80::5 to 2001:db8::/64 prohibit',
];

/** Whether the sender hears of it: REJECT, and the ways back. */
export const REJECTIONS: readonly KernelCase[] = [
  ...BY_SOURCE.flatMap((rule) =>
    ['INPUT -j REJECT', 'FORWARD -j REJECT'].flatMap((reject) =>
      several(`${reject}, ip -6 rule ${rule}`, TO_ITSELF, {
        rules6: ['nat PREROUTING -d fd00:1::77 -j DNAT --to-destination ::1', `filter ${reject}`],
        shell: [
          `ip -6 rule add pref 500 ${rule}`,
          'ip -6 route replace local 2001:db8:1::10 dev lo table local proto 99',
          'ip -6 addr add fe80::5/64 dev eth0 nodad',
        ],
      }),
    ),
  ),
  made('an error from ::1 is none of another device', TO_ITSELF[0] ?? IN6, {
    rules6: ['nat PREROUTING -d fd00:1::77 -j DNAT --to-destination ::1'],
    shell: ['ip -6 rule add pref 500 not from fd00:1::/64 prohibit'],
  }),
  ...WAYS_BACK.flatMap((shell, at) =>
    REJECTS.flatMap((rule) =>
      several(`${rule}, way back ${at}`, [...REJECTED, ...REJECTED6], {
        rules4: [`filter ${rule}`],
        rules6: [`filter ${rule}`],
        shell,
      }),
    ),
  ),
];
