import { iptables, nftables, several, to } from './battery.js';
import { IN, IN6, nft, THROUGH, THROUGH6, type KernelCase } from './case.js';

/** Rules that name the outgoing device, which few look-ups know. */
const BY_OIF = ['eth0', 'eth1', 'lo'].map((device, at) => `ip -6 rule add pref ${500 + at} oif ${device} to `);

const RPFILTERS = ['', ' --loose', ' --accept-local', ' --loose --accept-local'].flatMap((options) => [
  `-m rpfilter${options}`,
  `-m rpfilter${options} --invert`,
]);
/** force_forwarding is in Linux since 6.17. */
const FORWARDINGS = [
  ['all/forwarding=0'],
  ['all/forwarding=0', 'eth0/force_forwarding=1'],
  ['all/forwarding=0', 'eth1/force_forwarding=1'],
  ['all/forwarding=0', 'all/force_forwarding=1'],
  ['all/forwarding=1', 'eth0/force_forwarding=1'],
];

/** What mutants showed to be told by no case: rules by outgoing device. */
export const LEFTOVER_EDGES: readonly KernelCase[] = [
  ...BY_OIF.flatMap((rule) =>
    several(
      `IPv6, ${rule}`,
      ['eth0', 'eth1'].flatMap((iif) => [
        ...to(
          { ...IN6, iif, protocol: 'udp', dport: 5353 },
          'fe80::77',
          'ff02::1',
          'ff02::fb',
          'ff05::77',
          'fd00:244:1::77',
        ),
        ...to({ ...IN6, iif, src: 'fe80::77' }, 'fd00:1::5', 'fd00:1::6'),
      ]),
      {
        rules6: ['filter INPUT -p tcp -j REJECT', 'filter FORWARD -p tcp -j REJECT'],
        shell: ['fe80::/64', 'ff02::/16', 'ff05::/16', 'fd00:244:1::/64'].map((net) => `${rule}${net} unreachable`),
      },
    ),
  ),
  ...['eth0', 'eth1'].flatMap((device) => [
    ...iptables('raw PREROUTING', {
      name: `rpfilter where a rule names ${device}`,
      flows: ['eth0', 'eth1'].flatMap((iif) =>
        ['fe80::77', 'fd00:1::77', 'fd00:244:1::77', '2001:db8::9'].map((src) => ({ ...IN6, iif, src })),
      ),
      tests: ['', ' --loose', ' --accept-local'].flatMap((options) => [
        `-m rpfilter${options}`,
        `-m rpfilter${options} --invert`,
      ]),
      pieces: {
        shell: ['fe80::/64', 'fd00::/16', '2001:db8::/32'].map(
          (net) => `ip -6 rule add pref 500 oif ${device} to ${net} unreachable`,
        ),
      },
    }),
    ...nftables('pre_fib', 'type filter hook prerouting priority -150; policy accept;', {
      name: `fib of IPv6 where a rule names ${device}`,
      flows: ['eth0', 'eth1'].flatMap((iif) =>
        ['fe80::77', 'fd00:1::77', 'fd00:244:1::77', '2001:db8::9'].map((src) => ({ ...IN6, iif, src })),
      ),
      tests: ['saddr', 'saddr . iif'].flatMap((what) => [
        `fib ${what} type unicast`,
        `fib ${what} type unreachable`,
        `fib ${what} oif eth0`,
        `fib ${what} oif eth1`,
        `fib ${what} oif 0`,
      ]),
      pieces: {
        shell: ['fe80::/64', 'fd00::/16', '2001:db8::/32'].map(
          (net) => `ip -6 rule add pref 500 oif ${device} to ${net} unreachable`,
        ),
      },
    }),
    ...several(
      `IPv4, a rule names ${device}`,
      ['eth0', 'eth1'].flatMap((iif) => to({ ...IN, iif, src: '10.244.9.9' }, '10.1.0.77', '10.244.1.77', '10.1.0.5')),
      { shell: [`ip rule add pref 500 oif ${device} to 10.0.0.0/8 unreachable`] },
    ),
  ]),
  ...iptables('raw PREROUTING', {
    name: 'rpfilter of sources and destinations that are no unicast',
    flows: ['eth0', 'eth1'].flatMap((iif) => [
      ...['224.0.0.5', '240.0.0.1', '255.255.255.255', '0.0.0.0', '0.1.2.3', '127.0.0.1'].map((src) => ({
        ...IN,
        iif,
        src,
      })),
      ...['0.0.0.0', '10.244.1.77', '10.1.0.77', '8.8.8.8'].flatMap((src) =>
        to(
          { ...IN, protocol: 'udp', dport: 5353, iif, src },
          '255.255.255.255',
          '224.0.0.1',
          '239.1.1.1',
          '10.244.1.255',
          '0.0.0.0',
        ),
      ),
    ]),
    tests: RPFILTERS,
    // what is looked up comes from where the packet goes: a group and all of them count as nowhere
    pieces: {
      shell: [
        'ip rule add pref 500 from 224.0.0.0/4 to 10.244.1.77 unreachable',
        'ip rule add pref 501 from 255.255.255.255 to 10.244.1.77 unreachable',
        'ip rule add pref 502 from 10.244.1.255 to 10.1.0.77 unreachable',
      ],
    },
  }),
  ...[
    'ip to ip daddr map { 10.1.0.77 : 10.244.1.1-10.244.1.3, 10.1.0.78 : 10.244.1.9-10.244.1.9 }',
    'ip to tcp dport map { 443 : 10.244.1.9 . 8080 }',
    'ip to tcp dport map { 443 : 10.244.1.9 . 8080, 80 : 10.244.1.8 . 81 }',
    'ip to tcp dport map { 443 : 10.244.1.1-10.244.1.3 . 8000-8001 }',
    'ip to tcp dport map { 443 : 10.244.1.9-10.244.1.9 . 8000 }',
    'ip to tcp dport map { 443 : 10.244.1.9 . 8000-8001 }',
    'ip to tcp dport map { 443 : 10.244.1.9 . 443-444 }',
    'ip prefix to ip daddr map { 10.1.0.0/24 : 10.244.1.0/24, 10.2.0.0/24 : 10.244.2.0/24 }',
    'ip to ip daddr . tcp dport map { 10.1.0.77 . 443 : 10.244.1.9 . 8080 }',
    'ip6 to tcp dport map { 443 : fd00:244:1::9 . 8080 }',
  ].flatMap((rule) =>
    several(
      `dnat ${rule}`,
      // from another port: two connections to one address would clash
      [
        ...to(THROUGH, '10.1.0.77'),
        ...to({ ...THROUGH, sport: 22574 }, '10.1.0.78'),
        { ...THROUGH, dport: 80 },
        { ...THROUGH, protocol: 'udp' },
        { ...THROUGH6, dport: 443 },
        { ...THROUGH6, dport: 81 },
      ],
      { nft: [nft('pre_n', 'type nat hook prerouting priority -100; policy accept;', `dnat ${rule}`)] },
    ),
  ),
  ...['8.8.8.8', '10.1.0.5'].flatMap((dst) =>
    several(
      'tproxy of nft to an address from a map',
      [
        { ...IN, dst },
        { ...IN, dst, src: '10.244.1.2' },
      ],
      {
        nft: [
          nft(
            'pre_t',
            'type filter hook prerouting priority -150; policy accept;',
            'meta l4proto tcp tproxy ip to ip saddr map { 10.244.1.1 : 127.0.0.1 }:15001 meta mark set 1',
            'meta mark set meta mark | 0x10',
          ),
        ],
        shell: [
          'ip route replace local default dev lo table 100 proto 99',
          'ip rule add pref 100 fwmark 0x1/0x1 lookup 100',
        ],
      },
    ),
  ),
  ...FORWARDINGS.flatMap((settings) =>
    several(
      `forwarding of IPv6, ${settings.join(', ')}`,
      [THROUGH6, { ...THROUGH6, iif: 'eth1', dst: 'fd00:244:1::77' }],
      {
        shell: settings.map(
          (setting) =>
            `if [ -e /proc/sys/net/ipv6/conf/${setting.split('=')[0] ?? ''} ]; then echo ${setting.split('=')[1] ?? ''} >/proc/sys/net/ipv6/conf/${setting.split('=')[0] ?? ''}; fi`,
        ),
      },
    ),
  ),
  ...several(
    'forwarding of IPv4 on one device',
    [
      THROUGH,
      { ...THROUGH, iif: 'eth1', dst: '10.244.1.77' },
      { ...THROUGH, dst: '203.0.113.13' },
      { ...THROUGH, iif: 'eth1', dst: '203.0.113.13' },
    ],
    {
      shell: ['sysctl -q -w net.ipv4.conf.eth0.forwarding=0', 'ip route replace unreachable 203.0.113.13 proto 99'],
    },
  ),
  // of IPv4's groups a socket of IPv6 hears those alone that it joined
  ...several(
    'a group of IPv4 and the families of sockets',
    [53, 5353, 15006, 15053].flatMap((dport) =>
      to({ ...IN, protocol: 'udp', dport, src: '10.244.1.77' }, '224.0.0.1', '255.255.255.255', '10.244.1.255'),
    ),
    {},
  ),
];
