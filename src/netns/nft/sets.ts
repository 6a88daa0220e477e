import { isObject } from '../../formats/netns-json.js';
import type { NftContext } from './context.js';
import { pattern, type Kind, type Pattern, type Value } from './value.js';

/** Membership of a value; null where an element is not understood. */
type Members = (value: Value) => boolean;

/** One element with its place: what is one value is hashed, intervals are tried in order, `*` comes last. */
interface Entry<T> {
  readonly patterns: readonly Pattern[];
  readonly data: T;
}

class Lookup<T> {
  private readonly exact = new Map<string | number | bigint, T>();
  private readonly others: Entry<T>[] = [];
  private fallback: { readonly data: T } | null = null;

  add(patterns: readonly Pattern[], data: T): void {
    const [only] = patterns;
    if (patterns.some(({ kind }) => kind === 'never')) return;
    if (patterns.length === 1 && only?.kind === 'any') {
      this.fallback ??= { data };
      return;
    }
    const values = patterns.flatMap((one) => (one.kind === 'exact' ? [one.value] : []));
    if (values.length === patterns.length) this.exact.set(keyOf(values.length === 1 ? (values[0] ?? 0) : values), data);
    else this.others.push({ patterns, data });
  }

  find(value: Value): { readonly data: T } | null {
    const key = keyOf(value);
    const data = this.exact.get(key);
    if (data !== undefined) return { data };
    if (this.others.length > 0) {
      const parts = isList(value) ? value : [value];
      for (const entry of this.others) {
        if (entry.patterns.length === parts.length && entry.patterns.every((one, at) => fits(one, parts[at]))) {
          return entry;
        }
      }
    }
    return this.fallback;
  }
}

function isList(value: Value): value is readonly Value[] {
  return typeof value === 'object';
}

function keyOf(value: Value): string | number | bigint {
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
  for (let at = 0; at < parts.length; at++) {
    const one = pattern(parts[at], kinds[at] ?? 'int', context.family, true);
    if (one === null) return null;
    patterns.push(one);
  }
  return patterns;
}

/** `{ set: [...] }` written in the rule, or `@name`. */
function elementsOf(json: unknown, context: NftContext): readonly unknown[] | null {
  if (typeof json === 'string' && json.startsWith('@')) {
    return context.sets.get(json.slice(1))?.elements ?? null;
  }
  if (isObject(json) && 'set' in json) {
    const list = json['set'];
    return Array.isArray(list) ? list : [list];
  }
  return null;
}

/** Null where the set is missing or an element is not understood. */
export function compileSetMembers(json: unknown, kinds: readonly Kind[], context: NftContext): Members | null {
  const elements = elementsOf(json, context);
  if (elements === null) return null;
  const lookup = new Lookup<true>();
  for (const element of elements) {
    const patterns = patternsOf(element, kinds, context);
    if (patterns === null) return null;
    lookup.add(patterns, true);
  }
  return (value) => lookup.find(value) !== null;
}

/** A map or verdict map; `read` understands the right side. */
export function compileMap<T>(
  json: unknown,
  kinds: readonly Kind[],
  context: NftContext,
  read: (json: unknown, context: NftContext) => T | null,
): ((value: Value) => T | null) | null {
  const elements = elementsOf(json, context);
  if (elements === null) return null;
  const lookup = new Lookup<T>();
  for (const element of elements) {
    if (!Array.isArray(element) || element.length !== 2) return null;
    const [key, value]: unknown[] = element;
    const patterns = patternsOf(key, kinds, context);
    const data = read(value, context);
    if (patterns === null || data === null) return null;
    lookup.add(patterns, data);
  }
  return (value) => lookup.find(value)?.data ?? null;
}
