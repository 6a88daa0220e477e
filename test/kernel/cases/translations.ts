import type { Pieces } from '../generate.js';
import { each, IN, made, nft, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

const DNAT6 = [
  '-j DNAT --to-destination [fd00:1::5]:80',
  '-j DNAT --to-destination fd00:1::5',
  '-j DNAT --to-destination [fd00:1::78-fd00:1::79]:80-90',
  '-j DNAT --to-destination fd00:1::78-fd00:1::79',
  '-j DNAT --to-destination [fd00:1::78]:80-90',
  '-j DNAT --to-destination :80',
  '-j REDIRECT --to-ports 80',
  '-j REDIRECT --to-ports 80-90',
  '-j REDIRECT',
  '-j DNAT --to-destination [fd00:1::78]:70-80/8000',
];
const SNAT6 = [
  '-j SNAT --to-source fd00:1::78',
  '-j SNAT --to-source [fd00:1::78]:2000',
  '-j SNAT --to-source fd00:1::70-fd00:1::72',
  '-j SNAT --to-source [fd00:1::70-fd00:1::72]:2000-3000',
  '-j SNAT --to-source :2000',
  '-j MASQUERADE',
  '-j MASQUERADE --to-ports 2000',
  '-j MASQUERADE --to-ports 2000-3000',
  '-j MASQUERADE --random',
  '-j NETMAP --to fd00:9::/64',
  '-j NETMAP --to fd00:9::/60',
];
const DNAT4 = [
  '-j DNAT --to-destination 10.1.0.78:80',
  '-j DNAT --to-destination 10.1.0.78',
  '-j DNAT --to-destination :80',
  '-j DNAT --to-destination :80-90',
  '-j DNAT --to-destination 10.1.0.78-10.1.0.80',
  '-j DNAT --to-destination 10.1.0.78-10.1.0.80 --persistent',
  '-j DNAT --to-destination 10.1.0.78:440-450',
  '-j DNAT --to-destination 10.1.0.78:443-450',
  '-j DNAT --to-destination 10.1.0.78:440-443',
  '-j DNAT --to-destination 10.1.0.78:80-82 --random',
  '-j REDIRECT',
  '-j REDIRECT --to-ports 80 --random',
  '-j REDIRECT --to-ports 440-443',
  '-j NETMAP --to 10.1.0.64/28',
  '-j NETMAP --to 10.1.0.78/32',
];
const SNAT4 = [
  '-j SNAT --to-source 10.1.0.78',
  '-j SNAT --to-source 10.1.0.78:2000',
  '-j SNAT --to-source :2000',
  '-j SNAT --to-source 10.1.0.78:22573-22580',
  '-j SNAT --to-source 10.1.0.78:22570-22573',
  '-j SNAT --to-source 10.1.0.78:22570-22580 --random',
  '-j SNAT --to-source 10.1.0.78 --random-fully',
  '-j SNAT --to-source 10.244.1.1-10.244.1.3',
  '-j SNAT --to-source 10.244.1.0-10.244.1.1',
  '-j SNAT --to-source 10.244.1.0-10.244.1.1:22573-22580',
  '-j SNAT --to-source 10.244.1.0-10.244.1.1:2000-2010',
  '-j MASQUERADE --random-fully',
  '-j MASQUERADE --to-ports 22573-22580',
  '-j MASQUERADE --to-ports 2000',
];
const NFT_DNAT = [
  'dnat ip to 10.1.0.78',
  'dnat ip to 10.1.0.78-10.1.0.80',
  'meta l4proto tcp dnat ip to 10.1.0.78:80',
  'meta l4proto tcp dnat ip to 10.1.0.78:80-90',
  'meta l4proto tcp dnat to :80',
  'dnat ip to ip daddr map { 10.1.0.77 : 10.1.0.79 }',
  'dnat ip to tcp dport map { 443 : 10.1.0.79, 80 : 10.1.0.80 }',
  'dnat ip to ip saddr . tcp dport map { 10.244.1.1 . 443 : 10.1.0.81 }',
  'dnat ip addr . port to tcp dport map { 443 : 10.1.0.82 . 8080 }',
  'dnat ip to numgen inc mod 1 map { 0 : 10.1.0.83 }',
  'dnat ip to jhash ip saddr mod 2 map { 0 : 10.1.0.83, 1 : 10.1.0.84 }',
  'dnat ip prefix to ip daddr map { 10.1.0.0/24 : 10.1.1.0/24 }',
  'meta l4proto tcp redirect to :80',
  'redirect',
  'meta l4proto tcp redirect to :80-90',
  'dnat ip6 to fd00:1::78',
  'meta l4proto tcp dnat ip6 to [fd00:1::78]:80',
  'meta l4proto tcp dnat ip6 to [fd00:1::78]-[fd00:1::79]',
  'meta l4proto { tcp, udp } dnat ip to 10.1.0.78:80',
  'dnat ip to 10.1.0.78 random',
  'dnat ip to 10.1.0.78-10.1.0.80 persistent',
  'meta l4proto tcp dnat ip to 10.1.0.78:80-82 random',
];
const NFT_SNAT = [
  'snat ip to 10.1.0.78',
  'snat ip to 10.1.0.78-10.1.0.80',
  'meta l4proto tcp snat ip to 10.1.0.78:2000',
  'meta l4proto tcp snat ip to 10.1.0.78:2000-2010',
  'meta l4proto tcp snat to :2000',
  'snat ip to ip saddr map { 10.244.1.1 : 10.1.0.79 }',
  'masquerade',
  'meta l4proto tcp masquerade to :2000',
  'meta l4proto tcp masquerade to :2000-2010',
  'masquerade random',
  'masquerade fully-random',
  'masquerade persistent',
  'snat ip6 to fd00:1::78',
  'snat ip prefix to ip saddr map { 10.244.1.0/24 : 10.1.1.0/24 }',
  'snat ip to 10.244.1.0-10.244.1.5',
  'meta l4proto tcp snat ip to 10.1.0.78:22570-22580',
  'snat ip to 10.1.0.78 fully-random',
];
const preNat = (rule: string): Partial<Pieces> => ({
  nft: [nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', rule)],
});
const postNat = (rule: string): Partial<Pieces> => ({
  nft: [nft('post_n', 'type nat hook postrouting priority 100; policy accept;', rule)],
});
const outNat = (rule: string): Partial<Pieces> => ({
  nft: [nft('out_n', 'type nat hook output priority -100; policy accept;', rule)],
});
const inNat = (rule: string): Partial<Pieces> => ({
  nft: [nft('in_n', 'type nat hook input priority 100; policy accept;', rule)],
});

/** DNAT, SNAT and their kin, of iptables and nft, in all that they can be written. */
export const TRANSLATIONS: readonly KernelCase[] = [
  ...(['tcp', 'icmp'] as const).flatMap((protocol) => [
    ...each('DNAT of IPv6', { ...THROUGH6, protocol }, DNAT6, (rule) => ({
      rules6: [`nat PREROUTING -p tcp ${rule}`],
    })),
    ...each('SNAT of IPv6', { ...THROUGH6, protocol }, SNAT6, (rule) => ({
      rules6: [
        `nat POSTROUTING ${/:\d+$|:\d+-\d+$|ports/.test(rule.replace(/fd00\S*::\w+(?=$|-)/g, '')) ? '-p tcp ' : ''}${rule}`,
      ],
    })),
    ...each('DNAT of nft', { ...THROUGH, protocol }, NFT_DNAT, preNat),
    ...each('SNAT of nft', { ...THROUGH, protocol }, NFT_SNAT, postNat),
  ]),
  ...each('DNAT', THROUGH, DNAT4, (rule) => ({ rules4: [`nat PREROUTING -p tcp ${rule}`] })),
  ...each('DNAT in OUTPUT', SENT, DNAT4, (rule) => ({ rules4: [`nat OUTPUT -p tcp ${rule}`] })),
  ...each('SNAT', THROUGH, SNAT4, (rule) => ({ rules4: [`nat POSTROUTING -p tcp ${rule}`] })),
  ...each('SNAT of what is sent', SENT, SNAT4, (rule) => ({ rules4: [`nat POSTROUTING -p tcp ${rule}`] })),
  ...each(
    'SNAT in INPUT',
    { ...IN, dport: 8080 },
    SNAT4.filter((rule) => rule.includes('SNAT')),
    (rule) => ({ rules4: [`nat INPUT -p tcp ${rule}`] }),
  ),
  ...each(
    'DNAT of nft to IPv6',
    THROUGH6,
    NFT_DNAT.filter((rule) => rule.includes('ip6') || rule.includes('redirect')),
    preNat,
  ),
  ...each(
    'SNAT of nft to IPv6',
    THROUGH6,
    NFT_SNAT.filter((rule) => rule.includes('ip6') || rule.includes('masquerade')),
    postNat,
  ),
  ...each('DNAT of nft in OUTPUT', SENT, NFT_DNAT, outNat),
  ...each(
    'SNAT of nft in INPUT',
    IN,
    NFT_SNAT.filter((rule) => rule.includes('snat')),
    inNat,
  ),
  ...each('NETMAP in INPUT', { ...IN, dport: 8080 }, ['-j NETMAP --to 10.9.0.0/24'], (rule) => ({
    rules4: [`nat INPUT ${rule}`],
  })),
  ...[
    '-m tcp --sport 1:1023',
    '-m tcp ! --sport 40000',
    '-m multiport --ports 1:1023,443',
    '-m multiport --ports 7',
    '-m set --match-set low src',
    '-m set --match-set low dst',
    '-m conntrack --ctrepldstport 1:1023',
    '-m conntrack --ctorigsrcport 1:1023',
  ].map((test) =>
    made(`a port that was drawn is asked for behind nat: ${test}`, OUT, {
      ipset: 'create low bitmap:port range 0-1023\nadd low 1-1023\n',
      rules4: [
        'nat POSTROUTING -p tcp -j MASQUERADE --random-fully',
        `mangle PREROUTING -p tcp ${test} -j MARK --set-mark 0x7`,
      ],
    }),
  ),
  ...[
    'tcp sport 1-1023',
    'th sport != 40000',
    'meta l4proto tcp ct reply proto-dst 1-1023',
    'meta l4proto tcp ct original proto-src 1-1023',
    'tcp dport 443',
  ].map((test) =>
    made(`a port that was drawn is asked for behind nat: ${test}`, OUT, {
      nft: [
        nft('post_n', 'type nat hook postrouting priority 100; policy accept;', 'masquerade fully-random'),
        nft('pre_f', 'type filter hook prerouting priority -150; policy accept;', `${test} meta mark set 0x7`),
      ],
    }),
  ),
];
