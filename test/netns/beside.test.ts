import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { loadNetworkNamespace } from '../../src/netns/load.js';
import { ask, BRIDGED, devices, FILES, POD, settings } from './bridged.js';
import { nftChain, without, type Files } from './netns-files.js';
import { firstPacket, verdicts } from './packets.js';
import { namespaceOf } from './vectors.js';

/** What stands beside the hooks of IP: other families of nft, eBPF, traffic control, a router of groups. None of it may be passed over. */
const ACCEPT = { accept: null };
const DROP = { drop: null };

describe('chains of other families than ip', () => {
  it.each([
    ['bridge', 'prerouting'],
    ['bridge', 'input'],
  ])('%s %s: frames that come in through a bridge, and only those', (family, hook) => {
    expect(verdicts(ask(nftChain(family, hook, [DROP])))).toEqual(['delivered', 'unknown']);
    expect(verdicts(ask(nftChain(family, hook, [DROP]), { iif: 'cni0' }))).toEqual(['delivered', 'unknown']);
    const wire = { iif: 'eth0', src: { ip: '10.0.0.9', port: 40000 } };
    expect(verdicts(ask(nftChain(family, hook, [DROP]), wire))).toEqual(['delivered']);
  });

  it.each(['output', 'postrouting'])('bridge %s: what leaves through a bridge', (hook) => {
    const to = { iif: 'eth0', src: { ip: '10.0.0.9', port: 1 }, dst: { ip: '10.244.1.9', port: 80 } };
    expect(verdicts(ask(nftChain('bridge', hook, [DROP]), to))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(nftChain('bridge', hook, [DROP])))).toEqual(['delivered']);
  });

  it('bridge forward sees nothing of what comes to IP', () => {
    expect(verdicts(ask(nftChain('bridge', 'forward', [DROP])))).toEqual(['delivered']);
  });

  it('arp: what comes over a wire, not over lo', () => {
    const over = { iif: 'lo', src: { ip: '10.0.0.5', port: 1 }, dst: { ip: '10.0.0.5', port: 80 } };
    expect(verdicts(ask(nftChain('arp', 'input', [DROP]), over))).toEqual(verdicts(ask({}, over)));
    expect(verdicts(ask(nftChain('arp', 'input', [DROP])))).toContain('unknown');
  });

  it('an unknown end names the chain', () => {
    const unknown = ask(nftChain('bridge', 'input', [DROP])).find(({ verdict }) => verdict === 'unknown');
    expect(unknown?.unknowns[0]?.fact).toContain('chain bridge t c');
    expect(unknown?.decidedBy?.file).toBe('nft-ruleset.json');
  });

  it.each([
    ['no rule', [], {}],
    ['counting', [{ counter: { packets: 0, bytes: 0 } }], {}],
    ['accepting', [ACCEPT], {}],
  ])('%s changes nothing', (_name, expr, base) => {
    expect(verdicts(ask(nftChain('bridge', 'input', expr, base)))).toEqual(['delivered']);
    expect(verdicts(ask(nftChain('netdev', 'ingress', expr, { ...base, dev: 'veth1' })))).toEqual(['delivered']);
  });

  it.each([
    ['a policy', [], { policy: 'drop' }],
    ['a mark', [{ mangle: { key: { meta: { key: 'mark' } }, value: 1 } }], {}],
    ['an extension of ebtables', [{ xt: { type: 'target', name: 'mark' } }], {}],
    ['a verdict map', [{ vmap: { key: { meta: { key: 'mark' } }, data: { set: [] } } }], {}],
    ['a chain that is not there', [{ jump: { target: 'gone' } }], {}],
  ])('%s may change something', (_name, expr, base) => {
    expect(verdicts(ask(nftChain('bridge', 'input', expr, base)))).toEqual(['delivered', 'unknown']);
  });

  it('netdev, and the ingress hook of inet: on their devices', () => {
    for (const family of ['netdev', 'inet']) {
      expect(verdicts(ask(nftChain(family, 'ingress', [DROP], { dev: 'veth1' })))).toEqual(['delivered', 'unknown']);
      expect(verdicts(ask(nftChain(family, 'ingress', [DROP], { dev: ['eth0', 'veth1'] })))).toContain('unknown');
      expect(verdicts(ask(nftChain(family, 'ingress', [DROP], { dev: 'eth0' })))).toEqual(['delivered']);
    }
    const to = { dst: { ip: '8.8.8.8', port: 80 } };
    expect(verdicts(ask(nftChain('netdev', 'egress', [DROP], { dev: 'eth0' }), to))).toEqual(['forwarded', 'unknown']);
  });

  it('arp: whether a neighbour is found', () => {
    const to = { dst: { ip: '8.8.8.8', port: 80 } };
    expect(verdicts(ask(nftChain('arp', 'output', [DROP]), to))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(nftChain('arp', 'output', [ACCEPT]), to))).toEqual(['forwarded']);
  });
});

describe('eBPF data planes', () => {
  it('Cilium and Calico: on their devices, also where tc lists nothing', () => {
    for (const [marker, device] of [
      ['cilium_host', 'lxc1'],
      ['bpfin.cali', 'cali1'],
    ] as const) {
      const list = devices([...BRIDGED, { ifname: marker }, { ifname: device, kind: 'veth' }]);
      const files = { 'ip-address.json': list, 'sysctl.txt': settings(['all', 'lo', 'eth0', 'cni0', device]) };
      expect(verdicts(ask(files, { iif: device }))).toContain('unknown');
      expect(verdicts(ask(files, { iif: 'cni0' }))).toEqual(['delivered']);
    }
  });
});

describe('traffic control', () => {
  const tc = (...lines: readonly string[]): Files => ({
    'tc.txt': ['qdisc clsact ffff: dev veth1 parent ffff:fff1', ...lines].join('\n'),
  });
  const matchall = 'filter protocol all pref 49152 matchall chain 0 handle 0x1';

  it.each([
    ['a redirection', '\taction order 1: mirred (Egress Redirect to device ifb0) stolen'],
    ['a drop', '\taction order 1: gact action drop'],
    ['a translation', '\taction order 1: nat egress 10.0.0.0/8 192.0.2.1 pass'],
    ['a change', '\taction order 1:  pedit action pass keys 1'],
    ['a mirror that keeps the original', '\taction order 1: mirred (Egress Mirror to device tap0) drop'],
    ['a pass with a random drop', '\taction order 1: gact action pass\n\t random type determ drop val 2'],
  ])('%s may take the packet away', (_name, action) => {
    expect(verdicts(ask(tc(matchall, '  not_in_hw', action)))).toEqual(['delivered', 'unknown']);
    const wire = { iif: 'eth0', src: { ip: '10.0.0.9', port: 1 } };
    expect(verdicts(ask(tc(matchall, action), wire))).toEqual(['delivered']);
  });

  it('that cannot be read may do anything', () => {
    const unusable = loadNetworkNamespace('', (path) =>
      path === 'tc.txt'
        ? { kind: 'unusable', reason: 'not text' }
        : FILES[path] === undefined
          ? { kind: 'missing', reason: 'not there' }
          : { kind: 'text', text: FILES[path] },
    );
    const outcomes = unusable.send(firstPacket(POD));
    expect(verdicts(outcomes)).toEqual(['delivered', 'unknown']);
    expect(outcomes.find(({ verdict }) => verdict === 'unknown')?.unknowns[0]).toEqual({
      fact: 'programs of traffic control: tc.txt',
      reason: 'not text',
    });
    expect(unusable.problems).toContainEqual({ fact: 'programs of traffic control: tc.txt', reason: 'not text' });
    expect(verdicts(ask({ 'tc.txt': 'sh: tc: Permission denied' }))).toEqual(['delivered', 'unknown']);
  });

  it('names what acts only where that is sure', () => {
    const other = 'qdisc clsact ffff: dev eth0 parent ffff:fff1';
    const drop = '\taction order 1: gact action drop';
    const line = (...lines: readonly string[]): unknown =>
      ask(tc(...lines)).find(({ verdict }) => verdict === 'unknown')?.decidedBy?.line;
    expect(line(matchall, drop)).toBe(3);
    expect(line(other, matchall, drop)).toBe(1);
    expect(line(other, 'filter dev veth1 ingress protocol all pref 1 matchall chain 0 handle 0x1', drop)).toBe(4);
    expect(line(other, 'filter dev eth0 ingress protocol all pref 1 matchall chain 0 handle 0x1', drop)).toBe(
      undefined,
    );
    expect(line('filter dev veth1 egress protocol all pref 1 matchall chain 0 handle 0x1', drop)).toBe(undefined);
  });

  it.each([
    ['a mirror', '\taction order 1: mirred (Egress Mirror to device tap0) pipe'],
    ['a pass', '\taction order 1: gact action pass'],
  ])('%s changes nothing', (_name, action) => {
    expect(verdicts(ask(tc(matchall, action)))).toEqual(['delivered']);
  });
});

describe('iptables rules that only nft lists', () => {
  const send = (expr: readonly object[]): readonly NetnsOutcome[] =>
    namespaceOf({ ...without(FILES, 'iptables-save.txt'), ...nftChain('ip', 'input', expr) }).send(firstPacket(POD));

  it('name the file that would tell what an extension does', () => {
    const target = send([{ xt: { type: 'target', name: 'REJECT' } }]);
    expect(verdicts(target)).toEqual(['unknown']);
    expect(target[0]?.unknowns[0]?.fact).toBe('rules: iptables-save.txt');
    expect(target[0]?.unknowns[0]?.reason).toContain('the iptables target REJECT at /nftables/2/rule');
    const match = send([{ xt: { type: 'match', name: 'owner' } }, DROP]);
    expect(verdicts(match)).toEqual(['delivered', 'dropped']);
    expect(match[0]?.unknowns[0]?.fact).toContain('iptables-save.txt');
  });
});

describe('a router of groups', () => {
  const routed = (text: string): Files => ({ 'sysctl.txt': `${FILES['sysctl.txt'] ?? ''}${text}\n` });
  const group = (ip: string): Partial<Packet> => ({
    protocol: 'udp',
    iif: 'eth0',
    src: { ip: '10.0.0.9', port: 40000 },
    dst: { ip, port: 80 },
  });
  const on = 'net.ipv4.conf.all.mc_forwarding = 1\nnet.ipv4.conf.eth0.mc_forwarding = 1';

  it('may send copies on: unknown, with what would tell', () => {
    const [outcome] = ask(routed(on), group('239.1.1.1'));
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.fact).toBe('multicast routes to 239.1.1.1');
  });

  it.each([
    [
      'it is off on the device',
      'net.ipv4.conf.all.mc_forwarding = 1\nnet.ipv4.conf.eth0.mc_forwarding = 0',
      '239.1.1.1',
    ],
    ['it is off', 'net.ipv4.conf.all.mc_forwarding = 0\nnet.ipv4.conf.eth0.mc_forwarding = 1', '239.1.1.1'],
    ['nobody says that it is on', '', '239.1.1.1'],
    ['the group is one of the link', on, '224.0.0.9'],
  ])('is not asked where %s: only whether the group was joined', (_name, text, ip) => {
    expect(verdicts(ask(routed(text), group(ip)))).toEqual(['dropped', 'refused']);
  });
});
describe('an error that is sent back', () => {
  const rules =
    '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --set-mark 9\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT\nCOMMIT\n';
  const blackhole = JSON.stringify([
    { priority: 0, src: 'all', fwmark: '0x9', action: 'blackhole', iif: 'lo' },
    { priority: 0, src: 'all', table: 'local' },
    { priority: 32766, src: 'all', table: 'main' },
  ]);
  const files = { 'iptables-save.txt': rules, 'ip-rule.json': blackhole };
  const set = (value: number): Files => ({
    ...files,
    'sysctl.txt': `${FILES['sysctl.txt'] ?? ''}net.ipv4.fwmark_reflect = ${value}\n`,
  });

  it('takes the mark along if fwmark_reflect says so; where that is not known, both', () => {
    expect(verdicts(ask(set(0)))).toEqual(['rejected']);
    expect(verdicts(ask(set(1)))).toEqual(['dropped']);
    expect(verdicts(ask(files))).toEqual(['dropped', 'rejected']);
    expect(verdicts(ask({ 'iptables-save.txt': rules }))).toEqual(['rejected']);
  });
});
