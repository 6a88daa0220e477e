import type { Unknown } from '../formats/evidence.js';
import { parseIptablesSave, type IptablesSave } from '../formats/iptables-save.js';
import type { Family } from './address.js';
import type { HookName } from './flow.js';
import { emptyHookTable, HOOKS, sortChains, type BaseChain, type HookTable } from './hooks.js';
import { CompiledTable } from './iptables/tables.js';
import type { ReadFile } from './load.js';
import type { Runtime } from './runtime.js';

/** The rules of one family, from whichever files hold them. */
export interface LoadedHooks {
  readonly table: HookTable;
  readonly problems: readonly Unknown[];
}

const TABLE_PRIORITY: ReadonlyMap<string, number> = new Map([
  ['raw', -300],
  ['mangle', -150],
  ['filter', 0],
  ['security', 50],
]);

/** What the built-in chains of a table hook into; nat's priority differs by hook. */
function priorityOf(table: string, hook: HookName): number | null {
  if (table === 'nat') return hook === 'PREROUTING' || hook === 'OUTPUT' ? -100 : 100;
  return TABLE_PRIORITY.get(table) ?? null;
}

export function loadHooks(
  family: Family,
  path: (name: string) => string,
  read: ReadFile,
  runtime: Runtime,
): () => LoadedHooks {
  let loaded: LoadedHooks | null = null;
  return () => {
    loaded ??= load(family, path, read, runtime);
    return loaded;
  };
}

function load(family: Family, path: (name: string) => string, read: ReadFile, runtime: Runtime): LoadedHooks {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  const hooks = emptyHookTable();
  const problems: Unknown[] = [];
  const main = readSave(path(`${tool}-save.txt`), read);
  const legacy = readSave(path(`${tool}-legacy-save.txt`), read);
  let unknown: Unknown | null = null;
  if (main.kind === 'save') addTables(hooks, main.save, family, runtime, main.save.backend === 'legacy' ? null : 0);
  else {
    unknown = main.unknown;
    problems.push(main.unknown);
  }
  if (legacy.kind === 'save') addTables(hooks, legacy.save, family, runtime, null);
  else if (legacy.damaged) {
    unknown ??= legacy.unknown;
    problems.push(legacy.unknown);
  }
  const sorted = (record: Record<HookName, BaseChain[]>): Record<HookName, readonly BaseChain[]> => {
    const result: Record<HookName, readonly BaseChain[]> = { ...record };
    for (const hook of HOOKS) result[hook] = sortChains(record[hook]);
    return result;
  };
  return { table: { filters: sorted(hooks.filters), nats: sorted(hooks.nats), unknown }, problems };
}

type ReadSave =
  | { readonly kind: 'save'; readonly save: IptablesSave }
  | { readonly kind: 'none'; readonly unknown: Unknown; readonly damaged: boolean };

function readSave(file: string, read: ReadFile): ReadSave {
  const content = read(file);
  const fact = `rules: ${file}`;
  if (content.kind !== 'text') {
    return { kind: 'none', unknown: { fact, reason: content.reason }, damaged: content.kind === 'unusable' };
  }
  const save = parseIptablesSave(file, content.text);
  const [problem] = save.problems;
  if (problem === undefined) return { kind: 'save', save };
  const reason = `damaged at line ${problem.line ?? 0}: ${problem.message}`;
  return { kind: 'none', unknown: { fact, reason }, damaged: true };
}

function addTables(
  hooks: ReturnType<typeof emptyHookTable>,
  save: IptablesSave,
  family: Family,
  runtime: Runtime,
  order: number | null,
): void {
  const tool = family === 4 ? 'iptables' : 'ip6tables';
  for (const table of save.tables.values()) {
    const compiled = new CompiledTable(save, table, family, runtime);
    for (const hook of HOOKS) {
      const priority = priorityOf(table.name, hook);
      if (priority === null || !compiled.has(hook)) continue;
      const nat = table.name === 'nat';
      (nat ? hooks.nats : hooks.filters)[hook].push({
        hook,
        priority,
        type: nat ? 'nat' : table.name === 'mangle' && hook === 'OUTPUT' ? 'route' : 'filter',
        order,
        label: `${tool} ${table.name} ${hook}`,
        run: (flow) => compiled.run(hook, flow),
      });
    }
  }
}
