import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';
import { all, nftables, several, to } from './battery.js';
import { each, IN, IN6, nft, OUT, raw, SENT, THROUGH, type KernelCase } from './case.js';

const MARK = 'meta mark set meta mark |';

/** Headers by their bits: those whose place says an address, the protocol or a port. */
const RAW = ['@nh,96,32 0x0af40101', '@nh,128,32 0x0a010005', '@nh,72,8 6', '@th,0,16 22573', '@th,16,16 443'];

/** Nobody here knows what stands there: other bits, or the same of another header. */
const OTHER_BITS = [
  '@nh,72,16 0x0600',
  '@nh,64,8 64',
  '@nh,32,32 5',
  '@nh,96,16 0x0af4',
  '@th,96,32 5',
  '@th,128,32 5',
  '@th,72,8 6',
  '@ll,96,32 0x08004500',
];

/** What a packet without such a header is asked for, each a rule that must pass it over. */
const FOREIGN: Readonly<Record<'ip' | 'ip6' | 'other', readonly string[]>> = {
  ip: [
    'ip protocol vmap { tcp : drop, udp : drop, icmpv6 : drop }',
    'ip hdrlength vmap { 0-15 : drop }',
    'ip version vmap { 4 : drop, 6 : drop }',
    'ip ttl vmap { 0-255 : drop }',
    'ip saddr vmap { 0.0.0.0-255.255.255.255 : drop }',
    'ip frag-off & 0x1fff == 0 drop',
    'ip frag-off & 0x1fff != 0 drop',
  ],
  ip6: [
    'ip6 nexthdr vmap { tcp : drop, udp : drop, icmp : drop }',
    'ip6 version vmap { 4 : drop, 6 : drop }',
    'ip6 hoplimit vmap { 0-255 : drop }',
    'ip6 saddr vmap { fd00::1-fd00::9 : drop, fe80::/10 : drop }',
  ],
  other: [
    'sctp dport vmap { 443 : drop, 8080 : drop }',
    'sctp sport vmap { 22573 : drop }',
    'dccp dport vmap { 443 : drop, 8080 : drop }',
    'udplite dport vmap { 443 : drop, 8080 : drop }',
    'jhash sctp dport mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash dccp dport mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash udplite dport mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash esp spi mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash ah spi mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash comp cpi mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash frag id mod 2 vmap { 0 : drop, 1 : drop }',
    'jhash igmp type mod 2 vmap { 0 : drop, 1 : drop }',
  ],
};
const PORTS = ['tcp dport', 'udp dport', 'icmp type', 'icmpv6 type', 'ip saddr', 'ip6 saddr'].map(
  (field) => `jhash ${field} mod 2 vmap { 0 : drop, 1 : drop }`,
);

/** Whether the packet has what is asked, only its sender knows. */
const UNTOLD = [
  'tcp option maxseg size 1460',
  'sctp chunk data tsn 5',
  'osf name "Linux"',
  'ether saddr 00:11:22:33:44:55',
  'meta iifgroup < 5',
  'oif < 100',
  'iif 1-99',
];

/** A table with sets, and rules of the PREROUTING hook. */
function changing(sets: readonly string[], rules: readonly string[]): Pick<Pieces, 'shell'> {
  const marked = rules.map((rule, at) => rule.replace('MARK', `${MARK} 0x${(2 ** at).toString(16)}`));
  const chain = `chain c { type filter hook prerouting priority -150; policy accept; ${marked.join('; ')}; }`;
  return { shell: [`nft 'table inet edges { ${sets.join('; ')}; ${chain}; }'`] };
}
const set = (name: string, words: string): string => `set ${name} { ${words}; }`;
const ONE = 'type ipv4_addr; flags dynamic; size 1';
const HOSTS: readonly Flow[] = [IN, { ...IN, src: '10.244.1.2' }, { ...IN, src: '10.244.1.3', protocol: 'udp' }, IN6];

/** To a socket of one address, of all, of both families, and to none. */
const SOCKETS: readonly Flow[] = [
  { ...IN, dst: '10.244.1.5', dport: 7070 },
  { ...IN, dport: 8080 },
  { ...IN, protocol: 'udp', dport: 53 },
  { ...IN6, dport: 80 },
  IN,
];

/** Expressions of nft that few programs write, and sets that a packet changes while it passes. */
export const NFT_EDGES: readonly KernelCase[] = [
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'headers by their bits',
    flows: [IN, { ...IN, protocol: 'udp' }, { ...IN, src: '10.244.1.5', dst: '10.1.0.77', dport: 80 }],
    tests: RAW.flatMap((test) => [test, test.replace(/ (?=\S+$)/, ' != ')]),
  }),
  ...[IN, IN6].flatMap((flow) =>
    each('bits that nobody knows', flow, [...OTHER_BITS, ...(flow === IN6 ? RAW.slice(0, 3) : [])], (test) =>
      raw(`${test} ${MARK} 1`),
    ),
  ),
  ...several('headers of IPv6 that IPv4 has not', all(IN), raw(...FOREIGN.ip6)),
  ...several('headers of IPv4 that IPv6 has not', all({ ...IN6, dport: 443 }), raw(...FOREIGN.ip)),
  ...several('headers that nobody sends', [...all(IN), ...all({ ...IN6, dport: 443 })], raw(...FOREIGN.other)),
  ...[...all(IN), ...all(IN6)].flatMap((flow) => each('a hash of a header', flow, PORTS, (rule) => raw(rule))),
  ...[...all(IN), ...all({ ...OUT, dport: 8080 })].flatMap((flow) =>
    each(`untold, ${flow.direction}`, flow, UNTOLD, (test) => raw(`${test} ${MARK} 1`)),
  ),
  ...several('frames of what is sent', [SENT, { ...SENT, protocol: 'udp' }], {
    nft: [
      nft('out_f', 'type filter hook output priority 0; policy accept;', 'ether saddr 00:00:00:00:00:00 drop'),
      nft('post_f', 'type filter hook postrouting priority 0; policy accept;', 'ether type ip drop'),
    ],
  }),
  ...[SENT, THROUGH].flatMap((flow) =>
    each(`devices by number, ${flow.direction}`, flow, ['oif < 100', 'oif 1-99', 'oif { eth1, 99 }'], (test) => ({
      nft: [nft('post_f', 'type filter hook postrouting priority 0; policy accept;', `${test} ${MARK} 1`)],
    })),
  ),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib by a part of a name, routers of a subnet',
    flows: [
      ...all(IN),
      ...to(IN6, 'fd00:1::', 'fd00:244:1::', 'fd00:1::5', 'ff02::1', 'fd00:96::7'),
      { ...IN6, src: 'fd00:1::' },
      { ...IN6, iif: 'eth1', src: 'fd00:244:1::' },
    ],
    tests: ['saddr', 'daddr', 'saddr . iif', 'daddr . iif'].flatMap((key) => [
      ...['eth*', 'e*', 'lo*', 'eth0'].map((name) => `fib ${key} oifname "${name}"`),
      `fib ${key} oifname { "eth*", "x" }`,
      ...['anycast', 'local', 'unicast', 'multicast'].map((type) => `fib ${key} type ${type}`),
    ]),
  }),
  ...several(
    'tuples of either family',
    [IN, IN6],
    raw(
      ...[
        'ct original ip6 saddr fd00:1::-fd00:1::ff',
        'ct original ip6 saddr != fd00:1::-fd00:1::ff',
        'ct original ip saddr 10.244.0.0-10.244.255.255',
        'ct reply ip daddr != 10.244.0.0-10.244.255.255',
        'ct original ip6 saddr { fd00:1::-fd00:1::ff, fe80::/10 }',
      ].map((test, at) => `${test} ${MARK} 0x${(2 ** at).toString(16)}`),
    ),
  ),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib of who sends to all',
    flows: ['eth0', 'eth1'].flatMap((iif) =>
      to({ ...IN, protocol: 'udp', dport: 53, iif, src: '10.244.1.77' }, '255.255.255.255', '224.0.0.1', '10.1.0.5'),
    ),
    tests: ['saddr', 'daddr', 'saddr . iif'].flatMap((key) => [
      `fib ${key} oif eth0`,
      `fib ${key} oif eth1`,
      `fib ${key} oif missing`,
    ]),
  }),
  ...['', 'notrack'].flatMap((first) =>
    several(`numbers of an echo, ${first}`, all(IN), {
      nft: [
        ...(first === '' ? [] : raw(first).nft),
        nft(
          'pre_m',
          'type filter hook prerouting priority -150; policy accept;',
          ...['original proto-src 0', 'original proto-src != 0', 'reply proto-src != 5', 'original proto-dst != 5'].map(
            (test, at) => `meta l4proto icmp ct ${test} ${MARK} 0x${(2 ** at).toString(16)}`,
          ),
        ),
      ],
    }),
  ),
  ...several(
    'marks of a connection that has a zone only',
    [...all(IN), IN6],
    raw(
      `ct zone set 6 ct mark & 0xff == 0 ${MARK} 0x1`,
      `ct mark & 0xff != 0 ${MARK} 0x2`,
      `ct mark 0 ${MARK} 0x4`,
      `ct mark & 0xff != 1 ${MARK} 0x8`,
    ),
  ),
  ...several('groups of devices that have a number', [IN, { ...IN, iif: 'eth1' }], {
    ...raw(
      `meta iifgroup 17 ${MARK} 0x1`,
      `meta iifgroup { 0, 17 } ${MARK} 0x2`,
      `meta iifgroup != 1 ${MARK} 0x4`,
      `meta iifgroup 170 ${MARK} 0x8`,
    ),
    shell: ['ip link set eth0 group 17; ip link set eth1 group 170'],
  }),
  ...several('numbers of groups are default again', [IN], {
    shell: ['ip link set eth0 group default; ip link set eth1 group default'],
  }),
  // each with rules of its own: a packet leaves in the sets what it put there
  ...HOSTS.flatMap((host) =>
    several(
      'sets that are full',
      [host],
      changing(
        [set('a', ONE), set('b', `${ONE}; elements = { 10.244.1.2 }`), set('c', ONE), set('d', ONE)],
        [
          'add @a { ip saddr } MARK',
          'add @a { ip daddr } MARK',
          'ip saddr @a MARK',
          'ip daddr @a MARK',
          'add @b { ip saddr } MARK',
          'ip saddr @b MARK',
          'add @c { ip saddr counter } MARK',
          'delete @c { ip saddr } MARK',
          'ip saddr @c MARK',
          'add @c { ip saddr } MARK',
          'delete @d { ip saddr } MARK',
          'add @d { ip daddr } MARK',
          'delete @b { ip saddr } MARK',
          'add @b { ip daddr } MARK',
          'ip daddr @b MARK',
          'delete @a { ip saddr } MARK',
          'add @a { ip saddr } MARK',
          'add @a { ip daddr } MARK',
        ],
      ),
    ),
  ),
  ...several(
    'keys that a packet has not, with and without a timeout',
    [...all(IN), ...all({ ...OUT, dport: 8080 }), IN6],
    changing(
      [
        set('p', 'type inet_service; flags dynamic; size 9'),
        set('t', 'type ipv4_addr; flags dynamic,timeout; size 9'),
        set('u', 'type uid; flags dynamic; size 9'),
        set('q', 'type inet_proto; flags dynamic; size 9'),
      ],
      [
        'add @p { udp dport } MARK',
        'add @p { tcp dport counter } MARK',
        'add @t { ip saddr timeout 1h } MARK',
        'ip saddr @t MARK',
        'update @t { ip daddr timeout 1h counter } MARK',
        'add @u { meta skuid } MARK',
        'delete @u { meta skuid } MARK',
        'delete @p { udp dport } MARK',
        'add @q { ip6 nexthdr } MARK',
        'add @q { ip protocol } MARK',
        'tcp dport @p MARK',
      ],
    ),
  ),
  ...each(
    'statements of sets and elements',
    IN,
    [
      'add @s { ip saddr limit rate 1/second } MARK',
      'add @s { ip saddr ct count 5 } MARK',
      'add @l { meta length } MARK',
      'add @l { meta length limit rate 1/second } MARK',
      'ip saddr @e MARK',
      'ip saddr != @e MARK',
      'ip daddr @e MARK',
      'add @m { ip saddr : 0x5 } meta mark set ip saddr map @m',
    ],
    (rule) =>
      changing(
        [
          set('s', 'type ipv4_addr; flags dynamic; size 9'),
          set('l', 'typeof meta length; flags dynamic; size 9'),
          set('e', 'type ipv4_addr; flags dynamic; elements = { 10.244.1.1 limit rate 1/second }'),
          'map m { type ipv4_addr : mark; flags dynamic; size 9; }',
        ],
        [rule],
      ),
  ),
  ...each(
    'what is counted beside',
    { ...IN, protocol: 'udp' },
    [
      'symhash mod 2 vmap { 0 : drop, 1 : accept }',
      'meta mark set symhash mod 1 offset 5',
      'numgen inc mod 2 vmap { 0 : drop }',
    ],
    (rule) => raw(rule),
  ),
  ...SOCKETS.flatMap((flow) =>
    each(
      'who listens',
      flow,
      ['socket wildcard 0', 'socket wildcard 1', 'socket wildcard != 0', 'socket mark 0', 'socket transparent 0'],
      (test) => raw(`${test} ${MARK} 1`),
    ),
  ),
];
