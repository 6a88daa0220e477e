import { address, ADDRESSES, MARKS, MASKS, PORTS, UIDS } from '../pools.js';
import type { Random } from '../random.js';

/**
 * nft refuses a rule that asks for two protocols or families, and verdict maps that make a loop of chains. It takes
 * `meta protocol ip reject with icmpv6`, which no packet meets, and its list then leaves the first half away.
 */
export function matches(random: Random, chain: string, count: number, action: string): string {
  const parts: string[] = [];
  let text = action;
  for (let at = 0; at < count; at++) {
    const part = match(random, chain);
    const all = `${text} ${part} `;
    const families = /\bip6 |ipv6|icmpv6/.test(all) && /\bip |ipv4|icmp\b/.test(all);
    const protocols =
      ['tcp', 'udp', 'icmp', 'icmpv6'].filter((name) => new RegExp(`\\b${name}\\b`).test(all)).length > 1;
    const loops = chain.startsWith('u') && /vmap|jump|goto/.test(part);
    if (families || protocols || loops || (text.includes('vmap') && part.includes('vmap'))) continue;
    parts.push(part);
    text = all;
  }
  return parts.join(' ');
}

const STATES = ['new', 'established,related', 'invalid', 'untracked', 'new,untracked'];

function conntrack(random: Random, op: string): string {
  return random.pick([
    `ct mark ${op}${random.pick(MARKS)}`,
    `ct mark & ${random.pick(MASKS)} ${random.pick(['==', '!='])} ${random.pick(MARKS)}`,
    `ct state ${op}${random.pick(STATES)}`,
    `ct state ${random.pick(STATES)}`,
    `ct direction ${op}${random.pick(['original', 'reply'])}`,
    `ct original ip ${random.pick(['daddr', 'saddr'])} ${op}${address(random, 4)}`,
    `ct reply ip ${random.pick(['daddr', 'saddr'])} ${op}${random.pick(ADDRESSES)}`,
    `ct original ip6 daddr ${op}${address(random, 6)}`,
    `meta l4proto { tcp, udp } ct ${random.pick(['original', 'reply'])} proto-${random.pick(['src', 'dst'])} ${op}${random.pick(['80', '1-9000', '20000-65535'])}`,
    `ct status ${op}${random.pick(['dnat', 'snat', 'dnat,snat', 'seen-reply', 'confirmed'])}`,
    `ct zone ${op}${random.pick([0, 3, 4])}`,
    `ct protocol ${op}${random.pick(['tcp', 'udp'])}`,
  ]);
}

function fib(random: Random, chain: string, op: string): string {
  const types = [
    'local',
    'unicast',
    'broadcast',
    'multicast',
    'unreachable',
    'blackhole',
    'prohibit',
    '{ local, broadcast }',
  ];
  const type = random.pick(types);
  const list = [`fib daddr type ${op}${type}`, `fib saddr type ${op}${type}`];
  if (/^(pre|in|fwd)/.test(chain)) list.push(`fib daddr . iif type ${op}${type}`, `fib saddr . iif type ${op}${type}`);
  if (/^(out|fwd|post)/.test(chain)) list.push(`fib daddr . oif type ${op}${type}`);
  if (/^(pre|in|fwd)/.test(chain)) {
    list.push(
      `fib saddr . iif oif ${random.pick(['missing', 'exists', '!= 0'])}`,
      `fib saddr oif ${random.pick(['missing', 'exists'])}`,
      `fib saddr . mark oif exists`,
      `fib daddr oifname ${op}"${random.pick(['eth0', 'eth1', 'lo'])}"`,
      `fib saddr . mark . iif oifname ${op}"${random.pick(['eth0', 'eth1'])}"`,
    );
  }
  return random.pick(list);
}

function interval(random: Random): string {
  const port = random.pick(PORTS);
  return random.pick([
    `${port}-${port + 2000}`,
    '1-1024',
    `{ ${port}, 8000-9000 }`,
    `{ 1-79, 81-442, ${10000 + port} }`,
  ]);
}

function address4(random: Random, op: string): string {
  return random.pick([
    `ip saddr ${op}${address(random, 4)}`,
    `ip daddr ${op}${address(random, 4)}`,
    `ip daddr ${op}{ ${random.pick(ADDRESSES)}, 203.0.113.9, 8.8.4.4 }`,
    `ip saddr ${op}{ 10.244.0.0/16, 172.18.0.1-172.18.0.9, ${random.pick(['8.8.8.8', '127.0.0.1'])} }`,
    `ip daddr ${op}10.1.0.0-10.96.0.10`,
    `ip saddr & 255.255.0.0 ${random.pick(['==', '!='])} 10.244.0.0`,
    `ip daddr ${op}@hosts`,
    `ip saddr ${op}@single`,
    `ip saddr . ip daddr ${op}{ 10.244.1.1 . 10.244.1.5, 8.8.8.8 . 10.1.0.5, 10.0.0.0/8 . 203.0.113.0/24 }`,
    `ip daddr . tcp dport ${op}{ 10.0.0.0/8 . 80-443, 203.0.113.5 . 8080, 172.18.0.3 . 15001-15053 }`,
    `ip daddr . tcp dport ${op}@places`,
    `ip protocol ${op}${random.pick(['tcp', 'udp', 'icmp'])}`,
  ]);
}

function match(random: Random, chain: string): string {
  const op = random.chance(0.25) ? '!= ' : '';
  const port = random.pick(PORTS);
  const outward = chain.startsWith('out') || chain.startsWith('post');
  const jump = random.pick(['jump u1', 'jump u2', 'goto u1']);
  const transport = [
    `tcp dport ${op}${port}`,
    `udp dport ${op}${port}`,
    `tcp dport ${op}${interval(random)}`,
    `tcp sport ${op}20000-${random.pick([30000, 65535])}`,
    `tcp dport ${random.pick(['<', '>', '<=', '>='])} ${port}`,
    `udp dport ${op}${interval(random)}`,
    `meta l4proto { tcp, udp } th dport ${op}${port}`,
    `meta l4proto ${op}${random.pick(['tcp', 'udp', 'icmp', '{ tcp, udp }'])}`,
    `meta l4proto . th dport ${op}{ tcp . 80, udp . 53, tcp . 8080 }`,
    `tcp flags & (fin|syn|rst|ack) == syn`,
    `tcp flags ${op}syn`,
    `tcp flags & (syn|ack) != (syn|ack)`,
    `icmp type ${op}${random.pick(['echo-request', 'echo-reply', 'redirect'])}`,
    `icmpv6 type ${op}${random.pick(['echo-request', 'nd-neighbor-solicit'])}`,
    `ip6 nexthdr ${op}${random.pick(['tcp', 'udp', 'icmpv6'])}`,
  ];
  const meta = [
    `meta mark ${random.chance(0.5) ? `& ${random.pick(MASKS)} ` : ''}${random.chance(0.5) ? '==' : '!='} ${random.pick(MARKS)}`,
    `meta mark ${op}${random.pick(MARKS)}`,
    `meta mark ${op}0x1-0x1000`,
    `meta mark ${op}{ 0x1, 0x539, 0x4000-0x8000 }`,
    `meta mark ${random.pick(['<', '>='])} ${random.pick(MARKS)}`,
    `meta nfproto ${op}${random.pick(['ipv4', 'ipv6'])}`,
    `meta protocol ${op}${random.pick(['ip', 'ip6'])}`,
    `meta pkttype ${op}${random.pick(['host', 'broadcast', 'multicast', '{ host, broadcast }'])}`,
    `iifname ${op}"${random.pick(['eth0', 'eth1', 'lo', 'eth*'])}"`,
    `iifname ${op}{ "eth0", "lo" }`,
    `iif ${op}"${random.pick(['eth0', 'eth1', 'lo'])}"`,
    `iifname . ip saddr ${op}{ "eth0" . 10.244.1.1, "eth1" . 10.1.0.77 }`,
    `meta iifkind ${op}"veth"`,
  ];
  const six = [
    `ip6 daddr ${op}${address(random, 6)}`,
    `ip6 saddr ${op}{ fd00:244::/32, fd00:1::77, ::1 }`,
    `ip6 daddr ${op}fd00:1::1-fd00:244:1::4`,
    `ip6 saddr . tcp dport ${op}{ fd00::/16 . 80-9000, ::1 . 15001 }`,
  ];
  const verdicts = [
    `ip daddr . meta l4proto . th dport vmap @services`,
    `tcp dport vmap { 80 : accept, 1-79 : ${jump}, 8080 : drop, 15000-15010 : ${jump} }`,
    `iifname vmap { "eth0" : ${jump}, "lo" : accept }`,
    `ct state vmap { established : accept, new : ${jump}, untracked : ${jump}, invalid : drop }`,
    `meta l4proto vmap { tcp : ${jump}, udp : accept }`,
    `ip saddr vmap { 10.244.0.0/16 : ${jump}, 203.0.113.5 : drop, 8.8.8.0/24 : return }`,
    `meta mark vmap { 0x1 : ${jump}, 0x539 : accept, 0x4000-0x8000 : return }`,
    `ip daddr . tcp dport vmap { 10.1.0.0/16 . 80-8080 : ${jump}, 10.244.1.5 . 15006 : drop }`,
    `fib daddr type vmap { local : ${jump}, unicast : return }`,
  ];
  const sockets = [`socket transparent 1`, `socket wildcard ${random.pick([0, 1])}`];
  const groups: (readonly string[])[] = [
    transport,
    transport,
    meta,
    [address4(random, op), address4(random, op)],
    six,
    [conntrack(random, op), conntrack(random, op)],
    [fib(random, chain, op)],
    verdicts,
  ];
  if (chain === 'pre_f' || chain === 'in_f') groups.push(sockets);
  if (outward) {
    groups.push([
      `oifname ${op}"${random.pick(['eth0', 'eth1', 'lo'])}"`,
      `oif ${op}"${random.pick(['eth0', 'eth1', 'lo'])}"`,
      `meta skuid ${op}${random.pick(UIDS)}`,
      `meta skuid ${op}1000-1337`,
      `meta skuid ${random.pick(['<', '>'])} 1000`,
      `meta skgid ${op}${random.pick(UIDS)}`,
      `meta skgid ${op}{ 0, 1337 }`,
    ]);
  }
  return random.pick(random.pick(groups));
}
