import { describe, expect, it } from 'vitest';
import { answerLine, type NetnsAnswerOutcome } from '../../src/netns/eval.js';
import { deviceSettings } from './netns-files.js';
import { ask as askTwo, SYSCTLS as SYSCTLS_OF_TWO } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** ICMP errors and echo replies as questions: their connections are those of conntrack.txt, or what the question says. */
const FILES = {
  'iptables-save.txt': [
    '*mangle',
    ':PREROUTING ACCEPT [0:0]',
    '-A PREROUTING -m conntrack --ctstate RELATED -j MARK --set-xmark 0x1/0x1',
    '-A PREROUTING -m conntrack --ctstate INVALID -j MARK --set-xmark 0x2/0x2',
    '-A PREROUTING -m conntrack --ctdir REPLY -j MARK --set-xmark 0x4/0x4',
    '-A PREROUTING -p icmp -m icmp --icmp-type 3/3 -j MARK --set-xmark 0x8/0x8',
    '-A PREROUTING -m conntrack --ctstate ESTABLISHED -j MARK --set-xmark 0x10/0x10',
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    'COMMIT',
    '',
  ].join('\n'),
  'ip-rule.json': '[{"priority":0,"src":"all","table":"local"}]',
  'ip-route.json': '[{"type":"local","dst":"10.0.0.5","dev":"eth0","table":"local","flags":[]}]',
  'ip-address.json':
    '[{"ifindex":2,"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"10.0.0.5","prefixlen":24,"scope":"global"}]}]',
  'sysctl.txt': deviceSettings(['all', 'eth0']),
  'sockets.txt': '',
  'nft-ruleset.json': '{"nftables":[]}',
};
/** From here to 10.0.0.9:80, seen there as from 10.0.0.6. */
const LISTED =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.5 dst=10.0.0.9 sport=40000 dport=80 src=10.0.0.9 dst=10.0.0.6 sport=80 dport=40000 [ASSURED] mark=7 use=1';
const QUOTES = { protocol: 'tcp', src: '10.0.0.6:40000', dst: '10.0.0.9:80' };
const ERROR = {
  direction: 'in',
  iif: 'eth0',
  protocol: 'icmp',
  src: '10.0.0.9',
  dst: '10.0.0.6',
  icmpType: 3,
  icmpCode: 3,
};

function ask(question: object, conntrack = LISTED): readonly NetnsAnswerOutcome[] | string {
  const answer = answerLine(
    namespaceOf({ ...FILES, 'conntrack.txt': conntrack }),
    JSON.stringify({ id: 1, ...ERROR, ...question }),
  );
  return 'error' in answer ? answer.error : answer.outcomes;
}

function end(question: object, conntrack = LISTED): string {
  const outcomes = ask(question, conntrack);
  if (typeof outcomes === 'string') return outcomes;
  return outcomes.map(({ verdict, dst, mark, connmark }) => [verdict, dst, mark, connmark].join(' ')).join(' | ');
}

describe('an ICMP error', () => {
  it('belongs to the connection of what it quotes: related, of its direction, translated as its packets', () => {
    expect(end({ quotes: QUOTES })).toBe('delivered 10.0.0.5 0xd 0x7');
  });

  it('is invalid where nobody knows what it quotes, or it goes elsewhere', () => {
    const other = { ...QUOTES, dst: '10.0.0.9:81' };
    expect(end({ dst: '10.0.0.5', quotes: other })).toBe('delivered 10.0.0.5 0xa 0x0');
    expect(end({ dst: '10.0.0.5', quotes: QUOTES })).toBe('delivered 10.0.0.5 0xa 0x0');
    expect(end({ dst: '10.0.0.5', quotes: QUOTES }, '')).toBe('delivered 10.0.0.5 0xa 0x0');
  });

  it('is related where the question says so', () => {
    expect(end({ dst: '10.0.0.5', quotes: QUOTES, ctstate: 'RELATED', connmark: '0x5' }, '')).toBe(
      'delivered 10.0.0.5 0x9 0x5',
    );
  });

  it('has the direction that the question says', () => {
    const related = { dst: '10.0.0.5', quotes: QUOTES, ctstate: 'RELATED' };
    expect(end({ ...related, ctdir: 'REPLY' }, '')).toBe('delivered 10.0.0.5 0xd 0x0');
    expect(end({ ...related, ctdir: 'ORIGINAL' }, '')).toBe('delivered 10.0.0.5 0x9 0x0');
  });

  it('of which the question does not say the kind is unknown where a rule asks for it', () => {
    expect(end({ dst: '10.0.0.5', icmpType: undefined, icmpCode: undefined, ctstate: 'RELATED' })).toContain('unknown');
  });

  it('that redirects is dropped where the connection is translated', () => {
    expect(end({ icmpType: 5, icmpCode: 1, quotes: QUOTES })).toContain('dropped');
    const plain = LISTED.replace('dst=10.0.0.6', 'dst=10.0.0.5');
    const own = { ...QUOTES, src: '10.0.0.5:40000' };
    expect(end({ icmpType: 5, icmpCode: 1, dst: '10.0.0.5', quotes: own }, plain)).toBe('delivered 10.0.0.5 0x5 0x7');
  });

  it('belongs to a connection of its zone alone', () => {
    const served =
      'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.7 dst=10.0.0.5 sport=40000 dport=80 src=10.0.0.5 dst=10.0.0.7 sport=80 dport=40000 [ASSURED] mark=7 use=1';
    const quotes = { protocol: 'tcp', src: '10.0.0.5:80', dst: '10.0.0.7:40000' };
    expect(end({ dst: '10.0.0.5', quotes }, served)).toBe('delivered 10.0.0.5 0x9 0x7');
    expect(end({ dst: '10.0.0.5', quotes }, served.replace('mark=7', 'mark=7 zone=3'))).toBe(
      'delivered 10.0.0.5 0xa 0x0',
    );
  });

  it('which the list calls another is related all the same where the question says so', () => {
    expect(end({ dst: '10.0.0.5', quotes: QUOTES, ctstate: 'RELATED' })).toBe('delivered 10.0.0.5 0x9 0x0');
  });
});

describe('an echo reply', () => {
  it('without a connection is invalid', () => {
    expect(end({ dst: '10.0.0.5', icmpType: 0, icmpCode: 0, ctstate: 'INVALID' })).toBe('delivered 10.0.0.5 0x2 0x0');
  });

  it('is a reply where the question says so', () => {
    const reply = { dst: '10.0.0.5', icmpType: 0, icmpCode: 0, ctstate: 'ESTABLISHED', ctdir: 'REPLY' };
    expect(end(reply)).toBe('delivered 10.0.0.5 0x14 0x0');
  });
});

describe('a question about ICMP with one thing wrong', () => {
  it.each([
    [{ icmpType: 'x' }, 'icmpType and icmpCode are numbers of 8 bits'],
    [{ icmpCode: 256 }, 'icmpType and icmpCode are numbers of 8 bits'],
    [{ quotes: {} }, 'quotes names no protocol'],
    [{ quotes: 'x' }, 'quotes names no protocol'],
    [{ quotes: { ...QUOTES, src: 'x' } }, 'src or dst of quotes is not an address with a port'],
    [{ quotes: { ...QUOTES, dst: 'x' } }, 'src or dst of quotes is not an address with a port'],
  ])('%j', (question, error) => {
    expect(ask(question)).toBe(error);
  });
});

describe('the redirect that the kernel sends of what leaves where it came', () => {
  const rule = (table: string, chain: string, match = '-p icmp -m icmp --icmp-type 5'): string =>
    `*${table}\n-A ${chain} ${match} -j CONNMARK --set-xmark 0x77/0xffffffff\nCOMMIT\n`;
  const sysctls = SYSCTLS_OF_TWO.replaceAll('send_redirects = 0', 'send_redirects = 1');
  const connmarks = (save: string): readonly number[] =>
    askTwo({ 'iptables-save.txt': save, 'sysctl.txt': sysctls }, { dst: { ip: '8.8.8.8', port: 80 } })
      .map(({ connmark }) => connmark)
      .sort();

  it('marks the connection by rules of OUTPUT and POSTROUTING, if it is sent', () => {
    expect(connmarks(rule('mangle', 'OUTPUT'))).toEqual([0, 0x77]);
    expect(connmarks(rule('filter', 'OUTPUT'))).toEqual([0, 0x77]);
    expect(connmarks(rule('mangle', 'POSTROUTING'))).toEqual([0, 0x77]);
    expect(connmarks(rule('mangle', 'OUTPUT', '-p icmp -m icmp --icmp-type 8'))).toEqual([0]);
    expect(connmarks(rule('mangle', 'OUTPUT', '-m conntrack --ctdir REPLY'))).toEqual([0, 0x77]);
    expect(connmarks(rule('mangle', 'OUTPUT', '-m conntrack --ctdir ORIGINAL'))).toEqual([0]);
  });

  it('gets no further than nat, where there is some, nor where a rule stops it', () => {
    const nat = '*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n';
    expect(connmarks(`${rule('mangle', 'OUTPUT')}${nat}`)).toEqual([0, 0x77]);
    expect(connmarks(`${rule('filter', 'OUTPUT')}${nat}`)).toEqual([0]);
    expect(connmarks(`${rule('mangle', 'POSTROUTING')}${nat}`)).toEqual([0]);
    expect(connmarks(`${rule('mangle', 'POSTROUTING')}*filter\n-A OUTPUT -p icmp -j DROP\nCOMMIT\n`)).toEqual([0]);
  });
});
