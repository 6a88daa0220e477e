import type { Flow } from './bench.js';
import type { Pieces } from './generate.js';

/** Cases made by hand, each for one thing that the kernel does and that an engine may get wrong. */
export interface KernelCase {
  readonly name: string;
  readonly pieces: Pieces;
  readonly flow: Flow;
}

const IN: Flow = {
  direction: 'in',
  iif: 'eth0',
  protocol: 'tcp',
  src: '10.244.1.1',
  dst: '10.1.0.5',
  sport: 22573,
  dport: 443,
  mark: 0,
  uid: 1000,
  gid: 1000,
};
const IN6: Flow = { ...IN, src: 'fd00:1::77', dst: 'fd00:1::5', dport: 8080 };
const OUT: Flow = { ...IN, direction: 'out', iif: null, src: '10.1.0.5', dst: '10.1.0.5' };

function made(name: string, flow: Flow, pieces: Partial<Pieces>): KernelCase {
  return { name, flow, pieces: { seed: 0, rules4: [], rules6: [], policies: [], nft: [], shell: [], ...pieces } };
}

const nft = (chain: string, head: string, ...rules: readonly string[]): Pieces['nft'][number] => ({
  chain,
  head,
  rules,
});
const raw = (...rules: readonly string[]): Pick<Pieces, 'nft'> => ({
  nft: [nft('pre_raw', 'type filter hook prerouting priority -300; policy accept;', ...rules)],
});
const outNat = (...rules: readonly string[]): Pick<Pieces, 'nft'> => ({
  nft: [nft('out_n', 'type nat hook output priority -100; policy accept;', ...rules)],
});
const marks = (test: string, target: string): Pick<Pieces, 'rules4'> => ({
  rules4: [`raw PREROUTING ${target}`, `raw PREROUTING ${test} -j MARK --set-mark 0x4000`],
});

const overLo = (protocol: Flow['protocol']): Partial<Flow> => ({ direction: 'out', iif: null, protocol, dport: 80 });
/** NOTRACK in OUTPUT, a zone in PREROUTING: conntrack and nat see the packet only when it comes in again. */
const trackedLate = (family: 'ip' | 'ip6', to: string): Pick<Pieces, 'nft'> => ({
  nft: [
    nft('pre_raw', 'type filter hook prerouting priority -300; policy accept;', 'ct zone set 4'),
    nft('out_raw', 'type filter hook output priority -300; policy accept;', 'notrack'),
    nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', `dnat ${family} to ${to}`),
  ],
});

const TEMPLATE_KEYS = [
  'ct mark 0',
  'ct zone 4',
  'ct state new',
  'ct state untracked',
  'ct direction original',
  'ct original ip saddr 0.0.0.0',
  'ct status != 4096',
  'ct protocol tcp',
];
const RAW_TESTS = [
  '-m conntrack --ctstate UNTRACKED',
  '-m conntrack --ctstate INVALID',
  '-m conntrack ! --ctstate UNTRACKED',
  '-m conntrack --ctstate NEW',
  '-m conntrack --ctdir ORIGINAL',
  '-m conntrack --ctproto 6',
  '-m connmark --mark 0',
  '-m connmark ! --mark 1',
  '-m state --state UNTRACKED',
];

export const CASES: readonly KernelCase[] = [
  ...TEMPLATE_KEYS.flatMap((key) =>
    ['ct zone set 4', 'notrack'].map((before) =>
      made(`${before}, then ${key}`, IN, raw(before, `${key} meta mark set 0x4000`)),
    ),
  ),
  ...RAW_TESTS.flatMap((test) =>
    ['-j CT --notrack', '-j CT --zone 3'].map((target) => made(`${target}, then ${test}`, IN, marks(test, target))),
  ),
  made('rpfilter of IPv6 keeps the longest prefix', IN6, {
    rules6: ['raw PREROUTING -m rpfilter -j MARK --set-mark 1'],
  }),
  made('fib of IPv6 keeps the longest prefix', IN6, raw('fib saddr . iif oif exists meta mark set 1')),
  made(
    'a redirect to a map without the port',
    OUT,
    outNat('meta l4proto tcp redirect to tcp dport map { 80 : 15006 }'),
  ),
  made('a redirect to a map with the port', OUT, outNat('meta l4proto tcp redirect to tcp dport map { 443 : 8080 }')),
  made('an IPv6 packet without a source back out of its device', { ...IN6, src: '::', dst: 'fd00:96::a' }, {}),
  made('an IPv6 packet without a source to another device', { ...IN6, src: '::', dst: 'fd00:1::77' }, {}),
  made('a link-local source to another device', { ...IN6, src: 'fe80::77', dst: 'fd00:1::77' }, {}),
  made('an IPv6 group as source', { ...IN6, src: 'ff02::5' }, {}),
  made('over lo a connection is confirmed', OUT, {
    rules4: ['raw PREROUTING -m conntrack --ctstatus CONFIRMED -j MARK --set-mark 3'],
  }),
  made('fib in INPUT over lo', OUT, {
    nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', 'fib saddr oif exists meta mark set 2')],
  }),
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
  made('lo has no kind', OUT, {
    nft: [nft('pre_f', 'type filter hook prerouting priority -150; policy accept;', 'meta iifkind != "veth" drop')],
  }),
  made(
    'ct status is compared with all bits',
    { ...IN6, dport: 15053 },
    {
      nft: [
        nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', 'redirect'),
        nft('in_f', 'type filter hook input priority 0; policy accept;', 'ct status != dnat meta mark set 5'),
      ],
    },
  ),
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
  ...(['tcp', 'udp'] as const).flatMap((protocol) =>
    (['fd00:96::a', 'fd00:244:1::5', '::1'] as const).map((to) =>
      made(
        `IPv6 ${protocol} over lo, first tracked in PREROUTING, DNAT there to ${to}`,
        { ...IN6, ...overLo(protocol), src: 'fd00:1::5', dst: 'fd00:1::5' },
        trackedLate('ip6', to),
      ),
    ),
  ),
  ...(['10.1.0.77', '10.244.1.5', '127.0.0.1'] as const).flatMap((to) =>
    [0, 1].map((on) =>
      made(
        `IPv4 over lo, first tracked in PREROUTING, DNAT there to ${to}, accept_local and route_localnet ${on}`,
        { ...OUT, ...overLo('tcp') },
        {
          ...trackedLate('ip', to),
          shell: [`sysctl -q -w net.ipv4.conf.lo.accept_local=${on} net.ipv4.conf.lo.route_localnet=${on}`],
        },
      ),
    ),
  ),
  ...['ct state new', 'ct state untracked', 'notrack'].map((rule) =>
    made(`a chain at the priority of conntrack: ${rule}`, IN, {
      nft: [
        nft(
          'pre_tie',
          'type filter hook prerouting priority -200; policy accept;',
          rule === 'notrack' ? rule : `${rule} meta mark set 0x4`,
        ),
        nft('pre_f', 'type filter hook prerouting priority -150; policy accept;', 'ct state untracked drop'),
      ],
    }),
  ),
  made('a chain at the priority of nat', IN, {
    nft: [
      nft('pre_tie', 'type filter hook prerouting priority -100; policy accept;', 'tcp dport 443 meta mark set 0x8'),
      nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', 'meta l4proto tcp redirect to 8080'),
    ],
  }),
  made('a chain at the priority of nat, among the rules of iptables', IN, {
    rules4: ['nat PREROUTING -p tcp -j REDIRECT --to-ports 8080'],
    nft: [
      nft('pre_tie', 'type filter hook prerouting priority -100; policy accept;', 'tcp dport 443 meta mark set 0x8'),
    ],
  }),
  ...(['type route hook output priority -150', 'type filter hook output priority 0'] as const).flatMap((head) =>
    ['', 'icmp type redirect ', 'icmp type echo-request ', 'ct direction reply ', 'ct state new '].map((match) =>
      made(
        `an ICMP redirect comes by a chain of ${head} that marks the connection: ${match}`,
        { ...IN, iif: 'eth1', protocol: 'udp', src: `10.1.0.${30 + match.length}`, dst: '10.1.0.77' },
        {
          nft: [nft('out_r', `${head}; policy accept;`, `${match}ct mark set 0x77`)],
          shell: ['sysctl -q -w net.ipv4.conf.eth1.send_redirects=1'],
        },
      ),
    ),
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
  ...['ff02::5', 'ff05::5', 'ff0e::5'].map((dst) =>
    made(
      `the source of an unbound socket to ${dst}`,
      { ...IN6, ...overLo('udp'), src: '::', dst },
      { shell: ['ip -6 addr add fec0::7/64 dev eth0 nodad', `ip -6 route replace ${dst} dev eth0 table 102 proto 99`] },
    ),
  ),
  ...(['tcp', 'udp', 'icmp'] as const).flatMap((protocol) => [
    ...['224.0.0.1', '239.1.1.1', '255.255.255.255', '10.244.1.255', '0.0.0.9'].flatMap((dst) =>
      [53, 8080].map((dport) => made(`${protocol} to ${dst}:${dport}`, { ...IN, protocol, dst, dport }, {})),
    ),
    ...['0.0.0.0', '0.0.0.9', '10.244.1.255'].flatMap((src) =>
      ['224.0.0.1', '224.0.1.1', '255.255.255.255', '10.1.0.5', '0.0.0.0'].map((dst) =>
        made(`${protocol} from ${src} to ${dst}`, { ...IN, protocol, src, dst, dport: 53 }, {}),
      ),
    ),
    ...['ff01::1', 'ff02::1', 'ff02::5', 'ff0e::1'].map((dst) =>
      made(`${protocol} to the group ${dst}`, { ...IN6, protocol, dst, dport: 15053 }, {}),
    ),
    ...['10.244.1.5', '10.1.0.5', '0.0.0.0'].map((src) =>
      made(`${protocol} sent from ${src} to a group`, { ...OUT, protocol, src, dst: '239.1.1.1' }, {}),
    ),
  ]),
  ...['10.1.0.255', '255.255.255.255'].map((dst) => made(`a connection to ${dst}`, { ...OUT, dst }, {})),
  made('a connection to a group of IPv6', { ...IN6, ...overLo('tcp'), src: '::', dst: 'ff0e::1' }, {}),
  made(
    'who has no address asks all, whatever rp_filter says of it',
    { ...IN, protocol: 'udp', src: '0.0.0.0', dst: '255.255.255.255', dport: 53 },
    {
      rules4: ['mangle PREROUTING -j MARK --set-mark 0x9'],
      shell: [
        'sysctl -q -w net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.all.src_valid_mark=1',
        'ip route replace default via 10.1.0.1 dev eth1 table 102 proto 99',
        'ip rule add pref 500 fwmark 0x9 lookup 102',
      ],
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
  ...['--zone 6', '--zone-orig 6', '--zone-reply 6'].flatMap((zone) =>
    ['ct zone 0', 'ct zone 6', 'ct original zone 6', 'ct reply zone 6'].map((rule) =>
      made(`CT ${zone}, then ${rule}`, IN, {
        rules4: [`raw PREROUTING -j CT ${zone}`],
        nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', `${rule} meta mark set 0x1`)],
      }),
    ),
  ),
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
];
