import { IN, IN6, OUT, made, nft, raw, type KernelCase } from './case.js';

/** Matches of iptables and expressions of nft. */
export const MATCHES: readonly KernelCase[] = [
  made('rpfilter of IPv6 keeps the longest prefix', IN6, {
    rules6: ['raw PREROUTING -m rpfilter -j MARK --set-mark 1'],
  }),
  made('fib of IPv6 keeps the longest prefix', IN6, raw('fib saddr . iif oif exists meta mark set 1')),
  made('fib in INPUT over lo', OUT, {
    nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', 'fib saddr oif exists meta mark set 2')],
  }),
  made('lo has no kind', OUT, {
    nft: [nft('pre_f', 'type filter hook prerouting priority -150; policy accept;', 'meta iifkind != "veth" drop')],
  }),
  made(
    'a net on another device ends the search in hash:net,iface',
    { ...IN, dst: '172.18.0.3' },
    {
      rules4: [
        'nat PREROUTING -j DNAT --to-destination 10.1.0.77',
        'filter FORWARD -m set --match-set netiface4 src,dst -j DROP',
      ],
    },
  ),
  ...['-m conntrack --ctproto udp', '-m iprange --src-range 10.9.9.9-10.9.9.9'].map((fails) =>
    made(
      `socket --restore-skmark, then ${fails}, into an empty chain`,
      { ...OUT, dport: 15053, mark: 0x111 },
      { rules4: [`mangle PREROUTING -m socket --nowildcard --restore-skmark ${fails} -j ISTIO_A`] },
    ),
  ),
  made(
    'socket --restore-skmark, then -m tcp --dport that fails',
    { ...OUT, dport: 15053, mark: 0x5 },
    {
      rules4: [
        'mangle PREROUTING -p tcp -m socket --nowildcard --restore-skmark -m tcp --dport 81 -j ACCEPT',
        'mangle PREROUTING -m mark --mark 0x5 -j DROP',
      ],
    },
  ),
  made(
    'fib names the first of several next hops',
    { ...IN, iif: 'eth0', protocol: 'icmp', src: '10.244.1.5', dst: '10.244.1.1', dport: 15053 },
    {
      nft: [
        nft(
          'pre_more_n',
          'type nat hook prerouting priority -90; policy accept;',
          'fib daddr oifname != "eth0" meta l4proto != udp meta nfproto ipv4 dnat ip to 10.244.1.5',
        ),
      ],
      shell: [
        'ip route replace default table 102 proto 99 nexthop via 10.244.1.1 dev eth0 weight 1 nexthop via 10.1.0.1 dev eth1 weight 3',
        'ip rule add pref 1738 not fwmark 0x8000 lookup 102',
      ],
    },
  ),
  made(
    'two masks of one mark',
    { ...IN, mark: 0 },
    { nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', 'meta mark & 0xf & 0xf0 == 0 drop')] },
  ),
  made(
    'socket --restore-skmark after a match that fails',
    { ...OUT, dport: 15053, mark: 0x111 },
    {
      rules4: ['mangle PREROUTING -m conntrack --ctproto udp -m socket --nowildcard --restore-skmark -j ISTIO_A'],
    },
  ),
  ...[
    'th dport 443',
    'th dport != 443',
    'th dport { 80, 443 }',
    'th dport != { 80, 443 }',
    'th dport >= 443',
    'th sport 2048',
    'meta l4proto . th dport { icmp . 443 }',
    'meta l4proto . th dport != { icmp . 443 }',
  ].map((rule) => made(`${rule}, of a ping`, { ...IN, protocol: 'icmp' }, raw(`${rule} meta mark set 0x1`))),
  ...['icmp code 0', 'icmp code != 0', 'icmp type { timestamp-request, echo-request }', 'icmp code { 0, 3 }'].map(
    (rule) => made(`${rule}, of a ping`, { ...IN, protocol: 'icmp' }, raw(`${rule} meta mark set 0x1`)),
  ),
  ...[
    'icmpv6 code 0',
    'icmpv6 code != 1',
    'icmpv6 type { nd-neighbor-solicit, echo-request }',
    'icmpv6 type nd-redirect',
  ].map((rule) => made(`${rule}, of a ping`, { ...IN6, protocol: 'icmp' }, raw(`${rule} meta mark set 0x1`))),
  ...(['tcp', 'udp', 'icmp'] as const).flatMap((protocol) =>
    ['wildcard 0', 'wildcard 1', 'transparent 0', 'transparent 1'].flatMap((rule) =>
      ['10.1.0.77', '10.1.0.5'].map((dst) =>
        made(
          `socket ${rule} in OUTPUT, ${protocol} to ${dst}`,
          { ...OUT, protocol, dst },
          {
            nft: [
              nft('out_f', 'type filter hook output priority 0; policy accept;', `socket ${rule} meta mark set 0x1`),
            ],
          },
        ),
      ),
    ),
  ),
  ...['meta nfproto ipv6', 'meta protocol ip6', 'meta nfproto ipv4', ''].flatMap((family) =>
    ['ct protocol tcp', 'ct protocol != udp', 'ct protocol { tcp, udp }'].map((protocol) =>
      made(`${family} ${protocol}`, IN, {
        nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', `${family} ${protocol} drop`)],
      }),
    ),
  ),
  ...['meta nfproto ipv6', 'meta protocol ip6', 'meta nfproto ipv4', ''].map((family) =>
    made(`${family} reject with tcp reset`, IN, {
      nft: [
        nft(
          'in_f',
          'type filter hook input priority 0; policy accept;',
          `${family} meta l4proto tcp reject with tcp reset`,
        ),
      ],
    }),
  ),
];
