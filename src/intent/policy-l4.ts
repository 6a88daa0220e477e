import type { AuthorizationPolicy, PolicyOperation, PolicyRule, PolicySource } from '../formats/kubernetes-types.js';
import { and, conditionMatches, operationMatches, or, sourceMatches, type Seen, type Truth } from './policy-match.js';

/**
 * How ztunnel holds a policy: HTTP fields do not reach it. An ALLOW rule with any of them is left out whole; of a DENY rule
 * they are cut away, and a match that has nothing left never matches (istio 1.30.3 pilot/pkg/serviceregistry/ambient/
 * authorization.go; ztunnel 1.30.3 src/rbac.rs).
 */
const L4_CONDITIONS: readonly string[] = [
  'source.ip',
  'source.namespace',
  'source.principal',
  'destination.ip',
  'destination.port',
];

function sourceHasL7(source: PolicySource): boolean {
  const { remoteIpBlocks, notRemoteIpBlocks, requestPrincipals, notRequestPrincipals } = source;
  return [remoteIpBlocks, notRemoteIpBlocks, requestPrincipals, notRequestPrincipals].some((list) => list.length > 0);
}

function operationHasL7(operation: PolicyOperation): boolean {
  const { hosts, notHosts, methods, notMethods, paths, notPaths } = operation;
  return [hosts, notHosts, methods, notMethods, paths, notPaths].some((list) => list.length > 0);
}

function ruleHasL7(rule: PolicyRule): boolean {
  return (
    rule.from.some(sourceHasL7) ||
    rule.to.some(operationHasL7) ||
    rule.when.some((condition) => !L4_CONDITIONS.includes(condition.key))
  );
}

function l4Source(source: PolicySource): PolicySource {
  return { ...source, remoteIpBlocks: [], notRemoteIpBlocks: [], requestPrincipals: [], notRequestPrincipals: [] };
}

function l4Operation(operation: PolicyOperation): PolicyOperation {
  return { ...operation, hosts: [], notHosts: [], methods: [], notMethods: [], paths: [], notPaths: [] };
}

function isEmpty(match: PolicySource | PolicyOperation): boolean {
  return Object.values(match).every((list: readonly string[]) => list.length === 0);
}

/** One rule as ztunnel evaluates it. */
export function l4RuleMatches(policy: AuthorizationPolicy, rule: PolicyRule, seen: Seen): Truth {
  if (policy.action === 'ALLOW' && ruleHasL7(rule)) return false;
  const from = rule.from.map(l4Source).filter((source) => !isEmpty(source));
  const to = rule.to.map(l4Operation).filter((operation) => !isEmpty(operation));
  return and([
    rule.from.length === 0 ? true : or(from.map((source) => sourceMatches(source, seen, policy.namespace))),
    rule.to.length === 0 ? true : or(to.map((operation) => operationMatches(operation, seen))),
    ...rule.when.map((condition) =>
      L4_CONDITIONS.includes(condition.key) ? conditionMatches(condition, seen) : false,
    ),
  ]);
}
