import { describe, expect, it } from 'vitest';
import type { NetnsAnswerOutcome } from '../../src/netns/eval.js';
import type { Packet } from '../../src/netns/face.js';
import { bits, ends, evaluate, marks, rules } from './mark-tests.js';
import { device, localRoute } from './netns-files.js';
import { ask, OUT } from './two-devices.js';

/** Words of rules and of questions that the bench of test/kernel has not, or that iptables-save does not print itself. */

const conditions = (outcomes: readonly NetnsAnswerOutcome[]): string =>
  outcomes.flatMap(({ conditions: on }) => on ?? []).join();

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
    expect(later('NONE', ['FIN', 'ACK'])).toEqual(['delivered 2']);
    expect(later('ESTABLISHED', ['SYN', 'ACK'])).toEqual(['delivered 2']);
    expect(later('NONE', ['ACK'])).toEqual(['delivered 1']);
    expect(later('NONE', ['RST'])).toEqual(['delivered 2']);
    expect(later('SOMETHING_NEW', ['ACK'])).toEqual(['delivered 1']);
  });
});
