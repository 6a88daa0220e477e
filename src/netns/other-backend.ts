import type { Unknown } from '../formats/evidence.js';
import type { IpRule, IpRules } from '../formats/ip-rule.js';
import type { IptablesSave } from '../formats/iptables-save.js';
import type { NftRuleset } from '../formats/nft-ruleset.js';
import type { Fact } from './facts.js';

/**
 * The rules of the other back-end are in a file of their own only where there are some. Where other namespaces have it, its
 * absence still says nothing; but a policy rule that asks for a mark which no rule here sets was made together with one that
 * does: then that file is the one which is missing.
 */
export function missedRules(
  file: string,
  elsewhere: string,
  rules: Fact<IpRules>,
  shown: { readonly save: IptablesSave | null; readonly ruleset: NftRuleset | null },
): Unknown | null {
  if (rules.kind === 'unknown') return null;
  const text = JSON.stringify(shown.ruleset?.tables.map(({ chains }) => chains.map((chain) => chain.rules)) ?? []);
  const lines = [...(shown.save?.tables.values() ?? [])].flatMap(({ chains }) =>
    [...chains.values()].flatMap((chain) => chain.rules.map((rule) => rule.text)),
  );
  const asked = rules.value.rules.find((rule) => rule.fwmark !== null && !isSet(rule.fwmark, lines, text));
  if (asked === undefined) return null;
  const reason = `another namespace has it (${elsewhere}), and here no rule sets the mark ${markOf(asked)} that policy rule ${asked.priority} asks for`;
  return { fact: `rules: ${file}`, reason };
}

/** Whether the mark is named anywhere among the rules: iptables-save prints it in hexadecimal, nft as a number. */
function isSet({ value }: NonNullable<IpRule['fwmark']>, lines: readonly string[], nft: string): boolean {
  const written = new RegExp(`\\b0x0*${value.toString(16)}\\b`, 'i');
  return value === 0 || lines.some((line) => written.test(line)) || new RegExp(`\\b${value}\\b`).test(nft);
}

function markOf({ fwmark }: IpRule): string {
  return `0x${(fwmark?.value ?? 0).toString(16)}`;
}
