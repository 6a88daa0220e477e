import { list, number, object, objectOrNull, string, type Json, type JsonObject } from '../formats/envoy-json.js';
import type { DumpEntry } from '../formats/envoy-dump.js';
import { percent, type Percent } from './percent.js';
import { doubt, type Doubt } from './tri.js';

/**
 * Values that override configuration while it runs (bootstrap `layered_runtime`, envoy 1.40
 * source/common/runtime/runtime_impl.cc): the last layer that has a key wins. Static layers stand in the dump; what a
 * disk or RTDS layer holds does not. The admin layer starts empty, and is only filled by hand (/runtime_modify).
 */
export interface Runtime {
  /** Null: not set by anything that the dump shows. */
  value(key: string): Json | Doubt | null;
  /** Value of a feature flag `envoy.reloadable_features.…`, with the default of Envoy's code. */
  feature(name: string, fallback: boolean): boolean | Doubt;
  /** A percentage, with the configured default. */
  percent(key: string | null, fallback: Percent): Percent | Doubt;
}

function flatten(value: JsonObject, prefix: string, into: Map<string, Json>): void {
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const name = prefix === '' ? key : `${prefix}.${key}`;
    into.set(name, item);
    const nested = objectOrNull(item);
    if (nested !== null) flatten(nested, name, into);
  }
}

/** True where a layer that is not in the dump may set the value. */
export function isDoubt(value: Json | Doubt | null): value is Doubt {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && 'fact' in value && 'reason' in value;
}

export function readRuntime(bootstrap: DumpEntry | null): Runtime {
  const values = new Map<string, Json>();
  const unseen: string[] = [];
  for (const item of list(object(bootstrap?.value['layered_runtime'])['layers'])) {
    const layer = object(item);
    if (layer['static_layer'] !== undefined) flatten(object(layer['static_layer']), '', values);
    else if (layer['admin_layer'] === undefined) unseen.push(string(layer['name']) ?? '');
  }
  const value: Runtime['value'] = (key) => {
    if (unseen.length > 0) {
      return doubt(
        `runtime value ${key} is not set`,
        `runtime layer ${unseen.join(', ')} is not in the dump (GET /runtime tells)`,
      );
    }
    return values.get(key) ?? null;
  };
  return {
    value,
    feature: (name, fallback) => {
      const found = value(`envoy.reloadable_features.${name}`);
      if (isDoubt(found)) return found;
      return found === null ? fallback : found === true || found === 'true';
    },
    percent: (key, fallback) => {
      if (key === null || key === '') return fallback;
      const found = value(key);
      if (isDoubt(found)) return found;
      if (found === null) return fallback;
      const written = objectOrNull(found);
      if (written !== null) return percent(written);
      const plain = number(found);
      return plain === null ? fallback : { numerator: plain, denominator: 100 };
    },
  };
}
