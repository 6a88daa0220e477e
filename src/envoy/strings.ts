import {
  boolean,
  list,
  number,
  object,
  objectOrNull,
  oneof,
  string,
  unknownFields,
  type JsonObject,
} from '../formats/envoy-json.js';
import { regex } from './regex.js';
import { all, doubt, type Doubt, type Tri } from './tri.js';

/** A compiled matcher of one text. */
type TextTest = (text: string) => Tri;

const STRING_FIELDS = new Set(['exact', 'prefix', 'suffix', 'contains', 'safe_regex', 'ignore_case', 'custom']);
const KINDS = ['exact', 'prefix', 'suffix', 'contains', 'safe_regex', 'custom'] as const;

function unreadable(what: string): TextTest {
  return () => doubt(`${what} matches`, `${what} is not understood by this program`);
}

function safeRegex(value: JsonObject): TextTest {
  const pattern = string(value['regex']) ?? '';
  const compiled = regex(pattern);
  return compiled === null ? unreadable(`regular expression ${pattern}`) : (text) => compiled.fullMatch(text);
}

/** envoy.type.matcher.v3.StringMatcher (and xds.type.matcher.v3, which has the same fields). */
export function stringMatcher(value: JsonObject): TextTest {
  const extra = unknownFields(value, STRING_FIELDS);
  if (extra.length > 0) return unreadable(`string matcher with ${extra.join(', ')}`);
  const fold = boolean(value['ignore_case']) === true;
  const kind = oneof(value, KINDS);
  if (kind === null) return unreadable('string matcher without a pattern');
  if (kind === 'safe_regex') return safeRegex(object(value[kind]));
  if (kind === 'custom') return unreadable('custom string matcher');
  const written = string(value[kind]) ?? '';
  const want = fold ? asciiLower(written) : written;
  const test = ((): ((text: string) => boolean) => {
    switch (kind) {
      case 'exact':
        return (text) => text === want;
      case 'prefix':
        return (text) => text.startsWith(want);
      case 'suffix':
        return (text) => text.endsWith(want);
      case 'contains':
        return (text) => text.includes(want);
    }
  })();
  return fold ? (text) => test(asciiLower(text)) : test;
}

/** Envoy folds ASCII only. */
export function asciiLower(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (part) => part.toLowerCase()) : text;
}

export interface Headers {
  /** Value by lower-case name, pseudo headers included; null where the request has none. */
  get(name: string): string | null;
  /** Set where the value is not known to this program, whatever the client sent. */
  open(name: string): OpenHeader | null;
}

/** A header that Envoy itself writes, changes or removes. `present` null: it may be there or not. */
export interface OpenHeader {
  readonly present: boolean | null;
  readonly reason: string;
}

export const NO_HEADERS: Headers = { get: () => null, open: () => null };

/** Value of a header, null without one; a doubt where it is not known. */
export function headerValue(headers: Headers, name: string): string | null | Doubt {
  const key = name.toLowerCase();
  const open = headers.open(key);
  if (open === null) return headers.get(key);
  return open.present === false ? null : doubt(`the value of header ${key}`, open.reason);
}

type HeaderTest = (headers: Headers) => Tri;

const HEADER_KINDS = [
  'exact_match',
  'safe_regex_match',
  'range_match',
  'present_match',
  'prefix_match',
  'suffix_match',
  'contains_match',
  'string_match',
] as const;
const HEADER_FIELDS = new Set<string>([...HEADER_KINDS, 'name', 'invert_match', 'treat_missing_header_as_empty']);

/** absl::SimpleAtoi of a 64-bit integer: optional spaces and sign, digits, nothing else. */
function integer(text: string): bigint | null {
  const match = /^[ \t\n\v\f\r]*([+-]?\d+)[ \t\n\v\f\r]*$/.exec(text);
  if (match?.[1] === undefined) return null;
  const value = BigInt(match[1].replace(/^\+/, ''));
  return value >= -(1n << 63n) && value < 1n << 63n ? value : null;
}

function headerValueTest(value: JsonObject, kind: (typeof HEADER_KINDS)[number]): TextTest {
  switch (kind) {
    case 'exact_match': {
      const want = string(value[kind]) ?? '';
      return (text) => want === '' || text === want;
    }
    case 'safe_regex_match':
      return safeRegex(object(value[kind]));
    case 'range_match': {
      const range = object(value[kind]);
      const start = BigInt(number(range['start']) ?? 0);
      const end = BigInt(number(range['end']) ?? 0);
      return (text) => {
        const found = integer(text);
        return found !== null && found >= start && found < end;
      };
    }
    case 'present_match':
      return () => true;
    case 'prefix_match':
      return stringMatcher({ prefix: string(value[kind]) ?? '' });
    case 'suffix_match':
      return stringMatcher({ suffix: string(value[kind]) ?? '' });
    case 'contains_match':
      return stringMatcher({ contains: string(value[kind]) ?? '' });
    case 'string_match':
      return stringMatcher(object(value[kind]));
  }
}

/**
 * envoy.config.route.v3.HeaderMatcher as HeaderUtility::HeaderData does it (envoy 1.40
 * source/common/http/header_utility.h): a missing header never matches, not even inverted, unless it is treated as
 * empty; only `present_match` looks at absence.
 */
export function headerMatcher(value: JsonObject): HeaderTest {
  const name = (string(value['name']) ?? '').toLowerCase();
  const extra = unknownFields(value, HEADER_FIELDS);
  if (extra.length > 0) {
    return () => doubt(`header matcher on ${name} matches`, `its field ${extra.join(', ')} is not understood`);
  }
  const invert = boolean(value['invert_match']) === true;
  const empty = boolean(value['treat_missing_header_as_empty']) === true;
  const kind = oneof(value, HEADER_KINDS) ?? 'present_match';
  if (kind === 'present_match') {
    const present = value[kind] === undefined ? true : boolean(value[kind]) === true;
    return (headers) => {
      const open = headers.open(name);
      if (open?.present === null && !empty) return doubt(`request has header ${name}`, open.reason);
      const found = (open?.present ?? headers.get(name) !== null) || empty;
      return (found === present) !== invert;
    };
  }
  const test = headerValueTest(value, kind);
  // two matchers on one header ask two things
  const fits = `header ${name} fits ${kind} ${JSON.stringify(value[kind])}${empty ? ', or is empty' : ''}`;
  return (headers) => {
    const open = headers.open(name);
    if (open !== null && open.present !== false) {
      return doubt(invert ? `not (${fits})` : fits, open.reason);
    }
    const found = open === null ? headers.get(name) : null;
    if (found === null && !empty) return false;
    const result = test(found ?? '');
    if (typeof result !== 'boolean') return invert ? { ...result, fact: `not (${result.fact})` } : result;
    return result !== invert;
  };
}

export function headerMatchers(values: readonly JsonObject[]): HeaderTest {
  const tests = values.map(headerMatcher);
  if (tests.length === 0) return () => true;
  return (headers) => all(tests, (test) => test(headers));
}

const QUERY_FIELDS = new Set(['name', 'string_match', 'present_match']);

/** envoy.config.route.v3.QueryParameterMatcher; the first value of a repeated parameter counts. */
export function queryMatcher(value: JsonObject): (query: ReadonlyMap<string, string>) => Tri {
  const name = string(value['name']) ?? '';
  const extra = unknownFields(value, QUERY_FIELDS);
  if (extra.length > 0) {
    return () => doubt(`query matcher on ${name} matches`, `its field ${extra.join(', ')} is not understood`);
  }
  const pattern = objectOrNull(value['string_match']);
  const present = value['present_match'] === undefined || boolean(value['present_match']) === true;
  if (pattern === null) return (query) => query.has(name) === present;
  const test = stringMatcher(pattern);
  return (query) => {
    const found = query.get(name);
    return found === undefined ? false : test(found);
  };
}

/** Parameters of a path as Envoy splits them: not decoded, the first of each name. */
export function queryOf(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const mark = path.indexOf('?');
  if (mark < 0) return found;
  const hash = path.indexOf('#', mark);
  for (const part of path.slice(mark + 1, hash < 0 ? undefined : hash).split('&')) {
    const equals = part.indexOf('=');
    const name = equals < 0 ? part : part.slice(0, equals);
    if (!found.has(name)) found.set(name, equals < 0 ? '' : part.slice(equals + 1));
  }
  return found;
}

/** All objects of a repeated field. */
export function objects(value: Parameters<typeof list>[0]): readonly JsonObject[] {
  return list(value).map(object);
}
