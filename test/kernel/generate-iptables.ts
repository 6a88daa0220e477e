import { address, ADDRESSES, ADDRESSES6, marked, MARKS, MASKS, negate, PORTS, PREFIXES } from './pools.js';
import type { Random } from './random.js';

/** Random rules for iptables-restore and ip6tables-restore, within what iptables allows in each table and hook. */
const DEVICES = ['eth0', 'eth1', 'lo', 'eth+', 'e+', '+'];

export const HOOKS: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export const USER_CHAINS = ['ISTIO_A', 'ISTIO_B', 'KUBE_C'];

/** Hooks from which a user chain may be reached: only what all of them allow is written into it. */
const ANY = 'any';

interface Place {
  readonly family: 4 | 6;
  readonly table: string;
  readonly hook: string;
}

function protocolMatch(random: Random): { text: string; protocol: 'tcp' | 'udp' } {
  const protocol = random.pick(['tcp', 'tcp', 'udp'] as const);
  const side = random.pick(['--dport', '--dport', '--sport']);
  const from = random.pick(PORTS);
  const port = random.chance(0.25)
    ? random.pick([`${Math.min(from, 15000)}:${Math.max(from, 16000)}`, `:${from}`, `${from}:`])
    : String(from);
  const roll = random.next();
  if (roll < 0.2) {
    const ports = `${random.pick(PORTS)},${random.pick(PORTS)},8000:9000`;
    const name = random.pick(['dports', 'dports', 'dports', 'sports', 'ports']);
    return { text: `-p ${protocol} -m multiport ${negate(random)}--${name} ${ports}`, protocol };
  }
  if (roll < 0.28 && protocol === 'tcp') {
    const flags = random.pick(['--syn', '--tcp-flags SYN,ACK SYN', '--tcp-flags ALL SYN', '--tcp-flags ALL NONE']);
    return { text: `-p tcp -m tcp ${negate(random)}${flags}`, protocol };
  }
  if (roll < 0.36) {
    const name = random.pick([protocol, protocol === 'tcp' ? '6' : '17']);
    return { text: `-p ${name} -m ${protocol} --sport 20000: ${negate(random)}--dport ${port}`, protocol };
  }
  return { text: `-p ${protocol} -m ${protocol} ${negate(random)}${side} ${port}`, protocol };
}

/** Set names by family, with the directions that fit their dimensions. */
function setMatch(random: Random, family: 4 | 6): string {
  const one = ['src', 'dst'];
  const two = ['src,dst', 'dst,dst', 'dst,src', 'src,src'];
  const [name, dims] = random.pick<readonly [string, readonly string[]]>([
    [`ips${family}`, one],
    [`nets${family}`, one],
    [`ipport${family}`, two],
    [`netport${family}`, two],
    [`triple${family}`, ['src,dst,dst', 'dst,dst,src', 'dst,dst,dst']],
    [`list${family}`, one],
    ['ports', one],
    ...(family === 4
      ? ([
          ['timed4', one],
          ['masked4', one],
          ['range4', one],
          ['netiface4', ['src,src', 'dst,src', 'src,dst']],
          ['ipportnet4', ['src,dst,dst', 'dst,dst,src']],
        ] as const)
      : []),
  ]);
  return `-m set ${negate(random)}--match-set ${name} ${random.pick(dims)}`;
}

function conntrackMatch(random: Random, family: 4 | 6): string {
  const states = ['NEW', 'ESTABLISHED', 'NEW,RELATED', 'INVALID', 'UNTRACKED', 'DNAT', 'SNAT', 'NEW,DNAT', 'SNAT,DNAT'];
  const test = random.pick([
    `${negate(random)}--ctstate ${random.pick(states)}`,
    `${negate(random)}--ctstate ${random.pick(states)}`,
    `--ctdir ${random.pick(['ORIGINAL', 'REPLY'])}`,
    `${negate(random)}--ctproto ${random.pick(['tcp', 'udp', '17'])}`,
    `${negate(random)}--ct${random.pick(['origsrc', 'origdst', 'replsrc', 'repldst'])} ${address(random, family)}`,
    `${negate(random)}--ct${random.pick(['origsrcport', 'origdstport', 'replsrcport', 'repldstport'])} ${random.pick(['80', '1:9000', '15006', '20000:'])}`,
    `${negate(random)}--ctstatus ${random.pick(['NONE', 'EXPECTED', 'SEEN_REPLY', 'SEEN_REPLY,ASSURED', 'CONFIRMED'])}`,
    `--ctstate NEW ${negate(random)}--ctorigdst ${address(random, family)} --ctdir ORIGINAL`,
  ]);
  return random.chance(0.1)
    ? `-m state ${negate(random)}--state ${random.pick(['NEW', 'ESTABLISHED,RELATED', 'UNTRACKED', 'INVALID'])}`
    : `-m conntrack ${test}`;
}

function addrtypeMatch(random: Random, { family, hook }: Place): string {
  const types = ['LOCAL', 'LOCAL', 'UNICAST', 'LOCAL,UNICAST', 'MULTICAST', 'UNREACHABLE', 'ANYCAST', 'UNSPEC'];
  const type = random.pick(family === 4 ? [...types, 'BROADCAST', 'BLACKHOLE', 'PROHIBIT,LOCAL'] : types);
  const inward = hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
  const outward = hook === 'POSTROUTING' || hook === 'OUTPUT' || hook === 'FORWARD';
  let limit = '';
  if (hook !== ANY && random.chance(0.25)) {
    if (inward) limit = ' --limit-iface-in';
    else if (outward) limit = ' --limit-iface-out';
  }
  const both = random.chance(0.1) ? ` --src-type UNICAST` : '';
  return `-m addrtype ${negate(random)}--${both === '' ? random.pick(['src', 'dst']) : 'dst'}-type ${type}${both}${limit}`;
}

function range(random: Random, family: 4 | 6): string {
  const four = ['10.1.0.1-10.244.1.9', '10.244.1.5-10.244.1.5', '8.8.8.8-203.0.113.5', '172.18.0.0-172.18.255.255'];
  const six = ['fd00::-fd00:244:1::9', 'fd00:1::5-fd00:1::77', '::1-2001:db8::1'];
  return random.pick(family === 4 ? four : six);
}

/** Nobody can tell from the packet: the engine must hold both ways. Rare, for each doubles the ways. */
function undecidable(random: Random): string {
  return random.pick([
    '-m limit --limit 1/min --limit-burst 1',
    '-m recent --rcheck --name seen --rsource',
    '-m recent --set --name seen --rsource',
    '-m length --length 0:90',
    '-m statistic --mode random --probability 0.5',
    '-m statistic --mode nth --every 2 --packet 0',
    '-m string --string mesh --algo bm',
    '-m hashlimit --hashlimit-upto 1/min --hashlimit-burst 1 --hashlimit-name x',
    '-m dscp --dscp 0x00',
    '-m u32 --u32 "0>>28=4"',
    '-m time --timestart 00:00:00 --timestop 23:59:59',
  ]);
}

function stateMatch(random: Random, place: Place): string {
  const { family, table, hook } = place;
  const ids = ['0', '33', '1000', '1337', '0-100', '1000-1337', '1338-4294967294'];
  const owner = (): string => {
    const uid = `${negate(random)}--uid-owner ${random.pick(ids)}`;
    const gid = `${negate(random)}--gid-owner ${random.pick(ids)}`;
    return `-m owner ${random.pick([uid, uid, gid, gid, `${uid} ${gid}`, `--socket-exists ${uid}`])}`;
  };
  const choices = [
    (): string => `-m mark ${negate(random)}--mark ${marked(random)}`,
    (): string => `-m connmark ${negate(random)}--mark ${marked(random)}`,
    (): string => conntrackMatch(random, family),
    (): string => conntrackMatch(random, family),
    (): string => addrtypeMatch(random, place),
    (): string => setMatch(random, family),
    (): string => setMatch(random, family),
    (): string => `-m iprange ${negate(random)}--dst-range ${range(random, family)}`,
    (): string =>
      `-m iprange --src-range ${range(random, family)} ${negate(random)}--dst-range ${range(random, family)}`,
    (): string => `-m pkttype ${negate(random)}--pkt-type ${random.pick(['unicast', 'broadcast', 'multicast'])}`,
    (): string => '-m comment --comment "a \\"quoted\\" comment -j DROP"',
    (): string => (random.chance(0.3) ? undecidable(random) : '-m statistic --mode random --probability 1'),
  ];
  if (hook === 'PREROUTING' && (table === 'raw' || table === 'mangle')) {
    const words = ['', ' --loose', ' --validmark', ' --accept-local', ' --loose --accept-local'];
    choices.push(
      () => `-m rpfilter${random.pick(words)}${random.chance(0.4) ? ' --invert' : ''}`,
      () => `-m socket${random.pick([' --nowildcard', '', ' --nowildcard --restore-skmark'])}`,
    );
  }
  if (hook === 'OUTPUT' || hook === 'POSTROUTING') {
    choices.push(owner, owner, () => `-m owner ${negate(random)}--socket-exists`);
  }
  return random.pick(choices)();
}

const HOLES = ['10.0.0.5/255.0.0.255', '10.0.1.0/255.0.255.0', '0.0.0.5/0.0.0.255'];

function ownAddress(random: Random, family: 4 | 6): string {
  if (family === 4 && random.chance(0.06)) return random.pick(HOLES);
  return random.chance(0.05) ? (family === 4 ? '0.0.0.0/0' : '::/0') : address(random, family);
}

function matches(random: Random, place: Place): { text: string; protocol: string | null } {
  const parts: string[] = [];
  let protocol: string | null = null;
  const { family, hook } = place;
  if (random.chance(0.35)) parts.push(`${negate(random)}-s ${ownAddress(random, family)}`);
  if (random.chance(0.35)) parts.push(`${negate(random)}-d ${ownAddress(random, family)}`);
  const inward = hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
  const outward = hook === 'FORWARD' || hook === 'OUTPUT' || hook === 'POSTROUTING';
  if ((inward || hook === ANY) && random.chance(0.25)) parts.push(`${negate(random)}-i ${random.pick(DEVICES)}`);
  if ((outward || hook === ANY) && random.chance(0.25)) parts.push(`${negate(random)}-o ${random.pick(DEVICES)}`);
  const text = parts.join(' ').replace('! -i +', '-i +').replace('! -o +', '-o +');
  const rest: string[] = [text.replace('! -s 0.0.0.0/0', '').replace('! -d 0.0.0.0/0', '')];
  if (random.chance(0.55)) {
    const found = protocolMatch(random);
    rest.push(found.text);
    protocol = found.protocol;
  } else if (random.chance(0.25)) rest.push(icmpMatch(random, family));
  const count = random.pick([0, 0, 1, 1, 2]);
  for (let at = 0; at < count; at++) {
    const more = stateMatch(random, place);
    // one set of options for each extension: a second -m conntrack is fine, its words are not merged
    rest.push(more);
  }
  return { text: rest.join(' ').replace(/! -([sd]) ::\/0/g, ''), protocol };
}

function icmpMatch(random: Random, family: 4 | 6): string {
  const roll = random.next();
  if (roll < 0.3) return `! -p ${random.pick(['tcp', 'udp'])}`;
  const name = family === 4 ? 'icmp' : 'ipv6-icmp';
  if (roll < 0.5) return `-p ${name}`;
  const types = family === 4 ? ['8', '8/0', '0', 'echo-reply', '255'] : ['128', '128/0', '129', 'echo-request'];
  const option = family === 4 ? '-m icmp' : '-m icmp6';
  return `-p ${name} ${option} ${negate(random)}--icmp${family === 4 ? '' : 'v6'}-type ${random.pick(types)}`;
}

function natTarget(random: Random, { family, hook }: Place, protocol: string | null): string {
  const addr = random.pick(family === 4 ? ADDRESSES : ADDRESSES6);
  const port = random.pick(PORTS);
  const at = (to: string, ports: string): string => (family === 4 ? `${to}:${ports}` : `[${to}]:${ports}`);
  const inRange = family === 4 ? '10.244.2.9-10.244.2.11' : 'fd00:244:1::70-fd00:244:1::72';
  const ways = [addr, addr, addr];
  if (protocol !== null) ways.push(at(addr, String(port)), at(addr, String(port)));
  if (random.chance(0.04)) ways.push(inRange);
  if (random.chance(0.08)) {
    return `-j NETMAP --to ${family === 4 ? random.pick(['10.244.2.0/24', '10.1.0.0/16']) : 'fd00:96::/64'}`;
  }
  const extra = random.chance(0.06) ? ' --persistent' : '';
  if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    if (protocol !== null && random.chance(0.5)) {
      const ports = random.chance(0.06) ? `${port}-${port + 3}` : String(port);
      return `-j REDIRECT --to-ports ${ports}${random.chance(0.05) ? ' --random' : ''}`;
    }
    if (protocol !== null && random.chance(0.06)) ways.push(at(addr, '8080-8083'), at(addr, '7070-7080/80'));
    if (protocol !== null && family === 4 && random.chance(0.2)) ways.push(`:${port}`);
    return random.chance(0.2) ? '-j REDIRECT' : `-j DNAT --to-destination ${random.pick(ways)}${extra}`;
  }
  const fully = random.chance(0.08) ? ' --random-fully' : '';
  if (hook === 'POSTROUTING' && random.chance(0.4)) {
    if (protocol === null) return `-j MASQUERADE${fully}`;
    return `-j MASQUERADE${random.pick(['', '', ' --to-ports 4000', ' --to-ports 19000-45000'])}${fully}`;
  }
  if (protocol !== null && random.chance(0.15)) ways.push(at(addr, '19000-45000'), at(addr, '4000'));
  return `-j SNAT --to-source ${random.pick(ways)}${extra}${fully}`;
}

function markTarget(random: Random): string {
  return random.pick([
    `-j MARK --set-xmark ${marked(random)}`,
    `-j MARK --set-mark ${marked(random)}`,
    `-j MARK --or-mark ${random.pick(MARKS)}`,
    `-j MARK --and-mark ${random.pick(MASKS)}`,
    `-j MARK --xor-mark ${random.pick(MARKS)}`,
    `-j CONNMARK --set-xmark ${marked(random)}`,
    `-j CONNMARK --set-mark ${marked(random)}`,
    `-j CONNMARK --and-mark ${random.pick(MASKS)}`,
    `-j CONNMARK --or-mark ${random.pick(MARKS)}`,
    `-j CONNMARK --xor-mark ${random.pick(MARKS)}`,
    '-j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff',
    '-j CONNMARK --restore-mark --nfmask 0xfff --ctmask 0xfff',
    `-j CONNMARK --save-mark --nfmask ${random.pick(MASKS)} --ctmask ${random.pick(MASKS)}`,
    `-j CONNMARK --restore-mark --nfmask ${random.pick(MASKS)} --ctmask ${random.pick(MASKS)}`,
    '-j CONNMARK --save-mark --mask 0xff00',
  ]);
}

/** Targets that change nothing on the way of the packet. */
function silent(random: Random, { family, table, hook }: Place, protocol: string | null): string {
  const list = ['-j LOG --log-prefix "x"', '-j NFLOG --nflog-group 9', '-j SET --add-set spare src'];
  if (table === 'raw') list.push('-j TRACE');
  if (table === 'mangle' && hook !== ANY) {
    list.push('-j DSCP --set-dscp 0x0a', '-j TOS --set-tos 0x10/0x3f');
    if (hook === 'POSTROUTING' || hook === 'OUTPUT' || hook === 'FORWARD') list.push('-j CLASSIFY --set-class 1:2');
    if (family === 4) list.push('-j TTL --ttl-set 63');
    if (protocol === 'tcp' && (hook === 'FORWARD' || hook === 'POSTROUTING')) {
      list.push('-p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1300');
    }
  }
  const one = random.pick(family === 6 ? list.filter((text) => !text.includes('spare')) : list);
  return one.replace('-p tcp -m tcp --tcp-flags', '-m tcp --tcp-flags');
}

function rejectTarget(random: Random, family: 4 | 6, protocol: string | null): string {
  const kinds = family === 4 ? ['icmp-port-unreachable', 'icmp-admin-prohibited'] : ['icmp6-adm-prohibited'];
  if (protocol === 'tcp') kinds.push('tcp-reset', 'tcp-reset');
  return random.chance(0.5) ? '-j REJECT' : `-j REJECT --reject-with ${random.pick(kinds)}`;
}

function target(random: Random, place: Place, protocol: string | null, depth: number): string {
  const { table, hook, family } = place;
  const roll = random.next();
  if (depth === 0 && roll < 0.25) return `-${random.pick(['j', 'j', 'g'])} ${random.pick(USER_CHAINS)}`;
  if (roll < 0.35) return random.pick(['-j RETURN', '-j ACCEPT', '-j RETURN']);
  if (table === 'nat' && hook !== ANY) return natTarget(random, place, protocol);
  if (roll < 0.4 && table !== 'nat') return silent(random, place, protocol);
  if ((table === 'filter' || table === 'security') && hook !== ANY) {
    if (random.chance(0.4)) return '-j DROP';
    if (table === 'filter' && random.chance(0.4)) return rejectTarget(random, family, protocol);
    return random.chance(0.5) ? '-j ACCEPT' : '-j LOG --log-prefix "x"';
  }
  if (table === 'raw' && hook !== ANY) {
    if (random.chance(0.2)) return '-j CT --notrack';
    if (random.chance(0.2)) return `-j CT ${random.pick(['--zone 3', '--zone 3', '--zone-orig 5', '--zone-reply 6'])}`;
    return random.chance(0.15) ? '-j DROP' : `-j MARK --set-xmark ${marked(random)}`;
  }
  if (table === 'mangle' && hook === 'PREROUTING' && protocol !== null && random.chance(0.25)) {
    const ip = family === 4 ? random.pick(['0.0.0.0', '127.0.0.1', '10.244.1.5']) : '::';
    const mark = random.pick(['--tproxy-mark 0x539/0xfff', '--tproxy-mark 0x1/0x1', '--tproxy-mark 0x8000', '']);
    const port = random.pick([15001, 15006, 9090, 0]);
    return `-j TPROXY --on-port ${port} --on-ip ${ip} ${mark}`;
  }
  if (table === 'mangle') return random.chance(0.06) ? '-j DROP' : markTarget(random);
  return random.pick(['-j MARK --set-xmark 0x2/0x2', '-j RETURN', '-j ACCEPT']);
}

/** "table CHAIN matches target". */
export function ipRule(random: Random, family: 4 | 6): string {
  const tables = ['raw', 'mangle', 'mangle', 'nat', 'nat', 'filter', 'filter', 'security'];
  const table = random.pick(tables);
  const inUser = random.chance(0.3);
  const hook = inUser ? ANY : random.pick(HOOKS[table] ?? ['PREROUTING']);
  const place: Place = { family, table, hook };
  const { text, protocol } = matches(random, place);
  const chain = inUser ? random.pick(USER_CHAINS) : hook;
  return `${table} ${chain} ${text} ${target(random, place, protocol, inUser ? 1 : 0)}`.replace(/ +/g, ' ');
}

/** A chain as kube-proxy writes it: one rule for each of many addresses, some that catch more in between. */
export function serviceRules(random: Random): readonly string[] {
  const rules: string[] = [];
  for (let at = 0, count = 20 + random.int(30); at < count; at++) {
    const to = random.chance(0.6) ? random.pick(ADDRESSES) : `10.96.1.${random.int(250)}`;
    const what = random.chance(0.1)
      ? `-d ${random.pick(PREFIXES)}`
      : random.chance(0.1)
        ? `! -d ${to}/32`
        : `-d ${to}/32`;
    const then = random.pick([
      `-j MARK --set-xmark 0x${(1 << random.int(16)).toString(16)}/0x${(1 << random.int(16)).toString(16)}`,
      '-j RETURN',
    ]);
    const port = random.chance(0.6) ? `-p tcp -m tcp --dport ${random.pick(PORTS)}` : '';
    rules.push(`mangle KUBE_C ${what} ${port} ${random.chance(0.15) ? '-j RETURN' : then}`.replace(/ +/g, ' '));
  }
  return [...rules, 'mangle PREROUTING -j KUBE_C', 'mangle OUTPUT -j KUBE_C'];
}

/** Text for iptables-restore. */
export function restoreText(rules: readonly string[], policies: readonly string[]): string {
  let text = '';
  for (const [table, hooks] of Object.entries(HOOKS)) {
    const own = rules.filter((rule) => rule.startsWith(`${table} `));
    if (table === 'security' && own.length === 0) continue;
    text += `*${table}\n`;
    for (const hook of hooks) {
      text += `:${hook} ${policies.includes(`${table} ${hook}`) ? 'DROP' : 'ACCEPT'} [0:0]\n`;
    }
    for (const chain of USER_CHAINS) text += `:${chain} - [0:0]\n`;
    for (const rule of own) text += `-A ${rule.slice(table.length + 1)}\n`;
    text += 'COMMIT\n';
  }
  return text;
}
