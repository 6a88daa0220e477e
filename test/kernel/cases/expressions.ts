import { IN, IN6, OUT, made, nft, raw, type KernelCase } from './case.js';

const MARKED = 'meta mark set 0x4000';
const preroutingOf = (flow: KernelCase['flow'], ...tests: readonly string[]): readonly KernelCase[] =>
  tests.map((test) => made(`${test}, ${flow.protocol} ${flow.direction} ${flow.src}`, flow, raw(`${test} ${MARKED}`)));
const output = (mark: number, ...tests: readonly string[]): readonly KernelCase[] =>
  tests.map((test) =>
    made(
      `${test} in OUTPUT, mark ${mark}`,
      { ...OUT, dst: '10.1.0.77', mark },
      { nft: [nft('out_f', 'type filter hook output priority 0; policy accept;', `${test} ${MARKED}`)] },
    ),
  );

/** What the expressions of nft read of a packet, its devices and its connection. */
export const EXPRESSIONS: readonly KernelCase[] = [
  ...preroutingOf(
    IN,
    'ip daddr < 10.2.0.0',
    'ip daddr >= 10.1.0.5',
    'ip saddr > 200.0.0.0',
    'ip daddr != 10.0.0.0-10.1.0.9',
    'meta iiftype ether',
    'meta iiftype != ether',
    'meta iiftype loopback',
    'meta oiftype ether',
    'meta iifgroup default',
    'meta iifgroup != 0',
    'meta iifgroup 7',
    'meta oifgroup 0',
    'iif 99',
    'iif != 99',
    'iif < 100',
    'iif 1-99',
    'iif { eth0, 99 }',
    'fib saddr . iif oif eth0',
    'fib saddr . iif oif != eth0',
    'fib saddr . iif oif { eth0, lo }',
    'fib saddr . iif oif exists',
    'fib daddr . iif oif missing',
    'fib daddr oif lo',
    'fib daddr oif != lo',
    'ip option ra exists',
    'ip option ra missing',
    'ip option ra type 5',
    'sctp chunk data exists',
    'ip hdrlength 5',
    'ip hdrlength > 5',
    '@nh,72,8 6',
    '@nh,72,8 != 6',
    'ct status ! assured',
    'ct status ! confirmed',
    'ct status ! (snat|dnat)',
    'socket mark 0',
    'socket mark != 0',
  ),
  ...(['udp', 'icmp', 'tcp'] as const).flatMap((protocol) =>
    [IN, IN6].flatMap((flow) =>
      preroutingOf(
        { ...flow, protocol },
        ...(protocol === 'tcp' ? [] : ['osf name "Linux"']),
        'tcp option maxseg missing',
        'sctp chunk data missing',
        'exthdr frag missing',
        'ip option ra missing',
        'frag id != 5',
      ),
    ),
  ),
  ...preroutingOf(
    { ...OUT, dport: 8080 },
    'meta iiftype ether',
    'meta iiftype loopback',
    'ether type ip',
    'ether saddr 00:00:00:00:00:00',
    'socket mark 0',
  ),
  ...['10.1.0.5', '255.255.255.255', '10.244.1.255', '224.0.0.1'].flatMap((dst) => [
    ...preroutingOf(
      { ...IN, protocol: 'udp', dst },
      `meta pkttype host ip daddr ${dst}`,
      `meta pkttype != host ip daddr ${dst}`,
    ),
    ...['-m pkttype --pkt-type unicast', '-m pkttype ! --pkt-type broadcast'].map((match) =>
      made(
        `${match} to ${dst}`,
        { ...IN, protocol: 'udp', dst },
        { rules4: [`mangle PREROUTING ${match} -j MARK --set-mark 0x4000`] },
      ),
    ),
  ]),
  ...['-m mac --mac-source 00:11:22:33:44:55', '-m mac ! --mac-source 00:11:22:33:44:55'].flatMap((match) =>
    [IN, { ...OUT, dport: 8080 }].map((flow) =>
      made(`${match}, ${flow.direction}`, flow, { rules4: [`mangle PREROUTING ${match} -j MARK --set-mark 0x4000`] }),
    ),
  ),
  ...[0, 5].flatMap((mark) =>
    output(
      mark,
      'socket mark 0',
      'socket mark 5',
      'meta iiftype ether',
      'meta oiftype ether',
      'meta iifgroup 0',
      'iif ""',
    ),
  ),
];
