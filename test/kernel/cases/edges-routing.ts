import type { Flow } from '../bench.js';
import { both, iptables, PROTOCOLS, several, to } from './battery.js';
import { IN, IN6, made, nft, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

const RPFILTERS = ['', ' --loose', ' --accept-local', ' --loose --accept-local'].flatMap((options) => [
  `-m rpfilter${options}`,
  `-m rpfilter${options} --invert`,
]);
const from = (flow: Flow, iifs: readonly string[], sources: readonly string[]): readonly Flow[] =>
  iifs.flatMap((iif) => sources.map((src) => ({ ...flow, iif, src })));

/** Routes of one destination in two lengths, two metrics, two tables. */
const WAYS6 = [
  'ip -6 route replace 2001:db8:a::/48 via fd00:244:1::1 dev eth0 proto 99',
  'ip -6 route replace 2001:db8:a:1::/64 via fd00:1::1 dev eth1 proto 99',
  'ip -6 route replace 2001:db8:b::/48 via fd00:1::1 dev eth1 metric 5 proto 99',
  'ip -6 route append 2001:db8:b::/48 via fd00:244:1::1 dev eth0 metric 9 proto 99',
  'ip -6 route replace 2001:db8:c::/48 via fd00:244:1::1 dev eth0 proto 99',
  'ip -6 route replace 2001:db8:c::/48 via fd00:1::1 dev eth1 table 101 proto 99',
  'ip -6 route replace blackhole 2001:db8:d::/48 proto 99',
  'ip -6 rule add pref 500 to 2001:db8:c::/48 lookup 101',
];
const SOURCES6 = ['a::9', 'a:1::9', 'b::9', 'c::9', 'd::9', 'e::9'].map((host) => `2001:db8:${host}`);

const REJECTED: Partial<KernelCase['pieces']> = {
  rules6: ['filter FORWARD -j REJECT', 'filter INPUT -j REJECT'],
};
/** To a host scope address of eth1, by a route that names no source. */
const HOST_SCOPE = [
  'ip addr add 10.77.0.5/24 dev eth1 scope host',
  'ip route replace 10.77.0.9 dev eth1 proto 99',
  'ip route replace 10.77.0.10 dev lo proto 99',
  'ip route replace 10.77.0.11 via 10.1.0.1 dev eth1 proto 99',
];
const FULL_LOOKUP = ['10.244.1.255', '10.244.1.5', '203.0.113.10', '203.0.113.13', '8.8.8.8'].map((src) => ({
  ...IN,
  src,
  dst: '10.244.3.3',
}));
const SPECIAL = [
  'ip route replace local 203.0.113.10 dev lo proto 99',
  'ip route replace blackhole 203.0.113.13 proto 99',
];

/** Ways back, sources that are looked up in full, errors that cannot be sent, and hooks at their priorities. */
export const ROUTING_EDGES: readonly KernelCase[] = [
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of IPv6 among several routes',
    flows: from(IN6, ['eth0', 'eth1'], [...SOURCES6, 'fe80::77', '::', 'fd00:1::5', 'fd00:244:1::5']),
    tests: RPFILTERS,
    pieces: { shell: WAYS6 },
  }),
  ...iptables('raw PREROUTING', {
    name: 'types of IPv6 addresses of the device',
    flows: [
      ...from(
        IN6,
        ['eth0', 'eth1'],
        ['fd00:1::5', 'fd00:244:1::5', 'fd00:1::77', '2001:db8:a::7', '2001:db8:a::8', '::'],
      ),
      ...to(IN6, 'fd00:1::5', 'fd00:244:1::5', '2001:db8:a::8', 'fd00:244:1::', 'fd00:1::', '2001:db8:a::6'),
    ],
    tests: [
      ...['LOCAL', 'ANYCAST', 'UNREACHABLE', 'UNICAST', 'LOCAL,UNREACHABLE', 'UNREACHABLE,ANYCAST'].flatMap((type) =>
        both(`-m addrtype --src-type ${type} --limit-iface-in`, `-m addrtype --dst-type ${type} --limit-iface-in`),
      ),
    ],
    pieces: {
      rules6: ['nat PREROUTING -p tcp -j DNAT --to-destination fd00:1::5'],
      shell: [
        'ip -6 route replace unreachable 2001:db8:a::8 proto 99',
        'ip -6 route replace prohibit 2001:db8:a::6 dev lo proto 99',
        'ip -6 route replace local 2001:db8:a::7 dev lo proto 99',
      ],
    },
  }),
  ...['fd00:244:1::5', 'fd00:1::5'].flatMap((source) =>
    several(
      `an IPv6 error whose way depends on its source: not from ${source}`,
      [
        { ...THROUGH6, src: '2001:db8::9' },
        { ...THROUGH6, src: '2001:db8::9', iif: 'eth1', dst: 'fd00:244:1::77' },
        { ...IN6, src: '2001:db8::9' },
        { ...IN6, src: '2001:db8::9', iif: 'eth1' },
      ],
      { ...REJECTED, shell: [`ip -6 rule add pref 500 from ${source} to 2001:db8::9 blackhole`] },
    ),
  ),
  ...['0', '1'].flatMap((six) =>
    ['0', '1'].flatMap((four) =>
      several(`fwmark_reflect ${four} of IPv4, ${six} of IPv6`, [IN, IN6], {
        rules4: ['mangle PREROUTING -j MARK --set-mark 7', 'filter INPUT -j REJECT'],
        rules6: ['mangle PREROUTING -j MARK --set-mark 7', 'filter INPUT -j REJECT'],
        shell: [
          `sysctl -q -w net.ipv4.fwmark_reflect=${four}`,
          `sysctl -q -w net.ipv6.fwmark_reflect=${six}`,
          'ip rule add pref 500 fwmark 7 to 10.244.1.1 unreachable',
          'ip -6 rule add pref 500 fwmark 7 to fd00:1::77 unreachable',
        ],
      }),
    ),
  ),
  ...[
    ['send_redirects=0', 'accept_local=0'],
    ['send_redirects=1', 'accept_local=0'],
    ['send_redirects=1', 'accept_local=1'],
    ['send_redirects=0', 'accept_local=1'],
  ].flatMap((settings) =>
    several(`sources of what leaves where it came, ${settings.join(', ')}`, FULL_LOOKUP, {
      shell: [
        ...settings.map((setting) => `sysctl -q -w net.ipv4.conf.eth0.${setting}`),
        ...settings.map((setting) => `sysctl -q -w net.ipv4.conf.all.${setting}`),
        ...SPECIAL,
      ],
    }),
  ),
  ...several('sources where there are local routes and no rules', FULL_LOOKUP, { shell: SPECIAL }),
  ...several('sources where there are rules and no local routes', FULL_LOOKUP, {
    shell: ['ip rule add pref 500 fwmark 0x99 lookup 101'],
  }),
  ...['lo', 'eth1', 'all', 'eth0'].flatMap((device) =>
    several(
      `sources of scope host, route_localnet of ${device}`,
      [
        ...to({ ...OUT, src: '0.0.0.0' }, '10.77.0.9', '10.77.0.10', '10.77.0.11', '10.77.0.12'),
        ...to({ ...SENT, src: '127.0.0.1' }, '8.8.8.8', '10.1.0.77', '10.244.1.9'),
      ],
      { shell: [...HOST_SCOPE, `sysctl -q -w net.ipv4.conf.${device}.route_localnet=1`] },
    ),
  ),
  ...several('masquerade with addresses of scope host', to(IN, '10.77.0.9', '10.77.0.11', '10.77.0.12'), {
    rules4: ['nat POSTROUTING -j MASQUERADE'],
    shell: [...HOST_SCOPE, 'sysctl -q -w net.ipv4.conf.eth1.route_localnet=1'],
  }),
  ...several(
    'a source of 127.0.0.0/8 that leaves',
    to({ ...SENT, src: '127.0.0.1' }, '8.8.8.8', '10.1.0.77', '10.1.0.5'),
    {},
  ),
  ...['--zone 5', '--notrack'].flatMap((first) =>
    ['OUTPUT', 'PREROUTING'].flatMap((chain) =>
      made(
        `CT ${first} in ${chain} of what goes over lo`,
        { ...OUT, dport: 8080 },
        {
          rules4: [
            `raw ${chain} -j CT ${first}`,
            'raw PREROUTING -j CT --notrack',
            'mangle PREROUTING -m conntrack --ctstate UNTRACKED -j MARK --set-xmark 1/1',
            'mangle PREROUTING -m conntrack --ctstate NEW -j MARK --set-xmark 2/2',
            'mangle OUTPUT -m conntrack --ctstate UNTRACKED -j MARK --set-xmark 4/4',
          ],
        },
      ),
    ),
  ),
  ...['--reject-with tcp-reset', '--reject-with icmp-port-unreachable'].flatMap((how) =>
    ['203.0.113.10', '10.1.0.5', '10.1.0.77'].map((dst) =>
      made(
        `rejected ${how}, to ${dst}`,
        { ...IN, dst },
        {
          rules4: [`filter INPUT -p tcp -j REJECT ${how}`, `filter FORWARD -p tcp -j REJECT ${how}`],
          shell: SPECIAL,
        },
      ),
    ),
  ),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of sources of the link and of groups',
    flows: from(IN6, ['eth0', 'eth1'], ['fe80::77', 'fe80::78', 'fe80::79']),
    tests: RPFILTERS,
    pieces: {
      shell: [
        'ip -6 route replace fe80::77/128 dev eth1 proto 99',
        'ip -6 route replace fe80::78/128 dev eth0 table 101 proto 99',
        'ip -6 rule add pref 500 to fe80::78 lookup 101',
        'ip -6 route replace blackhole fe80::79/128 proto 99',
      ],
    },
  }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of 0.0.0.0 to groups',
    flows: to(
      { ...IN, src: '0.0.0.0', protocol: 'udp', dport: 53 },
      '224.0.0.1',
      '224.0.0.251',
      '224.0.1.1',
      '239.1.1.1',
      '10.1.0.5',
      '255.255.255.255',
    ),
    tests: RPFILTERS,
  }),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of IPv4 where protocols have their own routes',
    flows: PROTOCOLS.flatMap((protocol) => from({ ...IN, protocol }, ['eth0', 'eth1'], ['203.0.113.20', '10.1.0.77'])),
    tests: RPFILTERS,
    pieces: {
      shell: [
        'ip route replace 203.0.113.20 via 10.1.0.1 dev eth1 table 101 proto 99',
        'ip rule add pref 500 ipproto tcp lookup 101',
      ],
    },
  }),
  ...iptables('raw PREROUTING', {
    name: 'addrtype of routes that refuse',
    flows: to(IN, '203.0.113.5', '203.0.113.6', '203.0.113.7', '203.0.113.13'),
    tests: ['BLACKHOLE', 'UNREACHABLE', 'PROHIBIT', 'UNICAST', 'BLACKHOLE,PROHIBIT'].flatMap((type) =>
      both(`-m addrtype --dst-type ${type}`),
    ),
    pieces: {
      rules4: ['nat PREROUTING -p tcp -j DNAT --to-destination 10.1.0.5'],
      shell: [
        'ip route replace blackhole 203.0.113.5 table local proto 99',
        'ip route replace unreachable 203.0.113.6 table local proto 99',
        'ip route replace prohibit 203.0.113.7 table local proto 99',
        ...SPECIAL,
      ],
    },
  }),
  ...several("iptables' nat among nft's filters", [IN, THROUGH, { ...OUT, dport: 8080 }, SENT], {
    rules4: [
      'nat PREROUTING -p tcp -d 10.1.0.5 -j DNAT --to-destination 10.1.0.78',
      'nat POSTROUTING -p tcp -j SNAT --to-source 10.1.0.9',
      'nat OUTPUT -p tcp -d 10.1.0.5 -j DNAT --to-destination 10.1.0.79',
      'nat INPUT -p tcp -j SNAT --to-source 10.1.0.8',
    ],
    nft: (['prerouting', 'output', 'postrouting', 'input'] as const).flatMap((hook, at) =>
      [-101, -99, 0, 99, 101].map((priority, which) =>
        nft(
          `${hook.slice(0, 3)}_${which}`,
          `type filter hook ${hook} priority ${priority}; policy accept;`,
          `ip ${hook === 'postrouting' || hook === 'input' ? 'saddr 10.1.0.8-10.1.0.9' : 'daddr 10.1.0.78-10.1.0.79'} meta mark set meta mark | 0x${(2 ** (at * 5 + which)).toString(16)}`,
        ),
      ),
    ),
  }),
];
