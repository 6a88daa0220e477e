import { IN6, OUT, made, nft, outNat, overLo, type KernelCase } from './case.js';

/** Routes, rules, sources that are chosen or refused. */
export const ROUTING: readonly KernelCase[] = [
  made('an IPv6 packet without a source back out of its device', { ...IN6, src: '::', dst: 'fd00:96::a' }, {}),
  made('an IPv6 packet without a source to another device', { ...IN6, src: '::', dst: 'fd00:1::77' }, {}),
  made('a link-local source to another device', { ...IN6, src: 'fe80::77', dst: 'fd00:1::77' }, {}),
  made('an IPv6 group as source', { ...IN6, src: 'ff02::5' }, {}),
  made(
    'an error route is not suppressed',
    { ...OUT, protocol: 'udp', src: '172.18.0.3', dst: '10.1.0.77' },
    {
      shell: [
        'ip route replace unreachable default metric 4278198272 table 102 proto 99',
        'ip rule add pref 8804 iif lo lookup 102 suppress_prefixlength 0',
      ],
    },
  ),
  made(
    'a default route is suppressed',
    { ...OUT, src: '172.18.0.3', dst: '10.1.0.77' },
    {
      shell: [
        'ip route replace default via 10.244.1.9 dev eth0 table 102 proto 99',
        'ip rule add pref 8804 iif lo lookup 102 suppress_prefixlength 0',
      ],
    },
  ),
  made(
    'the source of an unbound socket, with a scope',
    { ...OUT, src: '0.0.0.0', dst: '8.8.8.8' },
    {
      shell: ['ip addr add 8.8.8.1/24 dev eth0 scope 200'],
    },
  ),
  made(
    'the source of an unbound IPv6 socket, not a deprecated one',
    { ...OUT, src: '::', dst: '2001:db8::1' },
    {
      shell: ['ip -6 addr add fd00:96::1/64 dev eth0 nodad preferred_lft 0'],
    },
  ),
  ...(['tcp', 'udp'] as const).flatMap((protocol) =>
    (['0.0.0.0', '10.1.0.5'] as const).map((src) =>
      made(
        `${protocol} from ${src} to what only a local route of table 100 makes local`,
        { ...OUT, protocol, src, dst: '10.244.2.9', dport: 15053 },
        { shell: ['ip route replace local default dev lo table 100 proto 99', 'ip rule add pref 4717 lookup 100'] },
      ),
    ),
  ),
  made(
    'TCP to a local route of table 100 that names its source',
    { ...OUT, src: '0.0.0.0', dst: '10.244.2.9', dport: 15053 },
    {
      shell: [
        'ip route replace local default dev lo src 10.1.0.5 table 100 proto 99',
        'ip rule add pref 4717 lookup 100',
      ],
    },
  ),
  made('TCP from an unbound socket to an address of 127.0.0.0/8', { ...OUT, src: '0.0.0.0', dst: '127.3.4.5' }, {}),
  ...(['tcp', 'udp', 'icmp'] as const).map((protocol) =>
    made(
      `${protocol} from an unbound socket, a rule on the source that was chosen`,
      { ...OUT, protocol, src: '0.0.0.0', dst: '8.8.8.8' },
      {
        shell: [
          'ip route replace default via 10.1.0.1 dev eth1 table 102 proto 99',
          'ip rule add pref 4718 from 10.244.1.5 lookup 102',
        ],
      },
    ),
  ),
  ...['ff02::5', 'ff05::5', 'ff0e::5'].map((dst) =>
    made(
      `the source of an unbound socket to ${dst}`,
      { ...IN6, ...overLo('udp'), src: '::', dst },
      { shell: ['ip -6 addr add fec0::7/64 dev eth0 nodad', `ip -6 route replace ${dst} dev eth0 table 102 proto 99`] },
    ),
  ),
  made(
    'no error leaves from an address that a route of main makes local',
    { ...OUT, src: '10.244.1.5', dst: '10.244.1.5', dport: 8080 },
    {
      nft: [
        nft('out_f', 'type filter hook output priority 0; policy accept;', 'reject with icmpx admin-prohibited'),
        ...(outNat('dnat ip to 10.96.0.10').nft ?? []),
      ],
      shell: ['ip route replace local 10.96.0.10 dev lo src 10.1.0.5 table main proto 99'],
    },
  ),
  ...(['fd00:244:1::1', '2001:db8::1'] as const).flatMap((src) =>
    (['fd00:1::/64', 'fd00:244:1::/64'] as const).map((from) =>
      made(
        `an IPv6 error to ${src} has the source of the incoming device: all but ${from} is prohibited`,
        { ...IN6, iif: 'eth1', protocol: 'udp', src, dst: 'fd00:244:1::1' },
        { shell: [`ip -6 rule add pref 12392 not from ${from} prohibit`] },
      ),
    ),
  ),
  // of an address that is translated the hash is another one: both next hops, whatever the first look-up gave
  ...[1, 2, 3, 4, 5, 6, 7, 8].map((last) =>
    made(
      `fib and the route of a translated destination, from fd00:1::${last}`,
      { ...IN6, src: `fd00:1::${last}`, dst: '2001:db8::7' },
      {
        nft: [
          nft(
            'pre_raw',
            'type filter hook prerouting priority -300; policy accept;',
            'fib daddr oifname "eth0" meta mark set 0x1',
            'fib daddr oifname "eth1" meta mark set 0x2',
          ),
          nft(
            'pre_n',
            'type nat hook prerouting priority -100; policy accept;',
            `ip6 daddr 2001:db8::7 dnat ip6 to 2001:db8::${last}9`,
          ),
        ],
        shell: [
          'ip -6 route replace 2001:db8::/64 proto 99 nexthop via fd00:244:1::1 dev eth0 nexthop via fd00:1::1 dev eth1',
        ],
      },
    ),
  ),
];
