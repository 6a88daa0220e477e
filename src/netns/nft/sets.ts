import { isObject } from '../../formats/netns-json.js';
import type { NftSet } from '../../formats/nft-ruleset.js';
import type { Flow } from '../flow.js';
import { FactMissing } from '../choices.js';
import { unsupported } from '../runtime.js';
import type { NftContext } from './context.js';
import { changeOf } from './set-memory.js';
import { STATEFUL, undecidable } from './undecidable.js';
import { pattern, type Kind, type Pattern, type Value } from './value.js';
import { printedBy } from './version.js';
import { NEXT, type Statement } from './verdict.js';

/** Whether a set holds a value; a function where a statement of the element (a limit) decides whether it counts. */
export type Held = boolean | ((flow: Flow) => boolean);

/** Membership of a value, for one packet: rules may have changed the set while it passed. */
export type Members = (value: Value, flow: Flow) => Held;

/** What an element stands for. */
interface Content<T> {
  readonly data: T;
  /** Its own limit, quota or count of connections; null: it has none. */
  readonly asks: ((flow: Flow) => boolean) | null;
}

/** One element with its place: what is one value is hashed, intervals are tried in order, `*` comes last. */
interface Entry<T> {
  readonly patterns: readonly Pattern[];
  readonly content: Content<T>;
}

class Lookup<T> {
  private readonly exact = new Map<string | number | bigint, Content<T>>();
  private readonly others: Entry<T>[] = [];
  private fallback: Content<T> | null = null;

  add(patterns: readonly Pattern[], content: Content<T>): void {
    const [only] = patterns;
    if (patterns.some(({ kind }) => kind === 'never')) return;
    if (patterns.length === 1 && only?.kind === 'any') {
      this.fallback ??= content;
      return;
    }
    const values = patterns.flatMap((one) => (one.kind === 'exact' ? [one.value] : []));
    if (values.length === patterns.length)
      this.exact.set(elementKey(values.length === 1 ? (values[0] ?? 0) : values), content);
    else this.others.push({ patterns, content });
  }

  find(value: Value): Content<T> | null {
    const exact = this.exact.get(elementKey(value));
    if (exact !== undefined) return exact;
    if (this.others.length > 0) {
      const parts = isList(value) ? value : [value];
      for (const { patterns, content } of this.others) {
        if (patterns.every((one, at) => fits(one, parts[at]))) return content;
      }
    }
    return this.fallback;
  }
}

function isList(value: Value): value is readonly Value[] {
  return typeof value === 'object';
}

/** What an element is found by. */
export function elementKey(value: Value): string | number | bigint {
  return isList(value) ? value.join(' ') : value;
}

function fits(one: Pattern, value: Value | undefined): boolean {
  if (value === undefined) return false;
  switch (one.kind) {
    case 'exact':
      return one.value === value;
    case 'test':
      return one.test(value);
    case 'any':
      return true;
    case 'never':
      return false;
  }
}

function patternsOf(json: unknown, kinds: readonly Kind[], context: NftContext): readonly Pattern[] | null {
  const plain = isObject(json) && isObject(json['elem']) ? json['elem']['val'] : json;
  const parts = isObject(plain) && Array.isArray(plain['concat']) ? plain['concat'] : [plain];
  if (plain === '*' && kinds.length > 1) return [{ kind: 'any' }];
  if (parts.length !== kinds.length) return null;
  const patterns: Pattern[] = [];
  const six = context.family === 6 && parts.length > 1;
  if (six && parts.some(isPrefix) && !printedBy(context.version).concatenatedPrefixes6) return null;
  for (let at = 0; at < parts.length; at++) {
    const one = pattern(parts[at], kinds[at] ?? 'int', context.family, true);
    if (one === null) return null;
    patterns.push(one);
  }
  return patterns;
}

function isPrefix(json: unknown): boolean {
  return isObject(json) && 'prefix' in json;
}

/** nft_set_elem_update_expr (linux net/netfilter/nft_lookup.c, v6.12): a limit of the element breaks the rule off. */
function asksOf(json: unknown, context: NftContext): Content<never>['asks'] {
  const element = isObject(json) && isObject(json['elem']) ? json['elem'] : {};
  const statements: Statement[] = Object.keys(element)
    .filter((key) => STATEFUL.has(key))
    .map((key) => undecidable(key, { [key]: element[key], of: element['val'] }, context));
  return statements.length === 0 ? null : (flow) => statements.every((statement) => statement(flow) === NEXT);
}

/** The set that `@name` names; null where it is none, or not there. */
export function setNamed(json: unknown, context: NftContext): NftSet | null {
  return typeof json === 'string' && json.startsWith('@') ? (context.sets.get(json.slice(1)) ?? null) : null;
}

/** `{ set: [...] }` written in the rule, or `@name`. */
function elementsOf(json: unknown, context: NftContext): readonly unknown[] | null {
  if (isObject(json) && 'set' in json) {
    const list = json['set'];
    return Array.isArray(list) ? list : [list];
  }
  return setNamed(json, context)?.elements ?? null;
}

/** Null where the set is missing or an element is not understood. */
export function compileSetMembers(json: unknown, kinds: readonly Kind[], context: NftContext): Members | null {
  const elements = elementsOf(json, context);
  if (elements === null) return null;
  const set = setNamed(json, context);
  const lookup = new Lookup<true>();
  for (const element of elements) {
    // of a map the keys
    const key: unknown = Array.isArray(element) ? element[0] : element;
    const patterns = patternsOf(key, kinds, context);
    if (patterns === null) return null;
    lookup.add(patterns, { data: true, asks: asksOf(key, context) });
  }
  const listed = (value: Value): Held => {
    const found = lookup.find(value);
    return found === null ? false : (found.asks ?? true);
  };
  if (set?.changed !== true) return listed;
  return (value, flow) => changeOf(flow, set, elementKey(value)) ?? listed(value);
}

/** A map or verdict map; `read` understands the right side. Its answer is null where the value is not in it. */
export function compileMap<T>(
  json: unknown,
  kinds: readonly Kind[],
  context: NftContext,
  read: (json: unknown, context: NftContext) => T | null,
): ((value: Value, flow: Flow) => T | null) | null {
  const elements = elementsOf(json, context);
  if (elements === null) return null;
  const lookup = new Lookup<T>();
  for (const element of elements) {
    if (!Array.isArray(element) || element.length !== 2) return null;
    const [key, value]: unknown[] = element;
    const patterns = patternsOf(key, kinds, context);
    const data = read(value, context);
    if (patterns === null || data === null) return null;
    lookup.add(patterns, { data, asks: asksOf(key, context) });
  }
  const set = setNamed(json, context);
  return (value, flow) => {
    if (set?.changed === true) {
      const change = changeOf(flow, set, elementKey(value));
      if (change === false) return null;
      if (change === true || flow.setChanges?.get(set)?.untold === true) {
        throw new FactMissing(unsupported(`what a rule just put into map ${set.name}`, context.evidence));
      }
    }
    const found = lookup.find(value);
    return found === null || found.asks?.(flow) === false ? null : found.data;
  };
}
