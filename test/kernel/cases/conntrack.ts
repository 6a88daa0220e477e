import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';
import { IN, IN6, OUT, made, nft, raw, overLo, type KernelCase } from './case.js';

/** NOTRACK in OUTPUT, a zone in PREROUTING: conntrack and nat see the packet only when it comes in again. */
const trackedLate = (family: 'ip' | 'ip6', to: string): Pick<Pieces, 'nft'> => ({
  nft: [
    nft('pre_raw', 'type filter hook prerouting priority -300; policy accept;', 'ct zone set 4'),
    nft('out_raw', 'type filter hook output priority -300; policy accept;', 'notrack'),
    nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', `dnat ${family} to ${to}`),
  ],
});

const marks = (test: string, target: string): Pick<Pieces, 'rules4'> => ({
  rules4: [`raw PREROUTING ${target}`, `raw PREROUTING ${test} -j MARK --set-mark 0x4000`],
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
  ...['NONE', 'CONFIRMED', 'ASSURED', 'NONE,CONFIRMED'].flatMap((status) => [
    `-m conntrack --ctstatus ${status}`,
    `-m conntrack ! --ctstatus ${status}`,
  ]),
];

const INVALID: readonly (readonly [name: string, flow: Flow])[] = [
  ['an error', { ...IN, protocol: 'icmp', type: 3, code: 1 }],
  ['a redirect', { ...IN, protocol: 'icmp', type: 5, code: 1 }],
  ['an echo reply', { ...IN, protocol: 'icmp', type: 0, code: 0 }],
  ['an echo request', { ...IN, protocol: 'icmp' }],
  ['a connection', IN],
];

/** Conntrack: states, zones, marks, what is not tracked, and where its hook stands. */
export const CONNTRACK: readonly KernelCase[] = [
  ...TEMPLATE_KEYS.flatMap((key) =>
    ['ct zone set 4', 'notrack'].map((before) =>
      made(`${before}, then ${key}`, IN, raw(before, `${key} meta mark set 0x4000`)),
    ),
  ),
  ...RAW_TESTS.flatMap((test) =>
    ['-j CT --notrack', '-j CT --zone 3'].map((target) => made(`${target}, then ${test}`, IN, marks(test, target))),
  ),
  // what is invalid has no connection: the template goes, too
  ...['ct zone 4', 'ct zone 0', 'ct state invalid', 'ct state new', 'ct mark 0', 'ct direction original'].flatMap(
    (test) =>
      INVALID.map(([name, flow]) =>
        made(`behind conntrack, of what came with ct zone set 4, ${name}: ${test}`, flow, {
          nft: [
            ...raw('ct zone set 4').nft,
            nft('pre_f', 'type filter hook prerouting priority -150; policy accept;', `${test} meta mark set 0x4000`),
          ],
        }),
      ),
  ),
  ...RAW_TESTS.map((test) =>
    made(`ct zone set 4 of nft, then ${test}`, IN, {
      ...marks(test, '-j LOG'),
      nft: [nft('pre_zone', 'type filter hook prerouting priority -310; policy accept;', 'ct zone set 4')],
    }),
  ),
  made('over lo a connection is confirmed', OUT, {
    rules4: ['raw PREROUTING -m conntrack --ctstatus CONFIRMED -j MARK --set-mark 3'],
  }),
  ...['raw OUTPUT -j CT --notrack', 'raw OUTPUT -j CT --zone 7', 'raw OUTPUT -j LOG'].flatMap((rule) =>
    ['ct zone set 5', 'ct original zone set 5', 'counter'].map((early) =>
      made(`${rule}, over lo ${early}: is the connection confirmed?`, OUT, {
        rules4: [rule, 'filter INPUT -m conntrack --ctstatus CONFIRMED -j MARK --set-xmark 0x1/0x1'],
        nft: [
          nft('pre_early', 'type filter hook prerouting priority -201; policy accept;', early),
          nft(
            'in_f',
            'type filter hook input priority 0; policy accept;',
            'ct status confirmed meta mark set meta mark | 0x2',
          ),
        ],
      }),
    ),
  ),
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
  ...['--zone 6', '--zone-orig 6', '--zone-reply 6'].flatMap((zone) =>
    ['ct zone 0', 'ct zone 6', 'ct original zone 6', 'ct reply zone 6'].map((rule) =>
      made(`CT ${zone}, then ${rule}`, IN, {
        rules4: [`raw PREROUTING -j CT ${zone}`],
        nft: [nft('in_f', 'type filter hook input priority 0; policy accept;', `${rule} meta mark set 0x1`)],
      }),
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
  ...['CT --zone 5', 'CT --notrack', 'CT --zone-reply 5'].flatMap((target) =>
    ['-m conntrack --ctstate NEW', '-m conntrack --ctstate UNTRACKED', '-m conntrack --ctorigdst 10.1.0.5'].flatMap(
      (test) =>
        [
          [`raw PREROUTING -j ${target}`],
          ['raw OUTPUT -j CT --notrack', `raw PREROUTING -j ${target}`],
          ['raw OUTPUT -j CT --zone 7', `raw PREROUTING -j ${target}`],
        ].map((rules, at) =>
          made(
            `over lo, ${target} after ${at}, then ${test}`,
            { ...OUT, dport: 8080 },
            {
              rules4: [
                ...rules,
                `raw PREROUTING ${test} -j MARK --set-xmark 0x4000/0x4000`,
                `mangle INPUT ${test} -j MARK --set-xmark 0x2000/0x2000`,
              ],
              nft: [
                nft(
                  'in_f',
                  'type filter hook input priority 0; policy accept;',
                  'ct zone 5 meta mark set meta mark | 0x1',
                  'ct zone 7 meta mark set meta mark | 0x2',
                ),
              ],
            },
          ),
        ),
    ),
  ),
  ...['orig', 'repl'].flatMap((way) =>
    ['2048', '32768', '32769', '33024', '33025', '0', '1'].map((port) =>
      made(
        `the type of an ICMPv6 echo as --ct${way}dstport ${port}`,
        { ...IN6, protocol: 'icmp' },
        {
          rules6: [`mangle PREROUTING -m conntrack --ct${way}dstport ${port} -j MARK --set-xmark 0x1/0x1`],
        },
      ),
    ),
  ),
];
