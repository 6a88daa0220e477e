import type { Flow } from '../bench.js';
import { both, differ, iptables, nftables, several } from './battery.js';
import { IN, IN6, OUT, SENT, THROUGH, THROUGH6, nft, type KernelCase } from './case.js';

/** Whole conversations: each is led through to its end, and every packet after the first is asked. */
const TCP_IN: Flow = { ...IN, dport: 8080 };
const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const;
const spoken = (flow: Flow, udp = flow.dport): readonly Flow[] =>
  PROTOCOLS.map((protocol) => ({ ...flow, protocol, dport: protocol === 'udp' ? udp : flow.dport }));

const DELIVERED = spoken(TCP_IN, 53);
const FORWARDED = spoken(THROUGH);
const FROM_HERE = spoken(SENT);
const OVER_LO = spoken({ ...OUT, dport: 8080 }, 53);
const SIX = [...spoken({ ...IN6, dport: 80 }, 15053), ...spoken(THROUGH6)];
const ANYWHERE: readonly Flow[] = [...DELIVERED, ...FORWARDED, ...FROM_HERE, ...OVER_LO];

const STATES = [
  ...both(
    ...['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED', 'SNAT', 'DNAT'].map(
      (state) => `-m conntrack --ctstate ${state}`,
    ),
    ...['SEEN_REPLY', 'CONFIRMED', 'NONE', 'EXPECTED'].map((status) => `-m conntrack --ctstatus ${status}`),
    ...['6', '17', '1'].map((protocol) => `-m conntrack --ctproto ${protocol}`),
  ),
  '-m conntrack --ctdir ORIGINAL',
  '-m conntrack --ctdir REPLY',
];
const TUPLES = both(
  ...['orig', 'repl'].flatMap((way) =>
    ['src', 'dst'].flatMap((side) => [
      `-m conntrack --ct${way}${side} 10.244.0.0/16`,
      `-m conntrack --ct${way}${side} 10.1.0.0/24`,
    ]),
  ),
  ...['orig', 'repl'].flatMap((way) =>
    ['src', 'dst'].map((side) => `-p tcp -m conntrack --ct${way}${side}port 20000:60000`),
  ),
  ...['0', '3', '3/3', '8', '11'].map((type) => `-p icmp -m icmp --icmp-type ${type}`),
  '-m state --state ESTABLISHED',
  '-m state --state RELATED',
);
const NFT_TESTS = [
  ...['new', 'established', 'related', 'invalid', 'untracked', 'established,related'].map((one) => `ct state ${one}`),
  ...['original', 'reply'].map((one) => `ct direction ${one}`),
  ...['seen-reply', 'confirmed', 'snat', 'dnat'].map((one) => `ct status ${one}`),
  ...differ('ct protocol tcp', 'ct protocol icmp'),
  ...['original', 'reply'].flatMap((way) => [`ct ${way} ip saddr 10.1.0.0/24`, `ct ${way} ip daddr 10.1.0.0/24`]),
  'icmp type destination-unreachable',
  'icmp type echo-reply',
  'icmp code 3',
  'ct zone 0',
];

const NATS: readonly (readonly [string, readonly string[]])[] = [
  ['no nat', []],
  ['DNAT', ['nat PREROUTING -d 10.1.0.0/24 -j DNAT --to-destination 10.244.2.9']],
  ['SNAT', ['nat POSTROUTING -o eth+ -j SNAT --to-source 10.1.0.5', 'nat INPUT -j SNAT --to-source 10.1.0.66']],
  ['MASQUERADE', ['nat POSTROUTING -o eth+ -j MASQUERADE']],
  [
    'REDIRECT',
    [
      'nat PREROUTING -p tcp -j REDIRECT --to-ports 15006',
      'nat PREROUTING -p udp -j REDIRECT --to-ports 15006',
      'nat OUTPUT -p tcp -j REDIRECT --to-ports 15001',
      'nat OUTPUT -p udp -j REDIRECT --to-ports 15006',
    ],
  ],
  ['DNAT to a port that nobody has', ['nat PREROUTING -p udp -j DNAT --to-destination 10.244.1.5:4444']],
  ['OUTPUT DNAT', ['nat OUTPUT -d 10.244.2.9 -j DNAT --to-destination 203.0.113.5']],
];
const CHAINS = ['mangle PREROUTING', 'mangle INPUT', 'mangle FORWARD', 'mangle OUTPUT', 'mangle POSTROUTING'];

const ISTIO_TPROXY = [
  'mangle PREROUTING -p tcp -m socket -j MARK --set-xmark 0x10/0x10',
  'mangle PREROUTING -p tcp -m mark --mark 0x539/0xfff -j CONNMARK --save-mark --nfmask 0xfff --ctmask 0xfff',
  'mangle PREROUTING -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j MARK --set-xmark 0x539/0xfff',
  'mangle PREROUTING -p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
  'mangle PREROUTING ! -i lo -p tcp -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x539/0xfff',
  'mangle OUTPUT -p tcp -m connmark --mark 0x539/0xfff -j CONNMARK --restore-mark --nfmask 0xfff --ctmask 0xfff',
];
const TPROXY_ALWAYS = (protocol: string): readonly string[] => [
  `mangle PREROUTING ! -i lo -p ${protocol} -j TPROXY --on-port 15006 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1`,
];
const DIVERT = (match: string): readonly string[] => [
  `mangle PREROUTING ! -i lo -p tcp -m socket ${match} -j MARK --set-xmark 0x1/0x1`,
  `mangle PREROUTING ! -i lo -p tcp -m socket ${match} -j ACCEPT`,
  ...TPROXY_ALWAYS('tcp'),
];
const LOCAL = ['', '-6 '].flatMap((v) => [
  `ip ${v}route replace local default dev lo table 100 proto 99`,
  `ip ${v}rule add pref 100 fwmark 0x1/0x1 lookup 100`,
]);
const SOCKET_TESTS = ['', '--nowildcard', '--transparent', '--nowildcard --transparent'].map((one) =>
  `-m socket ${one}`.trim(),
);
const NFT_SOCKETS = ['transparent 0', 'transparent 1', 'wildcard 0', 'wildcard 1', 'mark 0'].map(
  (one) => `socket ${one}`,
);
/** To addresses of others, and to an own one. */
const TAKEN: readonly Flow[] = [
  { ...IN, dst: '8.8.8.8' },
  { ...IN, dst: '8.8.8.8', dport: 8080 },
  TCP_IN,
  { ...IN, dport: 7070, dst: '10.244.1.5', iif: 'eth1' },
];

const chain = (name: string, head: string, ...rules: readonly string[]): ReturnType<typeof nft> =>
  nft(name, `type filter hook ${head}; policy accept;`, ...rules);

export const TALKS: readonly KernelCase[] = [
  ...CHAINS.flatMap((place) =>
    NATS.flatMap(([name, rules4]) =>
      iptables(place, { name: `${place}, ${name}: states`, flows: ANYWHERE, tests: STATES, pieces: { rules4 } }),
    ),
  ).filter((_, at) => at % 3 === 0),
  ...CHAINS.flatMap((place) =>
    NATS.flatMap(([name, rules4]) =>
      iptables(place, { name: `${place}, ${name}: tuples`, flows: ANYWHERE, tests: TUPLES, pieces: { rules4 } }),
    ),
  ).filter((_, at) => at % 5 === 0),
  ...['prerouting', 'input', 'forward', 'output', 'postrouting']
    .flatMap((hook) =>
      NATS.flatMap(([name, rules4]) =>
        nftables('any_f', `type filter hook ${hook} priority 0; policy accept;`, {
          name: `nft ${hook}, ${name}`,
          flows: ANYWHERE,
          tests: NFT_TESTS,
          pieces: { rules4 },
        }),
      ),
    )
    .filter((_, at) => at % 4 === 0),
  ...['raw PREROUTING', 'raw OUTPUT'].flatMap((place) =>
    iptables(place, { name: `${place}: states`, flows: ANYWHERE, tests: STATES }),
  ),
  ...['mangle PREROUTING', 'mangle OUTPUT', 'mangle POSTROUTING'].flatMap((place) =>
    iptables(place, { name: `IPv6, ${place}: states`, flows: SIX, tests: STATES.slice(0, 24) }),
  ),
  ...several('marks go with the connection', ANYWHERE, {
    rules4: [
      'mangle PREROUTING -m conntrack --ctstate NEW -j MARK --set-xmark 0x111/0xfff',
      'mangle PREROUTING -j CONNMARK --restore-mark --nfmask 0xf --ctmask 0xf',
      'mangle OUTPUT -j CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff',
      'mangle INPUT -m conntrack --ctdir ORIGINAL -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
      'mangle POSTROUTING -m conntrack --ctdir REPLY -j CONNMARK --set-xmark 0x2000/0x2000',
      'mangle POSTROUTING -m conntrack --ctstate RELATED -j CONNMARK --set-xmark 0x4000/0x4000',
    ],
  }),
  ...several('a mark of the connection routes its replies', [...DELIVERED, ...FORWARDED], {
    rules4: [
      'mangle PREROUTING -i eth0 -m conntrack --ctstate NEW -j CONNMARK --set-mark 0x1',
      'mangle PREROUTING -m conntrack --ctdir REPLY -j CONNMARK --restore-mark',
      'mangle OUTPUT -m conntrack --ctdir REPLY -j CONNMARK --restore-mark',
    ],
    shell: [
      'ip route replace default via 10.1.0.1 dev eth1 table 100 proto 99',
      'ip rule add pref 100 fwmark 0x1/0x1 lookup 100',
    ],
  }),
  ...[
    'ct state vmap { established : accept, related : accept, new : jump u1, invalid : drop, untracked : drop }',
  ].flatMap((rule) =>
    ['prerouting', 'output'].flatMap((hook) =>
      several(`${rule} in ${hook}`, ANYWHERE, {
        nft: [
          nft('u1', '', 'ct mark set 0x7', 'meta mark set ct mark'),
          chain('f', `${hook} priority -150`, rule),
          chain('late', 'postrouting priority 0', 'ct mark 0x7 meta mark set meta mark | 0x70'),
        ],
      }),
    ),
  ),
  ...[
    'ct zone set 4',
    'ct original zone set 4',
    'ct reply zone set 4',
    'notrack',
    'ct zone set iif map { "eth0" : 3, "eth1" : 4 }',
  ].flatMap((rule) =>
    ['prerouting', 'output'].flatMap((hook) =>
      (rule.includes('iif') || rule.includes('reply')) && hook === 'output'
        ? []
        : several(`${rule} in ${hook}`, ANYWHERE, {
            rules4: ['nat PREROUTING -p tcp -d 10.1.0.77 -j DNAT --to-destination 10.1.0.78'],
            nft: [
              chain('z', `${hook} priority -300`, rule),
              chain(
                'f',
                'prerouting priority 0',
                'ct state established meta mark set 0x1',
                'ct state new meta mark set 0x2',
                'ct state invalid meta mark set 0x4',
              ),
              chain(
                'g',
                'output priority 0',
                'ct state established meta mark set 0x10',
                'ct state new meta mark set 0x20',
                'ct state invalid meta mark set 0x40',
              ),
            ],
          }),
    ),
  ),
  ...['--zone 3', '--zone-orig 3', '--zone-reply 3', '--notrack'].flatMap((target) =>
    several(`CT ${target} in both`, ANYWHERE, {
      rules4: [
        `raw PREROUTING -i eth0 -j CT ${target}`,
        `raw OUTPUT -o eth0 -j CT ${target}`,
        'nat POSTROUTING -o eth1 -j MASQUERADE',
        'mangle PREROUTING -m conntrack --ctstate ESTABLISHED -j MARK --set-xmark 0x1/0x1',
        'mangle POSTROUTING -m conntrack --ctstate ESTABLISHED -j MARK --set-xmark 0x2/0x2',
        'mangle POSTROUTING -m conntrack --ctstate INVALID -j MARK --set-xmark 0x4/0x4',
      ],
    }),
  ),
  ...several('TPROXY as Istio writes it, with its sockets', TAKEN, {
    rules4: ISTIO_TPROXY,
    shell: [LOCAL[0] ?? '', 'ip rule add pref 100 fwmark 0x539/0xfff lookup 100'],
  }),
  ...['tcp', 'udp'].flatMap((protocol) =>
    several(
      `TPROXY of every packet, ${protocol}`,
      TAKEN.map((flow) => ({ ...flow, protocol: protocol === 'tcp' ? 'tcp' : 'udp' })),
      { rules4: TPROXY_ALWAYS(protocol), shell: LOCAL },
    ),
  ),
  ...SOCKET_TESTS.flatMap((test) =>
    several(`${test}, then TPROXY`, TAKEN, { rules4: DIVERT(test.replace('-m socket', '')), shell: LOCAL }),
  ),
  ...['no nat', 'SNAT', 'REDIRECT', 'MASQUERADE'].flatMap((name) =>
    ['mangle PREROUTING', 'mangle INPUT'].flatMap((place) =>
      iptables(place, {
        name: `${place}, ${name}: sockets`,
        flows: ANYWHERE,
        tests: SOCKET_TESTS,
        pieces: { rules4: NATS.find(([one]) => one === name)?.[1] ?? [] },
      }),
    ),
  ),
  ...['prerouting priority -150', 'input priority 0', 'prerouting priority 0'].flatMap((head) =>
    nftables('s', `type filter hook ${head}; policy accept;`, {
      name: `nft ${head}: sockets`,
      flows: ANYWHERE,
      tests: NFT_SOCKETS,
    }),
  ),
  ...several('nft tproxy of every packet', TAKEN, {
    nft: [chain('t', 'prerouting priority -150', 'iifname != "lo" meta l4proto tcp tproxy to :15006 meta mark set 1')],
    shell: LOCAL,
  }),
  ...['', '-m conntrack --ctstate ESTABLISHED', '-m conntrack --ctstate RELATED', '-m conntrack --ctdir REPLY'].flatMap(
    (match) =>
      ['INPUT', 'FORWARD', 'OUTPUT'].flatMap((hook) =>
        several(`filter ${hook} ${match} drops`, ANYWHERE, {
          rules4: [`filter ${hook} ${match} ${match === '' ? '-m conntrack ! --ctstate NEW' : ''} -j DROP`],
        }),
      ),
  ),
  ...[
    'ct state established reject',
    'ct direction reply reject',
    'ct state established meta l4proto tcp reject with tcp reset',
  ].flatMap((rule) =>
    ['input', 'forward', 'output'].flatMap((hook) =>
      several(`${rule} in ${hook}`, ANYWHERE, { nft: [chain('r', `${hook} priority 0`, rule)] }),
    ),
  ),
];
