/** Narrowing of JSON that came from an API server, for the few fields that planning needs; the rest is stored as it is. */
export type Doc = Readonly<Record<string, unknown>>;

export function asRecord(value: unknown): Doc | null {
  return isRecord(value) ? value : null;
}

function isRecord(value: unknown): value is Doc {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asString(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** `at(pod, 'metadata', 'labels', 'app')`: null where any step is missing. */
export function at(value: unknown, ...keys: readonly string[]): unknown {
  let here: unknown = value;
  for (const key of keys) here = asRecord(here)?.[key] ?? null;
  return here;
}

/** The string values of an object: labels, annotations, selectors. */
export function stringMap(value: unknown): Readonly<Record<string, string>> {
  const out: Record<string, string> = {};
  for (const [key, item] of Object.entries(asRecord(value) ?? {})) if (typeof item === 'string') out[key] = item;
  return out;
}

/** A name as Kubernetes gives them: it becomes part of paths, here and in requests. */
export function isName(text: string): boolean {
  return /^[A-Za-z0-9]([A-Za-z0-9.:_-]{0,251}[A-Za-z0-9])?$/.test(text) && !text.includes('..');
}
