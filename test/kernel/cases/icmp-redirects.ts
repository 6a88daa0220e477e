import type { Pieces } from '../generate.js';
import type { Flow } from '../bench.js';
import { IN, made, nft, type KernelCase } from './case.js';

/** What goes out where it came in: the kernel tells the sender, by a message that belongs to the connection. */
const HEADS = ['type route hook output priority -150', 'type filter hook output priority 0'] as const;

/** From a host of eth1 to another one; each case has a host of its own, for the kernel limits how often it tells one. */
const turned = (host: number): Flow => ({
  ...IN,
  iif: 'eth1',
  protocol: 'udp',
  src: `10.1.0.${host}`,
  dst: '10.1.0.77',
});

function told(name: string, flow: Flow, pieces: Partial<Pieces>): KernelCase {
  const shell = ['sysctl -q -w net.ipv4.conf.eth1.send_redirects=1', ...(pieces.shell ?? [])];
  return made(`an ICMP redirect ${name}`, flow, { ...pieces, shell });
}

export const ICMP_REDIRECTS: readonly KernelCase[] = [
  ...HEADS.flatMap((head) =>
    ['', 'icmp type redirect ', 'icmp type echo-request ', 'ct direction reply ', 'ct state new '].map((match) =>
      told(`comes by a chain of ${head} that marks the connection: ${match}`, turned(30 + match.length), {
        nft: [nft('out_r', `${head}; policy accept;`, `${match}ct mark set 0x77`)],
      }),
    ),
  ),
  ...HEADS.map((head, at) =>
    told(`where there is nat: ${head}`, turned(60 + at), {
      nft: [
        nft('out_r', `${head}; policy accept;`, 'ct mark set 0x77'),
        nft('post_n', 'type nat hook postrouting priority 100; policy accept;', 'tcp dport 1 masquerade'),
      ],
    }),
  ),
  ...[
    '--socket-exists',
    '! --socket-exists',
    '--uid-owner 0',
    '! --uid-owner 7',
    '! --gid-owner 0-7',
    '--socket-exists ! --uid-owner 7',
  ].map((owner, at) =>
    told(`has a socket that no process has: ${owner}`, turned(100 + at), {
      rules4: [`mangle OUTPUT -m owner ${owner} -j CONNMARK --set-xmark 0x77/0xffffffff`],
    }),
  ),
  ...['meta skuid 0', 'meta skuid != 7', 'meta skgid != { 1-7 }', 'meta skuid < 7'].map((owner, at) =>
    told(`has a socket that no process has: ${owner}`, turned(110 + at), {
      nft: [nft('out_r', HEADS[1], `${owner} ct mark set 0x77`)],
    }),
  ),
  // the route to the sender is looked up: to an address of this machine, through another device, by another source, to nowhere
  ...[
    '-o lo',
    '-o eth0',
    '-o eth1',
    '-s 10.1.0.5',
    '-s 172.18.0.3',
    '-s 10.244.1.5',
    '-d 172.18.0.3',
    '-p icmp -m icmp --icmp-type host-redirect',
  ].flatMap((match, at) =>
    [
      [],
      ['ip route replace 10.1.0.128/25 dev eth0 proto 99'],
      ['ip route replace 10.1.0.128/25 dev eth1 src 172.18.0.3 proto 99'],
      ['ip rule add pref 500 iif lo to 10.1.0.128/25 unreachable'],
      ['ip rule add pref 500 iif lo from 10.1.0.5 to 10.1.0.128/25 prohibit'],
    ].map((shell, way) =>
      told(`on way ${way}: ${match}`, turned(130 + 5 * at + way), {
        rules4: [`mangle OUTPUT ${match} -j CONNMARK --set-xmark 0x77/0xffffffff`],
        shell,
      }),
    ),
  ),
  ...['-o lo', '-o eth1', '-s 172.18.0.3', '-d 172.18.0.3'].map((match) =>
    told(
      `to an address of this machine: ${match}`,
      { ...turned(0), src: '172.18.0.3' },
      {
        rules4: [
          `mangle OUTPUT ${match} -j CONNMARK --set-xmark 0x77/0xffffffff`,
          'mangle INPUT -j CONNMARK --set-xmark 0x99/0xffffffff',
        ],
        shell: ['sysctl -q -w net.ipv4.conf.eth1.accept_local=1'],
      },
    ),
  ),
];
