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
