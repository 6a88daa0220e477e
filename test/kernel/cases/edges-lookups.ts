import type { Flow } from '../bench.js';
import { both, differ, iptables, nftables, several, to } from './battery.js';
import { IN, IN6, nft, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

/** What look-ups are asked with: reverse paths, addresses of devices, routes by source, sources that nobody answers. */
const on = (flow: Flow, iifs: readonly string[], sources: readonly string[]): readonly Flow[] =>
  iifs.flatMap((iif) => sources.map((src) => ({ ...flow, iif, src })));

const BOTH = ['eth0', 'eth1'];
const RPFILTERS = ['', ' --loose', ' --accept-local'].flatMap((options) => [
  `-m rpfilter${options}`,
  `-m rpfilter${options} --invert`,
]);
const UDP: Flow = { ...IN, protocol: 'udp', dport: 5353 };
/** No error of it comes back: it reaches no socket that could refuse. */
const NOBODY = ['0.0.0.0', '224.0.0.9', '255.255.255.255', '10.244.1.255', '127.0.0.9', '8.8.8.8'];

export const LOOKUP_EDGES: readonly KernelCase[] = [
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of IPv4 among several routes',
    flows: on(IN, BOTH, ['203.0.113.9', '203.0.114.9', '203.0.115.9', '203.0.116.9', '198.51.100.9']),
    tests: [...RPFILTERS, '-m rpfilter --loose --accept-local', '-m rpfilter --validmark'],
    pieces: {
      shell: [
        'ip route replace 203.0.113.0/24 via 10.244.1.1 dev eth0 metric 5 proto 99',
        'ip route append 203.0.113.0/24 via 10.1.0.1 dev eth1 metric 9 proto 99',
        'ip route replace 203.0.114.0/24 proto 99 nexthop via 10.244.1.1 dev eth0 nexthop via 10.1.0.1 dev eth1',
        'ip route replace 203.0.115.0/24 via 10.1.0.1 dev eth1 proto 99',
        'ip route replace 203.0.115.9/32 via 10.244.1.1 dev eth0 proto 99',
        'ip route replace blackhole 203.0.116.0/24 proto 99',
        'ip route replace 198.51.100.0/24 via 10.1.0.1 dev eth1 table 101 proto 99',
        'ip rule add pref 500 to 198.51.100.0/24 lookup 101',
      ],
    },
  }),
  ...nftables('raw_f', 'type filter hook prerouting priority -300; policy accept;', {
    name: 'fib of sources with several next hops',
    flows: on(IN, BOTH, ['203.0.113.9', '203.0.114.9', '203.0.115.9']),
    tests: [
      ...['oif exists', 'oif missing', 'oif eth0', 'oif eth1'].flatMap((asked) => [
        `fib saddr . iif ${asked}`,
        `fib saddr ${asked}`,
      ]),
      'fib saddr . iif type unicast',
    ],
    pieces: {
      shell: [
        'ip route replace 203.0.113.0/24 via 10.1.0.1 dev eth1 proto 99',
        'ip route replace 203.0.114.0/24 proto 99 nexthop via 10.244.1.1 dev eth0 nexthop via 10.1.0.1 dev eth1',
      ],
    },
  }),
  ...several(
    'sources where a rule without a condition was added',
    ['10.244.1.255', '10.244.1.5', '203.0.113.10', '8.8.8.8'].map((src) => ({ ...IN, src, dst: '10.1.0.77' })),
    { shell: ['ip rule add pref 500 lookup 101'] },
  ),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of what goes to many, where rules ask for the source',
    flows: on(UDP, BOTH, ['10.244.1.1', '10.1.0.1', '0.0.0.0', '203.0.113.9']).flatMap((flow) =>
      to(flow, '224.0.0.1', '255.255.255.255', '10.244.1.5', '10.1.0.5'),
    ),
    tests: RPFILTERS,
    pieces: {
      shell: [
        'ip route replace default via 10.1.0.1 dev eth1 table 101 proto 99',
        'ip rule add pref 500 from 224.0.0.0/4 lookup 101',
        'ip rule add pref 501 from 255.255.255.255 lookup 101',
        'ip rule add pref 502 from 10.1.0.5 to 203.0.113.0/24 lookup 101',
      ],
    },
  }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of who has no address, before it goes to a group',
    flows: on(UDP, BOTH, ['0.0.0.0', '10.244.1.1', '10.1.0.1']),
    tests: RPFILTERS,
    pieces: { rules4: ['nat PREROUTING -d 10.1.0.5 -j DNAT --to-destination 224.0.0.1'] },
  }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of IPv6 where rules ask for the source',
    flows: on({ ...IN6, protocol: 'udp', dport: 5353 }, BOTH, ['2001:db8::9', 'fd00:1::77', 'fd00:244:1::9']).flatMap(
      (flow) => to(flow, 'fd00:1::5', 'fd00:244:1::5', 'ff02::1'),
    ),
    tests: [...RPFILTERS, '-m rpfilter --validmark'],
    pieces: {
      shell: [
        'ip -6 route replace default via fd00:1::1 dev eth1 table 101 proto 99',
        'ip -6 rule add pref 500 from fd00:1::5 lookup 101',
        'ip -6 rule add pref 501 from ff00::/8 lookup 101',
        'ip -6 route append 2001:db8::/32 from fd00:1::/64 dev eth1 proto 99',
      ],
    },
  }),
  ...iptables('raw PREROUTING', {
    name: 'local IPv6 addresses that only a route of the device makes so',
    flows: [
      ...on(IN6, BOTH, ['fd00:9::7', 'fd00:9:1::7', 'fd00:1::5']),
      ...BOTH.flatMap((iif) => to({ ...IN6, iif }, 'fd00:9::7', 'fd00:9:1::7', 'fd00:1::5', 'fd00:244:1::5')),
    ],
    tests: ['LOCAL', 'LOCAL,UNREACHABLE', 'UNICAST'].flatMap((type) =>
      both(
        `-m addrtype --src-type ${type} --limit-iface-in`,
        `-m addrtype --dst-type ${type} --limit-iface-in`,
        `-m addrtype --src-type ${type}`,
        `-m addrtype --dst-type ${type}`,
      ),
    ),
    pieces: {
      shell: [
        'ip -6 route replace local fd00:9::/64 dev eth1 table local proto 99',
        'ip -6 route replace local fd00:9:1::/64 dev lo table local proto 99',
        'ip -6 route replace fd00:9::7 dev eth1 table main proto 99',
      ],
    },
  }),
  ...['1', '2'].flatMap((order) =>
    several(
      `routes of IPv6 by source, added in order ${order}`,
      on(THROUGH6, ['eth0'], ['fd00:244:1::9', 'fd00:244:1::77', 'fd00:244:2::9', '2001:db8::9']).flatMap((flow) =>
        to(flow, '2001:db8:a::9', '2001:db8:b::9', '2001:db8:c::9'),
      ),
      {
        shell: ordered(order === '2', [
          'ip -6 route append 2001:db8:a::/48 from fd00:244::/32 dev eth0 proto 99',
          'ip -6 route append 2001:db8:a::/48 from fd00:244:1::/64 dev eth1 proto 99',
          'ip -6 route append blackhole 2001:db8:a::/48 from fd00:244:1::77/128 proto 99',
          'ip -6 route append 2001:db8:a::/48 dev eth1 proto 99',
          'ip -6 route append 2001:db8:b::/48 from fd00:244:1::/64 dev eth0 metric 7 proto 99',
          'ip -6 route append 2001:db8:b::/48 from fd00:244:1::/64 dev eth1 metric 3 proto 99',
          'ip -6 route append 2001:db8:b::/48 from fd00:244::/32 dev eth1 metric 1 proto 99',
          'ip -6 route append unreachable default from fd00:244:2::/64 metric 9 proto 99',
        ]),
      },
    ),
  ),
  ...several(
    'to the routers of a subnet, and to an anycast address that was added',
    to({ ...OUT, protocol: 'udp', src: 'fd00:1::5', dport: 5353 }, 'fd00:1::', 'fd00:244:1::', '2001:db8:a::1').flatMap(
      (flow): readonly Flow[] => [flow, { ...flow, protocol: 'icmp' }, { ...flow, src: '::' }],
    ),
    { shell: ['ip -6 route replace anycast 2001:db8:a::1 dev eth1 table local proto 99'] },
  ),
  ...['default', '5'].flatMap((group) =>
    several(
      `routes through devices of group ${group} are passed over`,
      [THROUGH, SENT, { ...SENT, dst: '10.1.0.77' }],
      {
        shell: [
          `ip rule add pref 100 lookup main suppress_ifgroup ${group}`,
          'ip route replace default via 10.1.0.1 dev eth1 table 101 proto 99',
          'ip rule add pref 200 lookup 101',
        ],
      },
    ),
  ),
  ...several(
    'who has no address, or that of many, is not told that it was rejected',
    [...on(IN, ['eth0'], NOBODY), ...on(UDP, ['eth0'], NOBODY)],
    { nft: [nft('pre_f', 'type filter hook prerouting priority 0; policy accept;', 'reject')] },
  ),
  ...several(
    'of what went to many, the route to its source says whether it was rejected',
    to(UDP, '10.244.1.255', '255.255.255.255', '224.0.0.1', '10.244.1.5'),
    { nft: [nft('pre_f', 'type filter hook prerouting priority 0; policy accept;', 'reject')] },
  ),
  ...several(
    'a broadcast address as source is told of a route that refuses',
    on(IN, ['eth0'], ['10.244.1.255', '10.244.1.1', '10.1.0.255']).map((flow) => ({ ...flow, dst: '203.0.113.13' })),
    { shell: ['ip route replace unreachable 203.0.113.13 proto 99'] },
  ),
  ...several('likewise by a RST', on(IN, ['eth0'], NOBODY), {
    nft: [
      nft('pre_f', 'type filter hook prerouting priority 0; policy accept;', 'meta l4proto tcp reject with tcp reset'),
    ],
  }),
  ...several(
    'what went to many is not rejected aloud',
    to(UDP, '10.244.1.255', '255.255.255.255', '224.0.0.1', '10.244.1.5').flatMap((flow): readonly Flow[] => [
      flow,
      { ...flow, protocol: 'icmp' },
    ]),
    { rules4: ['filter INPUT -j REJECT'] },
  ),
  ...several(
    'nor of IPv6',
    to({ ...IN6, protocol: 'udp', dport: 5353 }, 'ff02::1', 'fd00:1::5').flatMap((flow) => [
      flow,
      { ...flow, src: 'fe80::77' },
      { ...flow, src: '::' },
    ]),
    { rules6: ['filter INPUT -j REJECT'] },
  ),
  ...several(
    'an ICMP message is rejected aloud if it is no error',
    [
      [8, 0],
      [0, 0],
      [3, 3],
      [5, 0],
      [9, 0],
      [10, 0],
      [11, 0],
      [12, 0],
      [13, 0],
      [18, 0],
      [19, 0],
      [40, 0],
      [2, 0],
      [7, 0],
    ].map(([type, code]) => ({ ...IN, protocol: 'icmp', type: type ?? 0, code: code ?? 0 })),
    { rules4: ['filter INPUT -j REJECT'] },
  ),
  ...several(
    'an ICMPv6 message likewise',
    [
      [128, 0],
      [129, 0],
      [1, 4],
      [2, 0],
      [100, 0],
      [127, 0],
      [135, 0],
      [200, 0],
    ].map(([type, code]) => ({
      ...IN6,
      protocol: 'icmp',
      type: type ?? 0,
      code: code ?? 0,
    })),
    { rules6: ['filter INPUT -j REJECT'] },
  ),
  ...several(
    'what is sent to many is not rejected aloud',
    to({ ...SENT, protocol: 'udp', dport: 5353 }, '224.0.0.1', '239.1.1.1', '10.244.2.9').flatMap(
      (flow): readonly Flow[] => [flow, { ...flow, protocol: 'icmp' }],
    ),
    { rules4: ['filter OUTPUT -j REJECT'] },
  ),
  ...nftables('raw_f', 'type filter hook prerouting priority -250; policy accept;', {
    name: 'the mark of a connection before there is one',
    flows: [IN, THROUGH, { ...OUT, dport: 8080 }],
    tests: [...differ('ct mark 0', 'ct mark 5'), 'ct mark & 1 == 0', 'ct state new', 'ct state invalid'],
  }).flatMap((one) =>
    ['ct zone set 4', 'notrack', 'ct mark set 5'].map((rule) => ({
      ...one,
      name: `${one.name}, ${rule}`,
      pieces: {
        ...one.pieces,
        rules4: [
          'raw PREROUTING -m connmark --mark 0x0 -j MARK --set-xmark 0x10000/0x10000',
          'raw PREROUTING -m connmark ! --mark 0x0 -j MARK --set-xmark 0x20000/0x20000',
        ],
        nft: [nft('first', 'type filter hook prerouting priority -301; policy accept;', rule), ...one.pieces.nft],
      },
    })),
  ),
  ...several('groups of the sender beside its own', [SENT, { ...SENT, gid: 1001 }], {
    rules4: ['1000', '1001', '1002'].map(
      (gid, at) =>
        `mangle OUTPUT -m owner --gid-owner ${gid} --suppl-groups -j MARK --set-xmark 0x${2 ** at}/0x${2 ** at}`,
    ),
  }),
  ...iptables('mangle PREROUTING', {
    name: 'frames over lo',
    flows: to({ ...OUT, protocol: 'udp', src: '127.0.0.1', dport: 53 }, '127.0.0.1', '224.0.0.1'),
    tests: both('-m pkttype --pkt-type unicast', '-m pkttype --pkt-type broadcast', '-m pkttype --pkt-type multicast'),
    pieces: { shell: ['ip route replace 224.0.0.0/4 dev lo proto 99'] },
  }),
  ...['22573-22600', '22500-22573', '22574-22600', '22573'].flatMap((ports) =>
    several(`a source port at the edge of ${ports}`, [THROUGH, SENT], {
      rules4: [
        `nat POSTROUTING -p tcp -j SNAT --to-source 10.1.0.66:${ports}`,
        `mangle POSTROUTING -p tcp --sport ${ports.replace('-', ':')} -j MARK --set-mark 1`,
      ],
    }),
  ),
];

function ordered(backwards: boolean, lines: readonly string[]): readonly string[] {
  return backwards ? [...lines].reverse() : lines;
}
