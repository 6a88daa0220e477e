import { each, IN, nft, type KernelCase } from './case.js';

/** Each from a mark of the packet of 0xf0f0f0f0 and one of the connection of 0x0ff00ff0. */
const MARKED = [
  'mangle PREROUTING -j MARK --set-xmark 0xf0f0f0f0/0xffffffff',
  'mangle PREROUTING -j CONNMARK --set-xmark 0x0ff00ff0/0xffffffff',
];
const OPERATIONS = [
  ...[
    'set-xmark 0x12345678/0xffff',
    'set-xmark 0x12345678/0x0',
    'set-mark 0x1/0xff',
    'set-mark 0x12345678/0xffff',
    'and-mark 0xff00ff',
    'or-mark 0x0f0f',
    'xor-mark 0xffff',
  ].flatMap((op) => [`MARK --${op}`, `CONNMARK --${op}`]),
  ...[
    '',
    ' --nfmask 0xff00 --ctmask 0xff',
    ' --nfmask 0x0 --ctmask 0xff',
    ' --nfmask 0xff --ctmask 0x0',
    ' --nfmask 0xffff0000 --ctmask 0xffff',
  ].flatMap((mask) => [`CONNMARK --save-mark${mask}`, `CONNMARK --restore-mark${mask}`]),
];
const NFT_MARKS = [
  'meta mark set meta mark & 0xff00 | 0x1',
  'meta mark set meta mark ^ 0xff',
  'meta mark set meta mark << 4',
  'meta mark set meta mark >> 4',
  'meta mark set ct mark',
  'meta mark set ct mark & 0xffff',
  'meta mark set ct mark | 0xf',
  'ct mark set meta mark & 0xff',
  'ct mark set ct mark ^ 0xff',
  'ct mark set meta mark >> 8',
  'ct mark set 0x5',
  'meta mark set tcp dport map { 443 : 0x5, 80 : 0x6 }',
  'meta mark set tcp dport map { 80 : 0x6 }',
  'meta mark set ip saddr . tcp dport map { 10.244.1.1 . 443 : 0x7 }',
  'meta mark set ip saddr map { 10.244.0.0/16 : 0x8, 10.1.0.0/24 : 0x9 }',
  'meta mark set numgen inc mod 1 offset 7',
  'meta mark set jhash ip saddr mod 1 offset 3',
  'meta mark set iifname map { "eth0" : 0x1, "eth1" : 0x2 }',
  'ct mark set tcp dport map { 440-450 : 0x11 }',
  'meta mark set meta mark and 0xfffffff0 xor 0x5 or 0x100',
];

/** What targets and statements make of marks. */
export const MARKS: readonly KernelCase[] = [
  ...each('marks', IN, OPERATIONS, (op) => ({ rules4: [...MARKED, `mangle PREROUTING -j ${op}`] })),
  ...each(
    'marks without a connection',
    IN,
    ['CONNMARK --save-mark', 'CONNMARK --restore-mark', 'CONNMARK --set-xmark 0x5/0xff'],
    (op) => ({ rules4: ['raw PREROUTING -j CT --notrack', MARKED[0] ?? '', `mangle PREROUTING -j ${op}`] }),
  ),
  ...each('marks of nft', IN, NFT_MARKS, (op) => ({
    rules4: MARKED,
    nft: [nft('pre_m', 'type filter hook prerouting priority -149; policy accept;', op)],
  })),
];
