import { pointerTo, type ParseProblem } from './evidence.js';

/**
 * Narrowing of JSON for the ztunnel reader: what has the wrong type becomes a problem with its pointer and the default
 * that ztunnel's own deserialiser would take; nothing throws.
 */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Collects problems of one file. A flood of equal ones is cut: the count is told, not each place. */
export class Problems {
  private readonly seen = new Map<string, number>();
  readonly list: ParseProblem[] = [];

  readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  add(pointer: string, message: string): void {
    const count = (this.seen.get(message) ?? 0) + 1;
    this.seen.set(message, count);
    if (count <= 3) this.list.push({ file: this.file, pointer, message });
  }

  /** The list with, for each cut message, how often it came. */
  finish(): readonly ParseProblem[] {
    for (const [message, count] of this.seen) {
      if (count > 3) this.list.push({ file: this.file, message: `${message} (${count} times in all)` });
    }
    return this.list;
  }
}

/** Typed access to the members of one JSON object. */
export class Fields {
  readonly object: JsonObject;
  readonly problems: Problems;
  private readonly at: string | { readonly parent: Fields; readonly key: string };

  constructor(object: JsonObject, at: string | { readonly parent: Fields; readonly key: string }, problems: Problems) {
    this.object = object;
    this.at = at;
    this.problems = problems;
  }

  /** Of a member it is put together when asked for: few of the members of a large dump are. */
  get pointer(): string {
    const { at } = this;
    return typeof at === 'string' ? at : pointerTo(at.parent.pointer, at.key);
  }

  private wrong(key: string, wanted: string): void {
    this.problems.add(pointerTo(this.pointer, key), `${key} is not ${wanted}`);
  }

  text(key: string): string {
    const value = this.object[key];
    if (typeof value === 'string') return value;
    if (value !== undefined && value !== null) this.wrong(key, 'a string');
    return '';
  }

  textOrNull(key: string): string | null {
    const value = this.object[key];
    if (typeof value === 'string') return value;
    if (value !== undefined && value !== null) this.wrong(key, 'a string');
    return null;
  }

  number(key: string, fallback: number): number {
    const value = this.object[key];
    if (typeof value === 'number') return value;
    if (value !== undefined && value !== null) this.wrong(key, 'a number');
    return fallback;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.object[key];
    if (typeof value === 'boolean') return value;
    if (value !== undefined && value !== null) this.wrong(key, 'a boolean');
    return fallback;
  }

  child(key: string): Fields | null {
    const value = this.object[key];
    if (isObject(value)) return new Fields(value, { parent: this, key }, this.problems);
    if (value !== undefined && value !== null) this.wrong(key, 'an object');
    return null;
  }

  /** Absent is empty; `null` where it is there and no list. */
  listOrNull(key: string): readonly unknown[] | null {
    const value = this.object[key];
    if (Array.isArray(value)) return value;
    if (value === undefined || value === null) return [];
    this.wrong(key, 'a list');
    return null;
  }

  list(key: string): readonly unknown[] {
    return this.listOrNull(key) ?? [];
  }

  texts(key: string): readonly string[] {
    const list = this.list(key);
    if (list.every((item): item is string => typeof item === 'string')) return list;
    this.wrong(key, 'a list of strings');
    return list.filter((item): item is string => typeof item === 'string');
  }

  /** One of the known words; null (and a problem) for another, `fallback` where absent. */
  word<T extends string>(key: string, words: readonly T[], fallback: T): T | null {
    const value = this.object[key];
    if (value === undefined || value === null) return fallback;
    for (const word of words) if (word === value) return word;
    this.problems.add(pointerTo(this.pointer, key), `${key} has a value that is not known: ${JSON.stringify(value)}`);
    return null;
  }

  /** Reports members that are not in `known`. */
  known(known: ReadonlySet<string>, what: string): void {
    for (const key in this.object) {
      if (!known.has(key)) this.problems.add(pointerTo(this.pointer, key), `unknown field ${key} of a ${what}`);
    }
  }
}

/**
 * Port tables (`{"80": 8080}`): JSON keys stay strings; a value that is no port is a problem. The object of the dump is
 * used as it is where it is sound: a large dump has hundreds of thousands.
 */
export function portTable(fields: Fields | null): Readonly<Record<string, number>> {
  if (fields === null) return {};
  if (isPortTable(fields.object)) return fields.object;
  const table: Record<string, number> = {};
  for (const [key, value] of Object.entries(fields.object)) {
    if (typeof value === 'number') table[key] = value;
    else fields.problems.add(pointerTo(fields.pointer, key), `port ${key} is not a number`);
  }
  return table;
}

function isPortTable(object: JsonObject): object is Readonly<Record<string, number>> {
  for (const key in object) if (typeof object[key] !== 'number') return false;
  return true;
}
