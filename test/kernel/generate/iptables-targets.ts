import { ADDRESSES, ADDRESSES6, marked, MARKS, MASKS, PORTS } from '../pools.js';
import type { Random } from '../random.js';
import { ANY, OUTWARD, USER_CHAINS, type Place } from './iptables-place.js';

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
    if (OUTWARD.includes(hook)) list.push('-j CLASSIFY --set-class 1:2');
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

/** `protocol`: the one that the rule asks for, of which ports may be named. */
export function target(random: Random, place: Place, protocol: string | null): string {
  const { table, hook, family } = place;
  const roll = random.next();
  if (hook !== ANY && roll < 0.25) return `-${random.pick(['j', 'j', 'g'])} ${random.pick(USER_CHAINS)}`;
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
