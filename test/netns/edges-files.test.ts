import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, NetworkNamespace, Packet } from '../../src/netns/face.js';
import type { NetnsRead } from '../../src/netns/files.js';
import { loadNetworkNamespace } from '../../src/netns/load.js';
import { device, localRoute, nftChain, nftTable } from './netns-files.js';
import { firstPacket } from './packets.js';
import { ask, FILES, OUT, SYSCTLS, verdicts } from './two-devices.js';

/** Files that are missing, damaged or say little: which fact each leaves open, and that no other one is. */

type Files = Readonly<Record<string, string | null>>;

/** Null: the file is missing. `reads`: what cannot be read, or is elsewhere. */
function load(files: Files, reads: Readonly<Record<string, NetnsRead>> = {}): NetworkNamespace {
  const all: Files = { ...FILES, ...files };
  return loadNetworkNamespace('', (path) => {
    const text = all[path] ?? null;
    return reads[path] ?? (text === null ? { kind: 'missing', reason: 'not there' } : { kind: 'text', text });
  });
}

const send = (files: Files, over: Partial<Packet> = {}): readonly NetnsOutcome[] => load(files).send(firstPacket(over));
const facts = (outcomes: readonly NetnsOutcome[]): string =>
  outcomes.flatMap(({ unknowns }) => unknowns.map(({ fact, reason }) => `${fact}: ${reason}`)).join('\n');
const devices = (...list: readonly (readonly [name: string, ...addresses: readonly string[]])[]): string =>
  JSON.stringify(
    list.map(([ifname, ...own], at) => ({
      ...device(at + 1, ifname, ...own),
      ...(ifname.startsWith('br') ? { linkinfo: { info_kind: 'bridge' } } : {}),
    })),
  );

describe('whether IPv6 is off on a device that no sysctl tells of', () => {
  const six: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: 'fd00::5', port: 80 } };
  const own = { ...localRoute('fd00::5', 'lo') };
  const base = {
    'sockets.txt': 'LISTEN 0 128 *:80 *:*\n',
    'ip-address.json': devices(['lo'], ['eth0', '10.0.0.5'], ['eth1', 'fd01::5']),
    'ip6-route.json': JSON.stringify([own]),
  };
  const open = (files: Files): boolean => verdicts(send({ ...base, ...files }, six)).join() === 'delivered,dropped';
  const routed = (...more: readonly object[]): Files => ({ 'ip6-route.json': JSON.stringify([own, ...more]) });

  it('an address of IPv6 on the very device tells, and a route that leads through it', () => {
    expect(open({})).toBe(true);
    expect(open({ 'ip-address.json': devices(['lo'], ['eth0', '10.0.0.5', 'fe80::1']) })).toBe(false);
    expect(open(routed({ dst: 'fd02::/64', dev: 'eth1', flags: [] }))).toBe(true);
    expect(open(routed({ dst: 'fd02::/64', dev: 'eth0', flags: [] }))).toBe(false);
    expect(open(routed({ type: 'unreachable', dst: 'fd02::/64', dev: 'eth0', flags: [] }))).toBe(true);
    const nexthops = ['eth1', 'eth0'].map((dev) => ({ gateway: 'fe80::1', dev, weight: 1, flags: [] }));
    expect(open(routed({ dst: 'fd02::/64', nexthops, flags: [] }))).toBe(false);
  });

  it('a route of IPv4 does not, where one file holds both', () => {
    const both = JSON.stringify([{ dst: '10.0.0.0/24', dev: 'eth0', flags: [] }, own]);
    expect(open({ 'ip6-route.json': null, 'ip-route.json': both })).toBe(true);
  });

  it('each way says what it hangs on', () => {
    const outcomes = send(base, six);
    const conditions = outcomes.map(({ verdict, conditions: on }) => `${verdict}: ${on.join()}`).sort();
    expect(conditions).toEqual([
      'delivered: IPv6 is not off on eth0 (disable_ipv6)',
      'dropped: not: IPv6 is not off on eth0 (disable_ipv6)',
    ]);
    expect(verdicts(send({ ...base, 'ip6-route.json': '{' }, six))).toContain('unknown');
  });

  it.each([
    ['10', ['dropped']],
    ['0', ['delivered']],
    ['x0', ['delivered', 'dropped']],
    ['0x', ['delivered', 'dropped']],
  ] as const)('a value of %s', (value, ends) => {
    const sysctls = { 'sysctl.txt': `${SYSCTLS}net.ipv6.conf.eth0.disable_ipv6 = ${value}\n` };
    expect(verdicts(send({ ...base, ...sysctls }, six))).toEqual(ends);
  });
});

describe('sysctls', () => {
  it('the reason says what is wrong: not there, or no number', () => {
    const without = SYSCTLS.replace('net.ipv4.conf.all.rp_filter = 0\n', '');
    expect(facts(send({ 'sysctl.txt': without }))).toContain('rp_filter in sysctl.txt: the file does not hold it');
    const odd = SYSCTLS.replace('net.ipv4.conf.all.rp_filter = 0', 'net.ipv4.conf.all.rp_filter = off');
    expect(facts(send({ 'sysctl.txt': odd }))).toContain('"off" is no number');
  });

  it('without them and without the devices nothing is made up', () => {
    const outcomes = send({ 'sysctl.txt': null, 'ip-address.json': null });
    expect(verdicts(outcomes)).toContain('unknown');
    expect(facts(send({ 'ip-address.json': null }, { iif: 'veth1' }))).toContain(
      'devices and addresses: ip-address.json',
    );
  });

  it('ignore_routes_with_linkdown is one of IPv6, too', () => {
    const routes = JSON.stringify([
      { dst: 'default', gateway: 'fd00::1', dev: 'eth0', metric: 1024, flags: [] },
      { dst: 'fd01::/64', dev: 'eth1', metric: 256, flags: ['linkdown'] },
    ]);
    const through: Partial<Packet> = { src: { ip: 'fd00::9', port: 1 }, dst: { ip: 'fd01::9', port: 80 } };
    const out = (value: number): string | null | undefined =>
      send(
        {
          'ip6-route.json': routes,
          'sysctl.txt': `${SYSCTLS}net.ipv6.conf.eth1.ignore_routes_with_linkdown = ${value}\n`,
        },
        through,
      )[0]?.oif;
    expect(out(0)).toBe('eth1');
    expect(out(1)).toBe('eth0');
  });

  it('a dead next hop of several is left out', () => {
    const hop = (dev: string, flags: readonly string[]): object => ({ gateway: '10.1.0.9', dev, weight: 1, flags });
    const routes = JSON.stringify([{ dst: 'default', nexthops: [hop('eth0', ['dead']), hop('eth1', [])], flags: [] }]);
    const outcomes = send({ 'ip-route.json': routes }, { dst: { ip: '8.8.8.8', port: 80 } });
    expect(outcomes.map(({ oif, probability }) => [oif, probability])).toEqual([['eth1', 1]]);
  });
});

describe('bridges', () => {
  const physdev = (match: string): Files => ({
    'iptables-save.txt': `*mangle\n-A PREROUTING -m physdev ${match} -j DROP\n-A OUTPUT -m physdev ${match} -j DROP\nCOMMIT\n`,
  });
  const br0 = {
    'sysctl.txt': SYSCTLS + SYSCTLS.replaceAll('eth1', 'br0'),
    'ip-address.json': devices(['lo'], ['br0', '10.0.0.5'], ['eth0', '10.0.0.6']),
  };

  it('-m physdev: the port of a bridge is not known, and there is none elsewhere', () => {
    expect(verdicts(send({ ...br0, ...physdev('--physdev-in veth1') }, { iif: 'br0' }))).toEqual([
      'delivered',
      'dropped',
    ]);
    expect(verdicts(send({ ...br0, ...physdev('--physdev-in veth1') }))).toEqual(['delivered']);
    expect(verdicts(send({ ...br0, ...physdev('! --physdev-is-bridged') }))).toEqual(['dropped']);
    expect(verdicts(send({ ...br0, ...physdev('! --physdev-is-bridged') }, OUT))).toEqual(['dropped']);
    expect(facts(send({ ...br0, ...physdev('--physdev-in veth1') }, { iif: 'br0' }))).toContain('(--physdev-in veth1)');
    expect(facts(send({ ...br0, ...physdev('! --physdev-is-bridged') }, { iif: 'br0' }))).toContain(
      '(! --physdev-is-bridged)',
    );
  });

  it('where the devices are not known any may be one; what is made here came by none', () => {
    const unknown = { 'ip-address.json': null, ...physdev('--physdev-in veth1') };
    expect(verdicts(send(unknown))).toEqual(['dropped', 'unknown']);
    expect(verdicts(send(unknown, OUT))).toEqual(['sent']);
  });

  it('a chain of family bridge may see the frame of a device that is not known', () => {
    const nft = nftChain('bridge', 'prerouting', [{ drop: null }], { policy: 'drop' });
    expect(verdicts(send(nft))).toEqual(['delivered']);
    const sysctls = SYSCTLS.replace('net.ipv4.conf.all.accept_local = 0', 'net.ipv4.conf.all.accept_local = 1');
    expect(verdicts(send({ ...nft, 'ip-address.json': null, 'sysctl.txt': sysctls }))).toEqual([
      'delivered',
      'unknown',
    ]);
  });
});

describe('what a namespace lists as missing', () => {
  const named = (netns: NetworkNamespace): readonly string[] => netns.problems.map(({ fact }) => fact);
  const no6 = { 'ip6-rule.json': null, 'ip6-route.json': null, 'ip6tables-save.txt': null };

  it('files of IPv6 alone where some device has an address of IPv6 beyond its link', () => {
    const wanted = ['rules: ip6tables-save.txt', 'IPv6 policy rules: ip6-rule.json', 'IPv6 routes: ip6-route.json'];
    expect(named(load({}))).toEqual([]);
    expect(named(load(no6))).toEqual(wanted);
    const only = (...own: readonly string[]): Files => ({
      ...no6,
      'ip-address.json': devices(['lo', '::1'], ['eth0', '10.0.0.5', ...own]),
    });
    expect(named(load(only()))).toEqual([]);
    expect(named(load(only('fe80::1')))).toEqual([]);
    expect(named(load(only('fe80::1', 'fd00::5')))).toEqual(wanted);
  });

  it('conntrack.txt where it is there and cannot be read, or could not be collected', () => {
    const reason = 'exec is forbidden';
    for (const kind of ['unread', 'unusable'] as const) {
      expect(load({}, { 'conntrack.txt': { kind, reason } }).problems).toEqual([
        { fact: 'existing connections: conntrack.txt', reason },
      ]);
    }
    expect(load({}, { 'conntrack.txt': { kind: 'missing', reason } }).problems).toEqual([]);
  });
});

describe('rules that nft alone shows', () => {
  const listed = (family: string, name: string, chains: readonly object[], rules: readonly object[] = []): Files => ({
    'iptables-save.txt': null,
    'nft-ruleset.json': JSON.stringify({
      nftables: [
        { table: { family, name } },
        ...chains.map((chain) => ({ chain: { family, table: name, ...chain } })),
        ...rules.map((expr) => ({ rule: { family, table: name, chain: 'own', expr: [expr] } })),
      ],
    }),
  });
  const base = (name: string): object => ({ name, type: 'filter', hook: 'input', prio: 0, policy: 'accept' });
  const known = (files: Files): boolean => !verdicts(send(files)).includes('unknown');

  it('stand for iptables-save where they are those of iptables: its tables with their chains, or its extensions', () => {
    expect(known(listed('ip', 'filter', [base('INPUT')]))).toBe(true);
    expect(known(listed('ip', 'nat', [{ ...base('INPUT'), type: 'nat', prio: 100 }]))).toBe(true);
    expect(known(listed('ip6', 'filter', [base('INPUT')]))).toBe(true);
    expect(known(listed('ip', 'filter', [base('INPUT'), { name: 'own' }]))).toBe(true);
    expect(known(listed('inet', 'filter', [base('INPUT')]))).toBe(false);
    expect(known(listed('ip', 'other', [base('INPUT')]))).toBe(false);
    expect(known(listed('ip', 'filter', [base('input')]))).toBe(false);
    expect(known(listed('ip', 'filter', [{ name: 'INPUT' }]))).toBe(false);
    expect(known(listed('ip', 'other', [{ name: 'own' }], [{ xt: { type: 'match', name: 'comment' } }]))).toBe(true);
    expect(known(listed('ip', 'other', [{ name: 'own' }], [{ accept: null }]))).toBe(false);
    expect(known(listed('ip', 'other', []))).toBe(false);
  });
});

describe('legacy rules that other namespaces have', () => {
  const elsewhere: NetnsRead = { kind: 'missing', reason: 'not there', elsewhere: 'pods/a/b/netns/x' };
  const asking = (fwmark: string): Files => ({
    'ip-rule.json': JSON.stringify([
      { priority: 0, src: 'all', table: 'local' },
      { priority: 100, src: 'all', fwmark, fwmask: '0xfff', table: '100' },
      { priority: 32766, src: 'all', table: 'main' },
    ]),
  });
  const missed = (files: Files): readonly string[] =>
    load(files, { 'iptables-legacy-save.txt': elsewhere }).problems.map(({ fact, reason }) => `${fact}: ${reason}`);
  const nft = (value: number): Files =>
    nftTable('ip', [{ name: 'c', base: null, expr: [{ mangle: { key: { meta: { key: 'mark' } }, value } }] }]);

  it('are missed where nothing here sets the mark that a policy rule asks for, and are named', () => {
    const [one, ...others] = missed(asking('0x111'));
    expect(one).toContain('rules: iptables-legacy-save.txt');
    expect(one).toContain('the mark 0x111 that policy rule 100 asks for');
    expect(others).toEqual([]);
    expect(missed({ ...asking('0x111'), ...nft(274) })).toHaveLength(1);
    expect(missed({ ...asking('0x111'), ...nft(273) })).toEqual([]);
    expect(missed(asking('0x0'))).toEqual([]);
    const legacy = '# Generated by iptables-save v1.8.4\n*filter\nCOMMIT\n# Completed\n';
    const there = load(asking('0x111'), { 'iptables-legacy-save.txt': { kind: 'text', text: legacy } });
    expect(there.problems).toEqual([]);
    expect(missed({})).toEqual([]);
  });

  it('are not asked for where the policy rules are missing themselves', () => {
    expect(missed({ 'ip-rule.json': null })).toEqual(['policy rules: ip-rule.json: not there']);
    const [main, legacy] = missed({ ...asking('0x111'), 'iptables-save.txt': null });
    expect(main).toBe('rules: iptables-save.txt: not there');
    expect(legacy).toContain('iptables-legacy-save.txt');
  });
});

describe('a text that ends inside a line', () => {
  it('is not used: half of an address is an address', () => {
    const cut = (FILES['sockets.txt'] ?? '').slice(0, -3);
    expect(facts(ask({ 'sockets.txt': cut }, {}))).not.toContain('ends inside a line');
    expect(load({ 'sockets.txt': cut }).problems[0]?.reason).toContain('ends inside a line');
    expect(load({ 'sockets.txt': '' }).problems).toEqual([]);
  });

  it('is not taken for one that is missing, which the list of nft would stand in for', () => {
    const listed = JSON.stringify({
      nftables: [
        { table: { family: 'ip', name: 'filter' } },
        {
          chain: {
            family: 'ip',
            table: 'filter',
            name: 'INPUT',
            type: 'filter',
            hook: 'input',
            prio: 0,
            policy: 'accept',
          },
        },
      ],
    });
    const save = '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.77 -j DROP\nCOMMIT';
    expect(verdicts(send({ 'iptables-save.txt': null, 'nft-ruleset.json': listed }))).toEqual(['delivered']);
    expect(verdicts(send({ 'iptables-save.txt': save, 'nft-ruleset.json': listed }))).toEqual(['unknown']);
  });
});
