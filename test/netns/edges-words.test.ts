import { describe, expect, it } from 'vitest';
import { answerLine, type NetnsAnswerOutcome } from '../../src/netns/eval.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { localRoute } from './netns-files.js';
import { ask, FILES, OUT } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** Words of rules and of questions that the bench of test/kernel has not, or that iptables-save does not print itself. */

type Files = Readonly<Record<string, string>>;
const rules = (...lines: readonly string[]): Files => ({
  'iptables-save.txt': `*mangle\n${lines.map((line) => `-A ${line}\n`).join('')}COMMIT\n`,
});
const bits = (chain: string, ...matches: readonly string[]): Files =>
  rules(
    ...matches.map((match, at) => {
      const bit = `0x${(2 ** at).toString(16)}`;
      return `${chain} ${match} -j MARK --set-xmark ${bit}/${bit}`;
    }),
  );
const marks = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();

function evaluate(files: Files, question: object): readonly NetnsAnswerOutcome[] {
  const base = { id: 1, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:4000', dst: '10.0.0.5:80' };
  const answer = answerLine(namespaceOf({ ...FILES, ...files }), JSON.stringify({ ...base, ...question }));
  if ('error' in answer) throw new Error(answer.error);
  return answer.outcomes;
}
const ends = (outcomes: readonly NetnsAnswerOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();
const conditions = (outcomes: readonly NetnsAnswerOutcome[]): string =>
  outcomes.flatMap(({ conditions: on }) => on ?? []).join();

describe('types of ICMP by name', () => {
  const icmp = { protocol: 'icmp', tcpFlags: [] } as const;
  const held = (match: string, over: Partial<Packet>): boolean =>
    marks(ask(bits('PREROUTING', match), over)).join() === 'delivered 1';

  it.each([
    ['echo-reply', 0],
    ['pong', 0],
    ['destination-unreachable', 3],
    ['source-quench', 4],
    ['redirect', 5],
    ['echo-request', 8],
    ['ping', 8],
    ['router-advertisement', 9],
    ['router-solicitation', 10],
    ['time-exceeded', 11],
    ['ttl-exceeded', 11],
    ['parameter-problem', 12],
    ['timestamp-request', 13],
    ['timestamp-reply', 14],
  ] as const)('%s is %d', (name, type) => {
    const match = `-p icmp -m icmp --icmp-type ${name}`;
    expect(held(match, { ...icmp, icmp: { type, code: 7, quotes: null } })).toBe(true);
    expect(held(match, { ...icmp, icmp: { type: type + 20, code: 0, quotes: null } })).toBe(false);
  });

  it('codes have more than one digit', () => {
    const match = '-p icmp -m icmp --icmp-type 3/13';
    expect(held(match, { ...icmp, icmp: { type: 3, code: 13, quotes: null } })).toBe(true);
    expect(held(match, { ...icmp, icmp: { type: 3, code: 1, quotes: null } })).toBe(false);
  });
});

describe('targets that decide no path', () => {
  it.each(['RATEEST', 'IDLETIMER', 'HL', 'TTL', 'TCPOPTSTRIP', 'SECMARK', 'CONNSECMARK', 'LED', 'AUDIT', 'TOS'])(
    '%s',
    (target) => {
      expect(marks(ask(rules(`PREROUTING -j ${target}`, 'PREROUTING -j MARK --set-xmark 0x1/0x1')))).toEqual([
        'delivered 1',
      ]);
    },
  );
});

describe('questions about ICMP', () => {
  const FOUR = { protocol: 'icmp', src: '10.0.0.9', dst: '10.0.0.5' };
  const SIX = { protocol: 'icmp', src: 'fd00::9', dst: 'fd00::5' };
  const types = bits(
    'PREROUTING',
    '-p icmp -m icmp --icmp-type 8/0',
    '-p icmp -m icmp --icmp-type 8/3',
    '-p icmp -m icmp --icmp-type 3/0',
    '-p icmp -m icmp --icmp-type 255',
    '-p icmp -m icmp --icmp-type 3/255',
  );
  const types6 = {
    'ip6tables-save.txt':
      '*mangle\n-A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 128/3 -j MARK --set-xmark 0x1/0x1\n-A PREROUTING -p ipv6-icmp -m icmp6 --icmpv6-type 1/0 -j MARK --set-xmark 0x2/0x2\nCOMMIT\n',
  };

  it('type and code may each be left away', () => {
    expect(ends(evaluate(types, FOUR))).toEqual(['delivered 0x9']);
    expect(ends(evaluate(types, { ...FOUR, icmpCode: 3 }))).toEqual(['delivered 0xa']);
    expect(ends(evaluate(types, { ...FOUR, icmpType: 3 }))).toEqual(['delivered 0xc']);
    expect(ends(evaluate(types, { ...FOUR, icmpType: 3, icmpCode: 255 }))).toEqual(['delivered 0x18']);
    expect(ends(evaluate(types6, { ...SIX, icmpCode: 3 }))).toEqual(['delivered 0x1']);
    expect(ends(evaluate(types6, { ...SIX, icmpType: 1 }))).toEqual(['delivered 0x2']);
    expect(ends(evaluate(types, { ...FOUR, icmpType: 3, quotes: null }))).toEqual(['delivered 0xc']);
  });

  it.each([
    [{ ...FOUR, icmpType: -1 }],
    [{ ...FOUR, icmpType: 3.5 }],
    [{ ...FOUR, icmpType: '3' }],
    [{ ...FOUR, icmpType: 256 }],
    [{ ...FOUR, icmpType: 3, quotes: { protocol: 'udp', src: '10.0.0.5:1', dst: 'x' } }],
  ])('%j is none', (question) => {
    expect(() => evaluate({}, question)).toThrow();
  });

  it('what opens no connection has none, whatever the question says by default', () => {
    const states = bits(
      'PREROUTING',
      '-m conntrack --ctstate NEW',
      '-m conntrack --ctstate INVALID',
      '-m conntrack --ctstate UNTRACKED',
    );
    for (const icmpType of [8, 13, 15, 17]) {
      expect(ends(evaluate(states, { ...FOUR, icmpType }))).toEqual(['delivered 0x1']);
    }
    for (const icmpType of [0, 3, 9, 14, 18, 40]) {
      expect(ends(evaluate(states, { ...FOUR, icmpType }))).toEqual(['delivered 0x2']);
    }
    expect(ends(evaluate(states, { protocol: 'tcp', icmpType: 3 }))).toEqual(['delivered 0x1']);
  });
});

describe('an ICMP error that is made here', () => {
  const connection = {
    original: { src: { ip: '10.0.0.9', port: 4000 }, dst: { ip: '10.0.0.5', port: 81 } },
    reply: { src: { ip: '10.0.0.5', port: 81 }, dst: { ip: '10.0.0.9', port: 4000 } },
    protocol: 'udp',
    mark: 5,
    zone: 0,
    seenReply: false,
  } as const;
  const error: Partial<Packet> = {
    ...OUT,
    protocol: 'icmp',
    tcpFlags: [],
    src: { ip: '10.0.0.5', port: 0 },
    dst: { ip: '10.0.0.9', port: 0 },
    icmp: { type: 3, code: 3, quotes: { protocol: 'udp', ...connection.original } },
    conntrack: connection,
  };
  const files: Files = {
    'iptables-save.txt': [
      '*raw',
      '-A OUTPUT -m conntrack --ctstate RELATED -j MARK --set-xmark 0x1/0x1',
      '-A OUTPUT -m conntrack --ctdir REPLY -j MARK --set-xmark 0x2/0x2',
      '-A OUTPUT -m conntrack --ctdir ORIGINAL -j MARK --set-xmark 0x4/0x4',
      'COMMIT',
      '',
    ].join('\n'),
  };
  const quoting = (src: readonly [string, number], dst: readonly [string, number]): Partial<Packet> => ({
    ...error,
    icmp: {
      type: 3,
      code: 3,
      quotes: { protocol: 'udp', src: { ip: src[0], port: src[1] }, dst: { ip: dst[0], port: dst[1] } },
    },
  });

  it('belongs to the connection of the packet that caused it before raw sees it, and goes the other way', () => {
    expect(marks(ask(files, error))).toEqual(['sent 3']);
    expect(marks(ask(files, quoting(['10.0.0.5', 81], ['10.0.0.9', 4000])))).toEqual(['sent 5']);
  });

  it('one of its ends tells, where the other is translated', () => {
    expect(marks(ask(files, quoting(['10.0.0.9', 4000], ['10.9.9.9', 90])))).toEqual(['sent 3']);
    expect(marks(ask(files, quoting(['10.9.9.9', 90], ['10.0.0.5', 81])))).toEqual(['sent 3']);
    expect(marks(ask(files, quoting(['10.0.0.5', 81], ['10.9.9.9', 90])))).toEqual(['sent 5']);
    expect(marks(ask(files, quoting(['10.9.9.9', 90], ['10.0.0.9', 4000])))).toEqual(['sent 5']);
  });

  it('an address or a port alone is no end', () => {
    for (const other of [
      quoting(['10.0.0.9', 4001], ['10.0.0.5', 82]),
      quoting(['10.0.0.8', 4000], ['10.0.0.4', 81]),
    ]) {
      expect(marks(ask(files, other))).toEqual(['sent 0']);
    }
  });
});

describe('-m socket where a question calls the connection established', () => {
  const established = { ctstate: 'ESTABLISHED', tcpFlags: 'ACK' };
  const socket = bits('PREROUTING', '-m socket --nowildcard', '-m socket --transparent --nowildcard');
  const nobody = { dst: '10.0.0.5:9999' };

  it('a socket may have it, and may be transparent', () => {
    expect(new Set(ends(evaluate(socket, { ...established, ...nobody })).map((end) => end.split(' ')[1]))).toEqual(
      new Set(['0x0', '0x1', '0x3']),
    );
    const udp = { ...nobody, protocol: 'udp', ctstate: 'ESTABLISHED' };
    expect(new Set(ends(evaluate(socket, udp)).map((end) => end.split(' ')[1]))).toEqual(
      new Set(['0x0', '0x1', '0x3']),
    );
  });

  it('of ICMP and SCTP there is none', () => {
    const others = ['icmp', 'sctp'].map((protocol) => evaluate(socket, { ctstate: 'ESTABLISHED', protocol }));
    for (const outcomes of others) {
      expect(new Set(outcomes.map(({ mark }) => mark))).toEqual(new Set(['0x0']));
      expect(conditions(outcomes)).not.toContain('connected socket');
    }
  });

  it('what TPROXY gave to a listener is that one', () => {
    const tproxy = rules(
      'PREROUTING -p tcp -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x10/0x10',
      'INPUT -m socket --nowildcard -j MARK --set-xmark 0x1/0x1',
      'INPUT -m socket -j MARK --set-xmark 0x2/0x2',
    );
    expect(ends(evaluate(tproxy, established))).toEqual(['delivered 0x11']);
  });
});

describe('the source of IPv6 towards a link', () => {
  it('is an address of that link, though another device may have one of smaller scope', () => {
    const device = (ifindex: number, ifname: string, local: string): object => ({
      ifindex,
      ifname,
      flags: ['UP', 'LOWER_UP'],
      addr_info: [{ family: 'inet6', local, prefixlen: 64, scope: local.startsWith('fe80') ? 'link' : 'global' }],
    });
    const files = {
      'ip-address.json': JSON.stringify([device(2, 'eth0', 'fd00::5'), device(3, 'eth1', 'fe80::5')]),
      'ip6-route.json': JSON.stringify([
        { dst: 'fe80::/64', dev: 'eth0', metric: 256, flags: [] },
        localRoute('fd00::5', 'eth0'),
      ]),
    };
    const packet: Partial<Packet> = {
      ...OUT,
      protocol: 'udp',
      tcpFlags: [],
      src: { ip: '::', port: 40000 },
      dst: { ip: 'fe80::9', port: 53 },
      sourceBound: false,
    };
    expect(ask(files, packet).map(({ src, oif }) => [src.ip, oif])).toEqual([['fd00::5', 'eth0']]);
  });
});

describe('a socket of which no connection is known', () => {
  it('is found by what the packet names', () => {
    const tproxy = rules('PREROUTING -p tcp -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x1');
    const raw = {
      'iptables-save.txt': `*raw\n-A PREROUTING -j CT --notrack\nCOMMIT\n${tproxy['iptables-save.txt'] ?? ''}`,
    };
    const own: Partial<Packet> = { connectedSocket: { name: 'own', transparent: true }, tcpFlags: ['ACK'] };
    const outcomes = ask(raw, own);
    expect(outcomes.map(({ verdict, socket }) => [verdict, socket?.name])).toEqual([['delivered', 'own']]);
  });
});

describe('a segment of a connection whose state is known', () => {
  const states = bits('PREROUTING', '-m conntrack --ctstate ESTABLISHED', '-m conntrack --ctstate INVALID');
  const later = (state: string, tcpFlags: Packet['tcpFlags']): readonly string[] =>
    marks(
      ask(states, {
        src: { ip: '10.0.0.9', port: 40000 },
        tcpFlags,
        conntrack: {
          original: { src: { ip: '10.0.0.9', port: 40000 }, dst: { ip: '10.0.0.5', port: 80 } },
          reply: { src: { ip: '10.0.0.5', port: 80 }, dst: { ip: '10.0.0.9', port: 40000 } },
          protocol: 'tcp',
          mark: 0,
          zone: 0,
          seenReply: true,
          state,
        },
      }),
    );

  it('with FIN is told from one with ACK alone, and one without any flag is invalid', () => {
    expect(later('ESTABLISHED', ['FIN', 'ACK'])).toEqual(['delivered 1']);
    expect(later('ESTABLISHED', [])).toEqual(['delivered 2']);
    expect(later('ESTABLISHED', ['PSH'])).toEqual(['delivered 2']);
    expect(later('SYN_SENT', ['FIN', 'ACK'])).toEqual(['delivered 2']);
    expect(later('NONE', ['FIN'])).toEqual(['delivered 2']);
    expect(later('NONE', ['ACK'])).toEqual(['delivered 1']);
    expect(later('NONE', ['RST'])).toEqual(['delivered 2']);
    expect(later('SOMETHING_NEW', ['ACK'])).toEqual(['delivered 1']);
  });
});
