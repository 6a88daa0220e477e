import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConntrack } from '../../src/formats/conntrack.js';
import { parseIpAddresses } from '../../src/formats/ip-address.js';
import { formatIp } from '../../src/formats/ip.js';
import { parseIpRoutes } from '../../src/formats/ip-route.js';
import { parseIpRules } from '../../src/formats/ip-rule.js';
import { parseIpsetSave } from '../../src/formats/ipset-save.js';
import { parseNftRuleset } from '../../src/formats/nft-ruleset.js';
import { parseSockets } from '../../src/formats/sockets.js';
import { parseSysctl } from '../../src/formats/sysctl.js';
import { parseTrafficControl } from '../../src/formats/tc.js';

describe('the files of a network namespace', () => {
  it('conntrack: states, zones, marks, flowtables; other protocols and damaged lines are kept apart', () => {
    const { connections, unsupported, problems } = parseConntrack(
      'f',
      [
        'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.0.0.5 sport=40000 dport=80 packets=3 bytes=200 src=10.0.0.5 dst=10.0.0.9 sport=15006 dport=40000 packets=2 bytes=100 [ASSURED] mark=273 zone=2 use=1',
        'ipv4     2 udp      17 29 src=10.0.0.9 dst=10.0.0.5 sport=4 dport=53 zone-orig=3 [UNREPLIED] src=10.0.0.5 dst=10.0.0.9 sport=53 dport=4 mark=0 use=1',
        'ipv6     10 tcp      6 src=fd00::1 dst=fd00::2 sport=1 dport=2 src=fd00::2 dst=fd00::1 sport=2 dport=1 [OFFLOAD] mark=0 use=2',
        'ipv4     2 icmp     1 29 src=10.0.0.9 dst=10.0.0.5 type=8 code=0 id=7 src=10.0.0.5 dst=10.0.0.9 type=0 code=0 id=7 mark=0 use=1',
        'ipv4     2 unknown  2 599 src=10.0.0.9 dst=224.0.0.22 [UNREPLIED] src=224.0.0.22 dst=10.0.0.9 mark=0 use=1',
        'ipv4     2 tcp      6 431999 ESTABLISHED src=10.0.0.9 dst=10.0.0.5 sport=40000 dport=80 src=10.0.0.5 dst=10.0.0.9 sport=15006 dport=4',
        'ipv4     2 tcp      6 1 CLOSE src=10.0.0.9 dst=fd00::1 sport=1 dport=2 src=10.0.0.5 dst=10.0.0.9 sport=2 dport=1 mark=0 use=1',
        'conntrack v1.4.7 (conntrack-tools): 7 flow entries have been shown.',
        '',
      ].join('\n'),
    );
    expect(connections).toMatchObject([
      { protocol: 'tcp', state: 'ESTABLISHED', seenReply: true, offloaded: false, mark: 273, zone: 2, zoneReply: 2 },
      { protocol: 'udp', state: null, seenReply: false, mark: 0, zone: 3, zoneReply: 0 },
      { protocol: 'tcp', state: null, seenReply: true, offloaded: true },
    ]);
    expect(connections[0]).toMatchObject({ original: { sport: 40000, dport: 80 }, reply: { sport: 15006 } });
    expect(unsupported.map(({ line }) => line)).toEqual([4, 5]);
    expect(problems.map(({ line }) => line)).toEqual([6, 7]);
  });

  it('ip rule: selectors, goto, actions', () => {
    const { rules, problems } = parseIpRules(
      'f',
      JSON.stringify([
        { priority: 0, src: 'all', table: 'local' },
        {
          priority: 10,
          not: null,
          src: '10.0.0.0',
          srclen: 8,
          fwmark: '0x1',
          fwmask: '0xff',
          goto: 77,
          unresolved: null,
        },
        { priority: 20, src: 'all', uid_start: 0, uid_end: 5, ipproto: 'tcp', dport: 53, action: 'prohibit' },
        { priority: 30, src: 'all', table: 'main', suppress_prefixlen: 0, odd: 1 },
      ]),
    );
    expect(problems).toEqual([]);
    expect(rules[1]).toMatchObject({
      not: true,
      fwmark: { value: 1, mask: 255 },
      action: { kind: 'goto', resolved: false },
    });
    expect(rules[2]).toMatchObject({
      uid: { from: 0, to: 5 },
      dport: { from: 53, to: 53 },
      action: { kind: 'prohibit' },
    });
    expect(rules[3]).toMatchObject({ suppressPrefixLength: 0, unsupported: ['odd'] });
  });

  it('ip route: families of default routes, next hops, flags', () => {
    const { routes } = parseIpRoutes(
      'f',
      JSON.stringify([
        { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
        { dst: 'default', dev: 'eth0', metric: 1024, flags: [], pref: 'medium' },
        { dst: '10.9.0.0/16', nexthops: [{ gateway: '10.0.0.1', dev: 'a', weight: 2, flags: ['dead'] }, { dev: 'b' }] },
        { type: 'local', dst: '10.0.0.5', dev: 'eth0', table: 'local', scope: 'host', prefsrc: '10.0.0.5', flags: [] },
      ]),
    );
    expect(routes.map(({ family }) => family)).toEqual([4, 6, 4, 4]);
    expect(routes[2]?.nexthops).toMatchObject([
      { weight: 2, dead: true },
      { weight: 1, dead: false },
    ]);
    expect(routes[3]).toMatchObject({ type: 'local', table: 'local', dst: { prefix: 32 } });
  });

  it('ip address: veth peers, tunnels, masters', () => {
    const { devices } = parseIpAddresses(
      'f',
      JSON.stringify([
        {
          ifindex: 2,
          link_index: 5,
          ifname: 'eth0',
          flags: ['UP'],
          link_netnsid: 0,
          linkinfo: { info_kind: 'veth' },
          addr_info: [],
        },
        {
          ifindex: 3,
          ifname: 'istioout',
          flags: ['UP'],
          master: 'cni0',
          linkinfo: { info_kind: 'geneve', info_data: { id: 1001, remote: '10.244.1.3', port: 6081 } },
          addr_info: [{ family: 'inet', local: '192.168.127.1', prefixlen: 30, scope: 'global' }],
        },
        {},
      ]),
    );
    expect(devices[0]).toMatchObject({ linkIndex: 5, kind: 'veth', up: true });
    expect(devices[1]).toMatchObject({ master: 'cni0', tunnel: { id: 1001, remote: '10.244.1.3', port: 6081 } });
  });

  it('ipset: comments, timeouts, nomatch', () => {
    const { sets, problems } = parseIpsetSave(
      'f',
      'create pods hash:ip family inet hashsize 1024 comment\nadd pods 10.0.0.1 comment "a uid"\n' +
        'create nets hash:net family inet timeout 300\nadd nets 10.0.0.0/8 timeout 12 nomatch\n',
    );
    expect(problems).toEqual([]);
    expect(sets.get('pods')?.entries[0]).toMatchObject({ value: '10.0.0.1', comment: 'a uid' });
    expect(sets.get('nets')?.entries[0]).toMatchObject({ timeout: 12, nomatch: true });
    expect(parseIpsetSave('f', 'add nowhere 1.2.3.4\n').problems).toHaveLength(1);
  });

  it.each([
    ['LISTEN 0 4096 0.0.0.0:80 0.0.0.0:* users:(("a",pid=7,fd=3))', null, [4], 80, 'a (pid 7)'],
    ['LISTEN 0 4096 *:8080 *:*', null, [4, 6], 8080, null],
    ['LISTEN 0 4096 [::]:80 [::]:*', null, [6], 80, null],
    ['UNCONN 0 0 [::ffff:10.0.0.5]:53 *:*', '10.0.0.5', [4], 53, null],
    ['UNCONN 0 0 127.0.0.53%lo:53 0.0.0.0:*', '127.0.0.53', [4], 53, null],
    ['tcp LISTEN 0 128 10.0.0.5:22 0.0.0.0:*', '10.0.0.5', [4], 22, null],
  ])('ss: %s', (line, ip, families, port, process) => {
    const { sockets, problems } = parseSockets('f', line);
    expect(problems).toEqual([]);
    const [socket] = sockets;
    expect(socket?.ip === null || socket === undefined ? null : formatIp(socket.ip)).toBe(ip);
    expect(socket).toMatchObject({ families, port, process });
  });

  it('sysctl, tc', () => {
    expect(parseSysctl('f', 'net.ipv4.ip_forward = 1\n').values.get('net.ipv4.ip_forward')?.value).toBe('1');
    const control = parseTrafficControl(
      'f',
      'qdisc clsact ffff: dev eth0 parent ffff:fff1 \nfilter protocol all pref 1 bpf chain 0 \n' +
        'filter protocol all pref 1 bpf chain 0 handle 0x1 prog direct-action not_in_hw id 7\n',
    );
    expect([...control.hooked.keys()]).toEqual(['eth0']);
    expect(control.acts).toMatchObject([{ kind: 'program', device: null, direction: null, evidence: { line: 3 } }]);
    expect(control.problems).toEqual([]);
    const named = parseTrafficControl('f', 'filter dev eth1 egress protocol all pref 1 bpf chain 0 handle 0x1 x.o\n');
    expect(named.acts).toMatchObject([{ device: 'eth1', direction: 'egress' }]);
    expect(parseTrafficControl('f', 'sh: tc: not found\n').problems).toMatchObject([{ line: 1 }]);
    expect(parseTrafficControl('f', "Error: Parent Qdisc doesn't exists.\n").problems).toEqual([]);
  });

  it('nft: tables, base chains, sets, rules with their pointers', () => {
    const ruleset = parseNftRuleset(
      'f',
      JSON.stringify({
        nftables: [
          { metainfo: {} },
          { table: { family: 'inet', name: 't', handle: 1 } },
          {
            chain: { family: 'inet', table: 't', name: 'c', type: 'nat', hook: 'output', prio: -100, policy: 'accept' },
          },
          { set: { family: 'inet', table: 't', name: 's', type: 'ipv4_addr', elem: ['10.0.0.1'] } },
          { rule: { family: 'inet', table: 't', chain: 'c', expr: [{ accept: null }] } },
        ],
      }),
    );
    expect(ruleset.problems).toEqual([]);
    const [table] = ruleset.tables;
    expect(table?.chains[0]?.base).toMatchObject({ hook: 'output', priority: -100 });
    expect(table?.chains[0]?.rules[0]?.evidence.pointer).toBe('/nftables/4/rule');
    expect(table?.sets.get('s')?.elements).toEqual(['10.0.0.1']);
  });

  it('no parser throws, whatever the text', () => {
    const parsers = [
      parseIpRules,
      parseIpRoutes,
      parseIpAddresses,
      parseIpsetSave,
      parseSockets,
      parseSysctl,
      parseTrafficControl,
      parseNftRuleset,
    ];
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.json({ maxDepth: 3 })), (text) => {
        for (const parse of parsers) expect(Array.isArray(parse('f', text).problems)).toBe(true);
      }),
    );
  });
});
