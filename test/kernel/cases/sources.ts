import { PROTOCOLS, several, to } from './battery.js';
import { IN, IN6, OUT, type KernelCase } from './case.js';

const hosts = (from: number, below: number): readonly number[] =>
  Array.from({ length: below - from }, (_, at) => from + at);
const ADDRESSES6 = [
  '2001:db8:1::5/48 dev eth1',
  '2001:db8:1:2::5/64 dev eth1',
  'fd00:1:2::5/64 dev eth1',
  'fec0::7/64 dev eth1',
  '2001:db8:9::5/64 dev eth1 preferred_lft 0',
  '2001:db8:1:2:3::5/80 dev eth0',
  'fd00:244:9::5/64 dev lo',
].map((address) => `ip -6 addr add ${address} nodad`);
const TO6 = [
  '2001:db8:1::99',
  '2001:db8:1:2::99',
  '2001:db8:1:2:3::99',
  '2001:db8:9::1',
  '2001:db8:ffff::1',
  'fd00:1:2::9',
  'fd00:1::77',
  'fd00:244:9::7',
  'fec0::9',
  'fe80::99',
  '2001:4860::1',
  'ff02::99',
  'ff05::99',
  'ff0e::99',
  '::1',
  'fd00:1:2::5',
];
const ADDRESSES4 = [
  '10.9.1.5/24 dev eth1',
  '10.9.2.5/16 dev eth1',
  '10.9.2.6/16 dev eth1',
  '192.0.2.5/32 dev lo',
  '198.51.100.5/24 dev eth0 scope link',
  '100.64.0.5/10 dev eth0',
].map((address) => `ip addr add ${address}`);
const ROUTES4 = [
  '203.0.113.1 via 10.9.1.1 dev eth1',
  '203.0.113.2 via 10.9.2.1 dev eth1',
  '203.0.113.3 dev eth1',
  '203.0.113.4 dev eth1 scope link',
  '203.0.113.5 dev eth0 src 10.9.2.6',
  '203.0.113.6 via 198.51.100.1 dev eth0',
  '203.0.113.7 via 100.64.0.1 dev eth0',
  '203.0.113.8 via 192.0.2.99 dev eth1 onlink',
  '203.0.113.9 dev lo',
  'local 203.0.113.10 dev lo',
  'local 203.0.113.11 dev eth0 src 10.9.1.5',
  'throw 203.0.113.12',
  'blackhole 203.0.113.13',
  'unreachable 203.0.113.14',
  'prohibit 203.0.113.15',
].map((route) => `ip route replace ${route} proto 99`);
const TO4 = [
  ...hosts(1, 16).map((host) => `203.0.113.${host}`),
  '10.9.1.77',
  '10.9.2.77',
  '10.9.7.7',
  '192.0.2.9',
  '198.51.100.9',
  '100.64.0.9',
  '8.8.8.8',
  '10.9.1.5',
  '192.0.2.5',
  '127.0.0.1',
  '127.9.9.9',
  '10.9.1.6',
];

/** Sources that the kernel chooses, and routes of every kind. */
export const SOURCES: readonly KernelCase[] = [
  ...several(
    'sources of IPv6',
    PROTOCOLS.flatMap((protocol) => to({ ...IN6, direction: 'out', iif: null, src: '::', protocol }, ...TO6)),
    {
      shell: [
        ...ADDRESSES6,
        'ip -6 route replace 2001:db8::/32 dev eth1 proto 99',
        'ip -6 route replace 2001:4860::/32 via fd00:1::1 dev eth1 src fd00:1:2::5 proto 99',
      ],
    },
  ),
  ...several(
    'masquerade of IPv6',
    to({ ...IN6, src: 'fd00:244:1::9' }, ...TO6.filter((dst) => !dst.startsWith('f') || dst.startsWith('fd'))),
    {
      rules6: ['nat POSTROUTING -j MASQUERADE'],
      shell: [
        ...ADDRESSES6,
        'ip -6 route replace 2001:db8::/32 dev eth1 proto 99',
        'ip -6 route replace 2001:4860::/32 via fd00:1::1 dev eth1 src fd00:1:2::5 proto 99',
      ],
    },
  ),
  ...several(
    'sources of IPv4',
    PROTOCOLS.flatMap((protocol) => to({ ...OUT, src: '0.0.0.0', protocol }, ...TO4)),
    { shell: [...ADDRESSES4, ...ROUTES4] },
  ),
  ...several('masquerade of IPv4', to({ ...IN, src: '10.244.1.9' }, ...TO4), {
    rules4: ['nat POSTROUTING -j MASQUERADE'],
    shell: [...ADDRESSES4, ...ROUTES4],
  }),
  ...several(
    'REDIRECT takes the first address of the device',
    [
      { ...IN, dst: '8.8.8.8' },
      { ...IN, iif: 'eth1', src: '10.1.0.9', dst: '8.8.8.8' },
    ],
    { rules4: ['nat PREROUTING -p tcp -j REDIRECT --to-ports 8080'], shell: ADDRESSES4 },
  ),
];
