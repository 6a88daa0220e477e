import type { Flow } from '../bench.js';
import { PROTOCOLS, several } from './battery.js';
import { SENT, THROUGH, type KernelCase } from './case.js';

const RULES = [
  'from 10.244.1.5',
  'from 10.1.0.0/24',
  'not from 10.244.1.0/24',
  'to 8.8.8.8',
  'not to 8.8.8.0/24',
  'iif lo',
  'iif eth0',
  'not iif eth0',
  'oif eth1',
  'fwmark 0x1',
  'fwmark 0x0/0x1',
  'not fwmark 0x1',
  'fwmark 0x2/0x3',
  'ipproto tcp',
  'ipproto icmp',
  'not ipproto udp',
  'sport 20000-40000',
  'sport 100-200',
  'dport 443',
  'dport 440-450',
  'dport 80',
  'not dport 443',
  'ipproto tcp dport 443',
  'ipproto udp dport 443',
  'uidrange 1000-1000',
  'uidrange 1001-2000',
  'uidrange 999-1001',
  'tos 0x10',
  'dsfield 0x10',
  'iif lo to 8.8.8.0/24 fwmark 0x1',
];
const ACTIONS = [
  'goto 700',
  'blackhole',
  'prohibit',
  'unreachable',
  'lookup 102 suppress_prefixlength 0',
  'lookup 102 suppress_prefixlength 8',
  'lookup 101',
  'nop',
  'lookup 102 suppress_ifgroup default',
  'to 8.8.4.0/24 goto 700',
  'goto 32766',
];
const RULED: readonly Flow[] = [
  ...PROTOCOLS.flatMap((protocol) =>
    ['10.244.1.5', '0.0.0.0'].map((src): Flow => ({ ...SENT, protocol, src, dst: '8.8.8.8' })),
  ),
  { ...SENT, src: '10.1.0.5', dst: '8.8.4.4', mark: 1, uid: 0 },
  { ...SENT, src: '0.0.0.0', dst: '8.8.4.4', mark: 3, uid: 1001, protocol: 'udp', dport: 80 },
  ...PROTOCOLS.map((protocol): Flow => ({ ...THROUGH, protocol, dst: '8.8.8.8' })),
];
const RULED6: readonly Flow[] = RULED.map((flow) => ({
  ...flow,
  src:
    flow.src === '0.0.0.0'
      ? '::'
      : flow.src === '10.1.0.5'
        ? 'fd00:1::5'
        : flow.direction === 'out'
          ? 'fd00:244:1::5'
          : 'fd00:244:1::9',
  dst: flow.dst === '8.8.8.8' ? '2001:db8::8' : '2001:db8:4::4',
}));
const six = (rule: string): string =>
  rule
    .replace('10.244.1.5', 'fd00:244:1::5')
    .replace('10.1.0.0/24', 'fd00:1::/64')
    .replace('10.244.1.0/24', 'fd00:244:1::/64')
    .replace('8.8.8.8', '2001:db8::8')
    .replace('8.8.8.0/24', '2001:db8::/64')
    .replace('8.8.4.0/24', '2001:db8:4::/64');
const TABLES = [
  'ip route replace default via 10.1.0.1 dev eth1 table 102 proto 99',
  'ip route replace throw default table 101 proto 99',
  'ip -6 route replace default via fd00:1::1 dev eth1 table 102 proto 99',
  'ip -6 route replace throw default table 101 proto 99',
];

/** Policy rules: what they ask, and what they do. */
export const POLICY_RULES: readonly KernelCase[] = [
  ...RULES.flatMap((rule) =>
    several(`ip rule ${rule}`, [...RULED, ...RULED6], {
      shell: [...TABLES, `ip rule add pref 600 ${rule} lookup 102`, `ip -6 rule add pref 600 ${six(rule)} lookup 102`],
    }),
  ),
  ...ACTIONS.flatMap((action) =>
    several(`ip rule add ${action}`, [...RULED.slice(0, 4), ...RULED6.slice(0, 4), ...RULED.slice(-2)], {
      shell: [
        ...TABLES,
        `ip rule add pref 600 ${action}`,
        `ip -6 rule add pref 600 ${six(action)}`,
        'ip rule add pref 650 to 8.8.8.0/24 lookup 102',
        'ip -6 rule add pref 650 to 2001:db8::/64 lookup 102',
        'ip rule add pref 710 to 8.8.4.0/24 lookup 102',
      ],
    }),
  ),
];
