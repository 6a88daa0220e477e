import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';
import { both, differ, iptables, nftables } from './battery.js';
import { IN, IN6, type KernelCase } from './case.js';

/** Routes of main that give addresses their types; what is sent to them is translated, so that it arrives. */
const TYPED: Partial<Pieces> = {
  rules4: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.1.0.5'],
  rules6: ['nat PREROUTING -p tcp -j DNAT --to-destination fd00:1::5'],
  shell: [
    'ip route replace blackhole 203.0.113.5 proto 99',
    'ip route replace unreachable 203.0.113.6 proto 99',
    'ip route replace prohibit 203.0.113.7 proto 99',
    'ip route replace broadcast 203.0.113.8 dev eth0 proto 99',
    'ip route replace anycast 203.0.113.9 dev eth0 proto 99',
    'ip route replace throw 203.0.113.10 proto 99',
    'ip route replace 203.0.113.11 proto 99 nexthop dev eth0 nexthop dev eth1',
    'ip -6 route replace blackhole 2001:db8::5 proto 99',
    'ip -6 route replace unreachable 2001:db8::6 proto 99',
    'ip -6 route replace prohibit 2001:db8::7 proto 99',
    'ip -6 route replace anycast 2001:db8::9 dev eth0 proto 99',
    'ip -6 route replace throw 2001:db8::10 proto 99',
  ],
};
const ends = (at: string, flow: Flow, hosts: readonly string[]): readonly Flow[] =>
  hosts.map((host) => ({ ...flow, [at]: host }));
const HOSTS4 = [
  '10.1.0.5',
  '10.244.1.9',
  '10.244.1.255',
  '255.255.255.255',
  '239.1.1.1',
  ...[5, 6, 7, 8, 9, 10, 11].map((n) => `203.0.113.${n}`),
];
/** Who has no address yet. */
const UNSET: readonly Flow[] = ['255.255.255.255', '224.0.0.1', '224.0.1.1', '10.1.0.5'].map((dst) => ({
  ...IN,
  protocol: 'udp',
  src: '0.0.0.0',
  dst,
  dport: 53,
}));
const HOSTS6 = ['fd00:1::5', 'fd00:1::77', 'fe80::5', 'ff0e::1', ...[5, 6, 7, 9, 10].map((n) => `2001:db8::${n}`)];
const TYPES = [
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'UNSPEC',
  'THROW',
];
const typeTests = (names: readonly string[]): readonly string[] => [
  ...names.flatMap((type) => both(`-m addrtype --dst-type ${type}`)),
  ...names.flatMap((type) => both(`-m addrtype --src-type ${type}`)),
];
/** What ip6tables takes. */
const TYPES6 = ['UNICAST', 'LOCAL', 'ANYCAST', 'MULTICAST', 'UNREACHABLE', 'UNSPEC'];
const MORE_TYPES = [
  ...both(
    '-m addrtype --dst-type LOCAL --limit-iface-in',
    '-m addrtype --dst-type UNICAST --limit-iface-in',
    '-m addrtype --src-type LOCAL --limit-iface-in',
  ),
  ...both(
    '-m addrtype --dst-type LOCAL,UNICAST',
    '-m addrtype --dst-type LOCAL,ANYCAST',
    '-m addrtype --dst-type LOCAL,UNREACHABLE',
    '-m addrtype --src-type UNICAST,UNREACHABLE',
    '-m addrtype --src-type UNSPEC,UNICAST',
  ),
  '-m addrtype --src-type UNICAST --dst-type LOCAL',
  '-m addrtype ! --src-type UNICAST --dst-type LOCAL',
  '-m addrtype --src-type UNICAST ! --dst-type LOCAL',
];
const FIB_TYPES = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
];
const FIBS = [
  ...['saddr', 'daddr', 'daddr . iif', 'saddr . iif', 'daddr . mark'].flatMap((key) =>
    differ(...FIB_TYPES.map((type) => `fib ${key} type ${type}`)),
  ),
  ...['saddr', 'daddr', 'saddr . iif', 'saddr . mark', 'saddr . mark . iif', 'daddr . iif'].flatMap((key) => [
    `fib ${key} oif exists`,
    `fib ${key} oif missing`,
    `fib ${key} oifname "eth0"`,
    `fib ${key} oifname != "eth0"`,
    `fib ${key} oifname "eth1"`,
  ]),
];

/** The types of addresses, and where they lead. */
export const ADDRESS_TYPES: readonly KernelCase[] = [
  ...iptables('mangle PREROUTING', {
    name: 'types of IPv4 addresses',
    flows: [...ends('dst', IN, HOSTS4), ...ends('src', IN, HOSTS4), ...UNSET],
    tests: [...typeTests(TYPES), ...MORE_TYPES],
    pieces: TYPED,
  }),
  ...iptables('mangle PREROUTING', {
    name: 'types of IPv6 addresses',
    flows: [...ends('dst', IN6, HOSTS6), ...ends('src', IN6, HOSTS6)],
    tests: [...typeTests(TYPES6), ...MORE_TYPES],
    pieces: TYPED,
  }),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib of IPv4',
    flows: [...ends('dst', IN, HOSTS4), ...ends('src', IN, HOSTS4), ...UNSET],
    tests: FIBS,
    pieces: TYPED,
  }),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib of IPv6',
    flows: [...ends('dst', IN6, HOSTS6), ...ends('src', IN6, HOSTS6)],
    tests: FIBS,
    pieces: TYPED,
  }),
];
