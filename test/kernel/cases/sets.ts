import { IN, IN6, OUT, made, type KernelCase } from './case.js';

const ICMP = { ...IN, protocol: 'icmp' as const };

/** Sets of ipset beside those of the generator: `create` and `add` lines, and the rules' questions to them. */
function asked(ipset: string, flow: KernelCase['flow'], ...questions: readonly string[]): readonly KernelCase[] {
  const [name = ''] = /(?<=create )\S+/.exec(ipset) ?? [];
  return questions.map((question) =>
    made(`${ipset.trim().replace(/\s*\n\s*/g, '; ')}: ${question}, ${flow.protocol}`, flow, {
      ipset: `${ipset.trim().replace(/^\s+/gm, '')}\n`,
      [flow.src.includes(':') ? 'rules6' : 'rules4']: [
        `${flow.direction === 'in' ? 'raw PREROUTING' : 'mangle POSTROUTING'} -m set ${question.replace('SET', name)} -j MARK --set-mark 0x4000`,
      ],
    }),
  );
}

const COUNTED = `create counted hash:ip counters
  add counted 10.244.1.1 packets 5 bytes 600`;
const EXCEPTED = `create excepted hash:net
  add excepted 10.0.0.0/8
  add excepted 10.244.1.0/24 nomatch`;

/** What ipset matches. */
export const SETS: readonly KernelCase[] = [
  ...['hash:ip,port', 'hash:ip,port,ip', 'hash:net,port'].flatMap((type) =>
    ['icmp:echo-request', 'icmp:echo-reply', 'icmp:8/1', 'tcp:443'].flatMap((port) =>
      [IN, ICMP].flatMap((flow) =>
        asked(
          `create some ${type}
           add some 10.244.1.1,${port}${type.endsWith('ip') ? ',10.1.0.5' : ''}`,
          flow,
          '--match-set SET src,dst,dst',
          '! --match-set SET src,src,dst',
        ),
      ),
    ),
  ),
  ...['ipv6-icmp:echo-request', 'ipv6-icmp:129/0'].flatMap((port) =>
    asked(
      `create some hash:ip,port family inet6
       add some fd00:1::77,${port}`,
      { ...IN6, protocol: 'icmp' },
      '--match-set SET src,dst',
    ),
  ),
  ...(['tcp', 'udp', 'icmp'] as const).flatMap((protocol) =>
    asked(
      `create numbers bitmap:port range 0-65535
       add numbers 0
       add numbers 443
       add numbers 2048`,
      { ...IN, protocol },
      '--match-set SET dst',
    ),
  ),
  ...['10.0.0.0/8,physdev:eth0', '10.0.0.0/8,eth wildcard', '10.0.0.0/8,eth', '10.0.0.0/8,eth1 wildcard'].flatMap(
    (member) =>
      asked(
        `create devices hash:net,iface
         add devices ${member}`,
        IN,
        '--match-set SET src,src',
      ),
  ),
  ...asked(
    `create devices hash:net,iface
     add devices 10.0.0.0/8,physdev:eth0
     add devices 0.0.0.0/0,eth0`,
    IN,
    '--match-set SET src,src',
  ),
  ...asked(COUNTED, IN, '--match-set SET src', '--match-set SET src --packets-gt 5', '! --match-set SET src'),
  ...asked(COUNTED, IN, '--match-set SET src ! --update-counters', '--match-set SET src ! --update-subcounters'),
  ...asked(COUNTED, { ...IN, src: '10.244.1.2' }, '--match-set SET src --packets-gt 5 ! --bytes-eq 1'),
  ...asked(
    `create plain hash:ip
     add plain 10.244.1.1`,
    IN,
    '--match-set SET src --packets-gt 5',
    '--match-set SET src ! --packets-eq 0',
    '--match-set SET src --return-nomatch',
  ),
  ...['10.244.1.1', '10.1.0.77', '8.8.8.8'].flatMap((src) =>
    asked(EXCEPTED, { ...IN, src }, '--match-set SET src --return-nomatch', '! --match-set SET src --return-nomatch'),
  ),
  ...['10.244.1.1', '10.1.0.77'].flatMap((src) =>
    asked(
      `create all list:set
       create excepted hash:net
       add excepted 10.0.0.0/8
       add excepted 10.244.1.0/24 nomatch
       add all excepted`,
      { ...IN, src },
      '--match-set SET src',
      '--match-set SET src --return-nomatch',
    ),
  ),
  ...['10.244.1.1', '10.244.2.1', '10.1.0.1'].flatMap((src) => [
    ...asked(
      `create wide bitmap:ip range 10.244.0.0/16 netmask 24
       add wide 10.244.1.0`,
      { ...IN, src },
      '--match-set SET src',
    ),
    ...asked(
      `create holes hash:ip bitmask 255.255.0.255
       add holes 10.244.77.1`,
      { ...IN, src },
      '--match-set SET src',
    ),
    ...asked(
      `create holes hash:ip,port bitmask 255.255.0.255
       add holes 10.244.77.1,tcp:443`,
      { ...IN, src },
      '--match-set SET src,dst',
    ),
    ...asked(
      `create wide hash:ip,port netmask 24
       add wide 10.244.1.9,tcp:443`,
      { ...IN, src },
      '--match-set SET src,dst',
    ),
  ]),
  ...['10.244.1.1', '10.244.1.1,00:11:22:33:44:55', '10.244.1.2'].flatMap((member) =>
    asked(
      `create frames bitmap:ip,mac range 10.244.1.0/24
       add frames ${member}`,
      IN,
      '--match-set SET src,src',
    ),
  ),
  ...asked(
    `create frames bitmap:ip,mac range 10.1.0.0/24
     add frames 10.1.0.5`,
    { ...OUT, dst: '10.1.0.77' },
    '--match-set SET src,src',
  ),
];
