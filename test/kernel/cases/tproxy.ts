import type { Flow } from '../bench.js';
import { each, IN, IN6, nft, type KernelCase } from './case.js';

const LOCAL100: readonly string[] = ['', '-6 '].flatMap((v) => [
  `ip ${v}route replace local default dev lo table 100 proto 99`,
  `ip ${v}rule add pref 100 fwmark 0x1/0x1 lookup 100`,
]);
const TPROXIES = [
  '--on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1',
  '--on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x3/0x1',
  '--on-port 15001 --tproxy-mark 0x1',
  '--on-port 9090 --on-ip 127.0.0.1 --tproxy-mark 0x1',
  '--on-port 9090 --tproxy-mark 0x1',
  '--on-port 7070 --on-ip 10.244.1.5 --tproxy-mark 0x1',
  '--on-port 7070 --on-ip 10.1.0.5 --tproxy-mark 0x1',
  '--on-port 0 --tproxy-mark 0x1',
  '--on-port 0 --on-ip 10.244.1.5 --tproxy-mark 0x1',
  '--on-port 15053 --on-ip 127.0.0.1 --tproxy-mark 0xff/0x0f',
  '--on-port 15001 --on-ip 127.0.0.1',
  '--on-port 444 --tproxy-mark 0x1',
];
const TPROXIES6 = [
  '--on-port 15053 --on-ip ::1 --tproxy-mark 0x1/0x1',
  '--on-port 15053 --tproxy-mark 0x1',
  '--on-port 80 --on-ip fd00:1::5 --tproxy-mark 0x1',
  '--on-port 0 --tproxy-mark 0x1',
  '--on-port 15001 --tproxy-mark 0x1',
];
const NFT_TPROXIES = [
  'meta l4proto tcp tproxy to :15001 meta mark set 1',
  'meta l4proto tcp tproxy ip to 127.0.0.1:15001 meta mark set 1',
  'meta l4proto tcp tproxy ip to 127.0.0.1 meta mark set 1',
  'meta l4proto tcp tproxy ip to 10.244.1.5:7070 meta mark set 1',
  'meta l4proto tcp tproxy ip to :9090 meta mark set 1',
  'meta l4proto tcp tproxy ip6 to [::1]:15053 meta mark set 1',
  'meta l4proto tcp tproxy ip6 to :15053 meta mark set 1',
  'meta l4proto tcp tproxy to :15053 meta mark set 1',
  'meta l4proto tcp tproxy to :444 meta mark set 1',
  'meta l4proto tcp tproxy to :tcp dport map { 443 : 15001, 80 : 15006 } meta mark set 1',
];
const tproxied = (dport: number): readonly Flow[] => [
  { ...IN, dst: '8.8.8.8', dport },
  { ...IN, iif: 'eth1', dst: '10.1.0.5', dport },
];

/** TPROXY: which listener takes it, and with which mark. */
export const TPROXY: readonly KernelCase[] = [
  ...[443, 15053, 9090].flatMap((dport) =>
    tproxied(dport).flatMap((flow) =>
      each(`TPROXY of ${dport} on ${flow.iif ?? ''}`, flow, TPROXIES, (rule) => ({
        rules4: [`mangle PREROUTING -p tcp -j TPROXY ${rule}`],
        shell: LOCAL100,
      })),
    ),
  ),
  ...each(
    'TPROXY',
    { ...IN, protocol: 'udp', dst: '8.8.8.8', dport: 443 },
    ['--on-port 15006 --tproxy-mark 0x1', '--on-port 9053 --on-ip 127.0.0.1 --tproxy-mark 0x1'],
    (rule) => ({ rules4: [`mangle PREROUTING -p udp -j TPROXY ${rule}`], shell: LOCAL100 }),
  ),
  ...[80, 443, 15053].flatMap((dport) =>
    ['fd00:1::5', '2001:db8::5'].flatMap((dst) =>
      each(`TPROXY of ${dport}`, { ...IN6, dst, dport }, TPROXIES6, (rule) => ({
        rules6: [`mangle PREROUTING -p tcp -j TPROXY ${rule}`],
        shell: LOCAL100,
      })),
    ),
  ),
  ...[
    { ...IN, dst: '8.8.8.8' },
    { ...IN, dst: '8.8.8.8', dport: 15001 },
    { ...IN6, dst: '2001:db8::5' },
    { ...IN, protocol: 'udp' as const, dst: '8.8.8.8' },
  ].flatMap((flow) =>
    each(`tproxy of nft, port ${flow.dport}`, flow, NFT_TPROXIES, (rule) => ({
      nft: [nft('pre_m', 'type filter hook prerouting priority -150; policy accept;', rule)],
      shell: LOCAL100,
    })),
  ),
];
