import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { ask, dropping } from './one-device.js';
import { verdicts } from './packets.js';

/**
 * What no tool prints, or a newer one may: an option or a value that the engine does not know. A match forks, a target ends as
 * unknown; never is it left out, and never does it throw.
 */
const FORKS = ['delivered', 'dropped'];
const ICMP: Partial<Packet> = {
  protocol: 'icmp',
  src: { ip: '10.0.0.9', port: 0 },
  dst: { ip: '10.0.0.5', port: 0 },
  tcpFlags: [],
};

describe('matches of iptables', () => {
  it.each([
    '-p made-up',
    '-s made-up',
    '-d made-up',
    '-s 10.0.0.9/made-up',
    '-s made-up/255.0.0.255',
    '-d fd00::1/255.0.0.255',
    '-m statistic --mode random',
    '-m statistic --mode random --probability 2',
    '-m statistic --mode random --probability -1',
    '-m statistic --mode random --probability 0.5 --thing 1',
    '-m statistic --mode nth --packet 0',
    '-m statistic --mode nth --every 0 --packet 0',
    '-m statistic --mode nth --every 2 --packet 0 --thing 1',
    '-m statistic --mode odd --every 2 --packet 0',
    '-m mark',
    '-m mark --mark odd',
    '-m mark --mark x0x1',
    '-m mark --mark 0x1/',
    '-m mark --mark 0x1x',
    '-m mark --mark 0 --thing 1',
    '-m mark --mark 0 --mark 0',
    '-m connmark',
    '-m connmark --mark odd',
    '-m connmark --mark 0 --thing 1',
    '-m conntrack --ctdir SIDEWAYS',
    '-m conntrack --ctproto made-up',
    '-m conntrack --ctstate NEW,ODD',
    '-m conntrack --ctstatus NONE,ODD',
    '-m conntrack --ctorigsrc odd',
    '-m conntrack --ctorigdstport odd',
    '-m conntrack --ctstate NEW --thing 1',
    '-m owner --uid-owner odd',
    '-m owner --gid-owner odd',
    '-m owner --uid-owner 0 --thing 1',
    '-m rpfilter --thing 1',
    '-m set --match-set s',
    '-m set --match-set s sideways',
    '-m set --match-set s src --thing 1',
    '-m set --thing 1',
    '-m set --match-set nobody src',
    '-m socket --thing 1',
    '-p tcp -m tcp --dport odd',
    '-p tcp -m tcp --sport odd',
    '-p tcp -m tcp --dport 70000',
    '-p tcp -m tcp --dport 80:70000',
    '-p tcp -m tcp --dport 70000:',
    '-p tcp -m tcp --dport 80x',
    '-p tcp -m tcp --dport x80',
    '-p tcp -m tcp --tcp-flags ODD SYN',
    '-p tcp -m tcp --tcp-flags SYN ODD',
    '-p tcp -m tcp --dport 80 --thing 1',
    '-p tcp -m multiport',
    '-p tcp -m multiport --dports 80,odd',
    '-p tcp -m multiport --dports 80 --thing 1',
    '-m pkttype --pkt-type odd',
    '-m pkttype --pkt-type unicast --thing 1',
    '-m pkttype',
    '-m iprange --src-range odd',
    '-m iprange --src-range 10.0.0.1-fd00::1',
    '-m iprange --src-range fd00::1-10.0.0.9',
    '-m iprange --src-range 10.0.0.1',
    '-m iprange --src-range 10.0.0.1-10.0.0.9 --thing 1',
    '-m addrtype --dst-type ODD',
    '-m addrtype --dst-type LOCAL,ODD',
    '-m addrtype --dst-type LOCAL --thing 1',
    '-i \x7f+',
    '! -i \x01',
  ])('%s', (match) => {
    expect(verdicts(ask(dropping(match)))).toEqual(FORKS);
  });

  it.each(['--icmp-type made-up', '--icmp-type 8x', '--icmp-type x8', '--icmp-type 8 --thing 1'])(
    '-m icmp %s',
    (match) => {
      expect(verdicts(ask(dropping(`-p icmp -m icmp ${match}`), ICMP))).toEqual(FORKS);
    },
  );

  it('names that stand in files made by hand', () => {
    const hit = (match: string, over: Partial<Packet> = {}): string => verdicts(ask(dropping(match), over)).join();
    for (const name of ['echo-request', 'ping', 'any', '255', '8/0']) {
      expect(hit(`-p icmp -m icmp --icmp-type ${name}`, ICMP)).toBe('dropped');
    }
    expect(hit('-p icmp -m icmp', ICMP)).toBe('dropped');
    for (const name of [
      ...['echo-reply', 'pong', 'destination-unreachable', 'source-quench', 'redirect', 'router-advertisement'],
      ...['router-solicitation', 'time-exceeded', 'ttl-exceeded', 'parameter-problem', 'timestamp-request'],
      ...['timestamp-reply', '8/1', '8/10'],
    ]) {
      expect(hit(`-p icmp -m icmp --icmp-type ${name}`, ICMP)).toBe('delivered');
    }
    for (const match of [
      '--destination-ports 80',
      '--source-ports 40000',
      '--sports 40000',
      '--port 80',
      '--ports 40000',
    ]) {
      expect(hit(`-p tcp -m multiport ${match}`)).toBe('dropped');
      expect(hit(`-p sctp -m multiport ${match}`, { protocol: 'sctp', tcpFlags: [] })).toBe('dropped');
      expect(hit(`-m multiport ${match}`, ICMP)).toBe('delivered');
    }
    for (const match of ['--source-ports 80', '--destination-ports 40000']) {
      expect(hit(`-p tcp -m multiport ${match}`)).toBe('delivered');
    }
    expect(hit('-p tcp -m tcp --destination-port 80 --source-port 40000')).toBe('dropped');
    expect(hit('--source 10.0.0.9 --destination 10.0.0.5 --in-interface eth0 --protocol tcp')).toBe('dropped');
    expect(hit('-p all')).toBe('dropped');
    expect(hit('-p 0')).toBe('dropped');
    expect(hit('-p sctp', ICMP)).toBe('delivered');
    // which sockets listen for SCTP is not in sockets.txt
    expect(hit('-p icmp', { protocol: 'sctp', tcpFlags: [] })).toBe('unknown');
    expect(hit('-p sctp -m sctp --dport 80', { protocol: 'sctp', tcpFlags: [] })).toBe('dropped');
    expect(hit('-p sctp -m sctp --dport 81', { protocol: 'sctp', tcpFlags: [] })).toBe('unknown');
  });
});

const CHAINS: Readonly<Record<string, string>> = {
  mangle: 'PREROUTING',
  nat: 'PREROUTING',
  raw: 'PREROUTING',
  filter: 'INPUT',
};

function target(table: string, words: string, before = ''): readonly NetnsOutcome[] {
  const chain = CHAINS[table] ?? '';
  const save = `*${table}\n:${chain} ACCEPT [0:0]\n${before}-A ${chain} -p tcp ${words}\nCOMMIT\n`;
  return ask({ 'iptables-save.txt': save }, { mark: 0xf0 });
}

describe('targets of iptables', () => {
  it.each([
    ...['MARK', 'MARK --set-mark odd', 'MARK --set-xmark 0x1 --thing 1', 'MARK --set-mark 1 --set-xmark 1'].map(
      (words) => ['mangle', words],
    ),
    ...['CONNMARK', 'CONNMARK --set-mark odd', 'CONNMARK --set-xmark 0x1 --thing 1'].map((words) => ['mangle', words]),
    ...['--nfmask odd', '--ctmask odd', '--mask odd', '--thing 1'].map((words) => [
      'mangle',
      `CONNMARK --save-mark ${words}`,
    ]),
    ...['--nfmask odd', '--ctmask odd', '--thing 1'].map((words) => ['mangle', `CONNMARK --restore-mark ${words}`]),
    ...[
      '',
      'odd',
      'fd00::1',
      '10.0.0.1-odd',
      '10.0.0.1-fd00::1',
      'odd-10.0.0.1',
      '10.0.0.1:odd',
      '10.0.0.1:80/odd',
      '10.0.0.1 --thing 1',
      '10.0.0.1:70000',
    ].map((words) => ['nat', `DNAT ${words === '' ? '' : '--to-destination '}${words}`]),
    ...['--to-ports odd', '--to-ports 80 --thing 1', '--thing 1'].map((words) => ['nat', `REDIRECT ${words}`]),
    ...['--to odd', '--to fd00::/64', '--to 10.0.0.0/24 --thing 1', '--thing 1'].map((words) => [
      'nat',
      `NETMAP ${words}`,
    ]),
    ...[
      '--on-port odd',
      '--on-port 80 --on-ip odd',
      '--on-port 80 --on-ip fd00::1',
      '--on-port 80 --tproxy-mark odd',
      '--on-port 80 --thing 1',
    ].map((words) => ['mangle', `TPROXY ${words}`]),
    ...['--zone odd', '--zone-orig odd', '--zone-reply odd', '--zone 1x', '--zone x1', '--notrack --thing 1'].map(
      (words) => ['raw', `CT ${words}`],
    ),
    ['filter', 'REJECT --thing 1'],
  ])('%s: -j %s', (table, words) => {
    expect(verdicts(target(table ?? '', `-j ${words ?? ''}`))).toEqual(['unknown']);
  });

  it.each([
    ['--set-mark 0x1/0x10', 0xe1],
    ['--set-xmark 0x1/0x10', 0xe1],
    ['--set-mark 0x18/0x10', 0xf8],
    ['--and-mark 0x10', 0x10],
    ['--or-mark 0x1', 0xf1],
    ['--xor-mark 0xff', 0x0f],
  ])('older spellings of CONNMARK: %s', (words, connmark) => {
    const before = '-A PREROUTING -j CONNMARK --set-xmark 0xf0/0xffffffff\n';
    expect(target('mangle', `-j CONNMARK ${words}`, before)[0]?.connmark).toBe(connmark);
  });

  it.each([
    'LOG',
    'NFLOG',
    'ULOG',
    'TRACE',
    'TCPMSS',
    'TEE',
    'CHECKSUM',
    'CLASSIFY',
    'DSCP',
    'TOS',
    'AUDIT',
    'LED',
    'RATEEST',
    'IDLETIMER',
    'HL',
    'TTL',
    'TCPOPTSTRIP',
    'SECMARK',
    'CONNSECMARK',
  ])('-j %s decides nothing', (name) => {
    expect(verdicts(target('mangle', `-j ${name} --thing 1`))).toEqual(['delivered']);
  });

  it('options of CT that decide nothing', () => {
    for (const words of ['--ctevents new', '--expevents new', '--timeout x', '--helper ftp']) {
      expect(verdicts(target('raw', `-j CT --zone 1 ${words}`))).toEqual(['delivered']);
    }
  });
});
