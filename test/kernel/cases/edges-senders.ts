import { both, iptables, nftables, several, to } from './battery.js';
import { IN, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

/** Groups, sources that are chosen, routes that are looked up again, and tables that a rule parts. */
export const SENDER_EDGES: readonly KernelCase[] = [
  ...iptables('mangle OUTPUT', {
    name: 'types of frames that are sent',
    flows: ['224.0.0.5', '10.244.2.9'].map((dst) => ({
      ...SENT,
      protocol: 'udp' as const,
      dst,
    })),
    tests: ['unicast', 'broadcast', 'multicast'].flatMap((type) => both(`-m pkttype --pkt-type ${type}`)),
  }),
  ...several(
    'to many, rerouted by its mark',
    ['10.1.0.5', '10.244.1.5', '172.18.0.3'].flatMap((src) =>
      to({ ...SENT, protocol: 'udp', src }, '224.0.0.5', '239.1.1.1'),
    ),
    { rules4: ['mangle OUTPUT -j MARK --set-mark 1'] },
  ),
  ...several(
    'TCP to what cannot be reached, with a source that could be',
    ['203.0.113.13', '203.0.113.14', '203.0.113.15'].map((dst) => ({ ...OUT, src: '0.0.0.0', dst })),
    {
      shell: [
        'ip route replace unreachable 203.0.113.13 src 10.1.0.5 proto 99',
        'ip route replace prohibit 203.0.113.14 src 10.1.0.5 proto 99',
        'ip route replace blackhole 203.0.113.15 src 10.1.0.5 proto 99',
        'ip route replace default via 10.244.1.1 dev eth0 table 101 proto 99',
        'ip rule add pref 500 from 10.1.0.5 lookup 101',
      ],
    },
  ),
  ...[1000, 1001].flatMap((uid) =>
    several(
      `IPv6, rerouted by its mark, of the user ${uid}`,
      (['tcp', 'udp', 'icmp'] as const).map((protocol) => ({
        ...OUT,
        protocol,
        uid,
        src: 'fd00:244:1::5',
        dst: '2001:db8::9',
      })),
      {
        rules6: ['mangle OUTPUT -j MARK --set-mark 1'],
        shell: [
          'ip -6 route replace default via fd00:1::1 dev eth1 table 101 proto 99',
          'ip -6 rule add pref 500 fwmark 1 uidrange 1000-1000 lookup 101',
        ],
      },
    ),
  ),
  // a rule of the usual priority and table that is no usual one parts the tables
  ...[
    'from 10.9.0.0/16',
    'to 10.9.0.0/16',
    'iif eth1',
    'oif eth1',
    'fwmark 0x99',
    'uidrange 7-7',
    'ipproto udp sport 1',
    'ipproto tcp dport 1',
    'not from 10.0.0.0/8 fwmark 0x99',
    'suppress_prefixlength 0',
  ].flatMap((words) =>
    several(
      `main looked up twice, once with ${words}`,
      [
        { ...THROUGH, dst: '203.0.113.7' },
        { ...THROUGH, dst: '203.0.113.8' },
      ],
      {
        shell: [
          'ip route replace local 203.0.113.0/24 dev lo proto 99',
          'ip route replace 203.0.113.7 via 10.1.0.1 dev eth1 proto 99',
          `ip rule add pref 32766 ${words} lookup main`,
        ],
      },
    ),
  ),
  ...nftables('pre_f', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib of who has no address',
    flows: ['eth0', 'eth1'].flatMap((iif) =>
      ['0.0.0.0', '10.244.1.77'].flatMap((src) =>
        to(
          { ...IN, protocol: 'udp', dport: 53, iif, src },
          '255.255.255.255',
          '224.0.0.1',
          '239.1.1.1',
          '10.244.1.255',
          '10.1.0.5',
        ),
      ),
    ),
    tests: ['saddr', 'saddr . iif', 'daddr', 'daddr . iif'].flatMap((what) => [
      `fib ${what} oif eth0`,
      `fib ${what} oif eth1`,
      `fib ${what} oif 0`,
    ]),
  }),
  ...[
    ['all', 'eth0'],
    ['all', 'eth1'],
    ['eth1', 'all'],
    ['', 'all'],
  ].flatMap(([on = '', off = '']) =>
    several(
      `127.0.0.0/8 and addresses of scope host, routed by ${on === '' ? 'none' : on}`,
      [
        ...['10.77.0.9', '10.77.0.11', '10.244.2.9'].map((dst) => ({ ...OUT, src: '0.0.0.0', dst })),
        { ...OUT, src: '127.0.0.1', dst: '10.244.2.9' },
        { ...IN, src: '10.244.1.9', dst: '127.0.0.1', dport: 9090 },
      ],
      {
        shell: [
          `sysctl -q -w net.ipv4.conf.${off}.route_localnet=0`,
          'sysctl -q -w net.ipv4.conf.eth0.route_localnet=0',
          'sysctl -q -w net.ipv4.conf.eth1.route_localnet=0',
          ...(on === '' ? [] : [`sysctl -q -w net.ipv4.conf.${on}.route_localnet=1`]),
          'ip addr add 10.77.0.5/24 dev eth1 scope host',
          'ip route replace 10.77.0.9 dev eth1 proto 99',
          'ip route replace 10.77.0.11 via 10.1.0.1 dev eth1 proto 99',
        ],
      },
    ),
  ),
  ...['1', '2', '0'].flatMap((filter) =>
    several(
      `the way back of what went to many, rp_filter ${filter}`,
      ['eth0', 'eth1'].flatMap((iif) =>
        ['10.244.1.77', '10.1.0.77'].flatMap((src) =>
          to(
            { ...IN, protocol: 'udp', dport: 53, iif, src },
            '224.0.0.1',
            '255.255.255.255',
            '10.244.1.255',
            '10.1.0.5',
          ),
        ),
      ),
      {
        shell: [
          `sysctl -q -w net.ipv4.conf.eth0.rp_filter=${filter} net.ipv4.conf.eth1.rp_filter=${filter}`,
          'sysctl -q -w net.ipv4.conf.all.rp_filter=0',
          'ip rule add pref 500 from 224.0.0.0/4 to 10.244.1.77 unreachable',
          'ip rule add pref 501 from 255.255.255.255 to 10.244.1.77 unreachable',
          'ip rule add pref 502 from 10.244.1.255 to 10.0.0.0/8 unreachable',
          'ip rule add pref 503 from 10.1.0.5 to 10.1.0.77 unreachable',
        ],
      },
    ),
  ),
  ...['1', '2', '0'].flatMap((filter) =>
    several(
      `who has no address asks a group, rp_filter ${filter}`,
      to({ ...IN, protocol: 'udp', dport: 53, src: '0.0.0.0' }, '224.0.0.1', '255.255.255.255'),
      { shell: [`sysctl -q -w net.ipv4.conf.eth0.rp_filter=${filter}`, `sysctl -q -w net.ipv4.conf.all.rp_filter=0`] },
    ),
  ),
  ...iptables('mangle OUTPUT', {
    name: 'supplementary groups of the sender',
    flows: [
      { ...SENT, gid: 1000 },
      { ...SENT, gid: 1 },
    ],
    tests: [
      ...both('-m owner --gid-owner 1000 --suppl-groups'),
      ...both('-m owner --gid-owner 1000-1003 --suppl-groups', '-m owner --gid-owner 1000'),
    ],
  }),
  ...['eth0', 'eth1'].flatMap((iif) =>
    nftables('fwd_g', 'type filter hook forward priority 0; policy accept;', {
      name: 'groups of devices, and devices of a VRF',
      flows: [{ ...THROUGH, iif, dst: iif === 'eth0' ? '10.1.0.77' : '10.244.1.77' }],
      tests: ['iifgroup', 'oifgroup'].flatMap((key) => [
        `meta ${key} 0`,
        `meta ${key} default`,
        `meta ${key} 7`,
        `meta ${key} != 7`,
        `meta ${key} { 7, 9 }`,
      ]),
      pieces: { shell: ['ip link set eth1 group 7'] },
    }),
  ),
  ...several('groups of devices are default again', [IN], { shell: ['ip link set eth1 group default'] }),
  ...several(
    'IPv6 routes by source, with metrics',
    ['fd00:244:1::9', 'fd00:244:2::9', 'fd00:1::77'].map((src) => ({ ...THROUGH6, src, dst: '2001:db8:a::9' })),
    {
      shell: [
        'ip -6 route replace 2001:db8:a::/48 from fd00:244:1::/64 via fd00:244:1::1 dev eth0 metric 9 proto 99',
        'ip -6 route append 2001:db8:a::/48 from fd00:244:1::/64 via fd00:1::1 dev eth1 metric 5 proto 99',
        'ip -6 route append 2001:db8:a::/48 from fd00:244::/32 via fd00:1::1 dev eth1 metric 9 proto 99',
        'ip -6 route append 2001:db8:a::/48 from fd00:244::/32 via fd00:244:1::1 dev eth0 metric 7 proto 99',
      ],
    },
  ),
];
