import type { Unknown } from '../formats/evidence.js';
import { parseIptablesSave, type IptablesSave } from '../formats/iptables-save.js';
import { isObject } from '../formats/netns-json.js';
import { parseNftRuleset, type NftRuleset } from '../formats/nft-ruleset.js';
import type { Family } from './address.js';
import type { Flowtable, LinkChain } from './facts.js';
import { linkChains, usedFlowtables } from './nft/link.js';
import type { HookName } from './flow.js';
import type { BaseChain } from './hook-plan.js';
import { Hook, HOOKS, type HookTable } from './hooks.js';
import { CompiledTable } from './iptables/tables.js';
import { missedRules } from './other-backend.js';
import { CompiledNftTable } from './nft/tables.js';
import { parseFile, type ReadFile } from './files.js';
import type { Runtime } from './runtime.js';
import { virtualServers } from './virtual-servers.js';

/** The rules of one family, from whichever files hold them. */
interface LoadedHooks {
  readonly table: HookTable;
  readonly problems: readonly Unknown[];
}

type Backend = NonNullable<IptablesSave['backend']>;

const TABLE_PRIORITY: ReadonlyMap<string, number> = new Map([
  ['raw', -300],
  ['mangle', -150],
  ['filter', 0],
]);

/**
 * Legacy's security table stands before nat INPUT (NF_IP_PRI_SECURITY in linux include/uapi/linux/netfilter_ipv4.h, v6.12),
 * that of iptables-nft after it (xtables_ipv4 in iptables iptables/nft.c, v1.8.9).
 */
const SECURITY_PRIORITY: Readonly<Record<Backend, number>> = { legacy: 50, nft: 150 };

/** What the built-in chains of a table hook into; nat's priority differs by hook. */
function priorityOf(table: string, hook: HookName, backend: Backend): number | null {
  if (table === 'nat') return hook === 'PREROUTING' || hook === 'OUTPUT' ? -100 : 100;
  if (table === 'security') return SECURITY_PRIORITY[backend];
  return TABLE_PRIORITY.get(table) ?? null;
}

export function loadHooks(
  family: Family,
  path: (name: string) => string,
  read: ReadFile,
  runtime: Runtime,
  nft: () => ReadNft,
): () => LoadedHooks {
  let loaded: LoadedHooks | null = null;
  return () => {
    loaded ??= load(family, path, read, runtime, nft());
    return loaded;
  };
}

function load(
  family: Family,
  path: (name: string) => string,
  read: ReadFile,
  runtime: Runtime,
  nft: ReadNft,
): LoadedHooks {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  const chains: BaseChain[] = [];
  const main = readSave(path(`${tool}-save.txt`), read);
  const legacy = readSave(path(`${tool}-legacy-save.txt`), read);
  const problems = [main, legacy, nft].flatMap((one) => (one.kind === 'none' && one.damaged ? [one.unknown] : []));
  // Absence: iptables-save is what a capture always has; nft's list alone shows the same rules where they are those of the
  // nft back-end. The other back-end's file is there only where both hold rules, and nft's list only where nft is installed.
  let unknown: Unknown | null = problems[0] ?? null;
  if (main.kind === 'none' && !main.damaged && !(nft.kind === 'nft' && holdsIptables(nft.ruleset))) {
    problems.push(main.unknown);
    unknown ??= main.unknown;
  }
  if (main.kind === 'save' && main.save.incompatible.length > 0 && nft.kind === 'none' && !nft.damaged) {
    const reason = `${nft.unknown.reason}; ${main.save.file} says that only nft can print ${main.save.incompatible.join(', ')}`;
    problems.push({ ...nft.unknown, reason });
    unknown ??= { ...nft.unknown, reason };
  }
  const ruleset = nft.kind === 'nft' ? nft.ruleset : null;
  if (legacy.kind === 'none' && legacy.elsewhere !== null) {
    const shown = { save: main.kind === 'save' ? main.save : null, ruleset };
    const missed = missedRules(path(`${tool}-legacy-save.txt`), legacy.elsewhere, runtime.facts.rules(family), shown);
    if (missed !== null) problems.push(missed);
    unknown ??= missed;
  }
  if (main.kind === 'save')
    addTables(chains, main.save, family, runtime, backendOf(main.save, family, ruleset), ruleset);
  if (legacy.kind === 'save') addTables(chains, legacy.save, family, runtime, 'legacy', null);
  if (ruleset !== null) addNft(chains, ruleset, family, runtime, main.kind === 'save' ? main.save : null);
  chains.push(...virtualServers(runtime));
  const nats = chains.filter(({ type }) => type === 'nat');
  const firstNat = nats.length === 0 ? null : Math.min(...nats.map(({ order }) => order ?? Infinity));
  const hookOf = (name: HookName): Hook => {
    const here = chains.filter(({ hook }) => hook === name);
    const isNat = ({ type }: BaseChain): boolean => type === 'nat';
    return new Hook(
      name,
      here.filter((chain) => !isNat(chain)),
      here.filter(isNat),
      firstNat,
    );
  };
  const hooks: Readonly<Record<HookName, Hook>> = {
    PREROUTING: hookOf('PREROUTING'),
    INPUT: hookOf('INPUT'),
    FORWARD: hookOf('FORWARD'),
    OUTPUT: hookOf('OUTPUT'),
    POSTROUTING: hookOf('POSTROUTING'),
  };
  return { table: { hooks, unknown }, problems };
}

export type ReadNft = { readonly links: readonly LinkChain[]; readonly flowtables: readonly Flowtable[] } & (
  | { readonly kind: 'nft'; readonly ruleset: NftRuleset }
  | { readonly kind: 'none'; readonly unknown: Unknown; readonly damaged: boolean }
);

/** Whether iptables works through nft here: its tables with the chains that it hooks, or its extensions, are in nft's list. */
function holdsIptables({ tables }: NftRuleset): boolean {
  return tables.some(({ family, name, chains }) => {
    if (family !== 'ip' && family !== 'ip6') return false;
    const own = name === 'nat' || TABLE_PRIORITY.has(name);
    return chains.some(
      (chain) =>
        (own && chain.base !== null && HOOKS.some((hook) => hook === chain.name)) ||
        chain.rules.some(({ expr }) => expr.some((statement) => isObject(statement) && 'xt' in statement)),
    );
  });
}

/** A list without its first line does not say: what iptables-nft makes stands in nft's list too. */
function backendOf(save: IptablesSave, family: Family, ruleset: NftRuleset | null): Backend {
  if (save.backend !== null) return save.backend;
  const own = family === 4 ? 'ip' : 'ip6';
  const listed = ruleset?.tables.some((table) => table.family === own && save.tables.has(table.name)) ?? true;
  return listed ? 'nft' : 'legacy';
}

/** nft's list, parsed once for both families. */
export function readNft(file: string, read: ReadFile): ReadNft {
  const parsed = parseFile(read, file, parseNftRuleset);
  if (parsed.kind === 'known') {
    const ruleset = parsed.value;
    return { kind: 'nft', ruleset, links: linkChains(ruleset), flowtables: usedFlowtables(ruleset) };
  }
  const unknown = { fact: `rules: ${file}`, reason: parsed.reason };
  return { kind: 'none', links: [], flowtables: [], unknown, damaged: !parsed.absent };
}

/** Tables that iptables-nft made are printed by iptables-save with their meaning: nft's view of them is not used twice. */
function addNft(
  chains: BaseChain[],
  ruleset: NftRuleset,
  family: Family,
  runtime: Runtime,
  save: IptablesSave | null,
): void {
  const own = family === 4 ? 'ip' : 'ip6';
  for (const table of ruleset.tables) {
    if (table.family !== own && table.family !== 'inet') continue;
    const managed = table.family === own && save !== null && save.backend !== 'legacy' && save.tables.has(table.name);
    if (managed) continue;
    chains.push(...new CompiledNftTable(table, family, runtime).baseChains());
  }
}

type ReadSave =
  | { readonly kind: 'save'; readonly save: IptablesSave }
  | {
      readonly kind: 'none';
      readonly unknown: Unknown;
      readonly damaged: boolean;
      readonly elsewhere: string | null;
    };

function readSave(file: string, read: ReadFile): ReadSave {
  const parsed = parseFile(read, file, parseIptablesSave);
  if (parsed.kind === 'known') return { kind: 'save', save: parsed.value };
  const { reason, absent, elsewhere } = parsed;
  return { kind: 'none', unknown: { fact: `rules: ${file}`, reason }, damaged: !absent, elsewhere };
}

function addTables(
  chains: BaseChain[],
  save: IptablesSave,
  family: Family,
  runtime: Runtime,
  backend: Backend,
  ruleset: NftRuleset | null,
): void {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  const own = family === 4 ? 'ip' : 'ip6';
  for (const table of save.tables.values()) {
    const compiled = new CompiledTable(save, table, family, runtime);
    const listed = ruleset?.tables.find((other) => other.family === own && other.name === table.name);
    for (const hook of HOOKS) {
      const usual = priorityOf(table.name, hook, backend);
      if (usual === null || !compiled.has(hook)) continue;
      const shown = backend === 'nft' ? listed?.chains.find(({ name }) => name === hook) : undefined;
      chains.push({
        hook,
        priority: shown?.base?.priority ?? usual,
        type: table.name === 'nat' ? 'nat' : table.name === 'mangle' && hook === 'OUTPUT' ? 'route' : 'filter',
        order: backend === 'nft' ? (shown === undefined ? 0 : shown.order) : null,
        label: `${tool} ${table.name} ${hook}`,
        ...compiled.builtin(hook),
      });
    }
  }
}
