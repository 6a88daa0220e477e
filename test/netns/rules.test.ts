import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { firstPacket } from './packets.js';
import { namespaceOf } from './vectors.js';
import { DEFAULT_RULES } from './netns-files.js';

const ADDRESSES = JSON.stringify([
  {
    ifindex: 1,
    ifname: 'lo',
    flags: ['LOOPBACK', 'UP'],
    addr_info: [{ family: 'inet', local: '127.0.0.1', prefixlen: 8, scope: 'host' }],
  },
  {
    ifindex: 2,
    ifname: 'eth0',
    flags: ['UP'],
    addr_info: [{ family: 'inet', local: '10.0.0.5', prefixlen: 24, scope: 'global' }],
  },
]);
const ROUTES = JSON.stringify([
  { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
  { dst: '10.0.0.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', prefsrc: '10.0.0.5', flags: [] },
  { type: 'local', dst: '10.0.0.5', dev: 'eth0', table: 'local', protocol: 'kernel', scope: 'host', flags: [] },
  { type: 'local', dst: '127.0.0.0/8', dev: 'lo', table: 'local', protocol: 'kernel', scope: 'host', flags: [] },
]);
const sysctl = (device: string): string =>
  ['rp_filter', 'accept_local', 'route_localnet', 'send_redirects', 'src_valid_mark', 'forwarding']
    .map((name) => `net.ipv4.conf.${device}.${name} = 0`)
    .join('\n');
const SYSCTL = ['all', 'lo', 'eth0'].map(sysctl).join('\n') + '\nnet.ipv4.ip_forward = 0\n';
const SOCKETS = 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:15006 0.0.0.0:*\n';

const FILES: Readonly<Record<string, string>> = {
  'iptables-save.txt': '',
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': ROUTES,
  'ip-address.json': ADDRESSES,
  'sysctl.txt': SYSCTL,
  'sockets.txt': SOCKETS,
  'ipset-save.txt': 'create s hash:ip\nadd s 10.0.0.9\n',
};

const out: Partial<Packet> = {
  direction: 'out',
  iif: null,
  src: { ip: '10.0.0.5', port: 40000 },
  uid: 1000,
  gid: 1000,
};

function run(files: Readonly<Record<string, string>>, over: Partial<Packet> = {}): readonly NetnsOutcome[] {
  return namespaceOf({ ...FILES, ...files }).send(firstPacket(over));
}

/** DROP in INPUT where the match holds. */
function input(match: string): Readonly<Record<string, string>> {
  return { 'iptables-save.txt': `*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ${match} -j DROP\nCOMMIT\n` };
}

describe('the order of the matches of a rule', () => {
  it('socket --restore-skmark writes the mark, also where a later match fails', () => {
    const rule = (later: string): readonly NetnsOutcome[] =>
      run(
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
    const table = { family: 'ip', table: 't' };
    const outcomes = (device: string): readonly string[] =>
      run(
        {
          'ip-route.json': routes,
          'nft-ruleset.json': JSON.stringify({
            nftables: [
              { metainfo: { json_schema_version: 1 } },
              { table: { family: 'ip', name: 't' } },
              { chain: { ...table, name: 'out', type: 'filter', hook: 'output', prio: 0, policy: 'accept' } },
              {
                rule: { ...table, chain: 'out', expr: [{ match: { op: '==', left, right: device } }, { drop: null }] },
              },
            ],
          }),
        },
        { ...out, dst: { ip: '8.8.8.8', port: 80 } },
      ).map(({ verdict, oif }) => `${verdict} ${oif ?? ''}`);
    expect(outcomes('eth1')).toEqual(['sent eth0', 'sent eth1']);
    expect(outcomes('eth0')).toEqual(['dropped ']);
  });

  it('two masks of one mark both hold', () => {
    const mark = { meta: { key: 'mark' } };
    for (const left of [{ '&': [mark, 15, 240] }, { '&': [{ '&': [mark, 15] }, 240] }]) {
      const table = { family: 'ip', table: 't' };
      const ruleset = {
        nftables: [
          { metainfo: { json_schema_version: 1 } },
          { table: { family: 'ip', name: 't' } },
          { chain: { ...table, name: 'in', type: 'filter', hook: 'input', prio: 0, policy: 'accept' } },
          { rule: { ...table, chain: 'in', expr: [{ match: { op: '==', left, right: 0 } }, { drop: null }] } },
        ],
      };
      const outcomes = run({ 'nft-ruleset.json': JSON.stringify(ruleset) }, { mark: 0xf0 });
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
    expect(run(input(match)).map((outcome) => outcome.verdict)).toEqual([verdict]);
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
    const outcomes = run(input(`-p tcp ${match}`));
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['delivered', 'dropped']);
    for (const { probability, conditions, unknowns } of outcomes) {
      expect(probability).toBeNull();
      expect(conditions.join()).toContain('iptables-save.txt:3');
      expect(unknowns).toHaveLength(1);
    }
  });

  it('splits by chance, and by a counter', () => {
    const shares = (match: string): readonly unknown[] =>
      run(input(match)).map(({ verdict, probability }) => [verdict, probability]);
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
    const [only, ...others] = run({ 'iptables-save.txt': save });
    expect(others).toEqual([]);
    expect(only).toMatchObject({ verdict: 'delivered', probability: 1, conditions: [] });
  });

  it('asks for the process once, and keeps the answer', () => {
    const save =
      '*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m owner --uid-owner 1337 -j ACCEPT\n' +
      '-A OUTPUT -m owner --uid-owner 1337 -j DROP\n-A OUTPUT -m owner ! --uid-owner 1337 -j REJECT\nCOMMIT\n';
    const outcomes = run({ 'iptables-save.txt': save }, { ...out, uid: null, dst: { ip: '8.8.8.8', port: 80 } });
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['rejected', 'sent']);
  });
});

describe('targets', () => {
  const mangle = (target: string): NetnsOutcome | undefined =>
    run(
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
    const save = (jump: string): Readonly<Record<string, string>> => ({
      'iptables-save.txt': `*filter\n:INPUT DROP [0:0]\n:A - [0:0]\n-A INPUT ${jump} A\n-A INPUT -j ACCEPT\n-A A -j RETURN\nCOMMIT\n`,
    });
    expect(run(save('-j'))[0]?.verdict).toBe('delivered');
    expect(run(save('-g'))[0]?.verdict).toBe('dropped');
  });

  it('chains in a loop end as unknown', () => {
    const save = '*filter\n:INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A A -j B\n-A B -j A\nCOMMIT\n';
    expect(run({ 'iptables-save.txt': save })[0]?.verdict).toBe('unknown');
  });

  it('REDIRECT gives the reply its addresses back', () => {
    const files = {
      'iptables-save.txt':
        '*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -j REDIRECT --to-ports 15006\nCOMMIT\n',
    };
    const [first] = run(files);
    expect(first).toMatchObject({
      verdict: 'delivered',
      dst: { ip: '10.0.0.5', port: 15006 },
      originalDst: { ip: '10.0.0.5', port: 80 },
      socket: { name: '0.0.0.0:15006' },
      decidedBy: { file: 'iptables-save.txt', line: 3 },
    });
    const [reply] = run(files, {
      ...out,
      src: { ip: '10.0.0.5', port: 15006 },
      dst: { ip: '10.0.0.9', port: 40000 },
      tcpFlags: ['SYN', 'ACK'],
      conntrack: first?.conntrack ?? null,
      connectedSocket: { name: '0.0.0.0:15006', transparent: false },
    });
    expect(reply).toMatchObject({ verdict: 'sent', src: { ip: '10.0.0.5', port: 80 }, oif: 'eth0', nexthop: null });
  });

  it('a reply that belongs to nothing is INVALID', () => {
    const [stray] = run(input('-m conntrack --ctstate INVALID'), { tcpFlags: ['SYN', 'ACK'] });
    expect(stray?.verdict).toBe('dropped');
  });

  it('chooses the source of what is not bound', () => {
    const [sent] = run(
      {},
      { ...out, src: { ip: '0.0.0.0', port: 40000 }, dst: { ip: '8.8.8.8', port: 1 }, sourceBound: false },
    );
    expect(sent).toMatchObject({ verdict: 'sent', src: { ip: '10.0.0.5' }, nexthop: '10.0.0.1' });
  });
});

describe('what is not there', () => {
  const without = (name: string, more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> =>
    Object.fromEntries(Object.entries({ ...FILES, ...more }).filter(([file]) => file !== name));
  const ask = (files: Readonly<Record<string, string>>, over: Partial<Packet> = {}): NetnsOutcome | undefined =>
    namespaceOf(files).send(firstPacket(over))[0];

  it('without rules: unknown, naming the file', () => {
    const outcome = ask(without('iptables-save.txt'));
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.fact).toContain('iptables-save.txt');
  });

  it("nft's list stands in for iptables-save where it holds its tables; IPv6 files are not missed by IPv4", () => {
    const listed = (name: string): string => {
      const chain = {
        family: 'ip',
        table: name,
        name: 'INPUT',
        type: 'filter',
        hook: 'input',
        prio: 0,
        policy: 'accept',
      };
      return JSON.stringify({ nftables: [{ table: { family: 'ip', name } }, { chain }] });
    };
    const asked = (list: string): string | undefined =>
      ask(without('iptables-save.txt', { 'nft-ruleset.json': list }))?.verdict;
    expect(asked(listed('filter'))).toBe('delivered');
    // iptables may be that of the legacy back-end
    expect(asked(listed('own'))).toBe('unknown');
    expect(asked('{"nftables":[]}')).toBe('unknown');
  });

  it('a truncated file is not "no rules"', () => {
    const outcome = run({ 'iptables-save.txt': '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DR' })[0];
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.reason).toContain('damaged');
    expect(run({ 'nft-ruleset.json': '{"nftables":[' })[0]?.verdict).toBe('unknown');
    expect(run({ 'ip-route.json': '[{"dst":' })[0]?.verdict).toBe('unknown');
  });

  it.each(['ip-rule.json', 'ip-route.json'])('%s: unknown', (file) => {
    expect(ask(without(file))?.unknowns[0]?.fact).toContain(file);
  });

  it('sockets: it arrives, by whom it is taken is unknown', () => {
    const outcome = ask(without('sockets.txt'));
    expect(outcome).toMatchObject({ verdict: 'delivered', socket: null });
    expect(outcome?.unknowns[0]?.fact).toContain('sockets.txt');
    const answer = answerLine(
      namespaceOf(without('sockets.txt')),
      '{"id":1,"direction":"in","iif":"eth0","protocol":"tcp","src":"10.0.0.9:1","dst":"10.0.0.5:80"}',
    );
    expect(answer).toMatchObject({ outcomes: [{ verdict: 'unknown' }] });
  });

  it('sysctl: a source that comes the straight way needs none, another one does', () => {
    expect(ask(without('sysctl.txt'))?.verdict).toBe('delivered');
    expect(ask(without('sysctl.txt'), { src: { ip: '127.0.0.1', port: 1 } })?.verdict).toBe('unknown');
    expect(ask(without('sysctl.txt'), { dst: { ip: '8.8.8.8', port: 1 } })?.verdict).toBe('unknown');
  });

  it('ipset: both ways, only where a rule asks', () => {
    expect(ask(without('ipset-save.txt'))?.verdict).toBe('delivered');
    const files = without('ipset-save.txt', input('-m set --match-set s src'));
    const outcomes = namespaceOf(files).send(firstPacket({}));
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['delivered', 'dropped']);
    expect(outcomes[0]?.unknowns[0]?.fact).toContain('ipset-save.txt');
  });

  it('an eBPF program before the rules is a fork', () => {
    const tc =
      'qdisc clsact ffff: dev eth0 parent ffff:fff1\nfilter protocol all pref 1 bpf chain 0 handle 0x1 p direct-action\n';
    expect(
      run({ 'tc.txt': tc })
        .map(({ verdict }) => verdict)
        .sort(),
    ).toEqual(['delivered', 'unknown']);
  });

  it('odd packets answer unknown and never throw', () => {
    expect(run({}, { iif: null })[0]?.verdict).toBe('unknown');
    expect(run({}, { dst: { ip: 'nonsense', port: 1 } })[0]?.verdict).toBe('unknown');
    expect(run({}, { dst: { ip: 'fd00::1', port: 1 } })[0]?.verdict).toBe('unknown');
  });
});

describe('two back-ends', () => {
  const nat = (text: string): string =>
    `${text}\n*nat\n${['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('')}`;
  const nft = nat('# Generated by iptables-nft-save v1.8.9 (nf_tables)');
  const legacy = nat('# Generated by iptables-save v1.8.9');
  const end = 'COMMIT\n# Completed\n';

  it('both are asked; where their order decides, both orders are told', () => {
    const one = run({
      'iptables-save.txt': `${nft}${end}`,
      'iptables-legacy-save.txt': `${legacy}-A PREROUTING -p tcp -j REDIRECT --to-ports 15006\n${end}`,
    });
    expect(one.map(({ dst }) => dst.port)).toEqual([15006]);
    const two = run({
      'iptables-save.txt': `${nft}-A PREROUTING -p tcp -j REDIRECT --to-ports 80\n${end}`,
      'iptables-legacy-save.txt': `${legacy}-A PREROUTING -p tcp -j REDIRECT --to-ports 15006\n${end}`,
    });
    expect(two.map(({ dst }) => dst.port).sort()).toEqual([15006, 80]);
    expect(two[0]?.unknowns[0]?.fact).toContain('registration order');
  });

  it('security stands before nat INPUT in the legacy back-end and after it in that of nft, whose list has the last word', () => {
    const security = `*security
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT ! -s 10.0.0.77/32 -j DROP
${end}`;
    const sources = '-A INPUT -j SNAT --to-source 10.0.0.77\n';
    const verdict = (generated: string, more: Readonly<Record<string, string>> = {}): string | undefined =>
      run({
        'iptables-save.txt': `# Generated by ${generated}\n${security}${nat(`# Generated by ${generated}`)}${sources}${end}`,
        ...more,
      })[0]?.verdict;
    expect(verdict('iptables-save v1.8.9')).toBe('dropped');
    expect(verdict('iptables-save v1.8.9 (nf_tables)')).toBe('delivered');
    const hooked = { type: 'filter', hook: 'input', prio: 50, policy: 'accept' };
    const chain = { family: 'ip', table: 'security', name: 'INPUT', ...hooked };
    const listed = JSON.stringify({ nftables: [{ table: { family: 'ip', name: 'security' } }, { chain }] });
    expect(verdict('iptables-save v1.8.9 (nf_tables)', { 'nft-ruleset.json': listed })).toBe('dropped');
  });

  it("iptables-nft's tables are not applied a second time from nft's list", () => {
    const listed = JSON.stringify({
      nftables: [
        { table: { family: 'ip', name: 'mangle' } },
        {
          chain: {
            family: 'ip',
            table: 'mangle',
            name: 'PREROUTING',
            type: 'filter',
            hook: 'prerouting',
            prio: -150,
            policy: 'accept',
          },
        },
        {
          rule: {
            family: 'ip',
            table: 'mangle',
            chain: 'PREROUTING',
            expr: [{ mangle: { key: { meta: { key: 'mark' } }, value: { '^': [{ meta: { key: 'mark' } }, 1] } } }],
          },
        },
      ],
    });
    const save =
      '# Generated by iptables-nft-save v1.8.9 (nf_tables)\n*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --xor-mark 0x1\nCOMMIT\n# Completed\n';
    expect(run({ 'iptables-save.txt': save, 'nft-ruleset.json': listed })[0]?.mark).toBe(1);
    expect(run({ 'nft-ruleset.json': listed })[0]?.mark).toBe(1);
  });
});

describe('the questions of eval', () => {
  const netns = namespaceOf(FILES);
  it.each([
    ['{', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['{"id":1}', 'direction'],
    ['{"id":1,"direction":"in"}', 'iif'],
    ['{"id":1,"direction":"out","protocol":"gre"}', 'protocol'],
    ['{"id":1,"direction":"out","protocol":"tcp","src":"10.0.0.5","dst":"1.2.3.4:5"}', 'src'],
    ['{"id":1,"direction":"out","protocol":"tcp","src":"10.0.0.5:1","dst":"1.2.3.4:99999"}', 'dst'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","mark":"x"}', 'mark'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","uid":-1}', 'uid'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","ctstate":"OLD"}', 'ctstate'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","tcpFlags":"XYZ"}', 'tcpFlags'],
  ])('%s: an error about %s', (line, about) => {
    const answer = answerLine(netns, line);
    expect('error' in answer ? answer.error : '').toContain(about);
  });

  it('icmp has addresses without ports', () => {
    const answer = answerLine(netns, '{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8"}');
    expect(answer).toMatchObject({
      id: 1,
      outcomes: [{ verdict: 'sent', src: '10.0.0.5', dst: '8.8.8.8', oif: 'eth0' }],
    });
  });
});
