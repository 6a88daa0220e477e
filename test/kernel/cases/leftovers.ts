import { all, differ, nftables, several } from './battery.js';
import { each, IN, IN6, nft, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

const FIBS = [
  ...[
    'saddr',
    'daddr',
    'saddr . iif',
    'daddr . iif',
    'saddr . oif',
    'daddr . oif',
    'saddr . mark',
    'saddr . mark . oif',
  ].flatMap((key) => [
    ...differ(...['local', 'unicast', 'broadcast', 'blackhole'].map((type) => `fib ${key} type ${type}`)),
    ...['oif exists', 'oif missing', 'oifname "eth0"', 'oifname != "eth0"', 'oifname "eth1"', 'oifname "lo"'].map(
      (what) => `fib ${key} ${what}`,
    ),
  ]),
];
/** Neither a device behind the route nor, in OUTPUT, one before it can be asked for everywhere (nft_fib_validate). */
const NOT: Readonly<Record<string, RegExp>> = {
  forward: /oif oif/,
  input: /\. oif /,
  output: /iif|oif (?:exists|missing)|oifname|saddr.*oif/,
};
const allowed = (hook: string): readonly string[] => FIBS.filter((test) => NOT[hook]?.test(test) !== true);
const ROUTES = [
  'ip route replace 203.0.113.9 dev eth1 proto 99',
  'ip -6 route replace 2001:db8::29 dev eth1 proto 99',
  'ip route replace blackhole 203.0.113.5 proto 99',
  'ip -6 route replace blackhole 2001:db8::25 proto 99',
];
const MASKED = [
  'tcp dport & 0xff00 == 0x0100',
  'tcp dport & 0xff00 != 0x0100',
  'tcp dport & 0xff00 == 0x0200',
  'tcp sport & 0xf000 == 0x5000',
  'udp dport & 0xfff0 == 0x01b0',
  'udp sport & 0xf000 == 0x5000',
  'udp sport 22573',
  'udp sport != 22573',
  'ip protocol & 0xf0 == 0x10',
  'meta l4proto & 0xfc == 4',
  'ip saddr & 255.255.0.0 == 10.244.0.0',
  'ip6 saddr & ffff:ffff:: == fd00:1::',
  'ip6 saddr & ffff:: == fe80::',
  'ip6 daddr & ::ffff == ::5',
  'ip6 saddr fd00::/8',
  'ip6 saddr fd00:1::-fd00:1::ff',
  'ip6 saddr { fd00:1::/64, fe80::/10 }',
  'ip6 daddr . meta l4proto { fd00:1::5 . tcp }',
  'meta mark & 0xffff0000 == 0',
  'meta oifkind "veth"',
  'meta iifkind != "veth"',
  'oifname "eth1"',
  'oifname != "eth1"',
  'iifname . oifname { "eth0" . "eth1" }',
];
const ZONES = [
  'ct zone set 6',
  'ct original zone set 6',
  'ct reply zone set 6',
  'ct original zone set 6 ct reply zone set 7',
  'notrack ct zone set 6',
  'ct zone set 6 ct zone set 7',
  'ct zone set 6 notrack',
  'ct zone set tcp dport map { 443 : 6, 80 : 7 }',
  'ct zone set tcp dport map { 80 : 7 }',
];
const SEEN = nft(
  'in_f',
  'type filter hook input priority 0; policy accept;',
  'ct zone 6 meta mark set meta mark | 0x1',
  'ct original zone 6 meta mark set meta mark | 0x2',
  'ct reply zone 6 meta mark set meta mark | 0x4',
  'ct zone 7 meta mark set meta mark | 0x8',
  'ct original zone 7 meta mark set meta mark | 0x10',
  'ct reply zone 7 meta mark set meta mark | 0x20',
  'ct state untracked meta mark set meta mark | 0x40',
  'ct state new meta mark set meta mark | 0x80',
);
const REJECTS = [
  'reject',
  'reject with icmp host-unreachable',
  'reject with icmpv6 no-route',
  'reject with icmpx admin-prohibited',
  'meta l4proto tcp reject with tcp reset',
  'ip protocol tcp reject with tcp reset',
];

/** What mutants of the engine had survived: fib behind PREROUTING, masks, zones of one direction, refusals of nft. */
export const LEFTOVERS: readonly KernelCase[] = [
  ...nftables('fwd_m', 'type filter hook forward priority -150; policy accept;', {
    name: 'fib in FORWARD',
    flows: [
      THROUGH,
      { ...THROUGH, src: '203.0.113.9' },
      { ...THROUGH, iif: 'eth1', src: '10.1.0.77', dst: '10.244.1.9' },
      { ...THROUGH, iif: 'eth1', src: '10.244.1.9', dst: '203.0.113.9' },
      THROUGH6,
      { ...THROUGH6, src: '2001:db8::29' },
      { ...THROUGH6, iif: 'eth1', src: 'fd00:1::77', dst: 'fd00:244:1::9' },
    ],
    tests: allowed('forward'),
    pieces: { shell: ROUTES },
  }),
  ...nftables('in_m', 'type filter hook input priority -150; policy accept;', {
    name: 'fib in INPUT',
    flows: [
      IN,
      { ...IN, src: '203.0.113.9' },
      { ...IN, iif: 'eth1', src: '10.244.1.9' },
      IN6,
      { ...IN6, src: '2001:db8::29' },
      { ...IN6, iif: 'eth1', src: 'fd00:244:1::9' },
      { ...OUT, dport: 8080 },
    ],
    tests: allowed('input'),
    pieces: { shell: ROUTES },
  }),
  ...nftables('out_m', 'type filter hook output priority -150; policy accept;', {
    name: 'fib in OUTPUT',
    flows: [SENT, { ...SENT, dst: '203.0.113.9' }, OUT, { ...SENT, dst: '203.0.113.5' }],
    tests: allowed('output'),
    pieces: { shell: ROUTES },
  }),
  ...nftables('pre_m', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'masks of nft',
    flows: [...all(IN), ...all({ ...IN6, dport: 443 }), { ...IN6, src: 'fe80::77', dport: 443 }],
    tests: MASKED,
  }),
  ...nftables('fwd_m', 'type filter hook forward priority -150; policy accept;', {
    name: 'masks of nft in FORWARD',
    flows: [THROUGH, THROUGH6],
    tests: MASKED,
  }),
  ...ZONES.flatMap((rule) =>
    several(`zones of nft: ${rule}`, [IN, { ...IN, protocol: 'udp' }], {
      nft: [
        nft(
          'pre_raw',
          'type filter hook prerouting priority -300; policy accept;',
          ...rule.split(/(?<=\d|notrack) (?=ct|notrack)/),
        ),
        SEEN,
      ],
    }),
  ),
  ...ZONES.flatMap((rule) =>
    ['', 'notrack', 'ct zone set 7'].flatMap((before) =>
      several(`zones of nft over lo, ${before} and ${rule}`, [{ ...OUT, dport: 8080 }], {
        nft: [
          ...(before === '' ? [] : [nft('out_raw', 'type filter hook output priority -300; policy accept;', before)]),
          nft(
            'pre_raw',
            'type filter hook prerouting priority -300; policy accept;',
            ...rule.split(/(?<=\d|notrack) (?=ct|notrack)/),
          ),
          SEEN,
        ],
      }),
    ),
  ),
  ...(['in_f', 'fwd_f', 'out_f'] as const).flatMap((chain, at) =>
    [IN, THROUGH, SENT].slice(at, at + 1).flatMap((flow) =>
      [
        flow,
        { ...flow, protocol: 'udp' as const },
        {
          ...flow,
          src: flow.direction === 'out' ? 'fd00:244:1::5' : 'fd00:244:1::9',
          dst: flow.direction === 'out' ? '2001:db8::8' : at === 0 ? 'fd00:1::5' : 'fd00:1::77',
        },
      ].flatMap((one) =>
        each(`nft refuses in ${chain}`, one, REJECTS, (rule) => ({
          nft: [
            nft(chain, `type filter hook ${['input', 'forward', 'output'][at] ?? ''} priority 0; policy accept;`, rule),
          ],
          shell: ['ip rule add pref 600 ipproto icmp prohibit', 'ip -6 rule add pref 600 ipproto ipv6-icmp prohibit'],
        })),
      ),
    ),
  ),
];
