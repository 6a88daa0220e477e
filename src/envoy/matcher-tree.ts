import {
  boolean,
  list,
  number,
  object,
  objectOrNull,
  oneof,
  string,
  typed,
  type JsonObject,
} from '../formats/envoy-json.js';
import { pointerTo } from '../formats/evidence.js';
import { cidrContains, parseCidr, parseIp, type Ip } from '../formats/ip.js';
import { stringMatcher } from './strings.js';
import { all, any, doubt, not, type Doubt, type Tri } from './tri.js';

/**
 * xds.type.matcher.v3.Matcher, the unified matching API (envoy 1.40 source/common/matcher, source/extensions/common/matcher).
 * A nested matcher that finds nothing lets the search go on where it came from.
 */
type MatchResult =
  | { readonly kind: 'action'; readonly value: JsonObject; readonly pointer: string }
  | { readonly kind: 'none' }
  | { readonly kind: 'doubt'; readonly doubt: Doubt };

/** What an input yields: a text, nothing (null), or not known to this program. */
export type Input = (type: string, config: JsonObject) => string | null | Doubt;

const NONE: MatchResult = { kind: 'none' };

function isDoubt(value: string | null | Doubt): value is Doubt {
  return typeof value === 'object' && value !== null;
}

export function matchTree(matcher: JsonObject, pointer: string, input: Input): MatchResult {
  const tree = objectOrNull(matcher['matcher_tree']);
  const matches = objectOrNull(matcher['matcher_list']);
  const result =
    tree !== null
      ? fromTree(tree, pointerTo(pointer, 'matcher_tree'), input)
      : matches !== null
        ? fromList(matches, pointerTo(pointer, 'matcher_list'), input)
        : NONE;
  if (result.kind !== 'none') return result;
  const otherwise = objectOrNull(matcher['on_no_match']);
  return otherwise === null ? NONE : onMatch(otherwise, pointerTo(pointer, 'on_no_match'), input);
}

function onMatch(value: JsonObject, pointer: string, input: Input): MatchResult {
  if (boolean(value['keep_matching']) === true) return NONE;
  const nested = objectOrNull(value['matcher']);
  if (nested !== null) return matchTree(nested, pointerTo(pointer, 'matcher'), input);
  const action = objectOrNull(value['action']);
  if (action === null) return NONE;
  return { kind: 'action', value: action, pointer: pointerTo(pointer, 'action') };
}

function read(extension: JsonObject, input: Input): string | null | Doubt {
  const config = typed(extension['typed_config']);
  return input(config.type, config.value);
}

function fromTree(tree: JsonObject, pointer: string, input: Input): MatchResult {
  const value = read(object(tree['input']), input);
  if (isDoubt(value)) return { kind: 'doubt', doubt: value };
  if (value === null) return NONE;
  const exact = objectOrNull(tree['exact_match_map']);
  if (exact !== null) {
    const found = objectOrNull(object(exact['map'])[value]);
    return found === null ? NONE : onMatch(found, pointerTo(`${pointer}/exact_match_map/map`, value), input);
  }
  const prefixes = objectOrNull(tree['prefix_match_map']);
  if (prefixes !== null) {
    const map = object(prefixes['map']);
    const fitting = Object.keys(map).filter((prefix) => value.startsWith(prefix));
    for (const prefix of fitting.sort((a, b) => b.length - a.length)) {
      const result = onMatch(object(map[prefix]), pointerTo(`${pointer}/prefix_match_map/map`, prefix), input);
      if (result.kind !== 'none') return result;
    }
    return NONE;
  }
  const custom = objectOrNull(tree['custom_match']);
  if (custom === null) return NONE;
  return fromCustom(custom, `${pointer}/custom_match/typed_config`, value, input);
}

function fromCustom(custom: JsonObject, pointer: string, value: string, input: Input): MatchResult {
  const config = typed(custom['typed_config']);
  switch (config.type) {
    case 'xds.type.matcher.v3.IPMatcher': {
      const ip = parseIp(value);
      return ip === null ? NONE : fromRanges(config.value, pointer, ip, input);
    }
    case 'xds.type.matcher.v3.ServerNameMatcher':
    case 'xds.type.matcher.v3.DomainMatcher':
      return fromDomains(config.value, pointer, value.toLowerCase(), input);
    default:
      return { kind: 'doubt', doubt: doubt(`custom matcher ${config.type} matches`, 'not known to this program') };
  }
}

/** Longest prefix first, then the order of declaration; an `exclusive` range counts only as the very best one. */
function fromRanges(matcher: JsonObject, pointer: string, ip: Ip, input: Input): MatchResult {
  interface Hit {
    readonly length: number;
    readonly index: number;
    readonly exclusive: boolean;
    readonly onMatch: JsonObject;
  }
  const hits: Hit[] = [];
  list(matcher['range_matchers']).forEach((item, index) => {
    const range = object(item);
    for (const entry of list(range['ranges'])) {
      const written = object(entry);
      const length = number(written['prefix_len']) ?? 0;
      const cidr = parseCidr(`${string(written['address_prefix']) ?? ''}/${length}`);
      if (cidr === null || !cidrContains(cidr, ip)) continue;
      const exclusive = boolean(range['exclusive']) === true;
      hits.push({ length, index, exclusive, onMatch: object(range['on_match']) });
    }
  });
  hits.sort((a, b) => b.length - a.length || a.index - b.index);
  for (const [i, hit] of hits.entries()) {
    if (i > 0 && hit.exclusive) continue;
    const result = onMatch(hit.onMatch, `${pointer}/range_matchers/${hit.index}/on_match`, input);
    if (result.kind !== 'none') return result;
  }
  return NONE;
}

/** Exact names before `*.suffix`, longest suffix first, then `*`. */
function fromDomains(matcher: JsonObject, pointer: string, name: string, input: Input): MatchResult {
  const rank = (domain: string): number => {
    if (domain === '*') return 0;
    if (domain.startsWith('*.')) return name.endsWith(domain.slice(1)) ? domain.length : -1;
    return domain === name ? Number.MAX_SAFE_INTEGER : -1;
  };
  const hits: { readonly rank: number; readonly index: number; readonly onMatch: JsonObject }[] = [];
  list(matcher['domain_matchers']).forEach((item, index) => {
    const entry = object(item);
    for (const domain of list(entry['domains'])) {
      const found = typeof domain === 'string' ? rank(domain.toLowerCase()) : -1;
      if (found >= 0) hits.push({ rank: found, index, onMatch: object(entry['on_match']) });
    }
  });
  hits.sort((a, b) => b.rank - a.rank || a.index - b.index);
  for (const hit of hits) {
    const result = onMatch(hit.onMatch, `${pointer}/domain_matchers/${hit.index}/on_match`, input);
    if (result.kind !== 'none') return result;
  }
  return NONE;
}

function fromList(matcher: JsonObject, pointer: string, input: Input): MatchResult {
  for (const [i, item] of list(matcher['matchers']).entries()) {
    const entry = object(item);
    const verdict = predicate(object(entry['predicate']), input);
    if (verdict === false) continue;
    const result = onMatch(object(entry['on_match']), `${pointer}/matchers/${i}/on_match`, input);
    if (typeof verdict !== 'boolean') return { kind: 'doubt', doubt: verdict };
    if (result.kind !== 'none') return result;
  }
  return NONE;
}

function predicate(value: JsonObject, input: Input): Tri {
  const kind = oneof(value, ['single_predicate', 'or_matcher', 'and_matcher', 'not_matcher']);
  switch (kind) {
    case 'single_predicate':
      return single(object(value[kind]), input);
    case 'or_matcher':
      return any(list(object(value[kind])['predicate']), (item) => predicate(object(item), input));
    case 'and_matcher':
      return all(list(object(value[kind])['predicate']), (item) => predicate(object(item), input));
    case 'not_matcher':
      return not(predicate(object(value[kind]), input));
    case null:
      return doubt('matcher predicate holds', `predicate with ${Object.keys(value).join(', ')} is not understood`);
  }
}

function single(value: JsonObject, input: Input): Tri {
  const found = read(object(value['input']), input);
  if (isDoubt(found)) return found;
  if (found === null) return false;
  const pattern = objectOrNull(value['value_match']);
  if (pattern !== null) return stringMatcher(pattern)(found);
  const custom = typed(object(value['custom_match'])['typed_config']);
  return doubt(`custom matcher ${custom.type} matches`, 'not known to this program');
}
