import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { DEFAULT_RULES, device, localRoute, without, type Files } from './netns-files.js';
import { firstPacket } from './packets.js';
import { FILES, OUT, SYSCTLS } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** Which facts the choice and the check of sources hang on, and which not; routes of several next hops. */
const route = (dst: string, more: object): object => ({ dst, flags: [], ...more });
const LOCAL = [localRoute('10.0.0.5', 'eth0'), localRoute('10.0.0.6', 'eth0'), localRoute('10.1.0.5', 'eth1')];
const routes = (...list: readonly object[]): Files => ({
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    route('default', { gateway: '10.0.0.1', dev: 'eth0' }),
    route('10.1.0.0/24', { dev: 'eth1', protocol: 'kernel', scope: 'link' }),
    ...LOCAL,
    ...list,
  ]),
});
const send = (files: Files, over: Partial<Packet>): readonly NetnsOutcome[] =>
  namespaceOf(files).send(firstPacket(over));
const shown = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(
    ({ verdict, src, oif, probability }) => `${verdict} ${src.ip} ${oif ?? '-'} ${probability ?? 'perhaps'}`,
  );

describe('a source that is the first address of a network', () => {
  it('is no broadcast address', () => {
    const files = { ...FILES, ...routes(route('10.9.8.0/24', { gateway: '10.0.0.1', dev: 'eth0' })) };
    expect(shown(send(files, { src: { ip: '10.9.8.0', port: 40000 } }))).toEqual(['delivered 10.9.8.0 - 1']);
  });

  it('is one where a route of the kernel says so: whether there ever was a rule decides', () => {
    const broadcast = { type: 'broadcast', dev: 'eth0', table: 'local', protocol: 'kernel', scope: 'link' };
    const files = { ...FILES, ...routes(route('10.9.8.0', broadcast)) };
    expect(shown(send(files, { src: { ip: '10.9.8.0', port: 40000 } })).length).toBe(2);
  });
});

describe('the choice of a source', () => {
  const unbound = { ...OUT, src: { ip: '0.0.0.0', port: 40000 }, sourceBound: false };
  const addressed = (...scopes: readonly string[]): Files => ({
    'ip-address.json': JSON.stringify([
      device(1, 'lo'),
      {
        ...device(2, 'eth0'),
        addr_info: scopes.map((scope, at) => ({ family: 'inet', local: `10.0.0.${at + 5}`, prefixlen: 24, scope })),
      },
    ]),
  });
  const chosen = (scopes: readonly string[], scope: string): readonly string[] => {
    const by = routes(route('203.0.113.0/24', { dev: 'eth0', scope }));
    const files = without({ ...FILES, ...by, ...addressed(...scopes) }, 'sysctl.txt');
    return shown(send(files, { ...unbound, dst: { ip: '203.0.113.9', port: 443 } }));
  };

  it('asks for route_localnet only where an address is of a wider kind than the route', () => {
    expect(chosen(['global'], 'global')).toEqual(['sent 10.0.0.5 eth0 1']);
    expect(chosen(['global', 'link'], 'link')).toEqual(['sent 10.0.0.5 eth0 1']);
    expect(chosen(['host', 'link'], 'link').join()).toContain('unknown');
  });
});

describe('a route with several next hops', () => {
  const hop = (gateway: string, dev: string, ...flags: readonly string[]): object => ({
    gateway,
    dev,
    weight: 1,
    flags,
  });
  const through = (...nexthops: readonly object[]): readonly string[] =>
    shown(send({ ...FILES, ...routes(route('8.8.8.0/24', { nexthops })) }, OUT));

  it('goes on through those that are not dead', () => {
    expect(through(hop('10.0.0.1', 'eth0', 'dead', 'linkdown'), hop('10.1.0.1', 'eth1'))).toEqual([
      'sent 10.0.0.5 eth1 1',
    ]);
    expect(through(hop('10.0.0.1', 'eth0'), hop('10.1.0.1', 'eth1', 'dead'))).toEqual(['sent 10.0.0.5 eth0 1']);
  });

  it('goes on through those whose link is up, where a setting asks for that', () => {
    const files = {
      ...FILES,
      ...routes(route('8.8.8.0/24', { nexthops: [hop('10.1.0.1', 'eth1', 'linkdown'), hop('10.1.0.2', 'eth1')] })),
    };
    const ways = (setting: number): number =>
      send({ ...files, 'sysctl.txt': `${SYSCTLS}net.ipv4.conf.eth1.ignore_routes_with_linkdown = ${setting}\n` }, OUT)
        .length;
    expect(ways(0)).toBe(2);
    expect(ways(1)).toBe(1);
    const down = {
      ...FILES,
      ...routes(route('8.8.8.0/24', { nexthops: [hop('10.0.0.1', 'eth0', 'linkdown'), hop('10.1.0.1', 'eth1')] })),
    };
    const sysctls = `${SYSCTLS}net.ipv4.conf.eth0.ignore_routes_with_linkdown = 1\n`;
    expect(shown(send({ ...down, 'sysctl.txt': sysctls }, OUT))).toEqual(['sent 10.0.0.5 eth1 1']);
  });

  it('is passed by where all are', () => {
    expect(through(hop('10.1.0.1', 'eth1', 'dead'), hop('10.1.0.2', 'eth1', 'dead'))).toEqual(['sent 10.0.0.5 eth0 1']);
  });
});

describe('a TOS that a rule of OUTPUT writes', () => {
  const asRoot = {
    'ip-rule.json': JSON.stringify([
      { priority: 0, src: 'all', table: 'local' },
      { priority: 500, src: 'all', uid_start: 0, uid_end: 0, table: '101' },
      { priority: 32766, src: 'all', table: 'main' },
    ]),
    'ip-route.json': JSON.stringify([
      route('default', { gateway: '10.0.0.1', dev: 'eth0' }),
      route('default', { gateway: '10.1.0.1', dev: 'eth1', table: '101' }),
      ...LOCAL,
    ]),
  };
  const ways = (chain: string, target: string, uid: number): readonly string[] => {
    const save = { 'iptables-save.txt': `*mangle\n-A ${chain} -j ${target}\nCOMMIT\n` };
    return shown(send({ ...FILES, ...asRoot, ...save }, { ...OUT, uid, gid: 1000 })).map((way) => way.slice(14));
  };

  it.each(['DSCP --set-dscp 0x08', 'TOS --set-tos 0x10/0x3f'])(
    'has the way looked up again as of root: %s',
    (target) => {
      expect(ways('OUTPUT', target, 1000)).toEqual(['eth0 perhaps', 'eth1 perhaps']);
      expect(ways('OUTPUT', target, 0)).toEqual(['eth1 1']);
      expect(ways('POSTROUTING', target, 1000)).toEqual(['eth0 1']);
      expect(ways('OUTPUT -p udp', target, 1000)).toEqual(['eth0 1']);
    },
  );

  it('is not written by what counts down the hops of IPv4', () => {
    expect(ways('OUTPUT', 'TTL --ttl-set 5', 1000)).toEqual(['eth0 1']);
  });
});
