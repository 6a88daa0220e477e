import { ADDRESSES, PORTS, PREFIXES } from '../pools.js';
import type { Random } from '../random.js';
import { matches } from './iptables-matches.js';
import { ANY, HOOKS, USER_CHAINS, type Place } from './iptables-place.js';
import { target } from './iptables-targets.js';

/**
 * A random rule for iptables-restore or ip6tables-restore, "table CHAIN matches target", within what iptables allows in the
 * table and hook.
 */
export function ipRule(random: Random, family: 4 | 6): string {
  const tables = ['raw', 'mangle', 'mangle', 'nat', 'nat', 'filter', 'filter', 'security'];
  const table = random.pick(tables);
  const inUser = random.chance(0.3);
  const hook = inUser ? ANY : random.pick(HOOKS[table] ?? ['PREROUTING']);
  const place: Place = { family, table, hook };
  const { text, protocol } = matches(random, place);
  const chain = inUser ? random.pick(USER_CHAINS) : hook;
  return `${table} ${chain} ${text} ${target(random, place, protocol)}`.replace(/ +/g, ' ');
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
