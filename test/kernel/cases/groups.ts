import { IN, IN6, OUT, made, overLo, type KernelCase } from './case.js';

/** Groups, broadcasts, and who has no address. */
export const GROUPS: readonly KernelCase[] = [
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
];
