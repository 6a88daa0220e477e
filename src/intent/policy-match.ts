import { cidrContains, parseCidr, parseIp } from '../formats/ip.js';
import type { PolicyOperation, PolicyRule, PolicySource } from '../formats/kubernetes-types.js';
import type { Identity } from './way.js';

/** null: what is known does not decide it. */
export type Truth = boolean | null;

export function and(values: readonly Truth[]): Truth {
  if (values.includes(false)) return false;
  return values.includes(null) ? null : true;
}

export function or(values: readonly Truth[]): Truth {
  if (values.includes(true)) return true;
  return values.includes(null) ? null : false;
}

function not(value: Truth): Truth {
  return value === null ? null : !value;
}

/** What a proxy sees of one request. `http` null: it does not look into it (TCP, or ztunnel). */
export interface Seen {
  readonly identity: Identity | null;
  /** Null: not known from API objects. */
  readonly sourceIp: string | null;
  readonly destinationIp: string | null;
  /** The pod's own port, not the Service's. */
  readonly port: number;
  readonly http: HttpSeen | null;
}

export interface HttpSeen {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** `*`, `prefix*`, `*suffix`, exact (istio pilot/pkg/security/authz/matcher/string.go). */
function matchText(pattern: string, value: string): boolean {
  if (pattern === '*') return value !== '';
  if (pattern.startsWith('*')) return value.endsWith(pattern.slice(1));
  if (pattern.endsWith('*')) return value.startsWith(pattern.slice(0, -1));
  return pattern === value;
}

function anyText(patterns: readonly string[], value: string | null): Truth {
  return value === null ? false : patterns.some((pattern) => matchText(pattern, value));
}

function inBlocks(blocks: readonly string[], ip: string | null): Truth {
  if (ip === null) return null;
  const parsed = parseIp(ip);
  if (parsed === null) return null;
  return blocks.some((block) => {
    const cidr = parseCidr(block);
    return cidr !== null && cidrContains(cidr, parsed);
  });
}

/** One attribute: its positive list must hold (where there is one), its negative list must not. */
function attribute(
  values: readonly string[],
  nots: readonly string[],
  test: (list: readonly string[]) => Truth,
): Truth {
  return and([values.length === 0 ? true : test(values), nots.length === 0 ? true : not(test(nots))]);
}

function principalOf(identity: Identity | null): string | null {
  if (identity === null) return null;
  return `${identity.trustDomain ?? ''}/ns/${identity.namespace}/sa/${identity.serviceAccount}`;
}

function anyPrincipal(patterns: readonly string[], identity: Identity | null): Truth {
  const principal = principalOf(identity);
  if (principal === null) return false;
  if (identity?.trustDomain === null && patterns.some((pattern) => pattern !== '*')) return null;
  return anyText(patterns, principal);
}

/** `sa` of the policy's own namespace, or `ns/sa` (1.25+). */
function anyServiceAccount(names: readonly string[], identity: Identity | null, policyNamespace: string): Truth {
  if (identity === null) return false;
  return names.some((name) => {
    const wanted = name.includes('/') ? name : `${policyNamespace}/${name}`;
    return wanted === `${identity.namespace}/${identity.serviceAccount}`;
  });
}

/** A JWT's subject: without an Authorization header there is none; with one it is not known. */
function anyRequestPrincipal(http: HttpSeen | null): Truth {
  if (http === null) return false;
  return Object.keys(http.headers).some((name) => name.toLowerCase() === 'authorization') ? null : false;
}

export function sourceMatches(source: PolicySource, seen: Seen, policyNamespace: string): Truth {
  const { identity } = seen;
  return and([
    attribute(source.principals, source.notPrincipals, (list) => anyPrincipal(list, identity)),
    attribute(source.namespaces, source.notNamespaces, (list) => anyText(list, identity?.namespace ?? null)),
    attribute(source.serviceAccounts, source.notServiceAccounts, (list) =>
      anyServiceAccount(list, identity, policyNamespace),
    ),
    attribute(source.ipBlocks, source.notIpBlocks, (list) => inBlocks(list, seen.sourceIp)),
    // the client's address by X-Forwarded-For or PROXY protocol: a matter of the gateway's configuration
    attribute(source.remoteIpBlocks, source.notRemoteIpBlocks, () => null),
    attribute(source.requestPrincipals, source.notRequestPrincipals, () => anyRequestPrincipal(seen.http)),
  ]);
}

/** Ports, hosts, methods, paths. A path template (`{*}`, `{**}`) is not evaluated. */
export function operationMatches(operation: PolicyOperation, seen: Seen): Truth {
  const { http } = seen;
  const path = http === null ? null : (http.path.split(/[?#]/)[0] ?? '');
  const texts = (list: readonly string[], value: string | null): Truth => (http === null ? null : anyText(list, value));
  return and([
    attribute(operation.ports, operation.notPorts, (list) => list.includes(String(seen.port))),
    attribute(operation.methods, operation.notMethods, (list) => texts(list, http?.method ?? null)),
    attribute(operation.paths, operation.notPaths, (list) =>
      list.some((pattern) => pattern.includes('{')) ? null : texts(list, path),
    ),
    attribute(operation.hosts, operation.notHosts, (list) =>
      texts(
        list.map((host) => host.toLowerCase()),
        http?.host.toLowerCase() ?? null,
      ),
    ),
  ]);
}

export function conditionMatches(condition: PolicyRule['when'][number], seen: Seen): Truth {
  const { key, values, notValues } = condition;
  return attribute(values, notValues, (list) => {
    switch (key) {
      case 'source.ip':
        return inBlocks(list, seen.sourceIp);
      case 'destination.ip':
        return inBlocks(list, seen.destinationIp);
      case 'destination.port':
        return list.includes(String(seen.port));
      case 'source.namespace':
        return anyText(list, seen.identity?.namespace ?? null);
      case 'source.principal':
        return anyPrincipal(list, seen.identity);
      default: {
        const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
        if (header === undefined || seen.http === null) return null;
        const found = Object.entries(seen.http.headers).find(([name]) => name.toLowerCase() === header.toLowerCase());
        return anyText(list, found?.[1] ?? null);
      }
    }
  });
}

/** A rule at an Envoy: one of `from` and one of `to` and all of `when`. */
export function ruleMatches(rule: PolicyRule, seen: Seen, policyNamespace: string): Truth {
  return and([
    rule.from.length === 0 ? true : or(rule.from.map((source) => sourceMatches(source, seen, policyNamespace))),
    rule.to.length === 0 ? true : or(rule.to.map((operation) => operationMatches(operation, seen))),
    ...rule.when.map((condition) => conditionMatches(condition, seen)),
  ]);
}
