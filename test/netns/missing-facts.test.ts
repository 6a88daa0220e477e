import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { loadNetworkNamespace } from '../../src/netns/load.js';
import { without, type Files } from './netns-files.js';
import { firstPacket } from './packets.js';
import { FILES, SYSCTLS, ask, verdicts } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** What no file says is asked, and not taken for what is usual. */

function askWithout(name: string, files: Files = {}, over: Partial<Packet> = {}): readonly NetnsOutcome[] {
  return namespaceOf(without({ ...FILES, ...files }, name)).send(firstPacket(over));
}

const facts = (outcomes: readonly NetnsOutcome[]): string =>
  outcomes.flatMap(({ unknowns }) => unknowns.map(({ fact, reason }) => `${fact}: ${reason}`)).join('\n');

const bare = (...names: readonly string[]): string =>
  JSON.stringify(names.map((ifname, at) => ({ ifindex: at + 1, ifname, flags: ['UP', 'LOWER_UP'], addr_info: [] })));

describe('whether IPv6 is off on a device (disable_ipv6)', () => {
  const six: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: 'fd00::5', port: 80 } };
  const sockets = { 'sockets.txt': 'LISTEN 0 128 *:80 *:*\n' };
  const own = { type: 'local', dst: 'fd00::5', dev: 'lo', table: 'local', protocol: 'kernel', flags: [] };
  const nothing = { ...sockets, 'ip-address.json': bare('lo', 'eth0'), 'ip6-route.json': JSON.stringify([own]) };

  it.each([
    ['says the file', { 'sysctl.txt': `${SYSCTLS}net.ipv6.conf.eth0.disable_ipv6 = 1\n` }, ['dropped']],
    ['denies the file', { 'sysctl.txt': `${SYSCTLS}net.ipv6.conf.eth0.disable_ipv6 = 0\n` }, ['delivered']],
    ['denies an address on the device', { 'ip-address.json': FILES['ip-address.json'] ?? '' }, ['delivered']],
    ['denies a route through the device', { 'ip6-route.json': FILES['ip6-route.json'] ?? '' }, ['delivered']],
    ['is open where nothing tells', {}, ['delivered', 'dropped']],
    [
      'is open where the value is none',
      { 'sysctl.txt': `${SYSCTLS}net.ipv6.conf.eth0.disable_ipv6 =\n` },
      ['delivered', 'dropped'],
    ],
  ] as const)('%s', (_name, files, wanted) => {
    const outcomes = ask({ ...nothing, ...files }, six);
    expect(verdicts(outcomes)).toEqual(wanted);
    expect(facts(outcomes).includes('disable_ipv6')).toBe(wanted.length === 2);
  });

  it('is open without sysctl.txt, unless an address tells', () => {
    expect(verdicts(askWithout('sysctl.txt', nothing, six))).toEqual(['delivered', 'dropped']);
    expect(verdicts(askWithout('sysctl.txt', sockets, six))).toEqual(['delivered']);
  });
});

describe('sysctls that a file lacks', () => {
  it('force_forwarding: where the kernel has it, of each device', () => {
    const over = { src: { ip: 'fd00::9', port: 1 }, dst: { ip: 'fd01::9', port: 80 } };
    const off = SYSCTLS.replace('net.ipv6.conf.all.forwarding = 1', 'net.ipv6.conf.all.forwarding = 0');
    expect(verdicts(ask({ 'sysctl.txt': off }, over))).toEqual(['dropped']);
    const newer = `${off}net.ipv6.conf.all.force_forwarding = 0\n`;
    expect(verdicts(ask({ 'sysctl.txt': newer }, over))).toEqual(['unknown']);
    expect(verdicts(ask({ 'sysctl.txt': `${newer}net.ipv6.conf.eth0.force_forwarding = 1\n` }, over))).toEqual([
      'forwarded',
    ]);
  });

  it('ip_forward says what devices do only where the file says it of none', () => {
    const over = { dst: { ip: '10.1.0.9', port: 80 } };
    expect(verdicts(ask({}, over))).toEqual(['forwarded']);
    expect(verdicts(ask({ 'sysctl.txt': `${SYSCTLS}net.ipv4.conf.all.forwarding = 1\n` }, over))).toEqual(['unknown']);
  });
});

describe('without ip-address.json', () => {
  // whether a source is one of the machine's own is then not asked
  const sysctls = SYSCTLS.replace('net.ipv4.conf.all.accept_local = 0', 'net.ipv4.conf.all.accept_local = 1');
  const loose = { 'sysctl.txt': sysctls };

  it('a device without a route may be a port of a bridge', () => {
    expect(verdicts(askWithout('ip-address.json', loose, { iif: 'veth1' }))).toEqual(['unknown']);
    expect(verdicts(askWithout('ip-address.json', loose))).toEqual(['delivered']);
  });

  it('a data plane of eBPF and IPVS show in the sysctls and the routes', () => {
    const cilium = { 'sysctl.txt': `${sysctls}net.ipv4.conf.cilium_host.forwarding = 1\n` };
    expect(verdicts(askWithout('ip-address.json', cilium))).toEqual(['delivered', 'unknown']);
    const routes = JSON.parse(FILES['ip-route.json'] ?? '') as readonly object[];
    const service = {
      type: 'local',
      dst: '10.96.0.1',
      dev: 'kube-ipvs0',
      table: 'local',
      protocol: 'kernel',
      flags: [],
    };
    const ipvs = { ...loose, 'ip-route.json': JSON.stringify([...routes, service]) };
    const over = { dst: { ip: '10.96.0.1', port: 80 } };
    expect(verdicts(askWithout('ip-address.json', ipvs, over))).toEqual(['unknown']);
  });
});

describe('rules that no file shows', () => {
  const refused = "# Table `nat' is incompatible, use 'nft' tool.\n";
  const listed = (name: string): Files => ({
    'nft-ruleset.json': JSON.stringify({
      nftables: [{ metainfo: { version: '1.0.9' } }, { table: { family: 'ip', name } }],
    }),
  });

  it('a table that only nft can print is unknown without its list', () => {
    expect(facts(ask({ 'iptables-save.txt': refused }))).toContain('only nft can print nat');
    expect(verdicts(ask({ 'iptables-save.txt': refused, ...listed('nat') }))).toEqual(['delivered']);
  });

  it('tables without a header are of the legacy back-end where the list of nft has none of them', () => {
    const chains = ['INPUT', 'FORWARD', 'OUTPUT'].map((name) => `:${name} ACCEPT [0:0]\n`).join('');
    const save = `*security\n${chains}-A INPUT ! -s 10.0.0.77/32 -j DROP\nCOMMIT\n*nat\n:INPUT ACCEPT [0:0]\n-A INPUT -j SNAT --to-source 10.0.0.77\nCOMMIT\n`;
    expect(verdicts(ask({ 'iptables-save.txt': save, ...listed('nat') }))).toEqual(['delivered']);
    expect(verdicts(ask({ 'iptables-save.txt': save, ...listed('own') }))).toEqual(['dropped']);
    const list = (...tables: readonly object[]): Files => ({
      'nft-ruleset.json': JSON.stringify({ nftables: tables.map((table) => ({ table })) }),
    });
    const [own, six, four] = [
      { family: 'ip', name: 'own' },
      { family: 'ip6', name: 'nat' },
      { family: 'ip', name: 'nat' },
    ];
    expect(verdicts(ask({ 'iptables-save.txt': save, ...list(own, four) }))).toEqual(['delivered']);
    expect(verdicts(ask({ 'iptables-save.txt': save, ...list(own, six) }))).toEqual(['dropped']);
    expect(verdicts(ask({ 'iptables-save.txt': save }))).toEqual(['delivered']);
  });

  it.each(['nft-ruleset.json', 'iptables-legacy-save.txt', 'tc.txt'])(
    '%s, missing: nothing; not read: unknown',
    (name) => {
      const load = (kind: 'missing' | 'unread', over: Partial<Packet> = {}): readonly NetnsOutcome[] =>
        loadNetworkNamespace('', (path) => {
          const text = FILES[path];
          if (text !== undefined) return { kind: 'text', text };
          return path === name ? { kind, reason: 'exec is forbidden' } : { kind: 'missing', reason: 'not there' };
        }).send(firstPacket(over));
      expect(verdicts(load('missing'))).toEqual(['delivered']);
      expect(verdicts(load('unread'))).toContain('unknown');
      expect(facts(load('unread'))).toContain('exec is forbidden');
    },
  );

  it('legacy rules that others have: missed where a policy rule asks for a mark that nothing sets', () => {
    const load = (elsewhere: boolean, files: Files = {}): readonly NetnsOutcome[] =>
      loadNetworkNamespace('', (path) => {
        const text = { ...FILES, 'ip-rule.json': asking, ...files }[path];
        if (text !== undefined) return { kind: 'text', text };
        const found =
          elsewhere && path.includes('legacy') ? { elsewhere: 'pods/a/b/netns/iptables-legacy-save.txt' } : {};
        return { kind: 'missing', reason: 'not there', ...found };
      }).send(firstPacket({}));
    const rules = JSON.parse(FILES['ip-rule.json'] ?? '') as readonly object[];
    const asking = JSON.stringify([
      ...rules,
      { priority: 32764, src: 'all', fwmark: '0x111', fwmask: '0xfff', table: '100' },
    ]);
    const setting =
      '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.9.0.0/16 -j MARK --set-xmark 0x111/0xfff\nCOMMIT\n';
    expect(verdicts(load(false))).toEqual(['delivered']);
    expect(verdicts(load(true))).toEqual(['unknown']);
    expect(facts(load(true))).toContain('pods/a/b');
    expect(verdicts(load(true, { 'iptables-save.txt': setting }))).toEqual(['delivered']);
    expect(verdicts(load(true, { 'ip-rule.json': JSON.stringify(rules) }))).toEqual(['delivered']);
  });
});
