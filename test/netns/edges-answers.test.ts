import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import type { Files } from './netns-files.js';
import { ask, FILES, OUT } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** Who is told that a packet was rejected, and what later packets of a translated connection show. */

const save = (...tables: readonly (readonly [name: string, ...rules: readonly string[]])[]): Files => ({
  'iptables-save.txt': tables
    .map(([name, ...rules]) => `*${name}\n${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`)
    .join(''),
});
const ends = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();

function evaluate(files: Files, question: object): readonly string[] {
  const base = { id: 1, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:4000', dst: '10.0.0.5:80' };
  const answer = answerLine(namespaceOf({ ...FILES, ...files }), JSON.stringify({ ...base, ...question }));
  return 'error' in answer ? [answer.error] : answer.outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();
}

describe('a packet that a rule rejects', () => {
  const aloud = save(['filter', 'INPUT -j REJECT']);

  it('gets no RST if it is one itself', () => {
    const reset = save(['filter', 'INPUT -p tcp -j REJECT --reject-with tcp-reset']);
    expect(ends(ask(reset, { tcpFlags: ['ACK'] }))).toEqual(['rejected 0']);
    expect(ends(ask(reset, { tcpFlags: ['RST'] }))).toEqual(['dropped 0']);
    expect(ends(ask(aloud, { tcpFlags: ['RST'] }))).toEqual(['rejected 0']);
  });

  it('of ICMP that is related to a connection is an error, which nobody answers', () => {
    const icmp = { protocol: 'icmp', src: '10.0.0.9', dst: '10.0.0.5' };
    expect(evaluate(aloud, icmp)).toEqual(['rejected 0x0']);
    expect(evaluate(aloud, { ...icmp, ctstate: 'RELATED' })).toEqual(['dropped 0x0']);
    expect(evaluate(aloud, { ctstate: 'RELATED' })).toEqual(['rejected 0x0']);
  });
});

describe('flags of TCP', () => {
  it.each(['SYN', 'ACK', 'FIN', 'RST', 'PSH', 'URG'] as const)('%s', (flag) => {
    const files = save(['mangle', `PREROUTING -p tcp -m tcp --tcp-flags ${flag} ${flag} -j MARK --set-xmark 0x1/0x1`]);
    expect(ends(ask(files, { tcpFlags: [flag] }))[0]).toMatch(/ 1$/);
    expect(ends(ask(files, { tcpFlags: flag === 'ACK' ? ['SYN'] : ['ACK'] }))[0]).toMatch(/ 0$/);
  });
});

describe('what a question calls established', () => {
  it('has seen a reply, is confirmed, and is asked of no chain of nat', () => {
    const files = save(
      [
        'mangle',
        'INPUT -m conntrack --ctstatus SEEN_REPLY -j MARK --set-xmark 0x1/0x1',
        'INPUT -m conntrack --ctstatus CONFIRMED -j MARK --set-xmark 0x2/0x2',
      ],
      ['nat', 'PREROUTING -p tcp -j DNAT --to-destination 10.0.0.6:7070'],
    );
    expect(evaluate(files, { ctstate: 'ESTABLISHED', tcpFlags: 'ACK' })).toEqual(['delivered 0x3']);
    expect(evaluate(files, { ctdir: 'REPLY', tcpFlags: 'ACK' })).toEqual(['delivered 0x3']);
    expect(evaluate(files, {})).toEqual(['refused 0x0']);
  });
});

describe('a question that calls a ping a reply', () => {
  const states = save([
    'mangle',
    'INPUT -m conntrack --ctstate NEW -j MARK --set-xmark 0x1/0x1',
    'INPUT -m conntrack --ctdir REPLY -j MARK --set-xmark 0x2/0x2',
    'INPUT -m conntrack --ctstate RELATED -j MARK --set-xmark 0x4/0x4',
  ]);
  const reply = { protocol: 'icmp', src: '10.0.0.9', dst: '10.0.0.5', ctdir: 'REPLY' };

  it('cannot mean an echo request', () => {
    expect(evaluate(states, { ...reply, ctstate: 'ESTABLISHED' })).toEqual(['delivered 0x1']);
    expect(evaluate(states, { ...reply, ctstate: 'ESTABLISHED', icmpType: 0 })).toEqual(['delivered 0x2']);
  });

  it('may mean an error', () => {
    expect(evaluate(states, { ...reply, ctstate: 'RELATED' })).toEqual(['delivered 0x6']);
  });
});

describe('the second packet of a translated connection', () => {
  const through: Partial<Packet> = { dst: { ip: '10.1.0.9', port: 80 } };
  const rules = save(
    [
      'mangle',
      'FORWARD -s 10.0.0.9 -j MARK --set-xmark 0x1/0x1',
      'POSTROUTING -s 10.0.0.9 -j MARK --set-xmark 0x2/0x2',
      'POSTROUTING -s 10.1.0.77 -j MARK --set-xmark 0x4/0x4',
    ],
    ['nat', 'POSTROUTING -p tcp -j SNAT --to-source 10.1.0.77'],
  );

  it('has its own source until POSTROUTING translates it', () => {
    const [first] = ask(rules, through);
    expect(first?.src.ip).toBe('10.1.0.77');
    const opened = first?.conntrack ?? null;
    const conntrack = opened === null ? null : { ...opened, seenReply: true, state: 'ESTABLISHED' };
    const [second] = ask(rules, { ...through, tcpFlags: ['ACK'], conntrack });
    expect([second?.src.ip, second?.mark]).toEqual(['10.1.0.77', 3]);
  });
});

describe('the source of IPv6 towards an address of this machine', () => {
  it('is that very address (RFC 6724, rule 1)', () => {
    const own = (local: string): object => ({ family: 'inet6', local, prefixlen: 64, scope: 'global' });
    const files = {
      'ip-address.json': JSON.stringify([
        { ifindex: 1, ifname: 'lo', flags: ['UP', 'LOWER_UP'], addr_info: [] },
        { ifindex: 2, ifname: 'eth0', flags: ['UP', 'LOWER_UP'], addr_info: [own('fd00::6'), own('fd00::5')] },
      ]),
    };
    const packet: Partial<Packet> = {
      ...OUT,
      protocol: 'udp',
      tcpFlags: [],
      src: { ip: '::', port: 40000 },
      dst: { ip: 'fd00::5', port: 53 },
      sourceBound: false,
    };
    expect(new Set(ask(files, packet).map(({ src }) => src.ip))).toEqual(new Set(['fd00::5']));
  });
});

describe('over lo', () => {
  const rules = (...first: readonly string[]): Files =>
    save(
      ['raw', ...first],
      [
        'mangle',
        'PREROUTING -i lo -m conntrack --ctstate ESTABLISHED -j MARK --set-xmark 0x1/0x1',
        'PREROUTING -i lo -m conntrack --ctstatus CONFIRMED -j MARK --set-xmark 0x2/0x2',
      ],
    );
  const LISTED =
    'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.0.0.5 sport=4000 dport=80 src=10.0.0.5 dst=10.0.0.5 sport=80 dport=4000 [ASSURED] mark=0 use=1\n';
  const own = { direction: 'out', iif: null, src: '10.0.0.5:4000', dst: '10.0.0.5:80' };

  it('a packet that was invalid in the zone of OUTPUT is looked for in none', () => {
    const listed = { ...rules('OUTPUT -j CT --zone 5'), 'conntrack.txt': LISTED };
    const reset = { ...own, tcpFlags: 'RST', ctstate: 'ESTABLISHED' };
    expect(evaluate(listed, reset)).toEqual(['delivered 0x3']);
  });

  it('a connection is confirmed, also where a question begins there', () => {
    expect(evaluate(rules(), own)).toEqual(['delivered 0x2']);
    // without the route that it brought along its source is a martian
    expect(evaluate(rules(), { iif: 'lo', src: '10.0.0.5:4000' })).toEqual(['dropped 0x2']);
  });
});
