import type { Random } from '../random.js';
import { action } from './nft-actions.js';
import { matches } from './nft-matches.js';

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
