import { list, number, object, objectOrNull, oneof, string, type JsonObject } from '../formats/envoy-json.js';
import { cidrContains, parseCidr, type Ip } from '../formats/ip.js';
import { headerMatcher, stringMatcher, type Headers } from './strings.js';
import { metadataMatcher, filterStateMatcher } from './metadata.js';
import type { StateValue } from './connection.js';
import { all, any, doubt, not, type Doubt, type Tri } from './tri.js';

/** What RBAC looks at (envoy 1.40 source/extensions/filters/common/rbac/matchers.cc). */
export interface RbacSubject {
  readonly headers: Headers;
  /** Path with query; null outside HTTP. */
  readonly path: string | null;
  readonly localIp: Ip | null;
  readonly localPort: number | null;
  /** Address of the TCP peer. */
  readonly directIp: Ip | null;
  /** The client as HTTP knows it (x-forwarded-for), else the peer. */
  readonly remoteIp: Ip | null | Doubt;
  /** Address that the connection itself names as its source. */
  readonly connectionIp: Ip | null;
  readonly sni: string;
  /** Null: no TLS. `peer` null: TLS without a client certificate. */
  readonly tls: { readonly peer: string | null } | null;
  readonly metadata: ReadonlyMap<string, JsonObject>;
  readonly filterState: ReadonlyMap<string, StateValue>;
  /** Namespaces of metadata that an earlier filter may have written, unseen by this program. */
  readonly openMetadata: ReadonlySet<string>;
  readonly routeMetadata: JsonObject | null;
}

type Rule = (subject: RbacSubject) => Tri;

function unsupported(what: string): Rule {
  return () => doubt(`RBAC ${what} matches`, `${what} is not understood by this program`);
}

function ipRule(value: JsonObject, of: (subject: RbacSubject) => Ip | null | Doubt): Rule {
  const cidr = parseCidr(`${string(value['address_prefix']) ?? ''}/${number(value['prefix_len']) ?? 0}`);
  if (cidr === null) return unsupported('address range');
  return (subject) => {
    const ip = of(subject);
    if (ip === null) return false;
    if ('fact' in ip) return ip;
    return cidrContains(cidr, ip);
  };
}

function pathRule(value: JsonObject): Rule {
  const pattern = objectOrNull(object(value)['path']);
  if (pattern === null) return unsupported('url_path without a pattern');
  const test = stringMatcher(pattern);
  return (subject) => (subject.path === null ? false : test(stripQuery(subject.path)));
}

function stripQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

const PERMISSIONS = [
  'and_rules',
  'or_rules',
  'any',
  'header',
  'url_path',
  'destination_ip',
  'destination_port',
  'destination_port_range',
  'metadata',
  'sourced_metadata',
  'not_rule',
  'requested_server_name',
  'matcher',
  'uri_template',
] as const;

function permission(value: JsonObject): Rule {
  const kind = oneof(value, PERMISSIONS);
  switch (kind) {
    case 'and_rules': {
      const rules = list(object(value[kind])['rules']).map((item) => permission(object(item)));
      return (subject) => all(rules, (rule) => rule(subject));
    }
    case 'or_rules': {
      const rules = list(object(value[kind])['rules']).map((item) => permission(object(item)));
      return (subject) => any(rules, (rule) => rule(subject));
    }
    case 'any':
      return () => true;
    case 'header': {
      const test = headerMatcher(object(value[kind]));
      return (subject) => test(subject.headers);
    }
    case 'url_path':
      return pathRule(object(value[kind]));
    case 'destination_ip':
      return ipRule(object(value[kind]), (subject) => subject.localIp);
    case 'destination_port': {
      const port = number(value[kind]) ?? 0;
      return (subject) => subject.localPort === port;
    }
    case 'destination_port_range': {
      const range = object(value[kind]);
      const start = number(range['start']) ?? 0;
      const end = number(range['end']) ?? 0;
      return ({ localPort }) => localPort !== null && localPort >= start && localPort < end;
    }
    case 'metadata':
      return metadataRule(object(value[kind]), false);
    case 'sourced_metadata':
      return sourced(object(value[kind]));
    case 'not_rule': {
      const rule = permission(object(value[kind]));
      return (subject) => not(rule(subject));
    }
    case 'requested_server_name': {
      const test = stringMatcher(object(value[kind]));
      return (subject) => test(subject.sni);
    }
    case 'matcher':
    case 'uri_template':
      return unsupported(`permission ${kind}`);
    case null:
      return unsupported(`permission ${Object.keys(value).join(', ')}`);
  }
}

function metadataRule(value: JsonObject, ofRoute: boolean): Rule {
  const test = metadataMatcher(value);
  return (subject) => {
    const name = string(value['filter']) ?? '';
    if (ofRoute) return subject.routeMetadata === null ? false : test(object(subject.routeMetadata[name]));
    if (subject.openMetadata.has(name)) {
      return doubt(`metadata ${name} satisfies ${describe(value)}`, `an earlier filter writes ${name}`);
    }
    return test(subject.metadata.get(name) ?? {});
  };
}

function describe(value: JsonObject): string {
  return JSON.stringify({ path: value['path'], value: value['value'], invert: value['invert'] });
}

function sourced(value: JsonObject): Rule {
  const matcher = object(value['metadata_matcher']);
  return metadataRule(matcher, value['metadata_source'] === 'ROUTE');
}

const PRINCIPALS = [
  'and_ids',
  'or_ids',
  'any',
  'authenticated',
  'source_ip',
  'direct_remote_ip',
  'remote_ip',
  'header',
  'url_path',
  'metadata',
  'sourced_metadata',
  'filter_state',
  'not_id',
  'custom',
] as const;

function principal(value: JsonObject): Rule {
  const kind = oneof(value, PRINCIPALS);
  switch (kind) {
    case 'and_ids': {
      const rules = list(object(value[kind])['ids']).map((item) => principal(object(item)));
      return (subject) => all(rules, (rule) => rule(subject));
    }
    case 'or_ids': {
      const rules = list(object(value[kind])['ids']).map((item) => principal(object(item)));
      return (subject) => any(rules, (rule) => rule(subject));
    }
    case 'any':
      return () => true;
    case 'authenticated':
      return authenticated(object(value[kind]));
    case 'source_ip':
      return ipRule(object(value[kind]), (subject) => subject.connectionIp);
    case 'direct_remote_ip':
      return ipRule(object(value[kind]), (subject) => subject.directIp);
    case 'remote_ip':
      return ipRule(object(value[kind]), (subject) => subject.remoteIp);
    case 'header': {
      const test = headerMatcher(object(value[kind]));
      return (subject) => test(subject.headers);
    }
    case 'url_path':
      return pathRule(object(value[kind]));
    case 'metadata':
      return metadataRule(object(value[kind]), false);
    case 'sourced_metadata':
      return sourced(object(value[kind]));
    case 'filter_state': {
      const test = filterStateMatcher(object(value[kind]));
      return (subject) => test(subject.filterState);
    }
    case 'not_id': {
      const rule = principal(object(value[kind]));
      return (subject) => not(rule(subject));
    }
    case 'custom':
      return unsupported('principal custom');
    case null:
      return unsupported(`principal ${Object.keys(value).join(', ')}`);
  }
}

/** URI SANs, then DNS SANs, then the subject: a mesh certificate has one URI SAN, and an unknown subject. */
function authenticated(value: JsonObject): Rule {
  const pattern = objectOrNull(value['principal_name']);
  if (pattern === null) return (subject) => subject.tls !== null;
  const test = stringMatcher(pattern);
  return (subject) => {
    if (subject.tls === null) return false;
    // Mesh certificates have an empty subject; without a certificate there is nothing but the empty subject either.
    const subjectName = test('');
    if (subject.tls.peer === null) return subjectName;
    return any([test(subject.tls.peer), subjectName], (result) => result);
  };
}

export interface Policy {
  readonly name: string;
  readonly pointer: string;
  readonly matches: Rule;
}

export interface Rules {
  readonly action: 'ALLOW' | 'DENY' | 'LOG';
  /** In the order in which Envoy asks them: by name (std::map). */
  readonly policies: readonly Policy[];
  readonly pointer: string;
}

/** envoy.config.rbac.v3.RBAC. */
export function rules(value: JsonObject, pointer: string): Rules {
  const action = string(value['action']);
  const written = object(value['policies']);
  const names = Object.keys(written).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  const policies = names.map((name) => {
    const policy = object(written[name]);
    const permissions = list(policy['permissions']).map((item) => permission(object(item)));
    const principals = list(policy['principals']).map((item) => principal(object(item)));
    const condition =
      policy['condition'] !== undefined ||
      policy['checked_condition'] !== undefined ||
      policy['cel_config'] !== undefined;
    const matches: Rule = (subject) => {
      const parts = [
        any(permissions, (rule) => rule(subject)),
        any(principals, (rule) => rule(subject)),
        condition ? doubt(`CEL condition of policy ${name} holds`, 'CEL is not evaluated by this program') : true,
      ];
      return all(parts, (part) => part);
    };
    return { name, pointer: `${pointer}/policies/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, matches };
  });
  return { action: action === 'DENY' || action === 'LOG' ? action : 'ALLOW', policies, pointer };
}

export type RbacResult =
  | { readonly kind: 'allowed'; readonly policy: Policy | null }
  | { readonly kind: 'denied'; readonly policy: Policy | null }
  /** The policy may match: ask, and then go on with `resolve`. */
  | { readonly kind: 'open'; readonly policy: Policy; readonly doubt: Doubt; readonly index: number };

/** Goes through the policies from `from` on; the first that matches decides. */
export function evaluate(value: Rules, subject: RbacSubject, from = 0): RbacResult {
  for (let i = from; i < value.policies.length; i++) {
    const policy = value.policies[i];
    if (policy === undefined) break;
    const result = policy.matches(subject);
    if (result === true) return decided(value, policy);
    if (result !== false) return { kind: 'open', policy, doubt: result, index: i };
  }
  return decided(value, null);
}

export function decided(value: Rules, policy: Policy | null): RbacResult {
  const allowed = value.action === 'LOG' || (value.action === 'ALLOW') === (policy !== null);
  return { kind: allowed ? 'allowed' : 'denied', policy };
}
