import { marked, MARKS, PORTS, PREFIXES, PREFIXES6 } from '../pools.js';
import type { Random } from '../random.js';

/** Random policy rules, routes and sysctls, as shell commands. Routes carry `proto 99`: by that the bench clears them. */
const ROUTES4 = [
  'local default dev lo',
  'local 10.9.0.0/24 dev lo',
  'local 10.96.0.10 dev lo src 10.1.0.5',
  'default via 10.1.0.1 dev eth1',
  'default via 10.244.1.9 dev eth0 src 10.244.1.5',
  'default via 10.1.0.1 dev eth1 metric 50',
  'default via 192.0.2.1 dev eth0 onlink',
  'default nexthop via 10.244.1.1 dev eth0 weight 1 nexthop via 10.1.0.1 dev eth1 weight 3',
  '10.96.0.0/12 via 172.18.0.9 dev eth1',
  '10.244.2.9 dev eth1 scope link',
  '203.0.113.0/24 via 10.1.0.9 dev eth1 metric 10',
  '203.0.113.0/25 dev eth0 src 172.18.0.3',
  'unreachable 203.0.113.0/24',
  'unreachable default metric 4278198272',
  'blackhole 8.8.8.0/24',
  'prohibit 10.96.0.0/16',
  'throw 8.8.8.0/24',
  'throw default',
];
const ROUTES6 = [
  'local default dev lo',
  'default via fd00:1::1 dev eth1',
  'default via fe80::1 dev eth0 metric 10',
  'unreachable 2001:db8::/32',
  'blackhole fd00:96::/64',
  'prohibit 2001:db8::1',
  'throw fd00:96::/32',
  'fd00:96::/64 via fd00:244:1::9 dev eth0 metric 5',
  'fd00:1::77 dev eth0',
  '2001:db8::/48 dev eth1 src fd00:1::5',
];

function selector(random: Random, six: boolean): string {
  const prefixes = six ? PREFIXES6 : PREFIXES;
  return random.pick([
    `fwmark ${marked(random)}`,
    `fwmark ${marked(random)}`,
    `from ${random.pick(prefixes)}`,
    `to ${random.pick(prefixes)}`,
    `from ${random.pick(prefixes)} to ${random.pick(prefixes)}`,
    'from all',
    'iif lo',
    'iif eth1',
    'iif eth0',
    'oif eth1',
    `uidrange ${random.pick(['0-0', '1000-1337', '33-33'])}`,
    `ipproto ${random.pick(['tcp', 'udp', 'icmp'])}`,
    `ipproto ${random.pick(['tcp', 'udp'])} dport ${random.pick(PORTS)}`,
    `ipproto tcp dport ${random.pick(['1-1024', '8000-16000'])}`,
    `ipproto udp sport 20000-${random.pick([30000, 65000])}`,
    `not fwmark ${random.pick(MARKS)}`,
    `not from ${random.pick(prefixes)}`,
    `not iif lo`,
    `not to ${random.pick(prefixes)}`,
    `fwmark ${marked(random)} iif lo`,
  ]);
}

/** What belongs to the whole route stands before its nexthops. */
function routeLine(route: string, six: boolean, table: number | 'main'): string {
  const at = route.indexOf(' nexthop');
  const head = at < 0 ? route : route.slice(0, at);
  return `ip ${six ? '-6 ' : ''}route replace ${head} table ${table} proto 99${at < 0 ? '' : route.slice(at)}`;
}

/** More addresses for the choice of a source; the bench takes them away again by these very words. */
const EXTRA = [
  'ip addr add 10.1.0.99/24 dev eth1',
  'ip addr add 10.96.7.7/12 dev eth1',
  'ip addr add 10.77.0.1/24 dev eth0 scope link',
  'ip addr add 192.168.5.5/32 dev lo',
  'ip addr add 10.66.0.1 peer 203.0.113.5/32 dev eth1',
  'ip addr add 8.8.8.1/24 dev eth0 scope 200',
  'ip -6 addr add fd00:244:1::55/64 dev eth0 nodad',
  'ip -6 addr add fd00:1:0:0:8000::1/65 dev eth1 nodad',
  'ip -6 addr add fd00:96::1/64 dev eth0 nodad preferred_lft 0',
  'ip -6 addr add 2001:db8:5::1/64 dev eth1 nodad',
  'ip -6 addr add fec0::7/64 dev eth0 nodad',
];

export function addressLines(random: Random): string[] {
  return EXTRA.filter(() => random.chance(0.08));
}

export function routingLines(random: Random): string[] {
  // routes first: a rule may hide the gateway that a route is checked against
  const rules: string[] = [];
  const lines: string[] = [];
  const count = random.pick([0, 0, 1, 2, 3, 5]);
  for (let at = 0; at < count; at++) {
    const six = !random.chance(0.75);
    const family = six ? '-6 ' : '';
    const table = random.pick([100, 101, 102]);
    const priority = 100 + random.int(30000);
    const action = random.pick([
      `lookup ${table}`,
      `lookup ${table}`,
      `lookup ${table}`,
      `lookup ${table} suppress_prefixlength ${random.pick([0, 8, 24])}`,
      'unreachable',
      'blackhole',
      'prohibit',
      'lookup main suppress_prefixlength 0',
      'goto 32766',
      `goto ${priority + 1 + random.int(2000)}`,
      'nop',
    ]);
    rules.push(`ip ${family}rule add pref ${priority} ${selector(random, six)} ${action}`);
    const routes = six ? ROUTES6 : ROUTES4;
    lines.push(routeLine(random.pick(routes), six, table));
    if (random.chance(0.4)) lines.push(routeLine(random.pick(routes), six, table));
  }
  if (random.chance(0.2)) {
    const six = random.chance(0.3);
    const shy = (six ? ROUTES6 : ROUTES4).filter((route) => !route.includes('default'));
    lines.push(routeLine(random.pick(shy), six, 'main'));
  }
  return [...lines, ...rules];
}

const SYSCTLS = ['rp_filter', 'route_localnet', 'accept_local', 'src_valid_mark'] as const;

export function sysctlLines(random: Random): string[] {
  const forwards4 = random.chance(0.93) ? 1 : 0;
  const forwards6 = random.chance(0.93) ? 1 : 0;
  // ip_forward writes forwarding of every device: first
  const lines = [`sysctl -q -w net.ipv4.ip_forward=${forwards4} net.ipv6.conf.all.forwarding=${forwards6}`];
  for (const name of SYSCTLS) {
    for (const device of ['all', 'eth0', 'eth1', 'lo']) {
      const on = random.chance(device === 'all' ? 0.05 : device === 'lo' ? 0.04 : 0.12);
      const value = on ? (name === 'rp_filter' ? random.pick([1, 2]) : 1) : 0;
      lines.push(`sysctl -q -w net.ipv4.conf.${device}.${name}=${value}`);
    }
  }
  for (const device of ['eth0', 'eth1']) {
    if (random.chance(0.06)) lines.push(`sysctl -q -w net.ipv4.conf.${device}.forwarding=${1 - forwards4}`);
  }
  return lines;
}
