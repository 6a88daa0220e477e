import { address, ADDRESSES, ADDRESSES6, MARKS, MASKS, PORTS, UIDS } from './pools.js';
import type { Random } from './random.js';

/** Chains of one nft table, each rule apart: chain header by name, rules by chain. */
export interface NftPiece {
  readonly chain: string;
  readonly head: string;
  readonly rules: readonly string[];
}

const BASES: readonly (readonly [string, string])[] = [
  ['pre_raw', 'type filter hook prerouting priority -300;'],
  ['pre_early_f', 'type filter hook prerouting priority -201;'],
  ['pre_f', 'type filter hook prerouting priority -150;'],
  ['pre_late_f', 'type filter hook prerouting priority -99;'],
  ['in_f', 'type filter hook input priority 0;'],
  ['fwd_f', 'type filter hook forward priority 0;'],
  ['out_raw', 'type filter hook output priority -300;'],
  ['out_r', 'type route hook output priority -150;'],
  ['out_late_r', 'type route hook output priority -50;'],
  ['out_f', 'type filter hook output priority 0;'],
  ['post_f', 'type filter hook postrouting priority -150;'],
  ['post_late_f', 'type filter hook postrouting priority 150;'],
  ['pre_n', 'type nat hook prerouting priority -100;'],
  ['pre_more_n', 'type nat hook prerouting priority -90;'],
  ['out_n', 'type nat hook output priority -100;'],
  ['in_n', 'type nat hook input priority 100;'],
  ['post_n', 'type nat hook postrouting priority 100;'],
];

/**
 * nft refuses a rule that asks for two protocols or families, and verdict maps that make a loop of chains. It takes
 * `meta protocol ip reject with icmpv6`, which no packet meets, and its list then leaves the first half away.
 */
function matches(random: Random, chain: string, count: number, action: string): string {
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

function natAction(random: Random, chain: string): string {
  const port = random.pick(PORTS);
  const to = random.pick(ADDRESSES);
  const six = random.pick(ADDRESSES6);
  if (chain === 'post_n' && random.chance(0.4)) {
    return random.pick(['masquerade', 'masquerade', 'meta l4proto tcp masquerade to :4000', 'masquerade fully-random']);
  }
  if (chain === 'post_n' || chain === 'in_n') {
    return random.pick([
      `meta nfproto ipv4 snat ip to ${to}`,
      `meta nfproto ipv4 snat ip to ${to}`,
      `meta nfproto ipv6 snat ip6 to ${six}`,
      `meta l4proto tcp meta nfproto ipv4 snat ip to ${to}:4000`,
      `meta l4proto tcp meta nfproto ipv4 snat ip to ${to}:19000-45000`,
      `snat ip to ip saddr map { 10.244.1.5 : 10.1.0.5, 10.0.0.0/9 : 172.18.0.3 }`,
    ]);
  }
  return random.pick([
    `meta l4proto tcp redirect to :${port}`,
    `meta l4proto { tcp, udp } redirect to :${port}`,
    'redirect',
    `meta nfproto ipv4 dnat ip to ${to}`,
    `meta nfproto ipv6 dnat ip6 to ${six}`,
    `meta l4proto tcp meta nfproto ipv4 dnat ip to ${to}:${port}`,
    `meta l4proto tcp meta nfproto ipv6 dnat ip6 to [${six}]:${port}`,
    `dnat ip to ip daddr map { 10.96.0.10 : 10.244.2.9, 203.0.113.0/24 : 10.1.0.77 }`,
    `dnat ip to ip daddr . tcp dport map { 10.96.0.10 . 80 : 10.244.2.9 . 8080, 203.0.113.5 . 443 : 10.244.1.5 . 15006 }`,
    `dnat ip to ip daddr . tcp dport map @targets`,
    `meta l4proto tcp redirect to tcp dport map { 80 : 15006, 443 : 8080 }`,
    `dnat ip to numgen random mod 2 map { 0 : 10.244.2.9, 1 : 10.1.0.77 }`,
    `meta nfproto ipv4 meta l4proto tcp dnat ip to jhash ip saddr mod 2 map { 0 : 10.244.2.9, 1 : 10.1.0.77 }`,
  ]);
}

function markAction(random: Random): string {
  return random.pick([
    `meta mark set ${random.pick(MARKS)}`,
    `meta mark set meta mark | ${random.pick(MARKS)}`,
    `meta mark set meta mark & ${random.pick(MASKS)} ^ ${random.pick(MARKS)}`,
    `meta mark set meta mark & ${random.pick(MASKS)} | ${random.pick(MARKS)}`,
    'meta mark set meta mark << 2',
    'meta mark set meta mark >> 4',
    'ct mark set meta mark',
    `ct mark set meta mark & ${random.pick(MASKS)}`,
    `ct mark set ct mark | ${random.pick(MARKS)}`,
    `ct mark set ct mark & ${random.pick(MASKS)} ^ ${random.pick(MARKS)}`,
    'meta mark set ct mark',
    `meta mark set ct mark & ${random.pick(MASKS)}`,
    'meta mark set tcp dport map { 80 : 0x1, 443 : 0x2, 8000-9000 : 0x539 }',
    'meta mark set ip daddr map { 10.244.0.0/16 : 0x10, 203.0.113.5 : 0x20 }',
    'meta mark set ip saddr . udp dport map { 10.244.1.5 . 53 : 0x111, 8.8.8.8 . 5353 : 0x222 }',
    'ct mark set tcp dport map { 80 : 0x3, 8080 : 0x4 }',
    'meta mark set iifname map { "eth0" : 0x7, "eth1" : 0x9 }',
  ]);
}

const SILENT = [
  'counter',
  'log prefix "x"',
  'meta priority set 1:2',
  'ip dscp set cs1',
  'meta nftrace set 1',
  'continue',
  'add @seen { ip saddr }',
  'limit rate over 100000/second log',
];

function action(random: Random, chain: string): string {
  const user = chain.startsWith('u');
  if (!user && random.chance(0.2)) return `${random.pick(['jump', 'goto'])} ${random.pick(['u1', 'u2'])}`;
  if (chain.endsWith('_n')) return natAction(random, chain);
  if (chain.endsWith('_raw') || chain === 'pre_early_f') {
    const more = ['ct zone set 4', 'ct original zone set 5', 'ct zone set iifname map { "eth0" : 3, "eth1" : 4 }'];
    const usable = chain === 'out_raw' ? more.slice(0, 2) : more;
    return random.pick([
      'notrack',
      random.pick(usable),
      `meta mark set ${random.pick(MARKS)}`,
      'accept',
      markAction(random),
    ]);
  }
  if (chain === 'pre_f' && random.chance(0.2)) {
    const to = random.pick([
      'ip to :15001',
      'ip to :15006',
      'ip to 127.0.0.1:9090',
      'ip6 to :15053',
      'ip to 10.244.1.5',
    ]);
    return `meta l4proto ${random.pick(['tcp', 'tcp', 'udp'])} tproxy ${to} meta mark set 0x539 accept`;
  }
  if (random.chance(0.08)) return random.pick(SILENT);
  const terminal = ['accept', 'return', 'drop', 'reject', 'counter'];
  const rejects = chain === 'in_f' || chain === 'fwd_f' || chain === 'out_f';
  const usable = terminal.filter((word) => word !== 'reject' || rejects);
  if (random.chance(0.5)) return markAction(random);
  const chosen = random.pick(usable);
  if (chosen !== 'reject') return chosen;
  return random.pick([
    'reject',
    'meta l4proto tcp reject with tcp reset',
    'reject with icmpx admin-prohibited',
    'reject with icmp host-unreachable',
    'reject with icmpv6 no-route',
  ]);
}

/** A verdict map ends its rule: nothing may come after it. */
function ruleText(text: string): string {
  const found = /vmap (@services|\{[^}]*\})/.exec(text);
  return (found === null ? text : text.slice(0, found.index + found[0].length)).trim();
}

export function nftPieces(random: Random): readonly NftPiece[] {
  const pieces: NftPiece[] = [];
  for (const name of ['u1', 'u2']) {
    const rules = Array.from({ length: random.int(4) }, () => {
      const then = action(random, name);
      return ruleText(`${matches(random, name, 1, then)} ${then}`);
    });
    pieces.push({ chain: name, head: '', rules });
  }
  for (const [chain, head] of BASES) {
    if (!random.chance(0.45)) continue;
    const rules = Array.from({ length: 1 + random.int(4) }, () => {
      const count = random.pick([0, 1, 1, 2]);
      const then = action(random, chain);
      return ruleText(`${matches(random, chain, count, then)} ${then}`);
    });
    const policy = random.chance(0.06) && chain.endsWith('_f') ? ' policy drop;' : ' policy accept;';
    pieces.push({ chain, head: head + policy, rules });
  }
  return pieces;
}

export function nftText(chains: readonly NftPiece[]): string {
  if (chains.length === 0) return '';
  const body = chains.map(({ chain, head, rules }) => ` chain ${chain} { ${head}\n  ${rules.join('\n  ')}\n }`);
  return `table inet meshpath-random {
 set hosts { type ipv4_addr; flags interval; elements = { 10.1.0.0/24, 203.0.113.5, 10.96.0.10 } }
 set single { type ipv4_addr; elements = { 10.244.1.5, 8.8.8.8, 10.1.0.77 } }
 set seen { type ipv4_addr; size 65535; flags dynamic; }
 set places { type ipv4_addr . inet_service; flags interval; elements = { 10.244.0.0/16 . 80-9000, 8.8.8.8 . 53, 172.18.0.3 . 15000-15999 } }
 map targets { type ipv4_addr . inet_service : ipv4_addr . inet_service; elements = { 10.96.0.10 . 8080 : 10.244.2.9 . 80, 8.8.8.8 . 53 : 10.96.0.10 . 5353 } }
 map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.10 . udp . 53 : goto u1, 10.96.0.10 . tcp . 80 : jump u2, 203.0.113.5 . tcp . 443 : drop } }
 chain u1 {
 }
 chain u2 {
 }
${body.join('\n')}
}
`;
}
