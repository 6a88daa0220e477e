import { cidrContains, parseCidr, type Cidr, type Ip } from '../formats/ip.js';
import { assertNever } from '../formats/evidence.js';
import type { DumpPolicy, PolicyMatch, StringMatch } from '../formats/ztunnel-types.js';
import type { Identity } from './identity.js';

/** What policies are held against (Z:src/rbac.rs Connection). `port` is the target port, after any application tunnel. */
export interface RbacConnection {
  readonly sourceIp: Ip;
  readonly destinationIp: Ip;
  readonly port: number;
  /** Null for plaintext: ztunnel then compares with the empty string. */
  readonly identity: Identity | null;
}

/** Three-valued: null is "cannot be told" (a field or a form that this program does not know). */
export type Truth = boolean | null;

const and = (a: Truth, b: Truth): Truth =>
  a === false || b === false ? false : a === null || b === null ? null : true;
const or = (a: Truth, b: Truth): Truth => (a === true || b === true ? true : a === null || b === null ? null : false);
const not = (a: Truth): Truth => (a === null ? null : !a);

/**
 * Whether the matches of one clause are joined by OR (1.19 on) or, as a defect, by AND (1.18: an empty match also ends
 * the clause), and whether serviceAccounts are known.
 */
export interface RbacRules {
  readonly clauseJoin: 'any' | 'all';
}

export function matchesText(match: StringMatch, text: string): Truth {
  switch (match.kind) {
    case 'exact':
      return match.value === text;
    case 'prefix':
      return text.startsWith(match.value);
    case 'suffix':
      return text.endsWith(match.value);
    case 'presence':
      return text !== '';
    case 'unknown':
      return null;
    default:
      return assertNever(match);
  }
}

/** Z:src/rbac.rs StringMatch::matches_principal: compared without `spiffe://`, and false where that is not there. */
export function matchesPrincipal(match: StringMatch, principal: string): Truth {
  const prefix = 'spiffe://';
  return principal.startsWith(prefix) ? matchesText(match, principal.slice(prefix.length)) : false;
}

interface CompiledMatch {
  readonly source: PolicyMatch;
  readonly empty: boolean;
  readonly sourceIps: readonly (Cidr | null)[];
  readonly notSourceIps: readonly (Cidr | null)[];
  readonly destinationIps: readonly (Cidr | null)[];
  readonly notDestinationIps: readonly (Cidr | null)[];
}

export interface CompiledPolicy {
  readonly policy: DumpPolicy;
  readonly rules: readonly (readonly (readonly CompiledMatch[])[])[] | null;
}

/** Z:src/rbac.rs RbacMatch::is_empty. */
function isEmpty(match: PolicyMatch): boolean {
  const { unknownFields, ...lists } = match;
  return (
    unknownFields !== null && unknownFields.length === 0 && Object.values(lists).every((list) => list.length === 0)
  );
}

export function compilePolicy(policy: DumpPolicy): CompiledPolicy {
  const compile = (match: PolicyMatch): CompiledMatch => ({
    source: match,
    empty: isEmpty(match),
    sourceIps: match.sourceIps.map(parseCidr),
    notSourceIps: match.notSourceIps.map(parseCidr),
    destinationIps: match.destinationIps.map(parseCidr),
    notDestinationIps: match.notDestinationIps.map(parseCidr),
  });
  return { policy, rules: policy.rules?.map((rule) => rule.map((clause) => clause.map(compile))) ?? null };
}

/** Z:src/rbac.rs matches_internal: some of the positive list, none of the negative; an empty list asks nothing. */
function listed<T>(positive: readonly T[], negative: readonly T[], test: (item: T) => Truth): Truth {
  let result: Truth = true;
  if (positive.length > 0) result = positive.reduce<Truth>((found, item) => or(found, test(item)), false);
  if (negative.length > 0 && result !== false) {
    result = and(result, not(negative.reduce<Truth>((found, item) => or(found, test(item)), false)));
  }
  return result;
}

function inNet(net: Cidr | null, ip: Ip): Truth {
  return net === null ? null : cidrContains(net, ip);
}

function matchApplies(match: CompiledMatch, connection: RbacConnection): Truth {
  const { source } = match;
  const { identity } = connection;
  const namespace = identity?.namespace ?? '';
  const principal = identity?.text ?? '';
  const account = (item: { readonly namespace: string; readonly serviceAccount: string }): Truth =>
    identity !== null && item.namespace === identity.namespace && item.serviceAccount === identity.serviceAccount;
  let result = listed(match.destinationIps, match.notDestinationIps, (net) => inNet(net, connection.destinationIp));
  result = and(
    result,
    listed(match.sourceIps, match.notSourceIps, (net) => inNet(net, connection.sourceIp)),
  );
  result = and(
    result,
    listed(source.destinationPorts, source.notDestinationPorts, (port) => port === connection.port),
  );
  result = and(result, listed(source.serviceAccounts, source.notServiceAccounts, account));
  result = and(
    result,
    listed(source.principals, source.notPrincipals, (item) => matchesPrincipal(item, principal)),
  );
  result = and(
    result,
    listed(source.namespaces, source.notNamespaces, (item) => matchesText(item, namespace)),
  );
  const unread = source.unknownFields === null || source.unknownFields.length > 0;
  return unread ? and(result, null) : result;
}

function clauseApplies(clause: readonly CompiledMatch[], connection: RbacConnection, rules: RbacRules): Truth {
  if (clause.length === 0) return true;
  if (rules.clauseJoin === 'all') {
    // Z@1.18.2:src/rbac.rs Authorization::matches: `group_match &= m`, and an empty match makes the group false.
    let all: Truth = true;
    for (const match of clause) all = match.empty ? false : and(all, matchApplies(match, connection));
    return all;
  }
  let some: Truth = false;
  for (const match of clause) if (!match.empty) some = or(some, matchApplies(match, connection));
  return some;
}

/** Z:src/rbac.rs Authorization::matches: OR of rules, each an AND of clauses; no rules: no match. */
export function policyMatches(policy: CompiledPolicy, connection: RbacConnection, rules: RbacRules): Truth {
  if (policy.rules === null) return null;
  let some: Truth = false;
  for (const rule of policy.rules) {
    let all: Truth = true;
    for (const clause of rule) {
      all = and(all, clauseApplies(clause, connection, rules));
      if (all === false) break;
    }
    some = or(some, all);
    if (some === true) return true;
  }
  return some;
}

/** Whether a policy applies at all, or what it does, could not be read. */
function isUncertain(policy: DumpPolicy): boolean {
  return policy.uncertain || policy.action === null || policy.scope === null;
}

export type RbacResult =
  | { readonly kind: 'allow'; readonly by: DumpPolicy | null }
  /** One of `by` is named; which one is drawn per process where there are several. */
  | { readonly kind: 'deny'; readonly by: readonly DumpPolicy[] }
  | { readonly kind: 'none-allowed'; readonly considered: readonly DumpPolicy[] }
  | { readonly kind: 'unknown'; readonly policies: readonly DumpPolicy[] };

/**
 * Z:src/state.rs assert_rbac: DENY policies in the order of the groups (namespace, global, the workload's own list), then
 * ALLOW. Within the first two groups the order is that of a HashSet: any of several that match may be the one named.
 */
export function assertRbac(
  groups: readonly (readonly CompiledPolicy[])[],
  ordered: readonly boolean[],
  connection: RbacConnection,
  rules: RbacRules,
): RbacResult {
  const open: DumpPolicy[] = [];
  for (const [index, group] of groups.entries()) {
    const named: DumpPolicy[] = [];
    for (const compiled of group) {
      if (compiled.policy.action === 'Allow') continue;
      const matches = policyMatches(compiled, connection, rules);
      if (matches === false) continue;
      if (matches === null || isUncertain(compiled.policy)) open.push(compiled.policy);
      else {
        named.push(compiled.policy);
        if (ordered[index] === true) break;
      }
    }
    if (named.length > 0 && open.length === 0) return { kind: 'deny', by: named };
    if (named.length > 0) return { kind: 'unknown', policies: [...open, ...named] };
  }
  const allow = groups.flat().filter((compiled) => compiled.policy.action === 'Allow');
  for (const { policy } of allow) if (isUncertain(policy)) open.push(policy);
  // an ALLOW policy that does not match still denies, where there is no other one
  const either = groups.flat().filter((compiled) => compiled.policy.action === null);
  if (allow.length === 0) open.push(...either.map(({ policy }) => policy));
  if (open.length > 0) return { kind: 'unknown', policies: open };
  if (allow.length === 0) return { kind: 'allow', by: null };
  for (const compiled of allow) {
    const matches = policyMatches(compiled, connection, rules);
    if (matches === true) return { kind: 'allow', by: compiled.policy };
    if (matches === null) open.push(compiled.policy);
  }
  if (open.length > 0) return { kind: 'unknown', policies: open };
  return { kind: 'none-allowed', considered: allow.map((compiled) => compiled.policy) };
}
