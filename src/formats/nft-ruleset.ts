import type { Evidence, ParseProblem } from './evidence.js';
import { Fields, isObject, numberOf, stringOf, stringsOf } from './netns-json.js';

/** `nft -j list ruleset`. Statements and expressions stay JSON: their meaning is the engine's affair (src/netns/nft/). */
export interface NftRuleset {
  readonly file: string;
  readonly tables: readonly NftTable[];
  readonly problems: readonly ParseProblem[];
}

/** Major, minor, patch. */
export type NftVersion = readonly [number, number, number];

export interface NftTable {
  /** Of the nft that printed the list; null: it does not say. */
  readonly version: NftVersion | null;
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
  version: NftVersion | null;
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
  // nft names its version even where there are no rules: an empty file is what a failed command leaves
  if (text.trim() === '') return { file, tables: [], problems: [{ file, message: 'empty' }] };
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : 'not JSON';
    return { file, tables: [], problems: [{ file, message }] };
  }
  const list = isObject(document) ? document['nftables'] : null;
  if (!Array.isArray(list)) return { file, tables: [], problems: [{ file, message: 'no list "nftables"' }] };
  const reader = new Reader(file);
  list.forEach((entry: unknown, index) => {
    const message = reader.add(entry, `/nftables/${index}`);
    if (message !== null) problems.push({ file, pointer: `/nftables/${index}`, message });
  });
  reader.finish();
  return { file, tables: [...reader.tables.values()], problems };
}

/** `1.0.6`, `1.1.3-1ubuntu2`. */
function versionOf(text: string | null): NftVersion | null {
  const [, major, minor, patch] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text ?? '') ?? [];
  return major === undefined ? null : [Number(major), Number(minor), Number(patch ?? '0')];
}

/** Objects of a table that packets meet only through rules, which then fork (nft src/json.c, v1.0.6). */
const OTHER_KINDS: ReadonlySet<string> = new Set([
  'counter',
  'quota',
  'limit',
  'secmark',
  'synproxy',
  'tunnel',
  'ct helper',
  'ct timeout',
  'ct expectation',
]);

/** Takes the objects of a list in their order: a table, its chains, its sets, its rules. */
class Reader {
  readonly tables = new Map<string, OpenTable>();
  private readonly file: string;
  private readonly chains = new Map<string, OpenChain>();
  private readonly made: { chain: OpenChain; table: OpenTable; handle: number }[] = [];
  /** What it says comes first. */
  private version: NftVersion | null = null;

  constructor(file: string) {
    this.file = file;
  }

  /** What is wrong with the entry; null: nothing. */
  add(entry: unknown, pointer: string): string | null {
    const kind = isObject(entry) ? Object.keys(entry)[0] : undefined;
    const object = isObject(entry) && kind !== undefined ? entry[kind] : null;
    if (!isObject(object) || kind === undefined) return 'not an object of nft';
    const fields = new Fields(object);
    const evidence = (what: string): Evidence => ({ file: this.file, pointer: `${pointer}/${kind}`, text: what });
    const fine = this.addObject(kind, fields, evidence);
    if (fields.odd !== null) return `a ${kind} without its "${fields.odd}", or with one that is not understood`;
    return fine ? null : `a ${kind} that is not understood`;
  }

  private addObject(kind: string, fields: Fields, evidence: (what: string) => Evidence): boolean {
    switch (kind) {
      case 'metainfo':
        this.version = versionOf(fields.text('version'));
        return true;
      case 'table':
        return this.addTable(fields);
      case 'chain':
        return this.addChain(fields, evidence);
      case 'rule':
        return this.addRule(fields, evidence);
      case 'set':
      case 'map':
        return this.addSet(kind, fields, evidence);
      case 'flowtable':
        return this.addFlowtable(fields, evidence);
      default:
        return OTHER_KINDS.has(kind);
    }
  }

  private addTable(fields: Fields): boolean {
    fields.require('family', 'name');
    const family = fields.text('family') ?? '';
    const name = fields.text('name') ?? '';
    const dormant = sleeps(fields.raw('flags'));
    const { version } = this;
    const table = { version, family, name, dormant, chains: [], sets: new Map(), flowtables: [], firstRule: Infinity };
    this.tables.set(`${family} ${name}`, table);
    return true;
  }

  /** nft lists a table before what is in it. */
  private tableOf(fields: Fields): OpenTable | null {
    fields.require('family', 'table');
    const table = this.tables.get(`${fields.text('family') ?? ''} ${fields.text('table') ?? ''}`) ?? null;
    if (table === null) fields.reject('table');
    return table;
  }

  private addChain(fields: Fields, evidence: (what: string) => Evidence): boolean {
    const table = this.tableOf(fields);
    fields.require('name');
    const name = fields.text('name') ?? '';
    if (table === null) return false;
    const text = `chain ${table.family} ${table.name} ${name}`;
    const order = this.chains.size + 1;
    const chain: OpenChain = { name, base: baseOf(fields), order, evidence: evidence(text), rules: [] };
    table.chains.push(chain);
    const handle = fields.number('handle');
    if (handle !== null) this.made.push({ chain, table, handle });
    this.chains.set(`${table.family} ${table.name} ${name}`, chain);
    return true;
  }

  private addRule(fields: Fields, evidence: (what: string) => Evidence): boolean {
    const table = this.tableOf(fields);
    fields.require('chain', 'expr');
    const chain = this.chains.get(`${table?.family ?? ''} ${table?.name ?? ''} ${fields.text('chain') ?? ''}`);
    const expr = fields.list('expr');
    if (table === null || chain === undefined || expr === null) return false;
    const handle = fields.number('handle');
    noteChanges(expr, table);
    if (handle !== null) table.firstRule = Math.min(table.firstRule, handle);
    chain.rules.push({ expr, evidence: evidence(`${chain.evidence.text.slice(6)}: ${JSON.stringify(expr)}`) });
    return true;
  }

  private addSet(kind: 'set' | 'map', fields: Fields, evidence: (what: string) => Evidence): boolean {
    const table = this.tableOf(fields);
    fields.require('name');
    const name = fields.text('name') ?? '';
    if (table === null) return false;
    const type = fields.raw('type');
    table.sets.set(name, {
      name,
      isMap: kind === 'map',
      types: typeof type === 'string' ? [type] : stringsOf(type),
      elements: fields.list('elem') ?? [],
      flags: namesOf(fields, 'flags'),
      size: fields.number('size'),
      changed: false,
      evidence: evidence(`${kind} ${table.family} ${table.name} ${name}`),
    });
    return true;
  }

  private addFlowtable(fields: Fields, evidence: (what: string) => Evidence): boolean {
    const table = this.tableOf(fields);
    fields.require('name');
    const name = fields.text('name') ?? '';
    if (table === null) return false;
    const what = evidence(`flowtable ${table.family} ${table.name} ${name}`);
    table.flowtables.push({ name, devices: namesOf(fields, 'dev'), evidence: what });
    return true;
  }

  /** Objects of a table are numbered as they are made. */
  finish(): void {
    for (const { chain, table, handle } of this.made) if (handle > table.firstRule) chain.order = null;
  }
}

/** Marks the sets that statements of a rule add to or delete from; nft lists a table's sets before its rules. */
function noteChanges(expr: readonly unknown[], table: OpenTable | null): void {
  for (const statement of expr) {
    const set = table?.sets.get(changedBy(statement)?.replace(/^@/, '') ?? '');
    if (set !== undefined) set.changed = true;
  }
}

/** The set that a statement changes. Before 1.1.2 nft has no JSON for changes of maps and prints them as text. */
function changedBy(statement: unknown): string | null {
  if (typeof statement === 'string') return /^(?:add|update|delete) (@\S+)/.exec(statement)?.[1] ?? null;
  if (!isObject(statement)) return null;
  const change = statement['set'] ?? statement['map'];
  return isObject(change) ? stringOf(change['set'] ?? change['map']) : null;
}

/** chain_print_json (nft src/json.c, v1.0.6) prints the four together. */
function baseOf(fields: Fields): NftBase | null {
  const parts = ['type', 'hook', 'prio', 'policy'];
  if (!parts.some((name) => fields.has(name))) return null;
  fields.require(...parts);
  return {
    type: fields.text('type') ?? '',
    hook: fields.text('hook') ?? '',
    priority: priorityOf(fields),
    policy: fields.text('policy') ?? '',
    devices: namesOf(fields, 'dev'),
  };
}

/** One name, or a list of them. */
function namesOf(fields: Fields, name: string): readonly string[] {
  const value = fields.raw(name);
  return typeof value === 'string' ? [value] : fields.words(name);
}

function priorityOf(fields: Fields): number {
  const value = fields.raw('prio');
  if (typeof value === 'string' && /^-\d+$/.test(value)) return Number(value);
  const priority = numberOf(value);
  if (priority === null || !Number.isInteger(priority)) fields.reject('prio');
  return priority ?? 0;
}
