import type { Pieces } from '../generate.js';
import { several } from './battery.js';
import { each, IN, IN6, made, nft, OUT, SENT, THROUGH, type KernelCase } from './case.js';

const PRE = 'type filter hook prerouting priority -150; policy accept;';
const MAPS = [
  'meta mark set ip saddr map { 10.244.1.1 : 0x1, * : 0x5 }',
  'meta mark set ip saddr map { 10.244.9.1 : 0x1, * : 0x5 }',
  'ip saddr vmap { 10.244.1.1 : accept, * : drop }',
  'ip saddr vmap { 10.244.9.1 : accept, * : drop }',
  'ip saddr . tcp dport { 10.244.1.1 . 400-500 } meta mark set 0x1',
  'ip saddr . tcp dport { 10.244.1.2 . 400-500 } meta mark set 0x1',
  'ip saddr . tcp dport { 10.244.1.1 . 444-500 } meta mark set 0x1',
  'ip saddr . tcp dport { 10.244.0.0/16 . 443 } meta mark set 0x1',
  'ip saddr . tcp dport { 10.244.0.0/16 . 80 } meta mark set 0x1',
  'ip saddr . tcp dport vmap { 10.244.0.0/16 . 443 : drop, 10.1.0.0/16 . 80 : accept }',
  'ip saddr . tcp dport vmap { 10.244.2.0/24 . 443 : drop, 10.244.1.0/24 . 80 : drop }',
  'tcp dport vmap { 80-442 : drop, 444-500 : drop }',
  'tcp dport vmap { 443 : goto u1 }',
  'tcp dport vmap { 443 : jump u1 } meta mark set 0x8',
  'tcp dport vmap { 443 : return }',
  'tcp dport vmap { 443 : continue }',
  'tcp dport vmap { 1-442 : jump u1, 443-500 : goto u2 }',
  'ip saddr . ip daddr . tcp dport { 10.244.1.1 . 10.1.0.0/24 . 443 } meta mark set 0x2',
  'iifname . ip saddr { "eth0" . 10.244.0.0/16 } meta mark set 0x3',
  'ip saddr . ip daddr vmap { 10.244.1.1 . 10.1.0.5 : drop }',
  'meta l4proto . th dport { tcp . 443, udp . 53 } meta mark set 0x4',
  'meta l4proto . th dport vmap { udp . 443 : drop, tcp . 443 : accept }',
];
const AFTER = nft(
  'pre_z',
  'type filter hook prerouting priority -140; policy accept;',
  'meta mark 0 meta mark set 0x100',
);
const chains = (rule: string): Partial<Pieces> => ({
  nft: [
    nft('u1', '', 'meta mark set meta mark | 0x10'),
    nft('u2', '', 'return'),
    nft('pre_m', PRE, rule, 'meta mark set meta mark | 0x40'),
    AFTER,
  ],
});
const dormant = (flags: string): string =>
  `nft 'table ip sleeps { ${flags} chain c { type filter hook prerouting priority 10; policy accept; tcp dport 443 drop; }; }'`;
const VIA_MARK = [
  'ip route replace default via 10.1.0.1 dev eth1 table 102 proto 99',
  'ip rule add pref 600 fwmark 0x7 lookup 102',
  'ip -6 route replace default via fd00:1::1 dev eth1 table 102 proto 99',
  'ip -6 rule add pref 600 fwmark 0x7 lookup 102',
];

/** What is seldom written: stars in maps, dormant tables, policies without rules, marks that route. */
export const CORNERS: readonly KernelCase[] = [
  ...each('maps', IN, MAPS, chains),
  ...['flags dormant;', ''].map((flags) => made(`a table with flags "${flags}"`, IN, { shell: [dormant(flags)] })),
  ...['udp dport 443 accept', 'tcp dport 443 accept', 'meta l4proto udp drop', ''].flatMap((rule) =>
    (['tcp', 'udp', 'icmp'] as const).map((protocol) =>
      made(
        `policy drop, ${rule}, of ${protocol}`,
        { ...IN, protocol },
        { nft: [nft('in_f', 'type filter hook input priority 0; policy drop;', ...(rule === '' ? [] : [rule]))] },
      ),
    ),
  ),
  ...(['INPUT', 'OUTPUT', 'FORWARD'] as const).flatMap((hook) =>
    several(`policy DROP of ${hook}`, [IN, SENT, THROUGH], {
      policies: [`filter ${hook}`],
      rules4: [`filter ${hook} -p udp -j ACCEPT`],
    }),
  ),
  ...[
    'type route hook output priority -150',
    'type filter hook output priority -150',
    'type filter hook output priority 0',
    'type route hook output priority 10',
  ].flatMap((head) =>
    ['meta mark set 7', 'meta mark set 8', 'meta mark set 7 drop', 'meta mark set 7 accept'].flatMap((rule) => [
      made(
        `${head}: ${rule}`,
        { ...SENT, dst: '8.8.8.8' },
        { nft: [nft('out_m', `${head}; policy accept;`, rule)], shell: VIA_MARK },
      ),
      made(
        `${head} of IPv6: ${rule}`,
        { ...IN6, direction: 'out', iif: null, src: 'fd00:244:1::5', dst: '2001:db8::8' },
        { nft: [nft('out_m', `${head}; policy accept;`, rule)], shell: VIA_MARK },
      ),
    ]),
  ),
  ...['mangle OUTPUT', 'raw OUTPUT', 'filter OUTPUT', 'mangle POSTROUTING'].flatMap((chain) =>
    several(
      `${chain} sets a mark that routes`,
      [
        { ...SENT, dst: '8.8.8.8' },
        { ...SENT, src: '0.0.0.0', dst: '8.8.8.8' },
      ],
      {
        rules4: [`${chain.startsWith('filter') ? 'mangle OUTPUT -p udp' : chain} -j MARK --set-xmark 0x7/0xffffffff`],
        shell: VIA_MARK,
      },
    ),
  ),
  ...several('a redirect to lo, of what is sent', [OUT, SENT, { ...SENT, protocol: 'udp' }], {
    rules4: [
      'nat OUTPUT -p tcp -j REDIRECT --to-ports 8080',
      'nat OUTPUT -p udp -j DNAT --to-destination 10.1.0.77',
      'nat PREROUTING -j DNAT --to-destination 10.1.0.78',
    ],
  }),
];
