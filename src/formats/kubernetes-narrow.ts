import type { JsonObject, Labels } from './kubernetes-types.js';

/**
 * Narrowing of JSON of unknown shape. A field of the wrong type counts as absent: the API server has validated what it
 * prints, so a wrong type means a hand-made or damaged file, and the object still serves for its other fields.
 */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function objectAt(parent: JsonObject, key: string): JsonObject | null {
  const value = parent[key];
  return isObject(value) ? value : null;
}

/** Follows keys through objects: `dig(pod, 'status', 'conditions')`. Undefined where the way ends. */
export function dig(parent: unknown, ...keys: readonly string[]): unknown {
  let value = parent;
  for (const key of keys) {
    if (!isObject(value)) return undefined;
    value = value[key];
  }
  return value;
}

export function stringAt(parent: JsonObject, key: string): string | null {
  const value = parent[key];
  return typeof value === 'string' ? value : null;
}

/** A number, or a string of digits (some clients print int64 as strings). */
export function numberAt(parent: JsonObject, key: string): number | null {
  return toNumber(parent[key]);
}

export function toNumber(value: unknown): number | null {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value === 'string' && /^\d{1,15}$/.test(value)) return Number(value);
  return null;
}

export function booleanAt(parent: JsonObject, key: string): boolean | null {
  const value = parent[key];
  return typeof value === 'boolean' ? value : null;
}

export function arrayAt(parent: JsonObject, key: string): readonly unknown[] {
  const value = parent[key];
  return Array.isArray(value) ? value : [];
}

export function objectsAt(parent: JsonObject, key: string): readonly JsonObject[] {
  return arrayAt(parent, key).filter(isObject);
}

export function stringsAt(parent: JsonObject, key: string): readonly string[] {
  return arrayAt(parent, key).filter((value) => typeof value === 'string');
}

/** Entries whose value is a string, in the order of the file; null where there is no such object. */
export function stringMapAt(parent: JsonObject, key: string): Labels | null {
  const value = parent[key];
  if (!isObject(value)) return null;
  const result: Record<string, string> = Object.create(null);
  for (const [name, entry] of Object.entries(value)) if (typeof entry === 'string') result[name] = entry;
  return result;
}

/** Number or name of a port; null for anything else. */
export function portAt(parent: JsonObject, key: string): number | string | null {
  const value = parent[key];
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value === '') return null;
  return /^\d+$/.test(value) ? Number(value) : value;
}
