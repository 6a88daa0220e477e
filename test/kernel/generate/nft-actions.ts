import { ADDRESSES, ADDRESSES6, MARKS, MASKS, PORTS } from '../pools.js';
import type { Random } from '../random.js';

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

/** What a rule of the chain does at its end. */
export function action(random: Random, chain: string): string {
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
