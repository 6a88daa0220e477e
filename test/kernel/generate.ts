import type { Flow, RuleSet } from './bench.js';
import type { Random } from './random.js';

/** Random rule sets in pieces, so that a failing one can be made smaller by leaving pieces out. */
export interface Pieces {
  readonly seed: number;
  /** "raw PREROUTING -p tcp …": table, then the words after -A. */
  readonly rules4: readonly string[];
  readonly rules6: readonly string[];
  readonly policies: readonly string[];
  /** Chains of an nft table, each rule apart: chain header by name, rules by chain. */
  readonly nft: readonly { readonly chain: string; readonly head: string; readonly rules: readonly string[] }[];
  readonly shell: readonly string[];
}

const ADDRESSES = [
  '10.244.1.5',
  '10.1.0.5',
  '172.18.0.3',
  '127.0.0.1',
  '10.244.1.1',
  '10.244.2.9',
  '10.1.0.77',
  '10.96.0.10',
  '203.0.113.5',
  '8.8.8.8',
];
const ADDRESSES6 = ['fd00:244:1::5', 'fd00:1::5', '::1', 'fd00:244:1::1', 'fd00:1::77', '2001:db8::1', 'fd00:96::a'];
const PREFIXES = ['10.244.0.0/16', '10.0.0.0/8', '172.18.0.0/16', '127.0.0.0/8', '10.96.0.0/12', '0.0.0.0/1'];
const PREFIXES6 = ['fd00:244::/32', 'fd00::/8', '2001:db8::/32', 'fd00:1::/64'];
const PORTS = [22, 53, 80, 443, 5353, 7070, 8080, 9053, 9090, 15001, 15006, 15008, 15053];
const MARKS = ['0x1', '0x2', '0x111', '0x539', '0x4000', '0x8000', '0xdead0000'];
const MASKS = ['0xffffffff', '0xfff', '0x1', '0x4000', '0xffff0000', '0xf0f'];
const UIDS = [0, 33, 1000, 1337];
const DEVICES = ['eth0', 'eth1', 'lo', 'eth+', 'e+'];

const HOOKS: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

const USER_CHAINS = ['ISTIO_A', 'ISTIO_B', 'KUBE_C'];

function negate(random: Random): string {
  return random.chance(0.25) ? '! ' : '';
}

function address(random: Random, family: 4 | 6): string {
  const single = family === 4 ? ADDRESSES : ADDRESSES6;
  const many = family === 4 ? PREFIXES : PREFIXES6;
  return random.chance(0.4) ? random.pick(many) : random.pick(single);
}

function marked(random: Random): string {
  return random.chance(0.5) ? random.pick(MARKS) : `${random.pick(MARKS)}/${random.pick(MASKS)}`;
}

interface Place {
  readonly family: 4 | 6;
  readonly table: string;
  readonly hook: string;
}

/** Hooks from which a user chain may be reached: only what all of them allow is written into it. */
const ANY = 'any';

function protocolMatch(random: Random): { text: string; protocol: 'tcp' | 'udp' } {
  const protocol = random.pick(['tcp', 'udp'] as const);
  const side = random.pick(['--dport', '--dport', '--sport']);
  const from = random.pick(PORTS);
  const port = random.chance(0.25) ? `${Math.min(from, 15000)}:${Math.max(from, 16000)}` : String(from);
  const text = random.chance(0.2)
    ? `-p ${protocol} -m multiport ${negate(random)}--dports ${random.pick(PORTS)},${random.pick(PORTS)},8000:9000`
    : `-p ${protocol} -m ${protocol} ${negate(random)}${random.chance(0.7) ? side : '--dport'} ${port}`;
  return { text, protocol };
}

function stateMatch(random: Random, { family, table, hook }: Place): string {
  const types = ['LOCAL', 'UNICAST', 'LOCAL,UNICAST', 'MULTICAST'];
  const type = random.pick(family === 4 ? [...types, 'BROADCAST'] : types);
  const owner = `-m owner ${negate(random)}--${random.pick(['uid', 'gid'])}-owner ${random.pick(UIDS)}`;
  const choices = [
    `-m mark ${negate(random)}--mark ${marked(random)}`,
    `-m connmark ${negate(random)}--mark ${marked(random)}`,
    `-m conntrack ${negate(random)}--ctstate ${random.pick(['NEW', 'ESTABLISHED', 'NEW,RELATED', 'INVALID', 'UNTRACKED', 'DNAT', 'SNAT'])}`,
    `-m conntrack --ctdir ${random.pick(['ORIGINAL', 'REPLY'])}`,
    `-m conntrack ${negate(random)}--ctorigdst ${address(random, family)}`,
    `-m addrtype ${negate(random)}--${random.pick(['src', 'dst'])}-type ${type}`,
    `-m set ${negate(random)}--match-set ips${family} ${random.pick(['src', 'dst'])}`,
    `-m set ${negate(random)}--match-set nets${family} ${random.pick(['src', 'dst'])}`,
    `-m set ${negate(random)}--match-set ipport${family} ${random.pick(['src,dst', 'dst,dst', 'dst,src'])}`,
    family === 4
      ? `-m iprange ${negate(random)}--dst-range 10.1.0.1-10.244.1.9`
      : `-m iprange ${negate(random)}--src-range fd00::-fd00:244:1::9`,
  ];
  if (table === 'raw' || table === 'mangle') {
    if (hook === 'PREROUTING') choices.push('-m rpfilter', '-m rpfilter --loose --invert', '-m socket --nowildcard');
  }
  if (hook === 'OUTPUT' || hook === 'POSTROUTING') choices.push(owner, `-m owner ${negate(random)}--socket-exists`);
  return random.pick(choices);
}

function matches(random: Random, place: Place): { text: string; protocol: string | null } {
  const parts: string[] = [];
  let protocol: string | null = null;
  const { family, hook } = place;
  if (random.chance(0.35)) parts.push(`${negate(random)}-s ${address(random, family)}`);
  if (random.chance(0.35)) parts.push(`${negate(random)}-d ${address(random, family)}`);
  const inward = hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
  const outward = hook === 'FORWARD' || hook === 'OUTPUT' || hook === 'POSTROUTING';
  if ((inward || hook === ANY) && random.chance(0.25)) parts.push(`${negate(random)}-i ${random.pick(DEVICES)}`);
  if ((outward || hook === ANY) && random.chance(0.25)) parts.push(`${negate(random)}-o ${random.pick(DEVICES)}`);
  if (random.chance(0.55)) {
    const found = protocolMatch(random);
    parts.push(found.text);
    protocol = found.protocol;
  } else if (random.chance(0.15)) parts.push(family === 4 ? '-p icmp' : '-p ipv6-icmp');
  const count = random.pick([0, 0, 1, 1, 2]);
  for (let at = 0; at < count; at++) parts.push(stateMatch(random, place));
  return { text: parts.join(' '), protocol };
}

function natTarget(random: Random, { family, hook }: Place, protocol: string | null): string {
  const withPort = protocol !== null && random.chance(0.4);
  const addr = random.pick(family === 4 ? ADDRESSES : ADDRESSES6);
  const port = random.pick(PORTS);
  const to = withPort ? (family === 4 ? `${addr}:${port}` : `[${addr}]:${port}`) : addr;
  if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    if (protocol !== null && random.chance(0.5)) return `-j REDIRECT --to-ports ${port}`;
    return random.chance(0.2) ? '-j REDIRECT' : `-j DNAT --to-destination ${to}`;
  }
  if (hook === 'POSTROUTING' && random.chance(0.4)) return '-j MASQUERADE';
  return `-j SNAT --to-source ${addr}`;
}

function target(random: Random, place: Place, protocol: string | null, depth: number): string {
  const { table, hook, family } = place;
  const roll = random.next();
  if (depth === 0 && roll < 0.25) {
    return `-${random.pick(['j', 'j', 'g'])} ${random.pick(USER_CHAINS)}`;
  }
  if (roll < 0.35) return random.pick(['-j RETURN', '-j ACCEPT', '-j RETURN']);
  const mark = [
    `-j MARK --set-xmark ${marked(random)}`,
    `-j MARK --set-mark ${marked(random)}`,
    `-j MARK --or-mark ${random.pick(MARKS)}`,
    `-j MARK --and-mark ${random.pick(MASKS)}`,
    `-j CONNMARK --set-xmark ${marked(random)}`,
    '-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
    '-j CONNMARK --restore-mark --nfmask 0xfff --ctmask 0xfff',
  ];
  if (table === 'nat' && hook !== ANY) return natTarget(random, place, protocol);
  if (table === 'filter' && hook !== ANY) {
    if (random.chance(0.4)) return '-j DROP';
    if (random.chance(0.4)) return '-j REJECT';
    return random.chance(0.5) ? '-j ACCEPT' : '-j LOG --log-prefix "x"';
  }
  if (table === 'raw' && hook !== ANY) {
    if (random.chance(0.2)) return '-j CT --notrack';
    if (random.chance(0.2)) return '-j CT --zone 3';
    return random.chance(0.15) ? '-j DROP' : `-j MARK --set-xmark ${marked(random)}`;
  }
  if (table === 'mangle' && hook === 'PREROUTING' && protocol !== null && random.chance(0.25)) {
    const ip = family === 4 ? random.pick(['0.0.0.0', '127.0.0.1']) : '::';
    return `-j TPROXY --on-port ${random.pick([15001, 15006])} --on-ip ${ip} --tproxy-mark ${random.pick(['0x539/0xfff', '0x1/0x1'])}`;
  }
  if (table === 'mangle') return random.chance(0.06) ? '-j DROP' : random.pick(mark);
  return random.pick(['-j MARK --set-xmark 0x2/0x2', '-j RETURN', '-j ACCEPT']);
}

function ipRule(random: Random, family: 4 | 6): string {
  const tables = Object.keys(HOOKS);
  const table = random.pick(tables);
  const inUser = random.chance(0.3);
  const hook = inUser ? ANY : random.pick(HOOKS[table] ?? ['PREROUTING']);
  const place: Place = { family, table, hook };
  const { text, protocol } = matches(random, place);
  const chain = inUser ? random.pick(USER_CHAINS) : hook;
  return `${table} ${chain} ${text} ${target(random, place, protocol, inUser ? 1 : 0)}`.replace(/ +/g, ' ');
}

/** Text for iptables-restore. */
function restoreText(rules: readonly string[], policies: readonly string[]): string {
  let text = '';
  for (const [table, hooks] of Object.entries(HOOKS)) {
    text += `*${table}\n`;
    for (const hook of hooks) {
      text += `:${hook} ${policies.includes(`${table} ${hook}`) ? 'DROP' : 'ACCEPT'} [0:0]\n`;
    }
    for (const chain of USER_CHAINS) text += `:${chain} - [0:0]\n`;
    for (const rule of rules) {
      if (rule.startsWith(`${table} `)) text += `-A ${rule.slice(table.length + 1)}\n`;
    }
    text += 'COMMIT\n';
  }
  return text;
}

const NFT_BASES: readonly (readonly [string, string])[] = [
  ['pre_f', 'type filter hook prerouting priority -150;'],
  ['in_f', 'type filter hook input priority 0;'],
  ['fwd_f', 'type filter hook forward priority 0;'],
  ['out_r', 'type route hook output priority -150;'],
  ['out_f', 'type filter hook output priority 0;'],
  ['post_f', 'type filter hook postrouting priority -150;'],
  ['pre_n', 'type nat hook prerouting priority -100;'],
  ['out_n', 'type nat hook output priority -100;'],
  ['in_n', 'type nat hook input priority 100;'],
  ['post_n', 'type nat hook postrouting priority 100;'],
  ['pre_raw', 'type filter hook prerouting priority -300;'],
];

/** nft refuses a rule that asks for two protocols or families, and verdict maps that make a loop of chains. */
function nftMatches(random: Random, chain: string, count: number, action: string): string {
  const parts: string[] = [];
  let text = action;
  for (let at = 0; at < count; at++) {
    const part = nftMatch(random, chain);
    const all = `${text} ${part}`;
    const families = /\bip6 /.test(all) && /\bip |ipv4|icmp\b/.test(all);
    const protocols = ['tcp', 'udp', 'icmp'].filter((name) => new RegExp(`\\b${name}\\b`).test(all)).length > 1;
    if (families || protocols || (chain.startsWith('u') && part.includes('@services'))) continue;
    parts.push(part);
    text = all;
  }
  return parts.join(' ');
}

function nftMatch(random: Random, chain: string): string {
  const op = random.chance(0.25) ? '!= ' : '';
  const port = random.pick(PORTS);
  const outward = chain.startsWith('out') || chain.startsWith('post');
  const choices = [
    `ip saddr ${op}${address(random, 4)}`,
    `ip daddr ${op}${address(random, 4)}`,
    `ip daddr ${op}{ ${random.pick(ADDRESSES)}, 203.0.113.9, 8.8.4.4 }`,
    `ip6 daddr ${op}${address(random, 6)}`,
    `tcp dport ${op}${port}`,
    `udp dport ${op}${port}`,
    `tcp dport ${op}{ ${port}, 8000-9000 }`,
    `meta l4proto ${op}${random.pick(['tcp', 'udp', 'icmp'])}`,
    `meta mark ${random.chance(0.5) ? `& ${random.pick(MASKS)} ` : ''}${random.chance(0.5) ? '==' : '!='} ${random.pick(MARKS)}`,
    `ct mark ${op}${random.pick(MARKS)}`,
    `ct state ${random.pick(['new', 'established,related', 'invalid', 'untracked'])}`,
    `ct direction ${random.pick(['original', 'reply'])}`,
    `ct original ip daddr ${op}${random.pick(ADDRESSES)}`,
    `fib daddr type ${op}${random.pick(['local', 'unicast', 'broadcast'])}`,
    `fib saddr type ${op}local`,
    `iifname ${op}"${random.pick(['eth0', 'eth1', 'lo', 'eth*'])}"`,
    `ip daddr . meta l4proto . th dport vmap @services`,
    `ip daddr ${op}@hosts`,
    `tcp flags & (fin|syn|rst|ack) == syn`,
  ];
  if (outward) {
    choices.push(
      `oifname ${op}"${random.pick(['eth0', 'eth1', 'lo'])}"`,
      `meta skuid ${op}${random.pick(UIDS)}`,
      `meta skgid ${op}${random.pick(UIDS)}`,
    );
  }
  return random.pick(choices);
}

function nftAction(random: Random, chain: string): string {
  const user = chain.startsWith('u');
  if (!user && random.chance(0.2)) return `${random.pick(['jump', 'goto'])} ${random.pick(['u1', 'u2'])}`;
  if (chain.endsWith('_n')) {
    if (chain === 'post_n' && random.chance(0.4)) return 'masquerade';
    if (chain === 'post_n' || chain === 'in_n') return `meta nfproto ipv4 snat ip to ${random.pick(ADDRESSES)}`;
    const port = random.pick(PORTS);
    return random.pick([
      `meta l4proto tcp redirect to :${port}`,
      'redirect',
      `meta nfproto ipv4 dnat ip to ${random.pick(ADDRESSES)}`,
      `meta l4proto tcp meta nfproto ipv4 dnat ip to ${random.pick(ADDRESSES)}:${port}`,
    ]);
  }
  if (chain === 'pre_raw')
    return random.pick(['notrack', 'ct zone set 4', `meta mark set ${random.pick(MARKS)}`, 'accept']);
  if (chain === 'pre_f' && random.chance(0.2)) {
    return `meta l4proto tcp tproxy ip to :${random.pick([15001, 15006])} meta mark set 0x539 accept`;
  }
  const terminal = ['accept', 'return', 'drop', 'reject', 'counter'];
  const marks = [
    `meta mark set ${random.pick(MARKS)}`,
    `meta mark set meta mark | ${random.pick(MARKS)}`,
    `meta mark set meta mark & ${random.pick(MASKS)} ^ ${random.pick(MARKS)}`,
    'ct mark set meta mark',
    `ct mark set ct mark | ${random.pick(MARKS)}`,
    'meta mark set ct mark',
  ];
  const rejects = chain === 'in_f' || chain === 'fwd_f' || chain === 'out_f';
  const usable = terminal.filter((word) => word !== 'reject' || rejects);
  return random.chance(0.5) ? random.pick(marks) : random.pick(usable);
}

function nftText(chains: Pieces['nft']): string {
  if (chains.length === 0) return '';
  const body = chains.map(({ chain, head, rules }) => ` chain ${chain} { ${head}\n  ${rules.join('\n  ')}\n }`);
  return `table inet meshpath-random {
 set hosts { type ipv4_addr; flags interval; elements = { 10.1.0.0/24, 203.0.113.5, 10.96.0.10 } }
 map services { type ipv4_addr . inet_proto . inet_service : verdict; elements = { 10.96.0.10 . udp . 53 : goto u1, 10.96.0.10 . tcp . 80 : jump u2, 203.0.113.5 . tcp . 443 : drop } }
 chain u1 {
 }
 chain u2 {
 }
${body.join('\n')}
}
`;
}

function shellLines(random: Random): string[] {
  // routes first: a rule may hide the gateway that a route is checked against
  const rules: string[] = [];
  const lines: string[] = [];
  const count = random.pick([0, 0, 1, 2, 3]);
  for (let at = 0; at < count; at++) {
    const family = random.chance(0.8) ? '' : '-6 ';
    const table = random.pick([100, 101, 102]);
    const priority = 100 + random.int(30000);
    const prefixes = family === '' ? PREFIXES : PREFIXES6;
    const selector = random.pick([
      `fwmark ${marked(random)}`,
      `fwmark ${marked(random)}`,
      `from ${random.pick(prefixes)}`,
      `to ${random.pick(prefixes)}`,
      'iif lo',
      'iif eth1',
      `uidrange ${random.pick(['0-0', '1000-1337', '33-33'])}`,
      `ipproto ${random.pick(['tcp', 'udp'])} dport ${random.pick(PORTS)}`,
      `not fwmark ${random.pick(MARKS)}`,
    ]);
    const action = random.pick([
      `lookup ${table}`,
      `lookup ${table}`,
      `lookup ${table}`,
      'unreachable',
      'blackhole',
      'prohibit',
      'lookup main suppress_prefixlength 0',
      'goto 32766',
    ]);
    rules.push(`ip ${family}rule add pref ${priority} ${selector} ${action}`);
    const route = random.pick(
      family === ''
        ? [
            'local default dev lo',
            'default via 10.1.0.1 dev eth1',
            '10.96.0.0/12 via 172.18.0.9 dev eth1',
            'unreachable 203.0.113.0/24',
            'throw 8.8.8.0/24',
            'default via 10.244.1.9 dev eth0 src 10.244.1.5',
          ]
        : ['local default dev lo', 'default via fd00:1::1 dev eth1', 'unreachable 2001:db8::/32'],
    );
    lines.push(`ip ${family}route replace ${route} table ${table}`);
  }
  return [...lines, ...rules];
}

const SYSCTLS = ['rp_filter', 'route_localnet', 'accept_local', 'src_valid_mark'] as const;

function sysctlLines(random: Random): string[] {
  const lines = ['sysctl -q -w net.ipv4.conf.all.rp_filter=0'];
  for (const name of SYSCTLS) {
    for (const device of ['eth0', 'eth1']) {
      const on = random.chance(0.12);
      const value = on ? (name === 'rp_filter' ? random.pick([1, 2]) : 1) : 0;
      lines.push(`sysctl -q -w net.ipv4.conf.${device}.${name}=${value}`);
    }
  }
  return lines;
}

const IPSETS = `create ips4 hash:ip
add ips4 10.244.1.5
add ips4 203.0.113.5
add ips4 10.1.0.77
create nets4 hash:net
add nets4 10.244.0.0/16
add nets4 10.244.2.0/24 nomatch
add nets4 172.18.0.0/16
create ipport4 hash:ip,port
add ipport4 10.244.1.5,tcp:8080
add ipport4 10.96.0.10,udp:53
add ipport4 10.244.2.9,tcp:80
create ips6 hash:ip family inet6
add ips6 fd00:244:1::5
add ips6 fd00:1::77
create nets6 hash:net family inet6
add nets6 fd00:244::/32
create ipport6 hash:ip,port family inet6
add ipport6 fd00:244:1::5,tcp:80
`;

export function generate(random: Random, seed: number): Pieces {
  const style = random.next();
  const rules4: string[] = [];
  const rules6: string[] = [];
  if (style < 0.75) {
    for (let at = 0, count = 4 + random.int(30); at < count; at++) rules4.push(ipRule(random, 4));
    for (let at = 0, count = random.int(15); at < count; at++) rules6.push(ipRule(random, 6));
  }
  const policies = random.chance(0.2)
    ? [random.pick(['filter INPUT', 'filter FORWARD', 'filter OUTPUT', 'mangle INPUT'])]
    : [];
  const nft: { chain: string; head: string; rules: string[] }[] = [];
  if (style > 0.6) {
    for (const name of ['u1', 'u2']) {
      const rules = Array.from({ length: random.int(4) }, () => {
        const action = nftAction(random, name);
        return `${nftMatches(random, name, 1, action)} ${action}`;
      });
      nft.push({ chain: name, head: '', rules: rules.map(nftRule) });
    }
    for (const [chain, head] of NFT_BASES) {
      if (!random.chance(0.6)) continue;
      const rules = Array.from({ length: 1 + random.int(4) }, () => {
        const count = random.pick([0, 1, 1, 2]);
        const action = nftAction(random, chain);
        return nftRule(`${nftMatches(random, chain, count, action)} ${action}`);
      });
      const policy = random.chance(0.06) && chain.endsWith('_f') ? ' policy drop;' : ' policy accept;';
      nft.push({ chain, head: head + policy, rules });
    }
  }
  return { seed, rules4, rules6, policies, nft, shell: [...sysctlLines(random), ...shellLines(random)] };
}

/** A verdict map ends its rule: nothing may come after it. */
function nftRule(text: string): string {
  const at = text.indexOf('vmap @services');
  return (at < 0 ? text : text.slice(0, at + 'vmap @services'.length)).trim();
}

export function ruleSetOf(pieces: Pieces): RuleSet {
  return {
    ipset: IPSETS,
    iptables: restoreText(pieces.rules4, pieces.policies),
    ip6tables: restoreText(pieces.rules6, []),
    nft: nftText(pieces.nft),
    shell: pieces.shell.join('\n'),
  };
}

export interface Pools {
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
  readonly ports: readonly number[];
  readonly marks: readonly number[];
  readonly uids: readonly number[];
}

export const POOLS: Pools = {
  addresses4: ADDRESSES,
  addresses6: ADDRESSES6,
  ports: PORTS,
  marks: [0, 0, 0, ...MARKS.map(Number)],
  uids: UIDS,
};

export function packet(random: Random, number: number, pools: Pools): Flow {
  const six = random.chance(0.2);
  const own = six ? ['fd00:244:1::5', 'fd00:1::5'] : ['10.244.1.5', '10.1.0.5', '172.18.0.3'];
  const all = six ? pools.addresses6 : pools.addresses4;
  const local = six ? '::1' : '127.0.0.1';
  const out = random.chance(0.5);
  const protocol = random.pick(['tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp'] as const);
  const dst = random.pick(random.chance(0.4) ? own : all);
  const ports = { sport: 20000 + (number % 20000), dport: random.pick(pools.ports) };
  const who = { uid: random.pick(pools.uids), gid: random.pick(pools.uids) };
  if (out) {
    const src = dst.startsWith('127.') || dst === '::1' ? local : random.pick(own);
    const mark = random.pick(pools.marks);
    return { direction: 'out', iif: null, protocol, src, dst, ...ports, mark, ...who };
  }
  const iif = random.pick(['eth0', 'eth1']);
  // sources of this machine and of 127/8 are tried too: martians
  const src = random.pick(all);
  return { direction: 'in', iif, protocol, src, dst, ...ports, mark: 0, ...who };
}
