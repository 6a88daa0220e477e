import { isObject } from '../../formats/netns-json.js';
import type { NftChain, NftRuleset, NftTable } from '../../formats/nft-ruleset.js';
import type { Flowtable, LinkChain } from '../facts.js';
import { targetChain } from './verdict.js';

/** Where the hooks of the bridge and arp families stand on the way of a packet that this machine receives or sends. */
const DIRECTIONS: Readonly<Record<string, 'ingress' | 'egress' | undefined>> = {
  prerouting: 'ingress',
  input: 'ingress',
  output: 'egress',
  postrouting: 'egress',
};

/**
 * Base chains that see frames before IP does, or after it, and hold anything that could stop or change one: of the families
 * netdev, bridge (ebtables-nft too) and arp, and of the ingress hook of inet. `forward` of a bridge sees only frames that
 * never come to IP.
 */
export function linkChains(ruleset: NftRuleset): readonly LinkChain[] {
  return ruleset.tables.flatMap((table) =>
    table.dormant === true ? [] : table.chains.flatMap((chain) => linksOf(table, chain)),
  );
}

function linksOf(table: NftTable, chain: NftChain): readonly LinkChain[] {
  const { base, evidence } = chain;
  if (base === null) return [];
  const { hook } = base;
  const kind = table.family === 'bridge' || table.family === 'arp' ? table.family : 'netdev';
  const direction = hook === 'ingress' || hook === 'egress' ? hook : kind === 'netdev' ? undefined : DIRECTIONS[hook];
  if (direction === undefined) return [];
  const chains = new Map(table.chains.map((one) => [one.name, one]));
  if (base.policy === 'accept' && !alters(chain, chains, new Set())) return [];
  if (kind !== 'netdev') return [{ kind, device: null, direction, evidence }];
  return base.devices.map((device) => ({ kind, device, direction, evidence }));
}

/** Statements that let a frame pass as it is. */
const HARMLESS: ReadonlySet<string> = new Set([
  'match',
  'counter',
  'log',
  'comment',
  'limit',
  'quota',
  'last',
  'meter',
  'set',
  'accept',
  'return',
  'continue',
]);

function alters(chain: NftChain, chains: ReadonlyMap<string, NftChain>, seen: Set<string>): boolean {
  if (seen.has(chain.name)) return false;
  seen.add(chain.name);
  return chain.rules.some(({ expr }) =>
    expr.some((statement) => {
      const key = isObject(statement) ? (Object.keys(statement)[0] ?? '') : String(statement);
      if (HARMLESS.has(key)) return false;
      // none: neither a jump nor harmless
      const target = chains.get(targetChain(statement) ?? '');
      return target === undefined || alters(target, chains, seen);
    }),
  );
}

/** Flowtables of tables in which a rule adds connections to one. */
export function usedFlowtables(ruleset: NftRuleset): readonly Flowtable[] {
  return ruleset.tables.flatMap((table) => {
    const used = table.chains.some(({ rules }) =>
      rules.some(({ expr }) => expr.some((statement) => isObject(statement) && 'flow' in statement)),
    );
    return table.dormant === true || !used ? [] : table.flowtables;
  });
}
