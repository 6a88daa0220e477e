import type { Flow } from '../bench.js';
import { both, iptables } from './battery.js';
import { IN, IN6, OUT, THROUGH, type KernelCase } from './case.js';

/** One set each: `create` without its name, its members, and what rules ask. */
interface Asked {
  readonly type: string;
  readonly members: readonly string[];
  readonly dims: readonly string[];
}

/** Many sets in one packet: each rule sets its own bit where its set matches. */
function sets(
  name: string,
  chain: string,
  prefix: string,
  flows: readonly Flow[],
  asked: readonly Asked[],
): readonly KernelCase[] {
  const made = asked.flatMap(({ type, members }, at) => [
    `create ${prefix}${at} ${type}`,
    ...members.map((member) => `add ${prefix}${at} ${member}`),
  ]);
  return iptables(chain, {
    name,
    flows,
    tests: asked.flatMap(({ dims }, at) => both(...dims.map((dim) => `-m set --match-set ${prefix}${at} ${dim}`))),
    pieces: { ipset: `${[...OTHERS, ...made].join('\n')}\n` },
  });
}

/** Members of lists. */
const OTHERS = [
  'create j0 hash:ip family inet6',
  'add j0 fd00:1::77',
  'create j1 hash:net family inet6',
  'add j1 ::/1',
  'create j2 bitmap:port range 400-500',
  'add j2 443',
];
const from = (flow: Flow, ...sources: readonly string[]): readonly Flow[] => sources.map((src) => ({ ...flow, src }));
const HOSTS = from(IN, '10.244.1.1', '10.244.2.1', '10.1.0.9', '203.0.113.9');
const HOSTS6 = from(IN6, 'fd00:1::77', 'fd00:1:0:1::77', '2001:db8::9');

/** The order of nets, what ends a search, masks, and sets that a rule asks in another way than they are made. */
export const SET_EDGES: readonly KernelCase[] = [
  ...sets('nets of sets, by length', 'raw PREROUTING', 'a', HOSTS, [
    {
      type: 'hash:net,port',
      members: ['10.0.0.0/8,tcp:443', '10.244.1.0/24,tcp:443 nomatch', '10.244.0.0/16,tcp:80'],
      dims: ['src,dst', 'src,dst --return-nomatch', 'dst,dst', 'src,src', 'src', 'src,dst,dst'],
    },
    {
      type: 'hash:net,port',
      members: ['10.244.1.0/24,tcp:443', '10.0.0.0/8,tcp:443 nomatch', '0.0.0.0/1,tcp:443', '128.0.0.0/1,tcp:443'],
      dims: ['src,dst', 'src,dst --return-nomatch'],
    },
    {
      type: 'hash:ip,port,net',
      members: ['10.1.0.5,tcp:443,10.0.0.0/8', '10.1.0.5,tcp:443,10.244.1.0/24 nomatch', '10.1.0.5,tcp:80,0.0.0.0/1'],
      dims: ['dst,dst,src', 'dst,dst,src --return-nomatch', 'dst,dst', 'dst,src,src'],
    },
    {
      type: 'hash:net',
      members: ['10.244.1.0/24', '10.0.0.0/8 nomatch', '0.0.0.0/1', '128.0.0.0/1'],
      dims: ['src', 'src --return-nomatch', 'src,dst'],
    },
  ]),
  ...sets(
    'nets on devices',
    'raw PREROUTING',
    'b',
    [...HOSTS, ...HOSTS.map((flow) => ({ ...flow, iif: 'eth1' }))],
    [
      { type: 'hash:net,iface', members: ['10.244.1.0/24,eth1', '10.0.0.0/8,eth0'], dims: ['src,src', 'dst,src'] },
      { type: 'hash:net,iface', members: ['10.244.1.0/24,eth1', '10.244.1.0/24,eth0'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['10.244.1.0/24,eth0', '10.244.1.0/24,eth1'], dims: ['src,src'] },
      { type: 'hash:net,iface', members: ['10.244.2.0/24,eth1', '10.0.0.0/8,eth0 nomatch'], dims: ['src,src'] },
      {
        type: 'hash:net,iface',
        members: ['10.0.0.0/8,eth0', '10.244.1.0/24,eth0 nomatch'],
        dims: ['src,src --return-nomatch'],
      },
      { type: 'hash:net,iface', members: ['10.244.1.0/24,physdev:eth1', '10.0.0.0/8,eth0'], dims: ['src,src'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,eth wildcard'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,eth0'], dims: ['src,src'] },
    ],
  ),
  ...sets(
    'devices of what passes',
    'mangle FORWARD',
    'c',
    [THROUGH],
    [
      { type: 'hash:net,iface', members: ['0.0.0.0/0,eth0'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,eth1'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,et wildcard'], dims: ['src,src', 'src,dst'] },
    ],
  ),
  ...sets(
    'devices of what is sent',
    'mangle OUTPUT',
    'd',
    [
      { ...OUT, dst: '10.1.0.77' },
      { ...OUT, dport: 8080 },
    ],
    [
      { type: 'hash:net,iface', members: ['0.0.0.0/0,eth1'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,lo'], dims: ['src,src', 'src,dst'] },
      { type: 'hash:net,iface', members: ['0.0.0.0/0,e wildcard'], dims: ['src,src', 'src,dst'] },
    ],
  ),
  ...sets(
    'frames over lo',
    'mangle PREROUTING',
    'e',
    [{ ...OUT, dport: 8080 }],
    [
      { type: 'bitmap:ip,mac range 10.1.0.0/24', members: ['10.1.0.5'], dims: ['src,src', 'dst,dst'] },
      { type: 'bitmap:ip,mac range 10.1.0.0/24', members: ['10.1.0.5,00:11:22:33:44:55'], dims: ['src,src'] },
    ],
  ),
  ...sets('masks of sets', 'raw PREROUTING', 'f', from(IN, '10.244.1.1', '203.0.113.9', '203.0.114.9'), [
    { type: 'hash:ip netmask 24', members: ['10.244.1.7', '203.0.113.0'], dims: ['src', 'dst'] },
    { type: 'hash:ip netmask 8', members: ['203.0.0.0'], dims: ['src', 'dst'] },
    { type: 'hash:ip bitmask 255.0.255.0', members: ['203.9.113.0'], dims: ['src', 'dst'] },
    { type: 'hash:ip,port netmask 16', members: ['203.0.77.7,tcp:443'], dims: ['src,dst', 'dst,dst'] },
    { type: 'bitmap:ip range 203.0.0.0/16 netmask 24', members: ['203.0.113.0'], dims: ['src', 'dst'] },
    { type: 'bitmap:ip range 10.1.0.0-10.1.0.9', members: ['10.1.0.4-10.1.0.6'], dims: ['dst', 'src'] },
  ]),
  ...sets(
    'ports of sets',
    'raw PREROUTING',
    'g',
    [IN, { ...IN, protocol: 'udp' }, { ...IN, protocol: 'icmp' }],
    [
      {
        type: 'hash:ip,port',
        members: ['10.244.1.1,tcp:443', '10.244.1.1,udp:80', '10.244.1.1,tcp:442', '10.1.0.5,udp:443'],
        dims: ['src,dst', 'dst,dst', 'src,src'],
      },
      {
        type: 'hash:ip,port',
        members: ['10.244.1.1,udp:440-443', '10.1.0.5,tcp:443-444'],
        dims: ['src,dst', 'dst,dst'],
      },
      { type: 'hash:ip,port', members: ['10.244.1.1,sctp:443', '10.244.1.1,47:0'], dims: ['src,dst'] },
      { type: 'bitmap:port range 400-500', members: ['442-444'], dims: ['dst', 'src'] },
      { type: 'bitmap:port range 22000-23000', members: ['22573'], dims: ['dst', 'src'] },
      { type: 'list:set', members: ['g0', 'g3'], dims: ['dst,dst', 'src,src', 'dst'] },
    ],
  ),
  ...sets(
    'sets of IPv6',
    'raw PREROUTING',
    'h',
    [...HOSTS6, { ...IN6, protocol: 'icmp' }],
    [
      { type: 'hash:ip family inet6 netmask 48', members: ['fd00:1::'], dims: ['src', 'dst'] },
      { type: 'hash:ip family inet6 bitmask ffff:ffff:0:ffff::ff', members: ['fd00:1::77'], dims: ['src', 'dst'] },
      {
        type: 'hash:net,port family inet6',
        members: ['fd00::/16,tcp:8080', 'fd00:1::/64,tcp:8080 nomatch', '2001:db8::/127,tcp:8080'],
        dims: ['src,dst', 'src,dst --return-nomatch', 'dst,dst'],
      },
      {
        type: 'hash:net family inet6',
        members: ['fd00::/16', 'fd00:1::/64 nomatch', '2001:db8::8/125'],
        dims: ['src'],
      },
      { type: 'hash:ip,port family inet6 netmask 64', members: ['fd00:1::9,tcp:8080'], dims: ['src,dst', 'dst,dst'] },
      { type: 'bitmap:port range 8000-9000', members: ['8080'], dims: ['dst', 'src'] },
      { type: 'hash:net,iface family inet6', members: ['fd00:1::/64,eth1', '::/0,eth0'], dims: ['src,src'] },
    ],
  ),
  // a rule that names a set of the other family is refused; in a list it never matches
  ...sets(
    'lists of sets',
    'raw PREROUTING',
    'i',
    [IN, { ...IN, src: '10.244.1.2' }],
    [
      { type: 'hash:ip', members: ['10.244.1.1'], dims: ['src', 'src,src', 'dst,src'] },
      { type: 'list:set', members: ['i0', 'j0'], dims: ['src', 'dst'] },
      { type: 'list:set', members: ['j0', 'i0'], dims: ['src', 'dst'] },
      { type: 'list:set', members: ['j1'], dims: ['src', 'src --return-nomatch'] },
      { type: 'list:set', members: ['j2'], dims: ['dst', 'src'] },
      { type: 'list:set counters', members: ['i0'], dims: ['src --packets-gt 0', 'dst --packets-gt 0'] },
      { type: 'hash:ip counters', members: ['10.244.1.1'], dims: ['src'] },
      { type: 'list:set', members: ['i6'], dims: ['src --packets-gt 100', 'dst --packets-gt 100'] },
    ],
  ),
  ...sets(
    'counters that no rule asks for',
    'raw PREROUTING',
    'k',
    [IN],
    [
      { type: 'hash:ip,port counters', members: ['10.244.1.1,tcp:443'], dims: ['src,dst', 'dst,dst'] },
      { type: 'hash:ip counters', members: ['10.244.1.1'], dims: ['src'] },
      { type: 'list:set', members: ['k1', 'k0'], dims: ['src --packets-gt 1000', 'dst --packets-gt 1000'] },
    ],
  ),
];
