import { list, object, objectOrNull, string, strings, type Json, type JsonObject } from '../formats/envoy-json.js';
import type { Host } from './host.js';

function subsetKeys(value: JsonObject): readonly string[] {
  return [...strings(value['keys'])].sort();
}

function sameValue(a: Json | undefined, b: Json | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function matching(hosts: readonly Host[], criteria: JsonObject): readonly Host[] {
  const keys = Object.keys(criteria);
  return hosts.filter((host) => {
    const metadata = object(host.metadata['envoy.lb']);
    return keys.every((key) => metadata[key] !== undefined && sameValue(metadata[key], criteria[key]));
  });
}

/** Hosts of the subset that the criteria choose, or of the fallback. */
type Subset =
  | { readonly kind: 'all' }
  | { readonly kind: 'some'; readonly hosts: readonly Host[]; readonly note: string }
  | { readonly kind: 'none'; readonly note: string }
  | { readonly kind: 'unknown'; readonly note: string };

const SUBSET_FIELDS = new Set(['subset_selectors', 'fallback_policy', 'default_subset', 'locality_weight_aware']);
const SELECTOR_FIELDS = new Set(['keys', 'fallback_policy']);

function fallback(name: string, config: JsonObject, hosts: readonly Host[]): Subset {
  switch (name) {
    case 'NO_FALLBACK':
      return { kind: 'none', note: 'no subset fits, and there is no fallback' };
    case 'ANY_ENDPOINT':
      return { kind: 'some', hosts, note: 'subset fallback: any endpoint' };
    case 'DEFAULT_SUBSET': {
      const wanted = object(config['default_subset']);
      return { kind: 'some', hosts: matching(hosts, wanted), note: `default subset ${JSON.stringify(wanted)}` };
    }
    default:
      return { kind: 'unknown', note: `subset fallback ${name}` };
  }
}

/**
 * Selectors stand in a tree of sorted keys, and a fallback is kept only where its node is made for it: an earlier
 * selector whose keys begin with the same ones made the node before, without a fallback (seen of envoy 1.40).
 */
function shadowed(selectors: readonly JsonObject[], selector: JsonObject): boolean {
  const keys = subsetKeys(selector);
  return selectors.slice(0, selectors.indexOf(selector)).some((earlier) => {
    const others = subsetKeys(earlier);
    return others.length > keys.length && keys.every((key, i) => key === others[i]);
  });
}

/** envoy 1.40 source/extensions/load_balancing_policies/subset/subset_lb.cc. */
export function subset(cluster: JsonObject, hosts: readonly Host[], criteria: JsonObject | null): Subset {
  const config = objectOrNull(cluster['lb_subset_config']);
  if (config === null) return { kind: 'all' };
  const selectors = list(config['subset_selectors']).map(object);
  if (selectors.length === 0) return { kind: 'all' };
  for (const key in config) if (!SUBSET_FIELDS.has(key)) return { kind: 'unknown', note: `lb_subset_config.${key}` };
  const wanted = Object.keys(criteria ?? {}).sort();
  const selector = selectors.find((item) => sameValue(subsetKeys(item), wanted));
  for (const key in selector ?? {}) {
    if (!SELECTOR_FIELDS.has(key)) return { kind: 'unknown', note: `subset_selectors.${key}` };
  }
  if (criteria !== null && wanted.length > 0 && selector !== undefined) {
    const found = matching(hosts, criteria);
    if (found.length > 0) return { kind: 'some', hosts: found, note: `subset ${JSON.stringify(criteria)}` };
    const own = string(selector['fallback_policy']);
    if (own !== null && own !== 'NOT_DEFINED' && !shadowed(selectors, selector)) return fallback(own, config, hosts);
  }
  return fallback(string(config['fallback_policy']) ?? 'NO_FALLBACK', config, hosts);
}
