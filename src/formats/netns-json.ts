/** Narrowing of the JSON that iproute2 and nft print. */
export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function stringOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A number, or a string that is one: `"100"`, `"0x1ff"`. */
export function numberOf(value: unknown): number | null {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'string' && /^(0x[0-9a-fA-F]+|\d+)$/.test(value)) return Number(value);
  return null;
}

export function stringsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

/** The list that iproute2 prints, or why it is none. Of nothing it prints `[ ]`: an empty file is what a failed command leaves. */
export function parseJsonList(text: string): { readonly list: readonly unknown[] } | { readonly error: string } {
  if (text.trim() === '') return { error: 'empty' };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { error: error instanceof Error ? error.message : 'not JSON' };
  }
  return Array.isArray(value) ? { list: value } : { error: 'not a JSON list' };
}

/**
 * The fields of one element, by the types that the tool prints them with. What is there with another type is noted in
 * `odd` and read as absent: an element of which something is odd cannot be used.
 */
export class Fields {
  /** The first field that is not as the tool prints it. */
  odd: string | null = null;
  private readonly item: JsonObject;

  constructor(item: JsonObject) {
    this.item = item;
  }

  has(name: string): boolean {
    return name in this.item;
  }

  text(name: string): string | null {
    return this.read(name, stringOf);
  }

  /** No tool of a namespace prints a negative number, or one with a fraction, where this is asked. */
  number(name: string): number | null {
    return this.read(name, naturalOf);
  }

  /** What has a name in /etc/iproute2, or a number where it has none. */
  label(name: string): string | null {
    return this.read(name, (value) => stringOf(value) ?? naturalOf(value)?.toString() ?? null);
  }

  words(name: string): readonly string[] {
    const list = this.read(name, (value) => (Array.isArray(value) ? stringsOf(value) : null)) ?? [];
    const given = this.item[name];
    if (Array.isArray(given) && list.length !== given.length) this.reject(name);
    return list;
  }

  list(name: string): readonly unknown[] | null {
    return this.read(name, (value): readonly unknown[] | null => (Array.isArray(value) ? value : null));
  }

  /** As it stands there, of whatever type. */
  raw(name: string): unknown {
    return this.item[name];
  }

  objects(name: string): readonly JsonObject[] | null {
    const all = (value: unknown): readonly JsonObject[] | null =>
      Array.isArray(value) && value.every(isObject) ? value.filter(isObject) : null;
    return this.read(name, all);
  }

  object(name: string): JsonObject | null {
    return this.read(name, (value) => (isObject(value) ? value : null));
  }

  /** iproute2 prints what is so as `true`, and leaves out what is not. */
  flag(name: string): boolean {
    return this.read(name, (value) => (typeof value === 'boolean' ? value : null)) ?? false;
  }

  /** As `text`, for what is read further; null where it cannot be. */
  parsed<T>(name: string, parse: (text: string) => T | null): T | null {
    return this.read(name, (value) => (typeof value === 'string' ? parse(value) : null));
  }

  /** Fields that the tool prints for every element, or together with another one. */
  require(...names: readonly string[]): void {
    for (const name of names) if (!this.has(name)) this.reject(name);
  }

  reject(name: string): void {
    this.odd ??= name;
  }

  private read<T>(name: string, as: (value: unknown) => T | null): T | null {
    const value = this.item[name];
    if (value === undefined) return null;
    const found = as(value);
    if (found === null) this.reject(name);
    return found;
  }
}

function naturalOf(value: unknown): number | null {
  const number = numberOf(value);
  return number !== null && Number.isInteger(number) && number >= 0 ? number : null;
}
