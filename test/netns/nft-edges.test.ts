import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { FILES, OUT, ask, verdicts } from './two-devices.js';

/**
 * What the nft of the kernel harness cannot print or the harness cannot send: numbers that are drawn, statements that a newer
 * nft gives as JSON, tables that sleep, headers of other protocols, a sender of whom nobody knows the user.
 */
type Json = unknown;

interface Table {
  readonly family?: string;
  readonly hook?: string;
  readonly flags?: readonly string[];
  /** Sets, maps, flowtables: whatever stands before the chains. */
  readonly objects?: readonly Json[];
}

function listed(rules: readonly (readonly Json[])[], over: Table = {}): Readonly<Record<string, string>> {
  const { family = 'inet', hook = 'prerouting', flags, objects = [] } = over;
  const table = { family, table: 't' };
  const nftables = [
    { metainfo: { version: '1.1.3', json_schema_version: 1 } },
    { table: { family, name: 't', ...(flags === undefined ? {} : { flags }) } },
    ...objects,
    { chain: { ...table, name: 'c', type: 'filter', hook, prio: 0, policy: 'accept' } },
    ...rules.map((expr) => ({ rule: { ...table, chain: 'c', expr } })),
  ];
  return { 'nft-ruleset.json': JSON.stringify({ nftables }) };
}

const field = (protocol: string, name: string): Json => ({ payload: { protocol, field: name } });
const meta = (key: string): Json => ({ meta: { key } });
const match = (left: Json, right: Json, op = '=='): Json => ({ match: { op, left, right } });
const vmap = (key: Json, ...elements: readonly Json[]): Json => ({ vmap: { key, data: { set: elements } } });
const mark = (value: Json): Json => ({ mangle: { key: meta('mark'), value } });
const DROP = { drop: null };
const SADDR = field('ip', 'saddr');
const set = (name: string, over: object = {}): Json => ({
  set: { family: 'inet', table: 't', name, type: 'ipv4_addr', flags: ['dynamic'], ...over },
});
const map = (name: string, over: object = {}): Json => ({
  map: { family: 'inet', table: 't', name, type: 'ipv4_addr', map: 'mark', flags: ['dynamic'], ...over },
});
const change = (op: string, name: string, elem: Json, over: object = {}): Json => ({
  set: { op, elem, set: `@${name}`, ...over },
});

/** Mark and share of each way. */
const ways = (outcomes: readonly NetnsOutcome[]): readonly (readonly [number, number | null])[] =>
  outcomes.map(({ mark: of, probability }) => [of, probability] as const).sort(([one], [other]) => one - other);

describe('numbers that are drawn', () => {
  const gen = (mode: string, mod: number, offset = 0): Json => ({ numgen: { mode, mod, offset } });
  const hash = (expr: Json, mod: number): Json => ({ jhash: { mod, expr } });
  const draw = (key: Json, ...elements: readonly Json[]): readonly NetnsOutcome[] =>
    ask(listed([[vmap(key, ...elements)]]));
  const part = (from: number, to: number): Json => ({ range: [from, to] });

  const drawn = (key: Json, ...elements: readonly Json[]): readonly NetnsOutcome[] =>
    ask(listed([[mark({ map: { key, data: { set: elements } } })]]));

  it('what is treated alike is followed together', () => {
    expect(ways(drawn(gen('inc', 100, 10), [part(10, 20), 1], [part(30, 43), 2], [part(55, 57), 2], [65, 3]))).toEqual([
      [0, 0.71],
      [1, 0.11],
      [2, 0.17],
      [3, 0.01],
    ]);
    expect(ways(drawn(gen('random', 100), [part(0, 99), 1]))).toEqual([[1, 1]]);
  });

  it('few are followed one by one, and too many not at all', () => {
    expect(ways(drawn(gen('inc', 2), [0, 1]))).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expect(ways(drawn(gen('random', 64), [part(0, 15), 1]))).toEqual([
      [0, 0.75],
      [1, 0.25],
    ]);
    expect(verdicts(draw(gen('random', 65536), [part(0, 32767), DROP]))).toEqual(['delivered', 'dropped']);
    expect(verdicts(draw(gen('random', 65537), [part(0, 32767), DROP]))).toEqual(['unknown']);
  });

  it('a hash of what the packet has not breaks off', () => {
    expect(verdicts(draw(hash(field('udp', 'sport'), 100), [part(0, 99), DROP]))).toEqual(['delivered']);
    expect(verdicts(draw(hash(field('udp', 'sport'), 100), [part(0, 49), DROP]))).toEqual(['delivered']);
    expect(verdicts(draw(hash(field('tcp', 'sport'), 100), [part(0, 99), DROP]))).toEqual(['dropped']);
    expect(verdicts(draw({ symhash: { mod: 100 } }, [part(0, 49), DROP]))).toEqual(['delivered', 'dropped']);
  });

  const TCP: Partial<Packet> = {};
  const ACK: Partial<Packet> = { tcpFlags: ['ACK'] };
  const UDP: Partial<Packet> = { protocol: 'udp', dst: { ip: '10.0.0.5', port: 53 }, tcpFlags: [] };
  const SIX: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: 'fd00::5', port: 80 } };
  it.each([
    ['tcp option', { 'tcp option': { name: 'maxseg', field: 'size' } }, [TCP, ACK, SIX]],
    ['sctp chunk', { 'sctp chunk': { name: 'data', field: 'tsn' } }, []],
    ['osf', { osf: { key: 'name' } }, [TCP, SIX]],
    ['exthdr', { exthdr: { name: 'frag', field: 'id' } }, []],
    ['ip option', { 'ip option': { name: 'ra', field: 'type' } }, [TCP, ACK, UDP]],
    ['gre', field('gre', 'version'), []],
    ['gretap', { payload: { tunnel: 'gretap', protocol: 'gretap', field: 'x' } }, []],
    ['esp', field('esp', 'spi'), []],
    ['comp', field('comp', 'cpi'), []],
    ['igmp', field('igmp', 'type'), []],
    ['sctp', field('sctp', 'sport'), []],
    ['udp', field('udp', 'length'), [UDP]],
    ['tcp', field('tcp', 'window'), [TCP, ACK, SIX]],
    ['icmp', field('icmp', 'id'), []],
    ['icmpv6', field('icmpv6', 'id'), []],
    ['ip', field('ip', 'ttl'), [TCP, ACK, UDP]],
    ['ip6', field('ip6', 'hoplimit'), [SIX]],
    ['ether', field('ether', 'saddr'), [TCP, ACK, UDP, SIX]],
    ['a part of a map', { map: { key: field('udp', 'dport'), data: { set: [[80, 1]] } } }, [UDP]],
    ['a list', { concat: [field('udp', 'dport'), SADDR] }, [UDP]],
  ] as const)('who has a header to be hashed: %s', (_name, expr, having) => {
    const files = { ...listed([[vmap(hash(expr, 1), [0, DROP])]]) };
    const dropped = [TCP, ACK, UDP, SIX].filter((over) => verdicts(ask(files, over))[0] === 'dropped');
    expect(dropped).toEqual(having);
  });

  it('frames have a header only on Ethernet', () => {
    const files = listed([[vmap(hash(field('ether', 'saddr'), 1), [0, DROP])]]);
    const addresses = JSON.parse(FILES['ip-address.json'] ?? '') as readonly { readonly ifname: string }[];
    const typed = (link_type: string): Readonly<Record<string, string>> => ({
      ...files,
      'ip-address.json': JSON.stringify(addresses.map((one) => (one.ifname === 'eth0' ? { ...one, link_type } : one))),
    });
    expect(verdicts(ask(typed('ether')))).toEqual(['dropped']);
    expect(verdicts(ask(typed('none')))).toEqual(['delivered']);
    expect(
      verdicts(ask(listed([[vmap(hash(field('ether', 'saddr'), 1), [0, DROP])]], { hook: 'output' }), OUT)),
    ).toEqual(['sent']);
  });
});

describe('sets and maps that a packet changes', () => {
  const passes = (rules: readonly (readonly Json[])[], objects: readonly Json[]): readonly string[] =>
    verdicts(ask(listed(rules, { objects })));

  it('a map: what was put into it is there, but not what it stands for', () => {
    const add = { map: { op: 'add', elem: SADDR, data: 5, map: '@m' } };
    const remove = { map: { op: 'delete', elem: SADDR, data: 5, map: '@m' } };
    const read = mark({ map: { key: SADDR, data: '@m' } });
    const asks = (elem?: readonly Json[], size = 5): readonly Json[] => [map('m', { size, ...(elem ? { elem } : {}) })];
    expect(passes([[add, DROP]], asks())).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks(undefined, 0))).toEqual(['delivered']);
    expect(passes([[add], [read, DROP]], asks())).toEqual(['unknown']);
    expect(passes([[add], [add, DROP]], asks(undefined, 1))).toEqual(['dropped']);
    expect(passes([[read, DROP], [add]], asks())).toEqual(['delivered']);
    expect(passes([[add], [read, DROP]], asks([['10.0.0.9', 7]]))).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks([['10.0.0.9', 7]], 1))).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks([['10.0.0.8', 7]], 1))).toEqual(['delivered']);
    expect(passes([[remove], [read, DROP]], asks([['10.0.0.9', 7]]))).toEqual(['delivered']);
    const other = mark({ map: { key: field('ip', 'daddr'), data: '@m' } });
    expect(passes([[add], [other, DROP]], asks([['10.0.0.5', 7]]))).toEqual(['dropped']);
    expect(passes([[add], [other, DROP]], asks())).toEqual(['delivered']);
  });

  it('a change in words: what is read afterwards is not known', () => {
    const read = mark({ map: { key: SADDR, data: '@marks' } });
    const objects = [map('marks'), map('n', { elem: [['10.0.0.9', 7]] })];
    for (const text of ['add @marks { ip saddr : 0x00000005 }', 'delete @marks { ip saddr : 0x00000005 }']) {
      expect(passes([[text], [read, DROP]], objects)).toEqual(['delivered', 'unknown']);
      expect(passes([[text], [mark({ map: { key: SADDR, data: '@n' } }), DROP]], objects)).toEqual(['dropped']);
      expect(passes([[read, DROP], [text]], objects)).toEqual(['delivered']);
    }
  });

  it.each([
    ['a set that is not listed', change('add', 'nobody', SADDR)],
    ['a key that is not understood', change('add', 's', { odd: 1 })],
    ['elements that are not understood', change('add', 'odd', SADDR)],
  ])('%s may break the rule off', (_name, statement) => {
    const outcomes = ask(listed([[statement, DROP]], { objects: [set('s'), set('odd', { elem: [{ odd: 1 }] })] }));
    expect(outcomes.map(({ verdict, conditions: [one] }) => [verdict, one?.startsWith('not: ')])).toEqual([
      ['delivered', true],
      ['dropped', false],
    ]);
  });

  it('an element of a map that is limited may not count', () => {
    const limited = { elem: { val: '10.0.0.9', limit: { rate: 1, per: 'second' } } };
    const rules = (element: Json): readonly string[] => verdicts(ask(listed([[vmap(SADDR, [element, DROP])]])));
    expect(rules('10.0.0.9')).toEqual(['dropped']);
    expect(rules(limited)).toEqual(['delivered', 'dropped']);
    expect(rules({ elem: { val: '10.0.0.9', comment: 'x' } })).toEqual(['dropped']);
    expect(rules({ elem: { ...limited.elem, val: '10.0.0.8' } })).toEqual(['delivered']);
  });

  it('what the statement says of the element decides too, where it can be full', () => {
    const limit = { stmt: [{ limit: { rate: 1, per: 'second' } }] };
    const counter = { stmt: [{ counter: null }] };
    expect(passes([[change('add', 's', SADDR, limit), DROP]], [set('s')])).toEqual(['delivered', 'dropped']);
    expect(passes([[change('add', 's', SADDR, counter), DROP]], [set('s')])).toEqual(['dropped']);
    const outcomes = ask(listed([[change('add', 's', SADDR, limit), DROP]], { objects: [set('s')] }));
    expect(outcomes.map(({ verdict, conditions: [one] }) => [verdict, one?.startsWith('not: ')])).toEqual([
      ['delivered', true],
      ['dropped', false],
    ]);
    expect(passes([[change('add', 's', { elem: { val: SADDR, timeout: 5 } }), DROP]], [set('s', { size: 0 })])).toEqual(
      ['delivered'],
    );
  });
});

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
