import {
  boolean,
  list,
  object,
  objectOrNull,
  oneof,
  string,
  strings,
  typed,
  unknownFields,
  type JsonObject,
} from '../formats/envoy-json.js';
import type { DumpEntry } from '../formats/envoy-dump.js';
import type { Evidence } from '../formats/evidence.js';
import type { StateValue } from './connection.js';
import { uriTemplate, withoutQuery } from './http-path.js';
import { openFields } from './open-fields.js';
import { stepOf, type Step } from './path.js';
import { percent } from './percent.js';
import { filterStateMatcher, metadataMatcher } from './metadata.js';
import { regex } from './regex.js';
import { asciiLower, headerMatchers, objects, queryMatcher, type Headers } from './strings.js';
import { all, doubt, type Doubt, type Tri } from './tri.js';

/** A request as routes see it. */
export interface RouteSubject {
  readonly host: string;
  /** With query; null for a CONNECT, which has none. */
  readonly path: string | null;
  /** `;…` does not count (`ignore_path_parameters_in_path_matching`). */
  readonly ignorePathParameters: boolean;
  readonly connect: boolean;
  readonly grpc: boolean;
  readonly headers: Headers;
  readonly query: ReadonlyMap<string, string>;
  readonly tls: { readonly peer: string | null } | null;
  readonly metadata: ReadonlyMap<string, JsonObject>;
  readonly filterState: ReadonlyMap<string, StateValue>;
}

/** A runtime fraction: `numerator` of `denominator` requests. */
export interface Fraction {
  readonly key: string;
  readonly numerator: number;
  readonly denominator: number;
}

export interface Route {
  readonly name: string | null;
  readonly value: JsonObject;
  readonly pointer: string;
  readonly fraction: Fraction | null;
  matches(subject: RouteSubject): Tri;
  /** Part of the path that a prefix rewrite replaces; null where the kind of match has none. */
  readonly prefix: string | null;
  /** Names it by its place in the virtual host, where it has no name. */
  readonly evidence: Evidence;
  /** That it is the route of the request. */
  readonly step: Step;
  /** It, or its route action, has a field that is not understood. */
  readonly open: Doubt | null;
}

export interface VirtualHost {
  readonly name: string;
  readonly value: JsonObject;
  readonly pointer: string;
  /** Compiled on first use. */
  body(): VirtualHostBody;
}

interface VirtualHostBody {
  readonly routes: readonly Route[];
  readonly evidence: Evidence;
  /** That it is the virtual host of the request. */
  readonly step: Step;
  /** It has a field that is not understood. */
  readonly open: Doubt | null;
}

export interface RouteTable {
  readonly name: string | null;
  readonly entry: DumpEntry;
  /** It has a field that is not understood. */
  readonly open: Doubt | null;
  /** Null: no virtual host for this authority. */
  find(host: string): VirtualHost | null;
}

function fraction(value: JsonObject): Fraction | null {
  const runtime = objectOrNull(value['runtime_fraction']);
  if (runtime === null) return null;
  const { numerator, denominator } = percent(object(runtime['default_value']));
  return { key: string(runtime['runtime_key']) ?? '', numerator, denominator };
}

const PATHS = [
  'prefix',
  'path',
  'safe_regex',
  'connect_matcher',
  'path_separated_prefix',
  'path_match_policy',
] as const;

const MATCH_FIELDS = new Set<string>([
  ...PATHS,
  'case_sensitive',
  'runtime_fraction',
  'headers',
  'query_parameters',
  'grpc',
  'tls_context',
  'dynamic_metadata',
  'filter_state',
]);

type Test = (subject: RouteSubject) => Tri;

function onPath(test: (path: string) => Tri): Test {
  return (subject) => {
    if (subject.path === null) return false;
    const path = withoutQuery(subject.path);
    // of every segment (seen of envoy 1.40)
    return test(subject.ignorePathParameters ? path.replace(/;[^/]*/g, '') : path);
  };
}

function pathTest(value: JsonObject): { readonly test: Test; readonly prefix: string | null } {
  const fold = boolean(value['case_sensitive']) === false;
  const text = (path: string): string => (fold ? asciiLower(path) : path);
  const kind = oneof(value, PATHS);
  switch (kind) {
    case 'prefix': {
      const written = string(value[kind]) ?? '';
      const want = text(written);
      return { test: onPath((path) => text(path).startsWith(want)), prefix: written };
    }
    case 'path': {
      const written = string(value[kind]) ?? '';
      const want = text(written);
      return { test: onPath((path) => text(path) === want), prefix: written };
    }
    case 'path_separated_prefix': {
      const written = string(value[kind]) ?? '';
      const want = text(written);
      const test = onPath((path) => {
        const found = text(path);
        return found.startsWith(want) && (found.length === want.length || found[want.length] === '/');
      });
      return { test, prefix: written };
    }
    case 'safe_regex': {
      const pattern = string(object(value[kind])['regex']) ?? '';
      const compiled = regex(pattern);
      const broken = doubt(`path matches ${pattern}`, 'the regular expression is not understood by this program');
      return { test: onPath((path) => compiled?.fullMatch(path) ?? broken), prefix: null };
    }
    case 'connect_matcher':
      return { test: (subject) => subject.connect, prefix: null };
    case 'path_match_policy': {
      const config = typed(object(value[kind])['typed_config']);
      const pattern = string(config.value['path_template']);
      const compiled = pattern === null ? null : uriTemplate(pattern);
      const broken = doubt(
        `path fits ${pattern ?? config.type}`,
        'the path template is not understood by this program',
      );
      return { test: onPath((path) => (compiled === null ? broken : compiled.test(path))), prefix: null };
    }
    case null:
      return { test: () => doubt('route matches', 'its kind of path match is not understood'), prefix: null };
  }
}

function tlsTest(value: JsonObject): Test {
  const presented = value['presented'] === undefined ? null : boolean(value['presented']);
  const validated = value['validated'] === undefined ? null : boolean(value['validated']);
  return ({ tls }) => {
    // Without TLS nothing is asked (RouteEntryImplBase::evaluateTlsContextMatch).
    if (tls === null) return presented === null && validated === null;
    const shown = tls.peer !== null;
    return (presented === null || presented === shown) && (validated === null || validated === shown);
  };
}

function matcher(value: JsonObject): { readonly test: Test; readonly prefix: string | null } {
  const extra = unknownFields(value, MATCH_FIELDS);
  const path = pathTest(value);
  const headers = headerMatchers(objects(value['headers']));
  const query = objects(value['query_parameters']).map(queryMatcher);
  const grpc = value['grpc'] !== undefined;
  const tls = objectOrNull(value['tls_context']);
  const tests: Test[] = [path.test];
  if (grpc) tests.push((subject) => subject.grpc);
  tests.push((subject) => headers(subject.headers));
  if (query.length > 0) tests.push((subject) => all(query, (test) => test(subject.query)));
  if (tls !== null) tests.push(tlsTest(tls));
  for (const item of objects(value['dynamic_metadata'])) {
    const test = metadataMatcher(item);
    tests.push((subject) => test(subject.metadata.get(string(item['filter']) ?? '') ?? {}));
  }
  for (const item of objects(value['filter_state'])) {
    const test = filterStateMatcher(item);
    tests.push((subject) => test(subject.filterState));
  }
  if (extra.length > 0) {
    const reason = `its match has ${extra.join(', ')}, not known to this program`;
    tests.push(() => doubt('route matches', reason));
  }
  const connectOnly = value['connect_matcher'] !== undefined;
  return {
    prefix: path.prefix,
    // A request without a path (CONNECT) is for CONNECT routes only.
    test: (subject) => (subject.path === null && !connectOnly ? false : all(tests, (test) => test(subject))),
  };
}

function route(value: JsonObject, file: string, pointer: string, index: number): Route {
  const match = object(value['match']);
  const { test, prefix } = matcher(match);
  const name = string(value['name']) === '' ? null : string(value['name']);
  const evidence: Evidence = { file, pointer, text: `route ${name ?? `#${index}`}` };
  const action = objectOrNull(value['route']);
  return {
    name,
    evidence,
    step: stepOf(evidence.text, evidence),
    open:
      (action === null ? null : openFields('route action', action, `${pointer}/route`)) ??
      openFields('route', value, pointer),
    value,
    pointer,
    fraction: fraction(match),
    prefix,
    matches: (subject) => {
      const result = test(subject);
      return typeof result === 'boolean' ? result : { ...result, fact: `${result.fact} (${pointer})` };
    },
  };
}

function virtualHost(value: JsonObject, file: string, pointer: string): VirtualHost {
  const name = string(value['name']) ?? '';
  let made: VirtualHostBody | null = null;
  const body = (): VirtualHostBody => {
    const evidence: Evidence = { file, pointer, text: `virtual host ${name}` };
    return {
      routes: list(value['routes']).map((item, i) => route(object(item), file, `${pointer}/routes/${i}`, i)),
      evidence,
      step: stepOf(evidence.text, evidence),
      open: openFields('virtual host', value, pointer),
    };
  };
  return { name, value, pointer, body: () => (made ??= body()) };
}

/** Wildcards by length, longest first; `length` is that of the part without `*`. */
type Wildcards = { readonly length: number; readonly hosts: Map<string, VirtualHost> }[];

function addWildcard(into: Wildcards, text: string, host: VirtualHost): void {
  let level = into.find((item) => item.length === text.length);
  if (level === undefined) {
    level = { length: text.length, hosts: new Map() };
    into.push(level);
    into.sort((a, b) => b.length - a.length);
  }
  if (!level.hosts.has(text)) level.hosts.set(text, host);
}

function stripPort(host: string): string {
  const colon = host.lastIndexOf(':');
  if (colon < 0 || host.lastIndexOf(']') > colon) return host;
  return host.slice(0, colon);
}

/** Exact name, then the longest `*suffix`, then the longest `prefix*`, then `*` (RouteMatcher::findVirtualHost). */
export function routeTable(entry: DumpEntry, file: string): RouteTable {
  const { value, pointer } = entry;
  const exact = new Map<string, VirtualHost>();
  const suffixes: Wildcards = [];
  const prefixes: Wildcards = [];
  let fallback: VirtualHost | null = null;
  list(value['virtual_hosts']).forEach((item, i) => {
    const host = virtualHost(object(item), file, `${pointer}/virtual_hosts/${i}`);
    for (const written of strings(object(item)['domains'])) {
      const domain = asciiLower(written);
      if (domain === '*') fallback ??= host;
      else if (domain.startsWith('*')) addWildcard(suffixes, domain.slice(1), host);
      else if (domain.endsWith('*')) addWildcard(prefixes, domain.slice(0, -1), host);
      else if (!exact.has(domain)) exact.set(domain, host);
    }
  });
  const ignorePort = boolean(value['ignore_port_in_host_matching']) === true;
  const name = string(value['name']);
  return {
    name: name === '' ? null : name,
    entry,
    open: openFields('route configuration', value, pointer),
    find: (written) => {
      const host = asciiLower(ignorePort ? stripPort(written) : written);
      const found = exact.get(host);
      if (found !== undefined) return found;
      for (const { length, hosts } of suffixes) {
        if (length >= host.length) continue;
        const match = hosts.get(host.slice(host.length - length));
        if (match !== undefined) return match;
      }
      for (const { length, hosts } of prefixes) {
        if (length >= host.length) continue;
        const match = hosts.get(host.slice(0, length));
        if (match !== undefined) return match;
      }
      return fallback;
    },
  };
}
