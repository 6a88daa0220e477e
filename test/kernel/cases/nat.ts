import { IN, IN6, OUT, made, nft, outNat, type KernelCase } from './case.js';

/** Addresses and ports that are rewritten; TPROXY. */
export const NAT: readonly KernelCase[] = [
  made(
    'a redirect to a map without the port',
    OUT,
    outNat('meta l4proto tcp redirect to tcp dport map { 80 : 15006 }'),
  ),
  made('a redirect to a map with the port', OUT, outNat('meta l4proto tcp redirect to tcp dport map { 443 : 8080 }')),
  made(
    'masquerade takes the address on the link of the gateway',
    { ...IN, dst: '203.0.113.5' },
    {
      rules4: ['nat POSTROUTING -j MASQUERADE'],
      shell: ['ip addr add 10.96.7.7/12 dev eth1', 'ip route replace 203.0.113.0/24 via 10.96.0.1 dev eth1 proto 99'],
    },
  ),
  made(
    'TPROXY without an address: the first of the device',
    { ...IN, dst: '8.8.8.8', dport: 7070 },
    {
      rules4: ['mangle PREROUTING -p tcp -j TPROXY --on-port 7070 --on-ip 0.0.0.0 --tproxy-mark 0x1'],
      shell: ['ip route replace local default dev lo table 100 proto 99', 'ip rule add pref 100 fwmark 1 lookup 100'],
    },
  ),
  made(
    'the security table of iptables-nft stands after nat INPUT',
    { ...IN, src: '203.0.113.5', dst: '10.244.1.5', dport: 15008 },
    { rules4: ['security INPUT ! -s 10.0.0.0/8 -j DROP', 'nat INPUT -j SNAT --to-source 10.1.0.77'] },
  ),
  ...[443, 8000, 8080, 8085, 8090].flatMap((dport) =>
    [
      '-j REDIRECT --to-ports 8080-8090',
      '-j DNAT --to-destination 10.1.0.78:8080-8090',
      '-j DNAT --to-destination 10.1.0.78:8080-8090/8000',
      '-j DNAT --to-destination 10.1.0.78-10.1.0.79:8080-8081 --random',
    ].map((target) =>
      made(
        `port ${dport}, ${target}`,
        { ...IN, src: '10.244.1.9', dst: '10.1.0.77', dport },
        { rules4: [`nat PREROUTING -p tcp ${target}`] },
      ),
    ),
  ),
  ...(['10.244.1.9', '10.1.0.71', '0.0.0.0'] as const).flatMap((src) =>
    [
      '-j SNAT --to-source 10.1.0.70-10.1.0.72',
      '-j SNAT --to-source 10.1.0.70-10.1.0.72 --random',
      '-j SNAT --to-source 10.1.0.70-10.1.0.72:20000-30000',
      '-j SNAT --to-source 10.1.0.70-10.1.0.72:4000-5000',
      '-j MASQUERADE --to-ports 20000-30000',
      '-j MASQUERADE --to-ports 4000-5000',
      '-j NETMAP --to 10.9.0.0/24',
    ].map((target) =>
      made(
        `from ${src}, ${target}`,
        { ...IN, src, dst: '10.1.0.77' },
        { rules4: [`nat POSTROUTING -p tcp ${target}`] },
      ),
    ),
  ),
  ...['fd00:1::77', 'fe80::77', 'fec0::7', 'ff01::5', 'ff02::5', 'ff05::5', 'ff08::5', 'ff0e::5'].map((dst) =>
    made(
      `a redirect of IPv6 takes an address of the scope of ${dst}`,
      { ...IN6, src: 'fd00:244:1::9', dst },
      {
        nft: [
          nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', 'meta l4proto tcp redirect to :8080'),
        ],
        shell: ['ip -6 addr add fec0::7/64 dev eth0 nodad'],
      },
    ),
  ),
  ...[
    'dnat ip prefix to ip daddr map { 10.1.0.0/24 : 10.244.2.0/24, 10.3.0.0/16 : 10.4.0.0/16 }',
    'dnat ip prefix to ip daddr map { 10.3.0.0/16 : 10.4.0.0/16 }',
    'dnat ip prefix to ip daddr map { 10.1.0.5/32 : 10.244.2.9/32 }',
    'dnat ip prefix to ip saddr map { 10.244.0.0/16 : 10.244.0.0/24 }',
    'dnat ip prefix to 10.244.2.0/24',
    'dnat ip to ip daddr map { 10.1.0.5 : 10.244.2.1-10.244.2.3 }',
    'meta l4proto tcp dnat ip to ip daddr map { 10.1.0.5 : 10.244.2.1 . 90-91 }',
    'meta l4proto tcp dnat ip to ip daddr . tcp dport map { 10.1.0.0/24 . 1-999 : 10.244.2.1 . 90 }',
  ].map((rule) =>
    made(rule, IN, { nft: [nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', rule)] }),
  ),
  ...['fd00:1::/64 : fd00:244:1::/64', 'fd00:1::5/128 : fd00:1::4/128', 'fd00:1::4/127 : fd00:1::76/127'].map((pair) =>
    made(`dnat ip6 prefix to a map, ${pair}`, IN6, {
      nft: [
        nft(
          'pre_n',
          'type nat hook prerouting priority -100; policy accept;',
          `dnat ip6 prefix to ip6 daddr map { ${pair} }`,
        ),
      ],
    }),
  ),
  ...[
    'snat ip prefix to ip saddr map { 10.244.1.0/24 : 172.18.5.0/24 }',
    'snat ip prefix to 172.18.5.0/24',
    'snat ip to ip saddr map { 10.244.1.1 : 172.18.5.5-172.18.5.6 }',
    'meta l4proto tcp snat ip to ip saddr map { 10.244.1.1 : 172.18.5.5 . 20000-30000 }',
    'meta l4proto tcp snat ip to ip saddr map { 10.244.1.1 : 172.18.5.5 . 80-81 }',
  ].map((rule) =>
    made(
      rule,
      { ...IN, dst: '10.1.0.77' },
      { nft: [nft('post_n', 'type nat hook postrouting priority 100; policy accept;', rule)] },
    ),
  ),
];
