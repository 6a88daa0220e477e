import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/netns/face.js';
import { type Json, listed, field, meta, match, mark, DROP, SADDR, set, change, ways } from './nft-rules.js';
import { verdicts } from './packets.js';
import { FILES, OUT, ask } from './two-devices.js';

/** What the kernel harness cannot send or show: senders without a user, tables that sleep, chains that are not listed. */

describe('a sender of whom the question does not tell the user', () => {
  const unknown: Partial<Packet> = { ...OUT, uid: null, gid: null };
  const out = (rules: readonly (readonly Json[])[], objects: readonly Json[] = []): readonly string[] =>
    verdicts(ask(listed(rules, { hook: 'output', objects }), unknown));
  const user = meta('skuid');

  it.each([
    match(user, 1000),
    match(user, 1000, '!='),
    match(user, { set: [0, 1000] }),
    match(user, { range: [0, 1000] }),
    match(user, 1000, '<'),
    match(meta('skgid'), { range: [0, 1000] }, '!='),
  ])('%j may hold', (one) => {
    expect(out([[one, DROP]])).toEqual(['dropped', 'sent']);
  });

  it('stands in a set all the same', () => {
    expect(out([[change('add', 's', user), DROP]], [set('s', { type: 'uid' })])).toEqual(['dropped']);
    expect(out([[change('add', 's', field('udp', 'dport')), DROP]], [set('s', { type: 'inet_service' })])).toEqual([
      'sent',
    ]);
  });
});

describe('ports by their place in the header, as nft printed them once', () => {
  const at = (offset: number, len = 16): Json => ({ payload: { base: 'th', offset, len } });
  const end = (left: Json, right: number): readonly string[] => verdicts(ask(listed([[match(left, right), DROP]])));

  it('are source and destination', () => {
    expect(end(at(0), 40000)).toEqual(['dropped']);
    expect(end(at(0), 80)).toEqual(['delivered']);
    expect(end(at(16), 80)).toEqual(['dropped']);
    expect(end(at(16), 40000)).toEqual(['delivered']);
  });

  it('other bits are not', () => {
    expect(end(at(0, 32), 40000)).toEqual(['delivered', 'dropped']);
    expect(end(at(32), 1)).toEqual(['delivered', 'dropped']);
    expect(end({ payload: { base: 'ih', offset: 16, len: 16 } }, 80)).toEqual(['delivered', 'dropped']);
  });
});

describe('which family a rule of both is for', () => {
  const reset = { reject: { type: 'tcp reset' } };
  it.each([
    [[match(meta('l4proto'), 'tcp')], ['delivered', 'rejected']],
    [[match(meta('mark'), 0)], ['delivered', 'rejected']],
    [[match(SADDR, '10.0.0.9')], ['rejected']],
    [[match(SADDR, { set: ['10.0.0.9', '10.0.0.8'] })], ['rejected']],
    [[match({ '&': [SADDR, 255] }, 9)], ['rejected']],
    [[match(meta('nfproto'), 'ipv4')], ['rejected']],
    [[match(meta('protocol'), 'ip')], ['rejected']],
    [[match({ ct: { key: 'ip saddr', dir: 'original' } }, '10.0.0.9')], ['rejected']],
    [[match({ ct: { key: 'ip6 saddr', dir: 'original' } }, '::', '!=')], ['delivered']],
    [[match({ ct: { key: 'state' } }, 'new')], ['delivered', 'rejected']],
  ] as const)('%j', (matches, wanted) => {
    expect(verdicts(ask(listed([[...matches, reset]])))).toEqual(wanted);
    expect(verdicts(ask(listed([[...matches, reset]], { family: 'ip' })))).toEqual([wanted.at(-1)]);
  });
});

describe('tables that sleep', () => {
  const device = { family: 'netdev', table: 't' };
  const early = (flags: readonly string[], dev = 'eth0'): Readonly<Record<string, string>> => ({
    'nft-ruleset.json': JSON.stringify({
      nftables: [
        { metainfo: { version: '1.1.3', json_schema_version: 1 } },
        { table: { family: 'netdev', name: 't', flags } },
        { chain: { ...device, name: 'c', type: 'filter', hook: 'ingress', prio: 0, policy: 'drop', dev } },
        { rule: { ...device, chain: 'c', expr: [DROP] } },
      ],
    }),
  });
  it('of both families stand before IP on their own devices alone', () => {
    const inet = (dev: string): Readonly<Record<string, string>> =>
      Object.fromEntries(
        Object.entries(early(['owner'], dev)).map(([name, text]) => [name, text.replaceAll('netdev', 'inet')]),
      );
    expect(verdicts(ask(inet('eth0')))).toContain('unknown');
    expect(verdicts(ask(inet('eth1')))).toEqual(['delivered']);
  });
  it('see no frames', () => {
    expect(verdicts(ask(early(['dormant'])))).toEqual(['delivered']);
    expect(verdicts(ask(early(['owner'])))).toContain('unknown');
    expect(verdicts(ask(early(['owner'], 'eth1')))).toEqual(['delivered']);
  });
  it('nor does their flowtable hold a connection, or one to which no rule adds', () => {
    const flowtable = {
      flowtable: { family: 'inet', table: 't', name: 'f', hook: 'ingress', prio: 0, dev: ['eth0', 'eth1'] },
    };
    const add = [{ flow: { op: 'add', flowtable: '@f' } }];
    const stop = '*filter\n:FORWARD DROP [0:0]\nCOMMIT\n';
    const later = (rules: readonly (readonly Json[])[], flags: readonly string[]): readonly string[] =>
      verdicts(
        ask(
          { ...listed(rules, { hook: 'forward', flags, objects: [flowtable] }), 'iptables-save.txt': stop },
          {
            dst: { ip: '10.1.0.9', port: 80 },
            tcpFlags: ['ACK'],
            assumed: { ctstate: 'ESTABLISHED', ctdir: 'ORIGINAL', connmark: 0 },
          },
        ),
      );
    expect(later([add, [{ counter: null }]], ['owner'])).toEqual(['dropped', 'unknown']);
    expect(later([[{ counter: null }]], ['owner'])).toEqual(['dropped']);
    expect(later([add], ['dormant'])).toEqual(['dropped']);
  });
  it('and decide nothing', () => {
    expect(verdicts(ask(listed([[DROP]], { flags: ['dormant'] })))).toEqual(['delivered']);
    expect(verdicts(ask(listed([[DROP]], { flags: ['owner'] })))).toEqual(['dropped']);
  });
  it('`last` and a match of iptables that only comments decide nothing', () => {
    expect(ways(ask(listed([['last used never', mark(1)]])))).toEqual([[1, 1]]);
    expect(verdicts(ask(listed([[{ xt: { type: 'match', name: 'comment' } }, DROP]])))).toEqual(['dropped']);
  });
});

describe('frames that come before the rules', () => {
  const device = { family: 'netdev', table: 't' };
  const early = (policy: string, ...rules: readonly (readonly Json[])[]): readonly string[] => {
    const chain = (name: string, base: object = {}): Json => ({ chain: { ...device, name, ...base } });
    const nftables = [
      { metainfo: { version: '1.1.3', json_schema_version: 1 } },
      { table: { family: 'netdev', name: 't' } },
      chain('c', { type: 'filter', hook: 'ingress', prio: 0, policy, dev: 'eth0' }),
      chain('harmless'),
      chain('harmful'),
      { rule: { ...device, chain: 'harmless', expr: [{ counter: null }, { jump: { target: 'c' } }] } },
      { rule: { ...device, chain: 'harmful', expr: [{ counter: null }, DROP] } },
      ...rules.map((expr) => ({ rule: { ...device, chain: 'c', expr } })),
    ];
    return verdicts(ask({ 'nft-ruleset.json': JSON.stringify({ nftables }) }));
  };
  const holds = match(meta('mark'), 0);
  const limit = { limit: { rate: 1, per: 'second' } };
  const harmless = [{ counter: null }, { log: null }, limit, { quota: { val: 1 } }, { last: null }, { meter: {} }];

  it.each([
    ...harmless.map((one) => [holds, one, { accept: null }]),
    [holds, change('add', 's', SADDR), { return: null }],
    [holds, { continue: null }],
    [holds, { jump: { target: 'harmless' } }],
    [holds, { goto: { target: 'harmless' } }],
  ])('%j, %j', (...rule) => {
    expect(early('accept', rule)).toEqual(['delivered']);
    expect(early('drop', rule)).toEqual(['delivered', 'unknown']);
  });

  it.each([DROP, { jump: { target: 'harmful' } }, { goto: { target: 'nobody' } }, { fwd: { dev: 'eth1' } }, mark(1)])(
    '%j',
    (one) => {
      expect(early('accept', [holds], [holds, one])).toEqual(['delivered', 'unknown']);
    },
  );
});

describe('what a packet of a connection finds', () => {
  it('nobody knows whether it is assured', () => {
    const [first] = ask({});
    const known = first?.conntrack ?? null;
    const files = listed([[match({ ct: { key: 'status' } }, 'assured', 'in'), DROP]]);
    const later = (seenReply: boolean): readonly string[] =>
      verdicts(ask(files, { tcpFlags: ['ACK'], conntrack: known === null ? null : { ...known, seenReply } }));
    expect(later(true)).toEqual(['delivered', 'dropped']);
    expect(later(false)).toEqual(['delivered']);
  });
  it('chains that are not listed, and one concatenation', () => {
    expect(verdicts(ask(listed([[{ jump: { target: 'nobody' } }]])))).toEqual(['unknown']);
    expect(verdicts(ask(listed([[match(SADDR, '10.0.0.8'), { jump: { target: 'nobody' } }]])))).toEqual(['delivered']);
    const pair = { concat: [SADDR, field('tcp', 'dport')] };
    expect(verdicts(ask(listed([[match(pair, { concat: ['10.0.0.9', 80] }), DROP]])))).toEqual(['dropped']);
    expect(verdicts(ask(listed([[match(pair, { concat: ['10.0.0.9', 81] }), DROP]])))).toEqual(['delivered']);
  });
  it('flags that are no flags', () => {
    const state = { ct: { key: 'state' } };
    for (const odd of [[], [['new']], ['new', ['new']], { '|': [] }])
      expect(verdicts(ask(listed([[match(state, odd, 'in'), DROP]])))).toEqual(['delivered', 'dropped']);
    expect(verdicts(ask(listed([[match(state, ['new', 'related'], 'in'), DROP]])))).toEqual(['dropped']);
  });
});

describe('what the list of devices does not say', () => {
  const facts = (rule: Json, over: object): string => {
    const addresses = JSON.parse(FILES['ip-address.json'] ?? '') as readonly { readonly ifname: string }[];
    const text = JSON.stringify(addresses.map((one) => (one.ifname === 'eth0' ? { ...one, ...over } : one)));
    const outcomes = ask({ ...listed([[rule, DROP]]), 'ip-address.json': text });
    return outcomes
      .flatMap(({ verdict, unknowns }) => [verdict, ...unknowns.map(({ fact, reason }) => `${fact}: ${reason}`)])
      .join(', ');
  };
  it('types and groups', () => {
    const type = match(meta('iiftype'), 'ether');
    const group = match(meta('iifgroup'), 7);
    expect(facts(type, {})).toBe('unknown, link type of eth0: the list of devices does not say');
    expect(facts(type, { link_type: 'odd' })).toBe('unknown, link type of eth0: nobody here knows the number of odd');
    expect(facts(type, { link_type: 'ether' })).toBe('dropped');
    expect(facts(type, { link_type: 'none' })).toBe('delivered');
    expect(facts(group, {})).toBe('unknown, group of eth0: the list of devices does not say');
    expect(facts(group, { group: '7' })).toBe('dropped');
    expect(facts(group, { group: 'default' })).toBe('delivered');
  });
});
