import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { firstPacket } from './packets.js';
import { loadNetworkNamespace } from '../../src/netns/load.js';
import { namespaceOf } from './vectors.js';
import { DEFAULT_RULES, localRoute } from './netns-files.js';

/** What stands beside the hooks of IP: other families of nft, flowtables, IPVS, eBPF. None of it may be passed over. */

interface DeviceLike {
  readonly ifname: string;
  readonly kind?: string;
  readonly master?: string;
  readonly local?: string;
}

function devices(list: readonly DeviceLike[]): string {
  return JSON.stringify(
    list.map(({ ifname, kind, master, local }, at) => ({
      ifindex: at + 1,
      ifname,
      flags: ['UP'],
      ...(master === undefined ? {} : { master }),
      ...(kind === undefined ? {} : { linkinfo: { info_kind: kind } }),
      addr_info: local === undefined ? [] : [{ family: 'inet', local, prefixlen: 24, scope: 'global' }],
    })),
  );
}

const BRIDGED: readonly DeviceLike[] = [
  { ifname: 'lo', local: '127.0.0.1' },
  { ifname: 'eth0', local: '10.0.0.5' },
  { ifname: 'cni0', kind: 'bridge', local: '10.244.1.1' },
  { ifname: 'veth1', kind: 'veth', master: 'cni0' },
];
const SYSCTLS = ['rp_filter', 'accept_local', 'route_localnet', 'send_redirects', 'src_valid_mark', 'forwarding'];
const sysctls = (names: readonly string[]): string =>
  `${names
    .flatMap((name) => SYSCTLS.map((key) => `net.ipv4.conf.${name}.${key} = ${key === 'forwarding' ? 1 : 0}`))
    .join('\n')}\nnet.ipv4.ip_forward = 1\n`;

const FILES: Readonly<Record<string, string>> = {
  'iptables-save.txt': '',
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    { dst: '10.0.0.0/24', dev: 'eth0', protocol: 'kernel', scope: 'link', flags: [] },
    { dst: '10.244.1.0/24', dev: 'cni0', protocol: 'kernel', scope: 'link', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
    localRoute('10.244.1.1', 'cni0'),
    localRoute('10.96.0.1', 'kube-ipvs0'),
  ]),
  'ip-address.json': devices(BRIDGED),
  'sysctl.txt': sysctls(['all', 'lo', 'eth0', 'cni0', 'veth1', 'lxc1']),
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:30080 0.0.0.0:*\n',
  'ipset-save.txt': 'create KUBE-NODE-PORT-TCP bitmap:port range 0-65535\nadd KUBE-NODE-PORT-TCP 30080\n',
};

function packet(over: Partial<Packet>): Packet {
  return firstPacket({ iif: 'veth1', src: { ip: '10.244.1.9', port: 40000 }, ...over });
}

function ask(files: Readonly<Record<string, string>>, over: Partial<Packet> = {}): readonly NetnsOutcome[] {
  return namespaceOf({ ...FILES, ...files }).send(packet(over));
}

const verdicts = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict }) => verdict).sort();
const ACCEPT = { accept: null };
const DROP = { drop: null };

/** One table with one base chain of these statements. */
function nft(family: string, hook: string, expr: readonly object[], base: object = {}): Record<string, string> {
  const chain = { family, table: 't', name: 'c', type: 'filter', hook, prio: 0, policy: 'accept', ...base };
  const rule = { family, table: 't', chain: 'c', expr };
  return {
    'nft-ruleset.json': JSON.stringify({
      nftables: [{ table: { family, name: 't' } }, { chain }, ...(expr.length === 0 ? [] : [{ rule }])],
    }),
  };
}

describe('chains of other families than ip', () => {
  it.each([
    ['bridge', 'prerouting'],
    ['bridge', 'input'],
  ])('%s %s: frames that come in through a bridge, and only those', (family, hook) => {
    expect(verdicts(ask(nft(family, hook, [DROP])))).toEqual(['delivered', 'unknown']);
    expect(verdicts(ask(nft(family, hook, [DROP]), { iif: 'cni0' }))).toEqual(['delivered', 'unknown']);
    const wire = { iif: 'eth0', src: { ip: '10.0.0.9', port: 40000 } };
    expect(verdicts(ask(nft(family, hook, [DROP]), wire))).toEqual(['delivered']);
  });

  it.each(['output', 'postrouting'])('bridge %s: what leaves through a bridge', (hook) => {
    const to = { iif: 'eth0', src: { ip: '10.0.0.9', port: 1 }, dst: { ip: '10.244.1.9', port: 80 } };
    expect(verdicts(ask(nft('bridge', hook, [DROP]), to))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(nft('bridge', hook, [DROP])))).toEqual(['delivered']);
  });

  it('bridge forward sees nothing of what comes to IP', () => {
    expect(verdicts(ask(nft('bridge', 'forward', [DROP])))).toEqual(['delivered']);
  });

  it('arp: what comes over a wire, not over lo', () => {
    const over = { iif: 'lo', src: { ip: '10.0.0.5', port: 1 }, dst: { ip: '10.0.0.5', port: 80 } };
    expect(verdicts(ask(nft('arp', 'input', [DROP]), over))).toEqual(verdicts(ask({}, over)));
    expect(verdicts(ask(nft('arp', 'input', [DROP])))).toContain('unknown');
  });

  it('an unknown end names the chain', () => {
    const unknown = ask(nft('bridge', 'input', [DROP])).find(({ verdict }) => verdict === 'unknown');
    expect(unknown?.unknowns[0]?.fact).toContain('chain bridge t c');
    expect(unknown?.decidedBy?.file).toBe('nft-ruleset.json');
  });

  it.each([
    ['no rule', [], {}],
    ['counting', [{ counter: { packets: 0, bytes: 0 } }], {}],
    ['accepting', [ACCEPT], {}],
  ])('%s changes nothing', (_name, expr, base) => {
    expect(verdicts(ask(nft('bridge', 'input', expr, base)))).toEqual(['delivered']);
    expect(verdicts(ask(nft('netdev', 'ingress', expr, { ...base, dev: 'veth1' })))).toEqual(['delivered']);
  });

  it.each([
    ['a policy', [], { policy: 'drop' }],
    ['a mark', [{ mangle: { key: { meta: { key: 'mark' } }, value: 1 } }], {}],
    ['an extension of ebtables', [{ xt: { type: 'target', name: 'mark' } }], {}],
    ['a verdict map', [{ vmap: { key: { meta: { key: 'mark' } }, data: { set: [] } } }], {}],
    ['a chain that is not there', [{ jump: { target: 'gone' } }], {}],
  ])('%s may change something', (_name, expr, base) => {
    expect(verdicts(ask(nft('bridge', 'input', expr, base)))).toEqual(['delivered', 'unknown']);
  });

  it('netdev, and the ingress hook of inet: on their devices', () => {
    for (const family of ['netdev', 'inet']) {
      expect(verdicts(ask(nft(family, 'ingress', [DROP], { dev: 'veth1' })))).toEqual(['delivered', 'unknown']);
      expect(verdicts(ask(nft(family, 'ingress', [DROP], { dev: ['eth0', 'veth1'] })))).toContain('unknown');
      expect(verdicts(ask(nft(family, 'ingress', [DROP], { dev: 'eth0' })))).toEqual(['delivered']);
    }
    const to = { dst: { ip: '8.8.8.8', port: 80 } };
    expect(verdicts(ask(nft('netdev', 'egress', [DROP], { dev: 'eth0' }), to))).toEqual(['forwarded', 'unknown']);
  });

  it('arp: whether a neighbour is found', () => {
    const to = { dst: { ip: '8.8.8.8', port: 80 } };
    expect(verdicts(ask(nft('arp', 'output', [DROP]), to))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(nft('arp', 'output', [ACCEPT]), to))).toEqual(['forwarded']);
  });
});

describe('a flowtable', () => {
  const flowtable = (dev: string): Record<string, string> => ({
    'nft-ruleset.json': JSON.stringify({
      nftables: [
        { table: { family: 'inet', name: 't' } },
        { flowtable: { family: 'inet', table: 't', name: 'f', hook: 'ingress', prio: 0, dev: [dev, 'eth0'] } },
        {
          chain: { family: 'inet', table: 't', name: 'c', type: 'filter', hook: 'forward', prio: 0, policy: 'accept' },
        },
        { rule: { family: 'inet', table: 't', chain: 'c', expr: [{ flow: { op: 'add', flowtable: '@f' } }] } },
        { rule: { family: 'inet', table: 't', chain: 'c', expr: [DROP] } },
      ],
    }),
  });
  const later = {
    dst: { ip: '8.8.8.8', port: 80 },
    tcpFlags: ['ACK'] as const,
    assumed: { ctstate: 'ESTABLISHED', ctdir: 'ORIGINAL', connmark: 0 } as const,
  };

  it('may have taken an established connection past the rule that drops it', () => {
    expect(verdicts(ask(flowtable('veth1'), later))).toEqual(['dropped', 'unknown']);
  });

  it('takes no first packet: the rest of the rule is not for that', () => {
    const files = flowtable('veth1');
    const text = (files['nft-ruleset.json'] ?? '')
      .replace(
        '"expr":[{"flow":{"op":"add","flowtable":"@f"}}]',
        '"expr":[{"flow":{"op":"add","flowtable":"@f"}},{"drop":null}]',
      )
      .replace(/,\{"rule":[^[]*\[\{"drop":null\}\]\}\}/, '');
    expect(verdicts(ask({ 'nft-ruleset.json': text }, { dst: later.dst }))).toEqual(['forwarded']);
    expect(verdicts(ask({ 'nft-ruleset.json': text }, later))).toEqual(['dropped', 'unknown']);
  });

  it('may have taken one past the rule that marks it', () => {
    const marks = (key: string): Record<string, string> => {
      const files = flowtable('veth1');
      const statement = { mangle: { key: { [key]: { key: 'mark' } }, value: 7 } };
      const text = files['nft-ruleset.json']?.replace('{"drop":null}', JSON.stringify(statement)) ?? '';
      return { 'nft-ruleset.json': text };
    };
    expect(verdicts(ask(marks('meta'), later))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(marks('ct'), later))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(marks('meta'), { dst: later.dst }))).toEqual(['forwarded']);
    const same = { ...later, mark: 7, assumed: { ...later.assumed, connmark: 7 } };
    expect(verdicts(ask(marks('meta'), same))).toEqual(['forwarded']);
    expect(verdicts(ask(marks('ct'), same))).toEqual(['forwarded']);
  });

  it('has what conntrack.txt calls offloaded, and nothing else of it', () => {
    const line = (state: string, flag: string): string =>
      `ipv4     2 tcp      6 ${state}src=10.244.1.9 dst=8.8.8.8 sport=40000 dport=80 src=8.8.8.8 dst=10.244.1.9 sport=80 dport=40000 [${flag}] mark=0 use=2`;
    const listed = (conntrack: string): readonly string[] =>
      verdicts(ask({ ...flowtable('veth1'), 'conntrack.txt': conntrack }, later));
    expect(listed(line('', 'OFFLOAD'))).toEqual(['unknown']);
    expect(listed(line('99 ESTABLISHED ', 'ASSURED'))).toEqual(['dropped']);
  });

  it('takes no first packet, and none of other devices', () => {
    expect(verdicts(ask(flowtable('veth1'), { dst: later.dst }))).toEqual(['dropped']);
    expect(verdicts(ask(flowtable('veth9'), later))).toEqual(['dropped']);
  });
});

describe('IPVS', () => {
  const ipvs = {
    'ip-address.json': devices([...BRIDGED, { ifname: 'kube-ipvs0', kind: 'dummy', local: '10.96.0.1' }]),
  };
  const own = { direction: 'out', iif: null, src: { ip: '10.0.0.5', port: 40000 }, uid: 0, gid: 0 } as const;

  it.each([
    ['the address of a Service', '10.96.0.1', 80],
    ['a node port', '10.0.0.5', 30080],
    ['a port where nobody listens', '10.0.0.5', 31234],
  ])('%s is not delivered here', (_name, ip, port) => {
    const [arrived] = ask(ipvs, { dst: { ip, port } });
    expect(arrived?.verdict).toBe('unknown');
    expect(arrived?.unknowns[0]?.reason).toContain('ipvsadm');
    expect(verdicts(ask(ipvs, { ...own, dst: { ip, port } }))).toEqual(['unknown']);
  });

  it('leaves the machine its own listeners, pings, and what rules drop', () => {
    expect(verdicts(ask(ipvs))).toEqual(['delivered']);
    expect(verdicts(ask(ipvs, { protocol: 'icmp', dst: { ip: '10.96.0.1', port: 0 } }))).toEqual(['delivered']);
    const rules = { 'iptables-save.txt': '*filter\n:INPUT DROP [0:0]\nCOMMIT\n' };
    expect(verdicts(ask({ ...ipvs, ...rules }, { dst: { ip: '10.96.0.1', port: 80 } }))).toEqual(['dropped']);
  });

  const rules = (...lines: readonly string[]): Record<string, string> => ({ 'iptables-save.txt': lines.join('\n') });
  const service = { dst: { ip: '10.96.0.1', port: 80 } };

  it('stands after nat in OUTPUT, and before the rules behind it (NF_IP_PRI_NAT_DST + 2)', () => {
    const drop = rules('*filter', ':OUTPUT DROP [0:0]', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...drop }, { ...own, ...service }))).toEqual(['unknown']);
    const mangled = rules('*mangle', ':OUTPUT DROP [0:0]', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...mangled }, { ...own, ...service }))).toEqual(['dropped']);
    const nat = rules('*nat', ':OUTPUT ACCEPT [0:0]', '-A OUTPUT -j DNAT --to-destination 8.8.8.8', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...nat }, { ...own, ...service }))).toEqual(['sent']);
  });

  it('stands before nat in INPUT (NF_IP_PRI_NAT_SRC - 1)', () => {
    const late = nft('ip', 'input', [DROP], { prio: 101 });
    expect(verdicts(ask({ ...ipvs, ...late }, service))).toEqual(['unknown']);
    expect(verdicts(ask({ ...ipvs, ...nft('ip', 'input', [DROP], { prio: 98 }) }, service))).toEqual(['dropped']);
  });

  it('looks for its replies first (NF_IP_PRI_NAT_SRC - 2, NF_IP_PRI_NAT_DST + 1)', () => {
    const assumed = { ctstate: 'ESTABLISHED', ctdir: 'REPLY', connmark: 0 } as const;
    const reply = { assumed, tcpFlags: ['ACK'] } as const;
    const at = (hook: string, prio: number, over: Partial<Packet>): readonly string[] =>
      verdicts(ask({ ...ipvs, ...nft('ip', hook, [DROP], { prio }) }, { ...reply, ...over }));
    expect(at('input', 97, {})).toEqual(['dropped']);
    expect(at('input', 99, {})).toEqual(['dropped', 'unknown']);
    const out = { ...own, dst: { ip: '8.8.8.8', port: 4000 } };
    expect(at('output', -100, out)).toEqual(['dropped']);
    expect(at('output', -98, out)).toEqual(['dropped', 'unknown']);
    expect(verdicts(ask({ ...ipvs, ...nft('ip', 'input', [DROP], { prio: 100 }) }, service))).toEqual(['unknown']);
  });

  it('may translate the replies of connections of which nothing is known', () => {
    const assumed = { ctstate: 'ESTABLISHED', ctdir: 'REPLY', connmark: 0 } as const;
    const reply = { assumed, tcpFlags: ['ACK'], dst: { ip: '8.8.8.8', port: 4000 } } as const;
    expect(verdicts(ask(ipvs, reply))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask({}, reply))).toEqual(['forwarded']);
    const line =
      'ipv4     2 tcp      6 9 ESTABLISHED src=8.8.8.8 dst=10.244.1.9 sport=4000 dport=40000 src=10.244.1.9 dst=8.8.8.8 sport=40000 dport=4000 [ASSURED] mark=0 use=1';
    expect(verdicts(ask({ ...ipvs, 'conntrack.txt': line }, reply))).toEqual(['forwarded']);
  });

  it('is not there without its device', () => {
    expect(verdicts(ask({}, { dst: { ip: '10.96.0.1', port: 80 } }))).toEqual(['delivered']);
  });
});

describe('eBPF data planes', () => {
  it('Cilium and Calico: on their devices, also where tc lists nothing', () => {
    for (const [marker, device] of [
      ['cilium_host', 'lxc1'],
      ['bpfin.cali', 'cali1'],
    ] as const) {
      const list = devices([...BRIDGED, { ifname: marker }, { ifname: device, kind: 'veth' }]);
      const files = { 'ip-address.json': list, 'sysctl.txt': sysctls(['all', 'lo', 'eth0', 'cni0', device]) };
      expect(verdicts(ask(files, { iif: device }))).toContain('unknown');
      expect(verdicts(ask(files, { iif: 'cni0' }))).toEqual(['delivered']);
    }
  });
});

describe('traffic control', () => {
  const tc = (...lines: readonly string[]): Record<string, string> => ({
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
    const outcomes = unusable.send(packet({}));
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
  const without = Object.fromEntries(Object.entries(FILES).filter(([name]) => name !== 'iptables-save.txt'));
  const send = (expr: readonly object[]): readonly NetnsOutcome[] =>
    namespaceOf({ ...without, ...nft('ip', 'input', expr) }).send(packet({}));

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

describe('an error that is sent back', () => {
  const rules =
    '*mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j MARK --set-mark 9\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j REJECT\nCOMMIT\n';
  const blackhole = JSON.stringify([
    { priority: 0, src: 'all', fwmark: '0x9', action: 'blackhole', iif: 'lo' },
    { priority: 0, src: 'all', table: 'local' },
    { priority: 32766, src: 'all', table: 'main' },
  ]);
  const files = { 'iptables-save.txt': rules, 'ip-rule.json': blackhole };
  const set = (value: number): Record<string, string> => ({
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

describe('a router of groups', () => {
  const routed = (text: string): Record<string, string> => ({ 'sysctl.txt': `${FILES['sysctl.txt'] ?? ''}${text}\n` });
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
