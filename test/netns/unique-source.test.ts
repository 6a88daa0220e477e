import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import { DEFAULT_RULES, deviceSettings, nftChain, type Files } from './netns-files.js';
import { namespaceOf } from './vectors.js';

/** Lines that Linux 6.18 printed, with sockets bound to the addresses and ports and these rules in nft's terms. */
const DIRECT =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.5 sport=5000 dport=8080 src=10.0.0.5 dst=10.0.0.1 sport=8080 dport=5000 [ASSURED] mark=0 use=1';
const MOVED =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.2 dst=10.0.0.5 sport=6000 dport=8080 src=10.0.0.5 dst=10.0.0.1 sport=8080 dport=41669 [ASSURED] mark=0 use=1';
const OTHER =
  'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.3 dst=10.0.0.7 sport=7000 dport=8080 src=10.0.0.7 dst=10.0.0.3 sport=8080 dport=7000 [ASSURED] mark=0 use=1';

const RULES = [
  '*nat',
  ':OUTPUT ACCEPT [0:0]',
  ':POSTROUTING ACCEPT [0:0]',
  '-A OUTPUT -d 10.9.9.9 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.5:8080',
  '-A POSTROUTING -s 10.0.0.2 -j MASQUERADE',
  '-A POSTROUTING -s 10.0.0.1 -d 10.0.0.7 -p tcp -j SNAT --to-source 10.0.0.3',
  '-A POSTROUTING -s 10.0.0.4 -p tcp -j SNAT --to-source 10.0.0.3:7000',
  'COMMIT',
  '',
].join('\n');

const own = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'];
const BASE: Files = {
  'iptables-save.txt': RULES,
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.5', dev: 'e0', flags: [] },
    { dst: '10.0.0.0/24', dev: 'e0', protocol: 'kernel', scope: 'link', prefsrc: '10.0.0.1', flags: [] },
    ...own.map((dst) => ({ type: 'local', dst, dev: 'e0', table: 'local', flags: [] })),
  ]),
  'ip-address.json': JSON.stringify([
    {
      ifindex: 2,
      ifname: 'e0',
      flags: ['UP'],
      addr_info: own.map((local) => ({ family: 'inet', local, prefixlen: 24, scope: 'global' })),
    },
  ]),
  'sysctl.txt': deviceSettings(['all', 'e0']),
  'sockets.txt': '',
};

function sources(conntrack: string, src: string, dst: string, over: object = {}, files: Files = {}): readonly string[] {
  const netns = namespaceOf({ ...BASE, 'conntrack.txt': `${conntrack}\n`, ...files });
  const packet = { id: '1', direction: 'out', iif: null, protocol: 'tcp', src, dst, ...over };
  const answer = answerLine(netns, JSON.stringify(packet));
  if ('error' in answer) throw new Error(answer.error);
  return answer.outcomes.map(
    ({ verdict, src: source, probability }) => `${verdict} ${source} ${probability ?? 'perhaps'}`,
  );
}

describe('the source port of a new connection whose reply another one already has', () => {
  it('is picked by chance, if that one is still there', () => {
    const either = ['sent 10.0.0.1:* perhaps', 'sent 10.0.0.1:5000 perhaps'];
    expect([...sources(DIRECT, '10.0.0.1:5000', '10.9.9.9:80')].sort()).toEqual(either);
    // the other way round: the listed connection was translated, the new one is not
    const translated = DIRECT.replace('dst=10.0.0.5 sport=5000 dport=8080', 'dst=10.9.9.9 sport=5000 dport=80');
    expect([...sources(translated, '10.0.0.1:5000', '10.0.0.5:8080')].sort()).toEqual(either);
    const source = ['sent 10.0.0.3:* perhaps', 'sent 10.0.0.3:7000 perhaps'];
    expect([...sources(OTHER, '10.0.0.1:7000', '10.0.0.7:8080')].sort()).toEqual(source);
  });

  it('stays where the other has another protocol, port, address or zone, or is the same connection', () => {
    const kept = ['sent 10.0.0.1:5000 1'];
    expect(
      sources(DIRECT.replace('tcp      6 431999 ESTABLISHED', 'udp      17 29'), '10.0.0.1:5000', '10.9.9.9:80'),
    ).toEqual(kept);
    expect(sources(DIRECT, '10.0.0.1:5001', '10.9.9.9:80')).toEqual(['sent 10.0.0.1:5001 1']);
    expect(sources(DIRECT.replaceAll('10.0.0.5', '10.0.0.6'), '10.0.0.1:5000', '10.9.9.9:80')).toEqual(kept);
    expect(sources(DIRECT.replace('mark=0', 'mark=0 zone=7'), '10.0.0.1:5000', '10.9.9.9:80')).toEqual(kept);
    expect(sources(DIRECT, '10.0.0.1:5000', '10.0.0.5:8080')).toEqual(kept);
  });

  it('stays where nat has no chain, and of a packet of a connection that is there', () => {
    const translated = DIRECT.replace('dst=10.0.0.5 sport=5000 dport=8080', 'dst=10.9.9.9 sport=5000 dport=80');
    const kept = ['sent 10.0.0.1:5000 1'];
    expect(sources(translated, '10.0.0.1:5000', '10.0.0.5:8080', {}, { 'iptables-save.txt': '' })).toEqual(kept);
    const later = { ctstate: 'ESTABLISHED' };
    expect(sources(translated, '10.0.0.1:5000', '10.0.0.5:8080', later)).toEqual(kept);
  });

  it('is picked by chance where that one came from the other end, in the same zone', () => {
    const back = DIRECT.replace(
      /src=.* \[/,
      'src=10.0.0.5 dst=10.0.0.1 sport=8080 dport=5000 src=10.0.0.1 dst=10.0.0.5 sport=5000 dport=8080 [',
    );
    const either = ['sent 10.0.0.1:* perhaps', 'sent 10.0.0.1:5000 perhaps'];
    expect([...sources(back, '10.0.0.1:5000', '10.9.9.9:80')].sort()).toEqual(either);
    const zoned = back.replace('mark=0', 'mark=0 zone=7');
    expect(sources(zoned, '10.0.0.1:5000', '10.9.9.9:80')).toEqual(['sent 10.0.0.1:5000 1']);
  });

  it('is drawn once where the rule draws it anyway', () => {
    const rules = '*nat\n-A POSTROUTING -p tcp -j SNAT --to-source 10.0.0.3 --random\nCOMMIT\n';
    expect(sources(OTHER, '10.0.0.1:7000', '10.0.0.7:8080', {}, { 'iptables-save.txt': rules })).toEqual([
      'sent 10.0.0.3:* 1',
    ]);
  });

  it('is picked behind the rules of OUTPUT', () => {
    const rules = `${RULES}*filter\n-A OUTPUT -p tcp -m tcp --sport 5000 -j DROP\nCOMMIT\n`;
    expect(sources(DIRECT, '10.0.0.1:5000', '10.9.9.9:80', {}, { 'iptables-save.txt': rules })).toEqual([
      'dropped 10.0.0.1:5000 1',
    ]);
  });

  it('counts as a translation of the source for what comes behind nat', () => {
    const mark = (answers: readonly string[]): readonly string[] => [...answers].sort();
    const expr = [{ match: { op: 'in', left: { ct: { key: 'status' } }, right: 'snat' } }, { drop: null }];
    const after = nftChain('ip', 'postrouting', expr, { prio: 200 });
    expect(mark(sources(DIRECT, '10.0.0.1:5000', '10.9.9.9:80', {}, after))).toEqual([
      'dropped 10.0.0.1:* perhaps',
      'sent 10.0.0.1:5000 perhaps',
    ]);
  });

  it('is unknown where the rule leaves no other one', () => {
    expect(sources(OTHER, '10.0.0.4:9000', '10.0.0.7:8080')).toContain('unknown 10.0.0.3:7000 perhaps');
  });
});

describe('the source of a new connection from where another one was begun', () => {
  it('is translated as that one (find_appropriate_src)', () => {
    expect([...sources(MOVED, '10.0.0.2:6000', '10.0.0.6:8080')].sort()).toEqual([
      'sent 10.0.0.1:41669 perhaps',
      'sent 10.0.0.1:6000 perhaps',
    ]);
  });

  it('is not where it was begun from another port, or to an address that the rule does not allow', () => {
    expect(sources(MOVED, '10.0.0.2:6001', '10.0.0.6:8080')).toEqual(['sent 10.0.0.1:6001 1']);
    const elsewhere = MOVED.replace('dst=10.0.0.1 sport=8080', 'dst=10.0.0.4 sport=8080');
    expect(sources(elsewhere, '10.0.0.2:6000', '10.0.0.6:8080')).toEqual(['sent 10.0.0.1:6000 1']);
  });

  const from = (conntrack: string, target: string): readonly string[] =>
    [
      ...sources(
        conntrack,
        '10.0.0.2:6000',
        '10.0.0.6:8080',
        {},
        { 'iptables-save.txt': `*nat\n-A POSTROUTING -s 10.0.0.2 -p tcp -j ${target}\nCOMMIT\n` },
      ),
    ].sort();
  const to = (address: string): string => MOVED.replace('dst=10.0.0.1 sport=8080', `dst=${address} sport=8080`);

  it('is not where the range has its own source, whatever end it stands at', () => {
    const own = ['sent 10.0.0.2:6000 1'];
    expect(from(MOVED, 'SNAT --to-source 10.0.0.1-10.0.0.3')).toEqual(own);
    expect(from(MOVED, 'SNAT --to-source 10.0.0.1-10.0.0.2')).toEqual(own);
    expect(from(to('10.0.0.3'), 'SNAT --to-source 10.0.0.2-10.0.0.3')).toEqual(own);
  });

  it('is where the range has the address of that one', () => {
    const hashed = ['sent 10.0.0.3:6000 perhaps', 'sent 10.0.0.4:6000 perhaps'];
    const target = 'SNAT --to-source 10.0.0.3-10.0.0.4';
    expect(from(to('10.0.0.4'), target)).toEqual([hashed[0], 'sent 10.0.0.4:41669 perhaps', hashed[1]]);
    expect(from(to('10.0.0.3'), target)).toEqual(['sent 10.0.0.3:41669 perhaps', ...hashed]);
    expect(from(to('10.0.0.1'), target)).toEqual(['sent 10.0.0.3:6000 0.5', 'sent 10.0.0.4:6000 0.5']);
    expect(from(to('10.0.0.5'), target)).toEqual(['sent 10.0.0.3:6000 0.5', 'sent 10.0.0.4:6000 0.5']);
  });

  it('is also where that one kept its port, and the range has several addresses', () => {
    const kept = to('10.0.0.4').replace('dport=41669', 'dport=6000');
    expect(from(kept, 'SNAT --to-source 10.0.0.3-10.0.0.4')).toEqual([
      'sent 10.0.0.3:6000 perhaps',
      'sent 10.0.0.4:6000 perhaps',
    ]);
    expect(from(kept, 'SNAT --to-source 10.0.0.4')).toEqual(['sent 10.0.0.4:6000 1']);
  });

  it('says nothing of the destination', () => {
    const rules = '*nat\n-A OUTPUT -d 10.9.9.9 -p tcp -j DNAT --to-destination 10.0.0.1\nCOMMIT\n';
    const netns = namespaceOf({ ...BASE, 'conntrack.txt': `${MOVED}\n`, 'iptables-save.txt': rules });
    const packet = { id: '1', direction: 'out', iif: null, protocol: 'tcp', src: '10.0.0.2:6000', dst: '10.9.9.9:80' };
    const answer = answerLine(netns, JSON.stringify(packet));
    expect('error' in answer ? [] : answer.outcomes.map(({ dst }) => dst)).toEqual(['10.0.0.1:80']);
  });

  it('is not where NETMAP names the source', () => {
    expect(from(MOVED, 'NETMAP --to 10.0.7.0/24')).toEqual(['sent 10.0.7.2:6000 1']);
  });

  it('is not of another zone, where the port is drawn or named, nor where nothing would change', () => {
    expect(from(MOVED.replace('mark=0', 'mark=0 zone=7'), 'MASQUERADE')).toEqual(['sent 10.0.0.1:6000 1']);
    expect(from(MOVED, 'MASQUERADE --random')).toEqual(['sent 10.0.0.1:* 1']);
    expect(from(MOVED, 'SNAT --to-source 10.0.0.1:6000-6001')).toEqual(['sent 10.0.0.1:6000 1']);
    expect(from(MOVED.replace('dport=41669', 'dport=6000'), 'MASQUERADE')).toEqual(['sent 10.0.0.1:6000 1']);
  });
});
