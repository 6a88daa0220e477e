import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { deviceSettings, localRoute, nftTable, type Files, type NftChain } from './netns-files.js';
import { asking, verdicts as sorted } from './packets.js';

/** What the kernel's cases cannot hold: odd files, devices the bench has not, ports that are certain or drawn. */

const RULES = JSON.stringify([
  { priority: 0, src: 'all', table: 'local' },
  { priority: 100, src: 'all', fwmark: '0x1', table: '100' },
  { priority: 32766, src: 'all', table: 'main' },
]);
const FILES: Files = {
  'iptables-save.txt': '',
  'ip-rule.json': RULES,
  'ip6-rule.json': RULES,
  'ip-route.json': JSON.stringify([
    { type: 'local', dst: 'default', dev: 'lo', table: '100', flags: [] },
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
  ]),
  'ip6-route.json': JSON.stringify([
    { type: 'local', dst: 'default', dev: 'lo', table: '100', metric: 1024, flags: [], pref: 'medium' },
    { dst: 'default', gateway: 'fd00::1', dev: 'eth0', metric: 1024, flags: [], pref: 'medium' },
    localRoute('fd00::5', 'eth0'),
  ]),
  'sysctl.txt': `${deviceSettings(['all', 'lo', 'eth0'], { forwarding: 1 })}net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n`,
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\n',
  'ip-address.json': addresses({ family: 'inet', local: '10.0.0.5', prefixlen: 24, scope: 'global' }),
};

function addresses(...infos: readonly object[]): string {
  return JSON.stringify([
    { ifindex: 1, ifname: 'lo', flags: ['LOOPBACK', 'UP', 'LOWER_UP'], addr_info: [] },
    { ifindex: 2, ifname: 'eth0', flags: ['UP', 'LOWER_UP'], addr_info: infos },
  ]);
}

const ask = asking(FILES);
const verdicts = (outcomes: readonly NetnsOutcome[]): string => sorted(outcomes).join();

const save = (table: string, ...rules: readonly string[]): Files => ({
  'iptables-save.txt': `*${table}\n${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`,
});

const V6: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: '2001:db8::5', port: 7070 } };

describe('TPROXY without an address', () => {
  const FIRST = { family: 'inet6', local: 'fd00::d', prefixlen: 64, scope: 'global' };
  const SECOND = { family: 'inet6', local: 'fd00::5', prefixlen: 64, scope: 'global' };
  const INET = { family: 'inet', local: '10.0.0.5', prefixlen: 24, scope: 'global' };
  const rule = 'PREROUTING -p tcp -j TPROXY --on-port 7070 --on-ip :: --tproxy-mark 0x1/0x1';
  const taken = (listener: string, ...infos: readonly object[]): string =>
    verdicts(
      ask(
        {
          'ip6tables-save.txt': `*mangle\n-A ${rule}\nCOMMIT\n`,
          'ip-address.json': addresses(...infos),
          'sockets.txt': `LISTEN 0 128 [${listener}]:7070 [::]:*\n`,
        },
        V6,
      ),
    );

  it.each([
    ['the first', [FIRST, SECOND], 'fd00::d', 'fd00::5'],
    ['one of its family', [INET, SECOND], 'fd00::5', 'fd00::d'],
    ['none that is tentative', [{ ...FIRST, tentative: true }, SECOND], 'fd00::5', 'fd00::d'],
    ['none that is deprecated', [{ ...FIRST, deprecated: true }, SECOND], 'fd00::5', 'fd00::d'],
    ['the destination, where there is none', [INET], '2001:db8::5', 'fd00::5'],
    ['the destination, where all are tentative', [{ ...FIRST, tentative: true }], '2001:db8::5', 'fd00::d'],
  ])('of IPv6 takes %s', (_name, infos, right, wrong) => {
    expect(taken(right, ...infos)).toBe('delivered');
    expect(taken(wrong, ...infos)).toBe('dropped');
  });

  it.each([
    ['the first', [SECOND, INET], '10.0.0.5'],
    ['the destination, where there is none', [SECOND], '10.9.9.9'],
  ])('of IPv4 takes %s', (_name, infos, listener) => {
    const files = {
      ...save('mangle', 'PREROUTING -p tcp -j TPROXY --on-port 7070 --on-ip 0.0.0.0 --tproxy-mark 0x1/0x1'),
      'ip-address.json': addresses(...infos),
      'sockets.txt': `LISTEN 0 128 ${listener}:7070 0.0.0.0:*\n`,
    };
    expect(verdicts(ask(files, { dst: { ip: '10.9.9.9', port: 7070 } }))).toBe('delivered');
  });
});

describe('source ports that a translation leaves certain, and those that it draws', () => {
  const out = { dst: { ip: '10.9.9.9', port: 80 } };
  it.each([
    ['--to-source 10.0.0.5', false, 40000],
    ['--to-source 10.0.0.5:2000', false, 2000],
    ['--to-source 10.0.0.5:2000 --random', false, 2000],
    ['--to-source 10.0.0.5:40000-40010', false, 40000],
    ['--to-source 10.0.0.5:39990-40000', false, 40000],
    ['--to-source 10.0.0.5:40001-40010', true, null],
    ['--to-source 10.0.0.5:39990-39999', true, null],
    ['--to-source 10.0.0.5:39990-40010 --random', true, null],
    ['--to-source 10.0.0.5 --random', true, null],
  ])('%s', (target, drawn, port) => {
    const [one, ...more] = ask(save('nat', `POSTROUTING -p tcp -j SNAT ${target}`), out);
    expect(more).toEqual([]);
    expect(one?.verdict).toBe('forwarded');
    expect(one?.sourcePortRandom === true).toBe(drawn);
    if (port !== null) expect(one?.src.port).toBe(port);
  });

  it('a destination is drawn from no range unless it is asked for', () => {
    const rule = (target: string): readonly NetnsOutcome[] =>
      ask(save('nat', `PREROUTING -p tcp -j DNAT --to-destination ${target}`), out);
    expect(rule('10.9.9.7:90-95').map(({ dst, sourcePortRandom }) => [dst.port, sourcePortRandom === true])).toEqual([
      [90, false],
    ]);
    // in_range of get_unique_tuple is asked of sources alone: a destination in the range is drawn anew
    expect(rule('10.9.9.8-10.9.9.10').map(({ dst }) => dst.ip)).toEqual(['10.9.9.8', '10.9.9.9', '10.9.9.10']);
    expect(rule('10.9.9.7:80-95').map(({ dst }) => dst.port)).toEqual([80]);
    expect(rule('10.9.9.7:70-80').map(({ dst }) => dst.port)).toEqual([80]);
  });

  it('a ping has no port to draw', () => {
    const ping = { ...out, protocol: 'icmp', tcpFlags: [], src: { ip: '10.0.0.9', port: 0 } } as const;
    const [one] = ask(save('nat', 'POSTROUTING -j SNAT --to-source 10.0.0.5 --random'), ping);
    expect(one?.src.ip).toBe('10.0.0.5');
    expect(one?.sourcePortRandom === true).toBe(false);
  });

  it('a source in the range stays, whatever end it stands at', () => {
    const from = (range: string): readonly string[] =>
      ask(save('nat', `POSTROUTING -p tcp -j SNAT --to-source ${range}`), out).map(({ src }) => src.ip);
    expect(from('10.0.0.9-10.0.0.11')).toEqual(['10.0.0.9']);
    expect(from('10.0.0.7-10.0.0.9')).toEqual(['10.0.0.9']);
    expect(from('10.0.0.10-10.0.0.11')).toEqual(['10.0.0.10', '10.0.0.11']);
    expect(from('10.0.0.7-10.0.0.8')).toEqual(['10.0.0.7', '10.0.0.8']);
    expect(from('10.0.0.9-10.0.0.10:40000-40001')).toEqual(['10.0.0.9']);
    expect(from('10.0.0.9-10.0.0.10:39999-40000')).toEqual(['10.0.0.9']);
    expect(from('10.0.0.9-10.0.0.10:40001-40002')).toEqual(['10.0.0.9', '10.0.0.10']);
    expect(from('10.0.0.9-10.0.0.10:39998-39999')).toEqual(['10.0.0.9', '10.0.0.10']);
  });

  it('the members of a range of IPv6 are those between its ends', () => {
    const files = {
      'ip6tables-save.txt': '*nat\n-A POSTROUTING -p tcp -j SNAT --to-source fd00::70-fd00::72\nCOMMIT\n',
      'ip-address.json': addresses({ family: 'inet6', local: 'fd00::5', prefixlen: 64, scope: 'global' }),
    };
    expect(ask(files, V6).map(({ src }) => src.ip)).toEqual(['fd00::70', 'fd00::71', 'fd00::72']);
  });
});

describe('statements of nft that no tool prints', () => {
  const base = { type: 'nat', hook: 'prerouting', prio: -100, policy: 'accept' };
  const dnat = (body: object): string => verdicts(ask(nftTable('ip', [{ name: 'c', base, expr: [{ dnat: body }] }])));
  it.each([
    ['an address that is none', { prefix: { addr: 'here', len: 24 } }],
    ['a prefix of the other family', { prefix: { addr: 'fd00::', len: 64 } }],
    ['a prefix that is too long', { prefix: { addr: '10.0.0.0', len: 40 } }],
    ['a range without an end', { range: ['10.0.0.1'] }],
    ['a range without anything', { range: [] }],
    ['a range of names', { range: ['here', 'there'] }],
    ['a range from a name', { range: ['here', '10.0.0.5'] }],
    ['a range to a name', { range: ['10.0.0.5', 'there'] }],
    ['a range of two families', { range: ['10.0.0.5', 'fd00::5'] }],
  ])('%s', (_name, addr) => {
    expect(dnat({ addr })).toContain('unknown');
    expect(dnat({ addr, type_flags: 'prefix' })).toContain('unknown');
  });

  it('a flag stands alone or beside others, at either name', () => {
    const addr = { prefix: { addr: '10.0.0.0', len: 29 } };
    const ends = (flags: object): readonly string[] =>
      ask(nftTable('ip', [{ name: 'c', base, expr: [{ dnat: { addr, ...flags } }] }]), {
        dst: { ip: '10.9.9.13', port: 80 },
      }).map(({ dst }) => dst.ip);
    const one = ['10.0.0.5'];
    expect(ends({ type_flags: 'prefix' })).toEqual(one);
    expect(ends({ type_flags: ['prefix'] })).toEqual(one);
    expect(ends({ type_flags: ['interval', 'prefix'] })).toEqual(one);
    expect(ends({ type_flags: 'prefix', flags: 'persistent' })).toEqual(one);
    expect(ends({ flags: 'prefix' })).toEqual(one);
    expect(ends({ flags: ['persistent', 'prefix'] })).toEqual(one);
    expect(ends({ flags: 'persistent' })).toHaveLength(8);
    expect(ends({})).toHaveLength(8);
  });

  it.each([
    ['port', 'tcp', 'dport', 80, 12, true],
    ['port', 'tcp', 'dport', 96, 12, false],
    ['port', 'tcp', 'dport', 336, 12, false],
    ['port', 'tcp', 'dport', 0, 0, true],
    ['port', 'tcp', 'dport', 80, 16, true],
    ['port', 'tcp', 'dport', 81, 16, false],
    ['protocol', 'ip', 'protocol', 4, 6, true],
    ['protocol', 'ip', 'protocol', 8, 6, false],
    ['protocol', 'ip', 'protocol', 6, 8, true],
  ])('a prefix of a %s: %s %s %d/%d', (_name, protocol, field, addr, len, holds) => {
    const left = { payload: { protocol, field } };
    const match = { match: { op: '==', left, right: { set: [{ prefix: { addr, len } }] } } };
    const chain = { name: 'c', base: { ...base, type: 'filter', prio: 0 }, expr: [match, { drop: null }] };
    expect(verdicts(ask(nftTable('ip', [chain])))).toBe(holds ? 'dropped' : 'delivered');
  });

  it('the star of a map stands behind all, wherever it is listed', () => {
    const end = (...elements: readonly (readonly [unknown, object])[]): string => {
      const vmap = { key: { payload: { protocol: 'tcp', field: 'dport' } }, data: { set: elements } };
      return verdicts(
        ask(nftTable('ip', [{ name: 'c', base: { ...base, type: 'filter', prio: 0 }, expr: [{ vmap }] }])),
      );
    };
    expect(end(['*', { drop: null }], [{ range: [70, 90] }, { accept: null }])).toBe('delivered');
    expect(end([{ range: [70, 90] }, { accept: null }], ['*', { drop: null }])).toBe('delivered');
    expect(end(['*', { drop: null }], [{ range: [81, 90] }, { accept: null }])).toBe('dropped');
  });

  it('a table that sleeps says nothing', () => {
    const chain = { name: 'c', base: { ...base, type: 'filter' }, expr: [{ drop: null }] };
    expect(verdicts(ask(nftTable('ip', [chain])))).toBe('dropped');
    expect(verdicts(ask(nftTable('ip', [chain], { flags: ['dormant'] })))).toBe('delivered');
    expect(verdicts(ask(nftTable('ip', [chain], { flags: 'dormant' })))).toBe('delivered');
  });
});

describe('a table whose flags nft before 1.0.9 prints from memory that is free again', () => {
  const end = (policy: string, ...expr: readonly object[]): string => {
    const base = { type: 'filter', hook: 'prerouting', prio: -100, policy };
    return verdicts(ask(nftTable('ip', [{ name: 'c', base, expr }], { flags: 'odd' })));
  };

  it('may sleep', () => {
    expect(end('accept', { drop: null })).toBe('delivered,dropped');
    expect(end('drop')).toBe('delivered,dropped');
    expect(end('drop', { accept: null })).toBe('delivered');
    expect(end('accept')).toBe('delivered');
  });
});

describe('chains of netdev that jump', () => {
  const base = { type: 'filter', hook: 'ingress', dev: 'eth0', prio: 0, policy: 'accept' };
  const end = (expr: readonly object[], ...others: readonly NftChain[]): string =>
    verdicts(ask(nftTable('netdev', [{ name: 'c', base, expr }, ...others])));
  const chain = (name: string, ...expr: readonly object[]): NftChain => ({ name, base: null, expr });
  const open = 'delivered,unknown';

  it.each(['jump', 'goto'])('%s: what stands in the other chain counts', (word) => {
    const go = (target: string): object => ({ [word]: { target } });
    expect(end([go('a')], chain('a', { accept: null }))).toBe('delivered');
    expect(end([go('a')], chain('a'))).toBe('delivered');
    expect(end([go('a')], chain('a', { drop: null }))).toBe(open);
    expect(end([go('a')], chain('a', go('b')), chain('b', { drop: null }))).toBe(open);
    expect(end([go('a')], chain('a', go('b')), chain('b', { counter: null }))).toBe('delivered');
    expect(end([{ counter: null }, go('a')], chain('a', { drop: null }))).toBe(open);
    expect(end([go('a')], chain('a', go('gone')))).toBe(open);
    // the kernel takes no loop: it ends all the same
    expect(end([go('a')], chain('a', go('a')))).toBe('delivered');
    expect(end([{ accept: null }], chain('a', { drop: null }))).toBe('delivered');
    expect(end([{ [word]: {} }], chain('a'))).toBe(open);
  });
});
