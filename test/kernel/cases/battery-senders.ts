import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';
import { all, both, iptables, nftables } from './battery.js';
import { IN, IN6, OUT, SENT, THROUGH, type KernelCase } from './case.js';

const OWNERS = [
  ...both(
    '-m owner --uid-owner 1000',
    '-m owner --uid-owner 999-1000',
    '-m owner --uid-owner 1000-1001',
    '-m owner --uid-owner 1001-1002',
    '-m owner --uid-owner 0-4294967294',
    '-m owner --gid-owner 1000',
    '-m owner --gid-owner 999-1000',
    '-m owner --gid-owner 1000-1001',
    '-m owner --gid-owner 1001',
    '-m owner --socket-exists',
  ),
  '-m owner --uid-owner 1000 --gid-owner 1000',
  '-m owner --uid-owner 1000 --gid-owner 1001',
  '-m owner ! --uid-owner 1000 --gid-owner 1000',
  '-m owner --uid-owner 1000 ! --gid-owner 1000',
  '-m owner ! --uid-owner 0 ! --gid-owner 0',
  '-m owner --socket-exists --uid-owner 1000',
  '-m owner ! --socket-exists ! --uid-owner 0',
];

const RPFILTERS = [
  '',
  ' --loose',
  ' --validmark',
  ' --accept-local',
  ' --loose --accept-local',
  ' --validmark --loose',
  ' --accept-local --validmark',
].flatMap((options) => [`-m rpfilter${options}`, `-m rpfilter${options} --invert`]);
const SOURCES = [
  '10.244.1.9',
  '10.1.0.77',
  '10.244.1.5',
  '10.1.0.5',
  '203.0.113.5',
  '203.0.113.11',
  '203.0.113.12',
  '8.8.8.8',
  '0.0.0.0',
];
const SOURCES6 = [
  'fd00:244:1::9',
  'fd00:1::77',
  'fd00:244:1::5',
  'fd00:1::5',
  '2001:db8::5',
  '2001:db8::29',
  '2001:db8::11',
  '2001:db8::77',
  'fe80::77',
  '::',
  'fd00:1::',
];
const REVERSE: Partial<Pieces> = {
  shell: [
    'sysctl -q -w net.ipv4.conf.all.accept_local=1',
    'ip route replace blackhole 203.0.113.5 proto 99',
    'ip route replace 203.0.113.11 proto 99 nexthop via 10.244.1.1 dev eth0 nexthop via 10.1.0.1 dev eth1',
    'ip route replace 203.0.113.12 via 10.1.0.1 dev eth1 table 101 proto 99',
    'ip rule add pref 500 fwmark 0x40000000/0x40000000 lookup 101',
    'ip -6 route replace blackhole 2001:db8::5 proto 99',
    'ip -6 route replace 2001:db8::29 via fd00:1::1 dev eth1 metric 5 proto 99',
    'ip -6 route append 2001:db8::29 via fd00:244:1::1 dev eth0 metric 9 proto 99',
    'ip -6 route replace 2001:db8::11 via fd00:1::1 dev eth1 table 101 proto 99',
    'ip -6 rule add pref 500 fwmark 0x40000000/0x40000000 lookup 101',
  ],
};
const from = (flow: Flow, sources: readonly string[]): readonly Flow[] =>
  ['eth0', 'eth1'].flatMap((iif) =>
    sources.map((src) => ({
      ...flow,
      iif,
      src,
      dst: src === '0.0.0.0' ? '255.255.255.255' : flow.dst,
      protocol: src === '0.0.0.0' ? ('udp' as const) : flow.protocol,
      dport: src === '0.0.0.0' ? 53 : flow.dport,
    })),
  );

const SOCKETS = [
  '-m socket',
  '-m socket --nowildcard',
  '-m socket --transparent',
  '-m socket --transparent --nowildcard',
];
/** The sockets of nft are asked from another port: what waits for an answer would be found in place of the listener. */
const NFT_SOCKETS = ['socket transparent 1', 'socket transparent 0', 'socket wildcard 1', 'socket wildcard 0'];
const TARGETS: readonly Flow[] = [
  ...[8080, 7070, 9090, 15053, 443].flatMap((dport) =>
    ['10.244.1.5', '10.1.0.5', '10.1.0.77'].map((dst) => ({ ...IN, dst, dport })),
  ),
  ...[53, 5353, 9053, 443].map((dport) => ({ ...IN, protocol: 'udp' as const, dport })),
  { ...IN, protocol: 'icmp' },
];
const TARGETS6: readonly Flow[] = [80, 8080, 15053].flatMap((dport) =>
  ['fd00:1::5', 'fd00:1::77'].map((dst) => ({ ...IN6, dst, dport })),
);

/** Senders, ways back, and sockets. */
export const SENDERS: readonly KernelCase[] = [
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of who has no address',
    flows: ['224.0.0.1', '224.0.1.1', '255.255.255.255', '10.1.0.5'].map((dst) => ({
      ...IN,
      protocol: 'udp',
      src: '0.0.0.0',
      dst,
      dport: 53,
    })),
    tests: RPFILTERS,
  }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter where protocols have their own routes',
    flows: [...all({ ...IN6, src: '2001:db8::77' }), ...all({ ...IN6, iif: 'eth1', src: '2001:db8::77' })],
    tests: RPFILTERS,
    pieces: {
      shell: [
        'ip -6 route replace 2001:db8::77 via fd00:1::1 dev eth1 table 101 proto 99',
        'ip -6 rule add pref 500 ipproto tcp lookup 101',
      ],
    },
  }),
  ...iptables('mangle OUTPUT', {
    name: 'owners',
    flows: [...all({ ...OUT, dport: 8080 }), { ...OUT, uid: 0, gid: 33 }, { ...OUT, uid: 1337, gid: 1000 }],
    tests: OWNERS,
  }),
  ...iptables('mangle POSTROUTING', {
    name: 'owners of what passes',
    flows: [THROUGH, SENT, { ...OUT, dport: 8080 }],
    tests: OWNERS,
  }),
  ...iptables('raw PREROUTING', { name: 'rpfilter', flows: from(IN, SOURCES), tests: RPFILTERS, pieces: REVERSE }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of IPv6',
    flows: from(IN6, SOURCES6),
    tests: RPFILTERS,
    pieces: REVERSE,
  }),
  ...iptables('mangle PREROUTING', {
    name: 'rpfilter with a mark',
    flows: [...from(IN, ['10.244.1.9', '203.0.113.12']), { ...OUT, dport: 8080 }],
    tests: RPFILTERS,
    pieces: { ...REVERSE, rules4: ['raw PREROUTING -j MARK --set-xmark 0x40000000/0x40000000'] },
  }),
  ...iptables('mangle PREROUTING', {
    name: 'rpfilter of IPv6 with a mark',
    flows: from(IN6, ['fd00:244:1::9', '2001:db8::11']),
    tests: RPFILTERS,
    pieces: { ...REVERSE, rules6: ['raw PREROUTING -j MARK --set-xmark 0x40000000/0x40000000'] },
  }),
  ...iptables('mangle PREROUTING', { name: 'sockets', flows: TARGETS, tests: SOCKETS }),
  ...iptables('mangle PREROUTING', { name: 'sockets of IPv6', flows: TARGETS6, tests: SOCKETS }),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'sockets of nft',
    flows: [...TARGETS, ...TARGETS6].map((flow) => ({ ...flow, sport: 24001 })),
    tests: NFT_SOCKETS,
  }),
];
