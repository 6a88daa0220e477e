import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/netns/face.js';
import { bits, ends, evaluate, marks } from './mark-tests.js';
import type { Files } from './netns-files.js';
import { ask, OUT } from './two-devices.js';

/** ICMP by type and code, in rules and in questions. */

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
  // as iptables 1.8.13 prints what older ones print as "any"
  const every = bits(
    'PREROUTING',
    '-p icmp -m icmp --icmp-type 255/3',
    '-p icmp -m icmp ! --icmp-type 255/3',
    '-p icmp -m icmp --icmp-type any',
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
    expect(ends(evaluate(every, { ...FOUR, icmpType: 13 }))).toEqual(['delivered 0x5']);
    expect(ends(evaluate(every, { ...FOUR, protocol: 'udp', src: '10.0.0.9:1', dst: '10.0.0.5:53' }))[0]).toMatch(
      / 0x0$/,
    );
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
