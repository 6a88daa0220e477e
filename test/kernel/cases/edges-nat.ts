import type { Pieces } from '../generate.js';
import { nftables, several, to } from './battery.js';
import { IN, IN6, nft, OUT, SENT, THROUGH, THROUGH6, type KernelCase } from './case.js';

const DNAT_CHAIN = 'type nat hook prerouting priority -100; policy accept;';
const SNAT_CHAIN = 'type nat hook postrouting priority 100; policy accept;';
const OUT_CHAIN = 'type nat hook output priority -100; policy accept;';

/** Which address a filter chain at nat's own priority sees: the one before nat, or the one after it. */
const seen = (
  chain: string,
  hook: string,
  priority: number,
  what: string,
  from: number,
  addresses: readonly string[],
) =>
  nft(
    chain,
    `type filter hook ${hook} priority ${priority}; policy accept;`,
    ...addresses.map((address, at) => `ip ${what} ${address} meta mark set meta mark | 0x${(from << at).toString(16)}`),
  );
/** One table at one go, where no nat chain of iptables stands any more: what is registered first hangs on the order here. */
const together = (chains: Pieces['nft']): string =>
  `nft '${[
    'add table ip ties',
    ...chains.map(({ chain, head }) => `add chain ip ties ${chain} { ${head} }`),
    ...chains.flatMap(({ chain, rules }) => rules.map((rule) => `add rule ip ties ${chain} ${rule}`)),
  ].join('; ')}'`;
const TIES = (['prerouting', 'output', 'postrouting'] as const).flatMap((hook) => {
  const source = hook === 'postrouting';
  const priority = source ? 100 : -100;
  const flow = hook === 'output' ? { ...SENT, dst: '10.244.2.9' } : THROUGH;
  const before = source ? '10.244.1.1' : flow.dst;
  const rule = source ? 'snat to 172.18.5.5' : 'dnat to 10.244.2.7';
  const addresses = [before, source ? '172.18.5.5' : '10.244.2.7'];
  const what = source ? 'saddr' : 'daddr';
  const first = seen('tie_a', hook, priority, what, 1, addresses);
  const second = seen('tie_b', hook, priority, what, 4, addresses);
  const nat = nft('n_a', `type nat hook ${hook} priority ${priority}; policy accept;`, rule);
  const other = nft('n_b', `type nat hook ${hook} priority ${priority + 5}; policy accept;`, 'counter');
  const elsewhere = source
    ? nft('n_c', DNAT_CHAIN, 'counter')
    : nft('n_c', 'type nat hook postrouting priority 100; policy accept;', 'counter');
  return [
    [first, second],
    [first, second, nat],
    [first, nat, second],
    [nat, first, second],
    [nat, first, other, second],
    [elsewhere, first, nat, second],
    [first, elsewhere, second, nat],
    [first, elsewhere, second],
  ].flatMap((chains) =>
    several(`chains at the priority of nat, ${chains.map(({ chain }) => chain).join(' ')}`, [flow], {
      shell: ['nft delete table ip nat', 'nft delete table ip6 nat', together(chains)],
    }),
  );
});

/** What a type of chain in OUTPUT does with a mark that sends the packet elsewhere. */
const REROUTES = ['filter', 'route'].flatMap((type) =>
  ['meta mark set 0x7', 'meta mark set 0', 'counter'].flatMap((rule) =>
    several(`${type} chain of output, ${rule}`, [SENT, { ...SENT, mark: 7 }, { ...SENT, src: '0.0.0.0' }], {
      nft: [nft('out_r', `type ${type} hook output priority -150; policy accept;`, rule)],
      shell: [
        'ip route replace default via 10.1.0.1 dev eth1 table 100 proto 99',
        'ip rule add pref 100 fwmark 7 lookup 100',
      ],
    }),
  ),
);

/** The way of a fib expression hangs on the device that the policy rules are asked with. */
const BY_DEVICE = {
  shell: ['', '-6 '].flatMap((v) => [
    `ip ${v}route replace default dev eth1 table 101 proto 99`,
    `ip ${v}route replace default dev eth0 table 102 proto 99`,
    `ip ${v}rule add pref 51 iif eth1 lookup 101`,
    `ip ${v}rule add pref 52 iif lo lookup 102`,
  ]),
};
const FIB: readonly string[] = ['saddr', 'daddr'].flatMap((addr) =>
  ['', ' . iif', ' . mark', ' . mark . iif'].flatMap((also) =>
    ['eth0', 'eth1'].map((device) => `fib ${addr}${also} oif ${device}`),
  ),
);
const TYPES: readonly string[] = ['saddr', 'daddr'].flatMap((addr) =>
  ['', ' . iif'].flatMap((also) =>
    ['local', 'unicast', 'multicast', 'anycast'].map((type) => `fib ${addr}${also} type ${type}`),
  ),
);

const SOCKETS = ['socket wildcard 0', 'socket wildcard 1', 'socket mark 0', 'socket mark 1'];

/** The edges of translations, fib and sockets: what stands at a bound, on a tie, or has a flag beside others. */
export const EDGES_NAT: readonly KernelCase[] = [
  ...TIES,
  ...REROUTES,
  ...['prerouting', 'forward'].flatMap((hook) =>
    nftables(`fib_${hook}`, `type filter hook ${hook} priority -150; policy accept;`, {
      name: `fib by device in ${hook}`,
      flows: [THROUGH, THROUGH6, { ...THROUGH, iif: 'eth1', src: '10.1.0.77', dst: '10.244.1.1' }],
      tests: FIB,
      pieces: BY_DEVICE,
    }),
  ),
  ...nftables('fib_fwd', 'type filter hook forward priority 0; policy accept;', {
    name: 'fib types by device in forward',
    flows: [THROUGH, THROUGH6],
    tests: [...TYPES, ...TYPES.filter((test) => test.includes('iif')).map((test) => test.replace('iif', 'oif'))],
  }),
  ...nftables('fib_type', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'fib types by device in prerouting',
    flows: [...to(IN6, 'fd00:1::5', 'fd00:244:1::5', 'fd00:1::77', 'ff02::1'), ...to(IN, '10.1.0.5', '10.244.1.5')],
    tests: TYPES,
  }),
  ...['prerouting', 'input'].flatMap((hook) =>
    nftables('sock_in', `type filter hook ${hook} priority -150; policy accept;`, {
      name: `sockets of nft in ${hook}`,
      flows: [
        { ...IN, dport: 8080 },
        { ...IN, dst: '10.244.1.5', dport: 7070 },
        { ...IN, dport: 443 },
        { ...IN, protocol: 'udp', dport: 53 },
        { ...IN6, dport: 80 },
        { ...IN, protocol: 'icmp' },
      ],
      tests: SOCKETS,
    }),
  ),
  ...nftables('sock_out', 'type filter hook output priority -150; policy accept;', {
    name: 'sockets of nft in output',
    flows: [
      SENT,
      { ...SENT, protocol: 'udp' },
      { ...SENT, protocol: 'udp', src: '0.0.0.0' },
      { ...SENT, src: '0.0.0.0' },
    ],
    tests: SOCKETS,
  }),
  ...nftables('heads', 'type filter hook prerouting priority -150; policy accept;', {
    name: 'two tests of one field',
    flows: [IN, { ...IN, protocol: 'udp' }, { ...IN, dport: 80 }],
    tests: [
      'tcp dport 443 tcp dport 443',
      'tcp dport 443 tcp dport 80',
      'tcp dport 443 tcp dport != 80',
      'meta l4proto tcp tcp dport 443',
      'ip protocol tcp tcp dport 443',
      'meta l4proto tcp tcp dport 443 tcp dport 80',
      'meta l4proto udp udp dport 443',
      'th dport 443 meta l4proto tcp',
      'th dport 443 meta l4proto udp',
      'meta l4proto != udp th dport 443',
      'meta mark { 0x0-0xff }',
      'meta mark & 0x0fffffff { 0x0-0xff }',
      'meta mark & 0xf { 0x8-0xf }',
      'meta mark & 0xf != { 0x8-0xf }',
    ],
  }),
  ...[
    'meta mark set tcp dport map { 80 : 1, * : 2 }',
    'meta mark set tcp dport map { 443 : 1, * : 2 }',
    'tcp dport vmap { 443 : accept, * : drop }',
    'tcp dport vmap { 80 : accept, * : drop }',
  ].flatMap((rule) =>
    several(rule, [IN], {
      nft: [nft('stars', 'type filter hook prerouting priority -150; policy accept;', rule)],
    }),
  ),
  ...[
    'dnat ip prefix to 10.244.2.0/24 random',
    'dnat ip prefix to 10.244.2.0/24 persistent',
    'dnat ip to 10.244.2.1-10.244.2.2 persistent',
    'dnat ip to 10.244.2.0/31',
    'dnat ip to 10.244.2.1-10.244.2.1',
    'dnat ip to ip daddr . tcp dport map { 10.1.0.5 . 443 : 10.244.2.1 . 8080 }',
    'dnat ip to ip daddr . tcp dport map { 10.1.0.6 . 443 : 10.244.2.1 . 8080 }',
    'dnat ip addr . port to ip daddr map { 10.1.0.5 : 10.244.2.1 . 8080 }',
    'dnat ip6 to fd00:1::5',
    'dnat ip6 prefix to fd00:1::/64',
  ].flatMap((rule) =>
    several(`edges of dnat, ${rule}`, [IN, IN6], { nft: [nft('pre_e', DNAT_CHAIN, `meta l4proto tcp ${rule}`)] }),
  ),
  ...[
    'dnat ip6 to [fd00:1::77]-[fd00:1::79]',
    'dnat ip6 to [fd00:1::78]:80',
    'dnat ip6 to [fd00:1::77]-[fd00:1::78]:80-81',
  ].flatMap((rule) =>
    several(`edges of dnat, ${rule}`, [IN6], { nft: [nft('pre_e', DNAT_CHAIN, `meta l4proto tcp ${rule}`)] }),
  ),
  ...['dnat ip prefix to 10.244.2.0/24', 'dnat ip to 10.244.2.1-10.244.2.2'].flatMap((rule) =>
    several(`edges of dnat in output, ${rule}`, [OUT, SENT], { nft: [nft('out_e', OUT_CHAIN, rule)] }),
  ),
  // the source stands at, before and behind each bound
  ...[
    ...['22573-22580', '22570-22573', '22574-22580', '22560-22572', '22573', '22573-22573'].map(
      (ports) => `to 172.18.5.5:${ports}`,
    ),
    ...['10.244.1.1-10.244.1.3', '10.244.1.0-10.244.1.1', '10.244.1.2-10.244.1.3', '10.244.0.254-10.244.1.0'].flatMap(
      (addresses) =>
        ['', ':22573-22580', ':22570-22573', ':22574-22580', ':22560-22572'].map((ports) => `to ${addresses}${ports}`),
    ),
    'to 10.244.1.1-10.244.1.3 random',
    'to 172.18.5.5:22573-22580 random',
  ].flatMap((target) =>
    several(
      `edges of snat ${target}`,
      [THROUGH, ...(target.includes(':') ? [] : [{ ...THROUGH, protocol: 'icmp' as const }])],
      {
        nft: [nft('post_e', SNAT_CHAIN, `${target.includes(':') ? 'meta l4proto tcp ' : ''}snat ip ${target}`)],
      },
    ),
  ),
  // an index by destination stands over long chains alone
  ...several('a long chain with and without destinations', to(IN, '10.1.0.5', '10.1.0.77', '10.1.0.99'), {
    rules4: Array.from({ length: 30 }, (_, at) =>
      at % 5 === 0
        ? `mangle PREROUTING -p tcp -j MARK --set-xmark 0x${(2 ** at).toString(16)}/0x${(2 ** at).toString(16)}`
        : `mangle PREROUTING -d ${at % 2 === 0 ? '10.1.0.5' : '10.1.0.77'}/32 -j MARK --set-xmark 0x${(2 ** at).toString(16)}/0x${(2 ** at).toString(16)}`,
    ),
  }),
  // newest first: the deprecated one leads the device's list
  ...several(
    'TPROXY of IPv6 without an address passes over a deprecated one',
    [{ ...IN6, dst: '2001:db8::5', dport: 7070 }],
    {
      rules6: ['mangle PREROUTING -p tcp -j TPROXY --on-port 7070 --on-ip :: --tproxy-mark 0x1'],
      shell: [
        'ip -6 addr add fd00:244:1::d/64 dev eth0 nodad preferred_lft 0',
        'ip -6 route replace local default dev lo table 100 proto 99',
        'ip -6 rule add pref 100 fwmark 0x1/0x1 lookup 100',
      ],
    },
  ),
];
