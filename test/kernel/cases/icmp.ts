import type { Flow } from '../bench.js';
import { both, differ, iptables, nftables } from './battery.js';
import { IN, IN6, OUT, SENT, type KernelCase } from './case.js';

/** ICMP that is no echo request: types and codes, by number and by name, and what conntrack makes of each. */
const said = (flow: Flow, ...kinds: readonly (readonly [type: number, code: number])[]): readonly Flow[] =>
  kinds.map(([type, code]) => ({ ...flow, protocol: 'icmp', type, code }));

const FOUR = said(
  IN,
  [8, 1],
  ...([8, 0, 13, 14, 15, 16, 17, 18, 9, 10, 4, 40, 255, 135] as const).map((type) => [type, 0] as const),
  ...([0, 1, 3, 4, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16] as const).map((code) => [3, code] as const),
  ...([0, 1, 2, 3] as const).map((code) => [5, code] as const),
  ...([0, 1] as const).flatMap((code) => [[11, code] as const, [12, code] as const]),
);
const SIX = said(
  IN6,
  ...([128, 129, 2, 130, 131, 132, 133, 134, 135, 136, 137, 138, 139, 140, 141, 143, 100, 255] as const).map(
    (type) => [type, 0] as const,
  ),
  ...([0, 1, 3, 4, 5, 6] as const).map((code) => [1, code] as const),
  ...([0, 1, 2] as const).map((code) => [4, code] as const),
  [3, 0],
  [3, 1],
  [128, 1],
);
const STATES = both(...['NEW', 'INVALID', 'UNTRACKED', 'ESTABLISHED'].map((one) => `-m conntrack --ctstate ${one}`));
const PORTS = [
  ...both(
    ...['0', '256', '3328', '3584', '4352', '2048', '2049', '32768', '33024', '35584', '35840'].flatMap((port) =>
      ['origdstport', 'repldstport'].map((side) => `-m conntrack --ct${side} ${port}`),
    ),
  ),
];

/** Each name in a set of its own. */
function named(protocol: string, address: string, flows: readonly Flow[], names: readonly string[]) {
  const family = protocol === 'icmp' ? 'inet' : 'inet6';
  return iptables('raw PREROUTING', {
    name: `sets of ${protocol}`,
    flows,
    tests: names.map((_, at) => `-m set --match-set ${protocol}${at} src,dst`),
    pieces: {
      ipset: names
        .map(
          (name, at) =>
            `create ${protocol}${at} hash:ip,port family ${family}\nadd ${protocol}${at} ${address},${protocol}:${name}\n`,
        )
        .join(''),
    },
  });
}

const MESSAGES = [
  'echo-reply',
  'network-unreachable',
  'host-unreachable',
  'protocol-unreachable',
  'port-unreachable',
  'fragmentation-needed',
  'source-route-failed',
  'network-unknown',
  'host-unknown',
  'network-prohibited',
  'host-prohibited',
  'TOS-network-unreachable',
  'TOS-host-unreachable',
  'communication-prohibited',
  'host-precedence-violation',
  'precedence-cutoff',
  'source-quench',
  'network-redirect',
  'host-redirect',
  'TOS-network-redirect',
  'TOS-host-redirect',
  'echo-request',
  'router-advertisement',
  'router-solicitation',
  'ttl-zero-during-transit',
  'ttl-zero-during-reassembly',
  'ip-header-bad',
  'required-option-missing',
  'timestamp-request',
  'timestamp-reply',
  'address-mask-request',
  'address-mask-reply',
  '8/1',
  '3/16',
];
const MESSAGES6 = [
  'no-route',
  'communication-prohibited',
  'address-unreachable',
  'port-unreachable',
  'packet-too-big',
  'ttl-zero-during-transit',
  'ttl-zero-during-reassembly',
  'bad-header',
  'unknown-header-type',
  'unknown-option',
  'echo-request',
  'echo-reply',
  'router-solicitation',
  'router-advertisement',
  'neighbour-solicitation',
  'neighbour-advertisement',
  'redirect',
  '128/1',
  '139/0',
];

export const ICMP_KINDS: readonly KernelCase[] = [
  ...iptables('raw PREROUTING', {
    name: '--icmp-type',
    flows: FOUR,
    tests: [
      ...both(
        ...['0', '3', '3/3', '3/255', '8', '8/0', '13', '255'].map((type) => `-p icmp -m icmp --icmp-type ${type}`),
      ),
      '-p icmp -m icmp --icmp-type any',
      '-p icmp -m icmp --icmp-type 255/3',
      '-p icmp -m icmp --icmp-type host-redirect',
      '-p icmp',
      '-p ipv6-icmp',
    ],
  }),
  ...iptables('raw PREROUTING', {
    name: '--icmpv6-type',
    flows: SIX,
    tests: [
      ...both(
        ...['1', '1/4', '3', '4/1', '128', '128/0', '129', '135', '139', '255', '255/0'].map(
          (type) => `-p ipv6-icmp -m icmp6 --icmpv6-type ${type}`,
        ),
      ),
      '-p ipv6-icmp',
      '-p icmp',
    ],
  }),
  ...['mangle PREROUTING', 'mangle INPUT'].flatMap((place) => [
    ...iptables(place, { name: `${place}: states of ICMP`, flows: FOUR.slice(0, 17), tests: [...STATES, ...PORTS] }),
    ...iptables(place, { name: `${place}: states of ICMPv6`, flows: SIX.slice(0, 20), tests: [...STATES, ...PORTS] }),
  ]),
  ...iptables('mangle POSTROUTING', {
    name: 'states of ICMP that is sent',
    flows: said({ ...SENT, dst: '10.244.1.9' }, [8, 0], [0, 0], [13, 0], [14, 0], [17, 0], [3, 3], [9, 0]),
    tests: [...STATES, '-p icmp -m icmp --icmp-type 13'],
    pieces: { rules4: ['nat POSTROUTING -o eth0 -j SNAT --to-source 10.1.0.5'] },
  }),
  ...iptables('mangle INPUT', {
    name: 'ICMP over lo',
    flows: said({ ...OUT, dst: '10.1.0.5' }, [8, 0], [13, 0], [17, 0], [9, 0]),
    tests: STATES,
  }),
  ...nftables('any_f', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'types and codes of ICMP in nft',
    flows: FOUR,
    tests: [
      ...differ(
        ...['echo-request', 'echo-reply', 'destination-unreachable', 'timestamp-request', 'redirect', '40'].map(
          (type) => `icmp type ${type}`,
        ),
      ),
      ...differ(...['0', '3', '13', '16', 'frag-needed'].map((code) => `icmp code ${code}`)),
      'icmp type { 0, 3, 13-15, 255 }',
      'icmp type != { 0, 3, 13-15, 255 }',
      'icmp type . icmp code { 3 . 3, 8 . 1, 11 . 0 }',
      'icmp type > 10',
      'icmp code < 3',
    ],
  }),
  ...nftables('any_f', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'the words of ICMP in nft',
    flows: FOUR,
    tests: [
      'meta l4proto icmp @th,0,8 8',
      'meta l4proto icmp @th,0,8 3',
      'meta l4proto icmp @th,8,8 0',
      'meta l4proto icmp @th,8,8 3',
      'meta l4proto icmp @th,0,16 0x0800',
      'meta l4proto icmp @th,0,16 0x0303',
      'th sport 2048',
      'th sport 771',
      'th sport != 2048',
      'th sport < 256',
      'meta l4proto icmp',
      'meta l4proto icmpv6',
      'icmpv6 type echo-request',
      'ct state new',
      'ct state invalid',
      'ct state untracked',
      'icmp type vmap { 3 : jump u1, 13 : jump u1, 0 : jump u1 }',
    ],
    pieces: {},
  }).map((one) => ({
    ...one,
    pieces: {
      ...one.pieces,
      nft: [{ chain: 'u1', head: '', rules: ['meta mark set meta mark | 0x100000'] }, ...one.pieces.nft],
    },
  })),
  ...nftables('any_f', 'type filter hook prerouting priority 0; policy accept;', {
    name: 'conntrack of ICMP in nft',
    flows: [...FOUR.slice(0, 14), { ...IN, dport: 2048 }],
    tests: [
      ...['new', 'invalid', 'untracked', 'established'].map((one) => `ct state ${one}`),
      ...differ(
        ...['original', 'reply'].flatMap((way) =>
          [0, 2048, 3328, 3584].map((port) => `meta l4proto icmp ct ${way} proto-dst ${port}`),
        ),
        'ct protocol icmp',
      ),
      'meta l4proto icmp ct original proto-dst < 256',
      'meta l4proto icmp ct reply proto-dst > 3000',
    ],
  }),
  ...nftables('any_f', 'type filter hook prerouting priority 0; policy accept;', {
    name: 'types and codes of ICMPv6 in nft',
    flows: SIX,
    tests: [
      ...differ(
        ...[
          'destination-unreachable',
          'packet-too-big',
          'time-exceeded',
          'parameter-problem',
          'echo-request',
          'nd-neighbor-solicit',
          'nd-redirect',
          'mld-listener-query',
        ].map((type) => `icmpv6 type ${type}`),
      ),
      ...differ(...['0', '1', '4', 'addr-unreachable'].map((code) => `icmpv6 code ${code}`)),
      'icmpv6 type { 1-4, 128, 130, 133, 200-255 }',
      'icmpv6 type != { 1-4, 128, 130, 133, 200-255 }',
      'meta l4proto 58 @th,0,8 128',
      'th sport 32768',
      'ct state invalid',
      'ct state new',
    ],
  }),
  ...named('icmp', '10.244.1.1', FOUR, MESSAGES),
  ...named('icmpv6', 'fd00:1::77', SIX, MESSAGES6),
  ...iptables('raw PREROUTING', {
    name: 'numbers of ports, of ICMP',
    flows: FOUR,
    tests: ['-m set --match-set numbers dst', '-m set --match-set numbers src', '-m set --match-set pairs src,dst'],
    pieces: {
      ipset:
        'create numbers bitmap:port range 0-65535\nadd numbers 771\nadd numbers 0\ncreate pairs hash:ip,port\nadd pairs 10.244.1.1,icmp:3/3\nadd pairs 10.244.1.1,icmp:13/0\n',
    },
  }),
];
