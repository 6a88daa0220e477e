import { pointerTo, type ParseProblem, type Unknown } from './evidence.js';

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
  /** Pointers of what could not be read, of this object and of those inside: what they would decide is not known. */
  readonly damage: string[];
  private readonly at: string | { readonly parent: Fields; readonly key: string };

  constructor(object: JsonObject, at: string | { readonly parent: Fields; readonly key: string }, problems: Problems) {
    this.object = object;
    this.at = at;
    this.problems = problems;
    this.damage = typeof at === 'string' ? [] : at.parent.damage;
  }

  /** Of a member it is put together when asked for: few of the members of a large dump are. */
  get pointer(): string {
    const { at } = this;
    return typeof at === 'string' ? at : pointerTo(at.parent.pointer, at.key);
  }

  private wrong(key: string, wanted: string): void {
    this.refuse(key, `${key} is not ${wanted}`);
  }

  /** Reports a member that cannot be used. */
  refuse(key: string, message: string): void {
    const pointer = pointerTo(this.pointer, key);
    this.damage.push(pointer);
    this.problems.add(pointer, message);
  }

  /** What is not known of the whole, or null where all could be read. */
  unread(what: string): Unknown | null {
    const [first] = this.damage;
    return first === undefined ? null : { fact: `${what}: ${this.problems.file}${first}`, reason: 'it cannot be read' };
  }

  /** Whether one of these members could not be read. */
  lost(keys: readonly string[]): boolean {
    if (this.damage.length === 0) return false;
    const places = keys.map((key) => pointerTo(this.pointer, key));
    return this.damage.some((at) => places.some((place) => at === place || at.startsWith(`${place}/`)));
  }

  /** Reports members that a release always prints and that are not there. */
  require(...keys: readonly string[]): void {
    for (const key of keys) if (this.object[key] === undefined) this.refuse(key, `${key} is missing`);
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

  /** A number that counts something. */
  count(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (Number.isInteger(value) && value >= 0) return value;
    this.wrong(key, 'a count');
    return fallback;
  }

  port(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (isPort(value)) return value;
    this.wrong(key, 'a port');
    return fallback;
  }

  /** Absent is empty. */
  list(key: string): readonly unknown[] {
    const value = this.object[key];
    if (Array.isArray(value)) return value;
    if (value !== undefined) this.wrong(key, 'a list');
    return [];
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

  /** Reports members that are not in `known`; true where there are any. */
  known(known: ReadonlySet<string>, what: string): boolean {
    let strange = false;
    for (const key in this.object) {
      if (known.has(key)) continue;
      strange = true;
      this.problems.add(pointerTo(this.pointer, key), `unknown field ${key} of a ${what}`);
    }
    return strange;
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
    if (isPort(value)) table[key] = value;
    else fields.refuse(key, `port ${key} is not a port`);
  }
  return table;
}

export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65535;
}

function isPortTable(object: JsonObject): object is Readonly<Record<string, number>> {
  for (const key in object) if (!isPort(object[key])) return false;
  return true;
}
