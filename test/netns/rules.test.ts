import { describe, expect, it } from 'vitest';
import type { NetnsOutcome } from '../../src/netns/face.js';
import { nftChain, type Files } from './netns-files.js';
import { ask, dropping, OUT } from './one-device.js';

/** What rules ask for and what they do. */

describe('the order of the matches of a rule', () => {
  it('socket --restore-skmark writes the mark, also where a later match fails', () => {
    const rule = (later: string): readonly NetnsOutcome[] =>
      ask(
        {
          'iptables-save.txt': [
            '*mangle',
            ':PREROUTING ACCEPT [0:0]',
            `-A PREROUTING -p tcp -m socket --nowildcard --restore-skmark ${later} -j ACCEPT`,
            '-A PREROUTING -m mark --mark 0x5 -j DROP',
            'COMMIT',
            '',
          ].join('\n'),
        },
        { mark: 5 },
      );
    for (const later of ['-m tcp --dport 81', '-m multiport --dports 81', '-m mark --mark 0x9']) {
      expect(rule(later).map(({ verdict }) => verdict)).not.toEqual(['dropped']);
    }
  });

  it('fib asks for the route alone: the first of several next hops, whichever the packet takes', () => {
    const hop = (dev: string): object => ({ gateway: '10.0.0.1', dev, weight: 1, flags: [] });
    const routes = JSON.stringify([{ dst: 'default', flags: [], nexthops: [hop('eth0'), hop('eth1')] }]);
    const left = { fib: { result: 'oifname', flags: ['daddr'] } };
    const outcomes = (device: string): readonly string[] =>
      ask(
        {
          'ip-route.json': routes,
          ...nftChain('ip', 'output', [{ match: { op: '==', left, right: device } }, { drop: null }]),
        },
        { ...OUT, dst: { ip: '8.8.8.8', port: 80 } },
      ).map(({ verdict, oif }) => `${verdict} ${oif ?? ''}`);
    expect(outcomes('eth1')).toEqual(['sent eth0', 'sent eth1']);
    expect(outcomes('eth0')).toEqual(['dropped ']);
  });

  it('two masks of one mark both hold', () => {
    const mark = { meta: { key: 'mark' } };
    for (const left of [{ '&': [mark, 15, 240] }, { '&': [{ '&': [mark, 15] }, 240] }]) {
      const expr = [{ match: { op: '==', left, right: 0 } }, { drop: null }];
      const outcomes = ask(nftChain('ip', 'input', expr), { mark: 0xf0 });
      expect(outcomes.map(({ verdict }) => verdict)).toEqual(['dropped']);
    }
  });
});

describe('matches', () => {
  it.each([
    ['-s 10.0.0.0/24', 'dropped'],
    ['! -s 10.0.0.9/32', 'delivered'],
    ['-s 10.0.0.9/255.0.0.255', 'dropped'],
    ['-d 10.0.0.6/32', 'delivered'],
    ['-i eth+', 'dropped'],
    ['-i eth', 'delivered'],
    ['! -i lo', 'dropped'],
    ['-o +', 'dropped'],
    ['-p tcp', 'dropped'],
    ['! -p udp', 'dropped'],
    ['-p 6', 'dropped'],
    ['-p tcp -m tcp --dport 80', 'dropped'],
    ['-p tcp -m tcp --dport 81:', 'delivered'],
    ['-p tcp -m tcp ! --dport 79:81', 'delivered'],
    ['-p tcp -m tcp --sport 40000', 'dropped'],
    ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', 'dropped'],
    ['-p tcp -m tcp --tcp-flags ALL NONE', 'delivered'],
    ['-p udp -m udp --dport 80', 'delivered'],
    ['-p tcp -m multiport --dports 1,80:90', 'dropped'],
    ['-p tcp -m multiport ! --dports 80', 'delivered'],
    ['-p tcp -m multiport --ports 40000', 'dropped'],
    ['-m mark --mark 0x0/0xff', 'dropped'],
    ['-m mark ! --mark 0x0', 'delivered'],
    ['-m connmark --mark 0x0', 'dropped'],
    ['-m conntrack --ctstate NEW', 'dropped'],
    ['-m conntrack --ctstate ESTABLISHED,RELATED', 'delivered'],
    ['-m conntrack ! --ctstate INVALID', 'dropped'],
    ['-m conntrack --ctdir ORIGINAL', 'dropped'],
    ['-m conntrack --ctorigdst 10.0.0.5', 'dropped'],
    ['-m conntrack --ctorigdstport 80', 'dropped'],
    ['-m conntrack --ctproto 17', 'delivered'],
    ['-m state --state NEW', 'dropped'],
    ['-m addrtype --dst-type LOCAL', 'dropped'],
    ['-m addrtype --src-type LOCAL', 'delivered'],
    ['-m addrtype ! --dst-type LOCAL,MULTICAST', 'delivered'],
    ['-m iprange --src-range 10.0.0.1-10.0.0.9', 'dropped'],
    ['-m iprange ! --dst-range 10.0.0.1-10.0.0.9', 'delivered'],
    ['-m set --match-set s src', 'dropped'],
    ['-m set --match-set s dst', 'delivered'],
    ['-m set ! --match-set s dst', 'dropped'],
    ['-m socket --nowildcard', 'dropped'],
    ['-m socket', 'delivered'],
    ['-m owner ! --uid-owner 0', 'dropped'],
    ['-m owner --uid-owner 0', 'delivered'],
    ['-m comment --comment "-j ACCEPT"', 'dropped'],
    ['-m comment --comment -j', 'dropped'],
    ['-f', 'delivered'],
    ['! -f', 'dropped'],
    ['-m physdev --physdev-in veth0', 'delivered'],
    ['-m physdev ! --physdev-is-bridged', 'dropped'],
    ['-m physdev ! --physdev-is-bridged --physdev-is-in', 'delivered'],
    ['-m pkttype --pkt-type unicast', 'dropped'],
    ['-p icmp -m icmp --icmp-type 8', 'delivered'],
  ])('%s: %s', (match, verdict) => {
    expect(ask(dropping(match)).map((outcome) => outcome.verdict)).toEqual([verdict]);
  });

  it.each([
    '-m limit --limit 5/min',
    '-m hashlimit --hashlimit-upto 5/sec --hashlimit-name x',
    '-m recent --rcheck --name x --rsource',
    '-m bpf --object-pinned /x',
    '-m cgroup --path x',
    '-m time --timestart 10:00',
    '-m string --algo bm --string x',
    '-m u32 --u32 "0=0"',
    '-m length --length 40:60',
    '-m mac --mac-source 02:00:00:00:00:01',
    '-m nobodyknows --thing 1',
    '-m tcp --tcp-option 5',
  ])('%s: both ways, named', (match) => {
    const outcomes = ask(dropping(`-p tcp ${match}`));
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['delivered', 'dropped']);
    for (const { probability, conditions, unknowns } of outcomes) {
      expect(probability).toBeNull();
      expect(conditions.join()).toContain('iptables-save.txt:3');
      expect(unknowns).toHaveLength(1);
    }
  });

  it('splits by chance, and by a counter', () => {
    const shares = (match: string): readonly unknown[] =>
      ask(dropping(match)).map(({ verdict, probability }) => [verdict, probability]);
    expect(shares('-m statistic --mode random --probability 0.25')).toEqual([
      ['delivered', 0.75],
      ['dropped', 0.25],
    ]);
    expect(shares('-m statistic --mode nth --every 4 --packet 0')).toEqual([
      ['delivered', 0.75],
      ['dropped', 0.25],
    ]);
  });

  it('does not fork on what decides nothing', () => {
    const save = '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m limit --limit 5/min -j LOG\nCOMMIT\n';
    const [only, ...others] = ask({ 'iptables-save.txt': save });
    expect(others).toEqual([]);
    expect(only).toMatchObject({ verdict: 'delivered', probability: 1, conditions: [] });
  });

  it('asks for the process once, and keeps the answer', () => {
    const save =
      '*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m owner --uid-owner 1337 -j ACCEPT\n' +
      '-A OUTPUT -m owner --uid-owner 1337 -j DROP\n-A OUTPUT -m owner ! --uid-owner 1337 -j REJECT\nCOMMIT\n';
    const outcomes = ask({ 'iptables-save.txt': save }, { ...OUT, uid: null, dst: { ip: '8.8.8.8', port: 80 } });
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['rejected', 'sent']);
  });
});

describe('targets', () => {
  const mangle = (target: string): NetnsOutcome | undefined =>
    ask(
      { 'iptables-save.txt': `*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING ${target}\nCOMMIT\n` },
      { mark: 0xf0 },
    )[0];
  it.each([
    ['-j MARK --set-xmark 0x1/0xff', 0x1],
    ['-j MARK --set-xmark 0xff/0x0', 0x0f],
    ['-j MARK --set-mark 0x1/0x10', 0xe1],
    ['-j MARK --and-mark 0x10', 0x10],
    ['-j MARK --or-mark 0x1', 0xf1],
    ['-j MARK --xor-mark 0xff', 0x0f],
    ['-j LOG', 0xf0],
    ['-j NFLOG --nflog-group 3', 0xf0],
  ])('%s', (target, mark) => {
    expect(mangle(target)?.mark).toBe(mark);
  });

  it('CONNMARK saves and restores under masks', () => {
    expect(mangle('-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff')?.connmark).toBe(0xf0);
    expect(mangle('-j CONNMARK --set-xmark 0x5/0xf')?.connmark).toBe(5);
  });

  it('a target that nobody knows ends as unknown, with its line', () => {
    const outcome = mangle('-j FANCY --thing');
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.fact).toContain('iptables-save.txt:3');
  });

  it('goto does not come back, RETURN does', () => {
    const save = (jump: string): Files => ({
      'iptables-save.txt': `*filter\n:INPUT DROP [0:0]\n:A - [0:0]\n-A INPUT ${jump} A\n-A INPUT -j ACCEPT\n-A A -j RETURN\nCOMMIT\n`,
    });
    expect(ask(save('-j'))[0]?.verdict).toBe('delivered');
    expect(ask(save('-g'))[0]?.verdict).toBe('dropped');
  });

  it('chains in a loop end as unknown', () => {
    const save = '*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A\nCOMMIT\n';
    expect(ask({ 'iptables-save.txt': save })[0]?.verdict).toBe('unknown');
  });

  it('REDIRECT gives the reply its addresses back', () => {
    const files = {
      'iptables-save.txt':
        '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j REDIRECT --to-ports 15006\nCOMMIT\n',
    };
    const [first] = ask(files);
    expect(first).toMatchObject({
      verdict: 'delivered',
      dst: { ip: '10.0.0.5', port: 15006 },
      originalDst: { ip: '10.0.0.5', port: 80 },
      socket: { name: '0.0.0.0:15006' },
      decidedBy: { file: 'iptables-save.txt', line: 3 },
    });
    const [reply] = ask(files, {
      ...OUT,
      src: { ip: '10.0.0.5', port: 15006 },
      dst: { ip: '10.0.0.9', port: 40000 },
      tcpFlags: ['SYN', 'ACK'],
      conntrack: first?.conntrack ?? null,
      connectedSocket: { name: '0.0.0.0:15006', transparent: false },
    });
    expect(reply).toMatchObject({ verdict: 'sent', src: { ip: '10.0.0.5', port: 80 }, oif: 'eth0', nexthop: null });
  });

  it('a reply that belongs to nothing is INVALID', () => {
    const [stray] = ask(dropping('-m conntrack --ctstate INVALID'), { tcpFlags: ['SYN', 'ACK'] });
    expect(stray?.verdict).toBe('dropped');
  });

  it('chooses the source of what is not bound', () => {
    const [sent] = ask(
      {},
      { ...OUT, src: { ip: '0.0.0.0', port: 40000 }, dst: { ip: '8.8.8.8', port: 1 }, sourceBound: false },
    );
    expect(sent).toMatchObject({ verdict: 'sent', src: { ip: '10.0.0.5' }, nexthop: '10.0.0.1' });
  });
});
