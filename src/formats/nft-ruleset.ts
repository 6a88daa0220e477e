import type { Evidence, ParseProblem } from './evidence.js';
import { isObject, numberOf, stringOf, stringsOf, type JsonObject } from './netns-json.js';

/** `nft -j list ruleset`. Statements and expressions stay JSON: their meaning is the engine's affair (src/netns/nft/). */
export interface NftRuleset {
  readonly file: string;
  readonly tables: readonly NftTable[];
  readonly problems: readonly ParseProblem[];
}

export interface NftTable {
  /** `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`. */
  readonly family: string;
  readonly name: string;
  /** Null where the list does not tell. */
  readonly dormant: boolean | null;
  readonly chains: readonly NftChain[];
  readonly sets: ReadonlyMap<string, NftSet>;
  readonly flowtables: readonly NftFlowtable[];
}

/** Where rules may send established connections to, so that their packets pass the rules by. */
export interface NftFlowtable {
  readonly name: string;
  readonly devices: readonly string[];
  readonly evidence: Evidence;
}

export interface NftChain {
  readonly name: string;
  /** Null: a chain that is only jumped to. */
  readonly base: NftBase | null;
  /**
   * Position among all chains of the ruleset: the order in which they were made. Null where it was added to its table after
   * rules: the list does not say whether chains of later tables were there by then.
   */
  readonly order: number | null;
  readonly evidence: Evidence;
  readonly rules: readonly NftRule[];
}

export interface NftBase {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
  readonly policy: string;
  readonly devices: readonly string[];
}

export interface NftRule {
  readonly expr: readonly unknown[];
  readonly evidence: Evidence;
}

/** A named set or map. */
export interface NftSet {
  readonly name: string;
  readonly isMap: boolean;
  /** `["ipv4_addr", "inet_service"]`; empty where it is a typeof. */
  readonly types: readonly string[];
  readonly elements: readonly unknown[];
  readonly flags: readonly string[];
  /** How many elements it holds at most; null: it does not say. */
  readonly size: number | null;
  /** Whether a rule of its table adds to it or deletes from it. */
  readonly changed: boolean;
  readonly evidence: Evidence;
}

interface OpenTable {
  family: string;
  name: string;
  dormant: boolean | null;
  chains: OpenChain[];
  sets: Map<string, NftSet & { changed: boolean }>;
  flowtables: NftFlowtable[];
  /** The lowest handle of a rule: objects of a table are numbered as they are made. */
  firstRule: number;
}

type OpenChain = Omit<NftChain, 'rules' | 'order'> & { rules: NftRule[]; order: number | null };

const FLAGS: ReadonlySet<string> = new Set(['owner', 'persist']);

/** Before 1.0.9 nft prints a single flag from memory that is free again: any text may stand there (src/json.c, table_flags_json). */
function sleeps(flags: unknown): boolean | null {
  if (typeof flags !== 'string') return stringsOf(flags).includes('dormant');
  if (flags === 'dormant') return true;
  return FLAGS.has(flags) ? false : null;
}

export function parseNftRuleset(file: string, text: string): NftRuleset {
  const problems: ParseProblem[] = [];
  if (text.trim() === '') return { file, tables: [], problems };
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'not JSON';
    return { file, tables: [], problems: [{ file, message }] };
  }
  const list = isObject(document) ? document['nftables'] : null;
  if (!Array.isArray(list)) return { file, tables: [], problems: [{ file, message: 'no list "nftables"' }] };
  const tables = new Map<string, OpenTable>();
  const chains = new Map<string, OpenChain>();
  const made: { chain: OpenChain; table: OpenTable; handle: number }[] = [];
  const tableOf = (object: JsonObject, nameKey: string): OpenTable | null => {
    const family = stringOf(object['family']);
    const name = stringOf(object[nameKey]);
    if (family === null || name === null) return null;
    const key = `${family} ${name}`;
    let table = tables.get(key);
    if (table === undefined) {
      const dormant = nameKey === 'name' ? sleeps(object['flags']) : false;
      table = { family, name, dormant, chains: [], sets: new Map(), flowtables: [], firstRule: Infinity };
      tables.set(key, table);
    }
    return table;
  };
  list.forEach((entry: unknown, index) => {
    const kind = isObject(entry) ? Object.keys(entry)[0] : undefined;
    const object = isObject(entry) && kind !== undefined ? entry[kind] : null;
    const pointer = `/nftables/${index}`;
    if (!isObject(object) || kind === undefined) {
      problems.push({ file, pointer, message: 'not an object of nft' });
      return;
    }
    const evidence = (what: string): Evidence => ({ file, pointer: `${pointer}/${kind}`, text: what });
    const handle = numberOf(object['handle']);
    if (kind === 'table') tableOf(object, 'name');
    else if (kind === 'chain') {
      const table = tableOf(object, 'table');
      const name = stringOf(object['name']);
      if (table === null || name === null) {
        problems.push({ file, pointer, message: 'a chain without table or name' });
        return;
      }
      const text_ = `chain ${table.family} ${table.name} ${name}`;
      const order = chains.size + 1;
      const chain: OpenChain = { name, base: baseOf(object), order, evidence: evidence(text_), rules: [] };
      table.chains.push(chain);
      if (handle !== null) made.push({ chain, table, handle });
      chains.set(`${table.family} ${table.name} ${name}`, chain);
    } else if (kind === 'rule') {
      const chain = chains.get(
        `${stringOf(object['family']) ?? ''} ${stringOf(object['table']) ?? ''} ${stringOf(object['chain']) ?? ''}`,
      );
      const expr = object['expr'];
      if (chain === undefined || !Array.isArray(expr)) {
        problems.push({ file, pointer, message: 'a rule without a chain' });
        return;
      }
      const table = tableOf(object, 'table');
      noteChanges(expr, table);
      if (table !== null && handle !== null) table.firstRule = Math.min(table.firstRule, handle);
      chain.rules.push({ expr, evidence: evidence(`${chain.evidence.text.slice(6)}: ${JSON.stringify(expr)}`) });
    } else if (kind === 'flowtable') {
      const table = tableOf(object, 'table');
      const name = stringOf(object['name']);
      if (table === null || name === null) return;
      const what = evidence(`flowtable ${table.family} ${table.name} ${name}`);
      table.flowtables.push({ name, devices: devicesOf(object['dev']), evidence: what });
    } else if (kind === 'set' || kind === 'map') {
      const table = tableOf(object, 'table');
      const name = stringOf(object['name']);
      if (table === null || name === null) return;
      const type = object['type'];
      table.sets.set(name, {
        name,
        isMap: kind === 'map',
        types: typeof type === 'string' ? [type] : stringsOf(type),
        elements: Array.isArray(object['elem']) ? object['elem'] : [],
        flags: stringsOf(object['flags']),
        size: numberOf(object['size']),
        changed: false,
        evidence: evidence(`${kind} ${table.family} ${table.name} ${name}`),
      });
    }
  });
  for (const { chain, table, handle } of made) if (handle > table.firstRule) chain.order = null;
  return { file, tables: [...tables.values()], problems };
}

/** Marks the sets that statements of a rule add to or delete from; nft lists a table's sets before its rules. */
function noteChanges(expr: readonly unknown[], table: OpenTable | null): void {
  for (const statement of expr) {
    if (!isObject(statement)) continue;
    const change = statement['set'] ?? statement['map'];
    const name = isObject(change) ? stringOf(change['set'] ?? change['map']) : null;
    const set = table?.sets.get(name?.replace(/^@/, '') ?? '');
    if (set !== undefined) set.changed = true;
  }
}

function baseOf(object: JsonObject): NftBase | null {
  const hook = stringOf(object['hook']);
  if (hook === null) return null;
  return {
    type: stringOf(object['type']) ?? 'filter',
    hook,
    priority: priorityOf(object['prio']),
    policy: stringOf(object['policy']) ?? 'accept',
    devices: devicesOf(object['dev']),
  };
}

/** One name, or a list of them. */
function devicesOf(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : stringsOf(value);
}

function priorityOf(value: unknown): number {
  if (typeof value === 'string' && /^-\d+$/.test(value)) return Number(value);
  return numberOf(value) ?? 0;
}
