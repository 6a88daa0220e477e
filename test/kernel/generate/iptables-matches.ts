import { address, marked, negate, PORTS } from '../pools.js';
import type { Random } from '../random.js';
import { ANY, INWARD, OUTWARD, type Place } from './iptables-place.js';

const DEVICES = ['eth0', 'eth1', 'lo', 'eth+', 'e+', '+'];

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
  let limit = '';
  if (hook !== ANY && random.chance(0.25)) {
    if (INWARD.includes(hook)) limit = ' --limit-iface-in';
    else if (OUTWARD.includes(hook)) limit = ' --limit-iface-out';
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

/** What a rule asks for, and the transport protocol that it then may name ports of. */
export function matches(random: Random, place: Place): { text: string; protocol: string | null } {
  const parts: string[] = [];
  let protocol: string | null = null;
  const { family, hook } = place;
  if (random.chance(0.35)) parts.push(`${negate(random)}-s ${ownAddress(random, family)}`);
  if (random.chance(0.35)) parts.push(`${negate(random)}-d ${ownAddress(random, family)}`);
  if ((INWARD.includes(hook) || hook === ANY) && random.chance(0.25))
    parts.push(`${negate(random)}-i ${random.pick(DEVICES)}`);
  if ((OUTWARD.includes(hook) || hook === ANY) && random.chance(0.25))
    parts.push(`${negate(random)}-o ${random.pick(DEVICES)}`);
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
