import {
  boolean,
  list,
  number,
  object,
  objectOrNull,
  oneof,
  string,
  type Json,
  type JsonObject,
} from '../formats/envoy-json.js';
import { cidrContains, parseCidr, parseIp } from '../formats/ip.js';
import type { StateValue } from './connection.js';
import { stringMatcher } from './strings.js';
import { any, doubt, not, type Tri } from './tri.js';

type ValueTest = (value: Json | undefined) => Tri;

/** envoy.type.matcher.v3.ValueMatcher (envoy 1.40 source/common/common/matchers.cc). */
function valueMatcher(value: JsonObject): ValueTest {
  const kind = oneof(value, [
    'null_match',
    'double_match',
    'string_match',
    'bool_match',
    'present_match',
    'list_match',
    'or_match',
  ]);
  switch (kind) {
    case 'null_match':
      return (found) => found === null;
    case 'double_match': {
      const match = object(value[kind]);
      const range = objectOrNull(match['range']);
      if (range === null) return (found) => typeof found === 'number' && found === (number(match['exact']) ?? 0);
      const start = number(range['start']) ?? 0;
      const end = number(range['end']) ?? 0;
      return (found) => typeof found === 'number' && found >= start && found < end;
    }
    case 'string_match': {
      const test = stringMatcher(object(value[kind]));
      return (found) => (typeof found === 'string' ? test(found) : false);
    }
    case 'bool_match': {
      const want = boolean(value[kind]) === true;
      return (found) => typeof found === 'boolean' && found === want;
    }
    case 'present_match': {
      const want = boolean(value[kind]) === true;
      return (found) => (found !== undefined) === want && want;
    }
    case 'list_match': {
      const test = valueMatcher(object(object(value[kind])['one_of']));
      return (found) => (Array.isArray(found) ? any(list(found), test) : false);
    }
    case 'or_match': {
      const tests = list(object(value[kind])['value_matchers']).map((item) => valueMatcher(object(item)));
      return (found) => any(tests, (test) => test(found));
    }
    case null:
      return () => doubt('value matcher matches', `${Object.keys(value).join(', ')} is not understood by this program`);
  }
}

/** envoy.type.matcher.v3.MetadataMatcher on one namespace of metadata. */
export function metadataMatcher(value: JsonObject): (namespace: JsonObject) => Tri {
  const path = list(value['path']).map((item) => string(object(item)['key']) ?? '');
  const test = valueMatcher(object(value['value']));
  const invert = boolean(value['invert']) === true;
  return (namespace) => {
    const result = test(lookup(namespace, path));
    return invert ? not(result) : result;
  };
}

/** Value at a path of struct keys; undefined where there is none. */
export function lookup(value: JsonObject, path: readonly string[]): Json | undefined {
  let found: Json | undefined = value;
  for (const key of path) {
    const parent = objectOrNull(found);
    if (parent === null) return undefined;
    found = parent[key];
  }
  return found;
}

/** envoy.type.matcher.v3.FilterStateMatcher. */
export function filterStateMatcher(value: JsonObject): (state: ReadonlyMap<string, StateValue>) => Tri {
  const key = string(value['key']) ?? '';
  const pattern = objectOrNull(value['string_match']);
  const ranges = objectOrNull(value['address_match']);
  const test: ((text: string) => Tri) | null =
    pattern !== null ? stringMatcher(pattern) : ranges !== null ? addressTest(ranges) : null;
  return (state) => {
    const found = state.get(key);
    if (found === undefined) return false;
    if (test === null) return doubt(`filter state ${key} matches`, 'its matcher is not understood by this program');
    if (found === null) return doubt(`filter state ${key} matches`, `the value of ${key} is not known`);
    return test(found);
  };
}

function addressTest(value: JsonObject): (text: string) => Tri {
  const cidrs = list(value['ranges']).map((item) => {
    const range = object(item);
    return parseCidr(`${string(range['address_prefix']) ?? ''}/${number(range['prefix_len']) ?? 0}`);
  });
  return (text) => {
    const ip = parseIp(text.replace(/^\[?([^\]]*)\]?:\d+$/, '$1'));
    return ip !== null && cidrs.some((cidr) => cidr !== null && cidrContains(cidr, ip));
  };
}
