import type { Evidence, Unknown } from '../formats/evidence.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import { dig, isObject, objectsAt, numberAt, objectAt } from '../formats/kubernetes-narrow.js';
import type { DestinationRule, JsonObject } from '../formats/kubernetes-types.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Mesh } from '../mesh/model.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { known, type Known } from './known.js';

/** The TLS block that a client's proxy takes for one port of a host. */
interface RuleTls {
  readonly mode: string;
  readonly rule: DestinationRule;
  readonly evidence: Evidence;
}

/**
 * The effective DestinationRule for a client and a host: of the client's namespace, else the service's, else the root
 * namespace; the most specific host first, the oldest of equals; port level before top level
 * (istio 1.30.3 pilot/pkg/model/push_context.go:destinationRule). Null: none sets a TLS mode.
 */
export function destinationRuleTls(
  mesh: Mesh,
  client: Pod,
  host: string,
  serviceNamespace: string,
  port: number | null,
): Known<RuleTls | null> {
  const open: Unknown | null = mesh.unknownOf('destinationRules', `DestinationRules for ${host}`);
  if (open !== null) return { kind: 'unknown', unknown: open };
  const namespaces = [client.namespace, serviceNamespace, mesh.rootNamespace()];
  for (const namespace of namespaces) {
    const fitting = mesh
      .list('destinationRules')
      .items.filter(
        (rule) => rule.namespace === namespace && isVisible(rule, client, namespace) && hostFits(rule, host),
      )
      .filter(
        (rule) =>
          rule.workloadSelector === null ||
          (namespace === client.namespace && labelsMatch(rule.workloadSelector, client.labels)),
      )
      .sort(bySpecificity);
    for (const rule of fitting) {
      const tls = tlsOf(rule, port);
      if (tls !== null) return known(tls);
    }
    if (fitting.length > 0) return known(null);
  }
  return known(null);
}

function isVisible(rule: DestinationRule, client: Pod, namespace: string): boolean {
  if (rule.exportTo.length === 0 || rule.exportTo.includes('*')) return true;
  if (rule.exportTo.includes(client.namespace)) return true;
  return rule.exportTo.includes('.') && client.namespace === namespace;
}

function hostFits(rule: DestinationRule, host: string): boolean {
  const wanted = fullHost(rule);
  if (wanted === '*') return true;
  if (wanted.startsWith('*.') || wanted.startsWith('*')) return host.endsWith(wanted.slice(1));
  return wanted === host;
}

/** A short name is of the rule's own namespace. */
function fullHost(rule: DestinationRule): string {
  if (rule.host.includes('.') || rule.host.startsWith('*')) return rule.host;
  return `${rule.host}.${rule.namespace}.svc.cluster.local`;
}

function bySpecificity(a: DestinationRule, b: DestinationRule): number {
  const wild = (rule: DestinationRule): number => (rule.host.startsWith('*') ? 1 : 0);
  const age = (rule: DestinationRule): string => `${rule.created ?? '9'} ${rule.name}`;
  return wild(a) - wild(b) || b.host.length - a.host.length || (age(a) < age(b) ? -1 : 1);
}

function tlsOf(rule: DestinationRule, port: number | null): RuleTls | null {
  if (rule.trafficPolicy === null) return null;
  for (const [index, entry] of objectsAt(rule.trafficPolicy, 'portLevelSettings').entries()) {
    const number = objectAt(entry, 'port');
    if (number === null || numberAt(number, 'number') !== port) continue;
    const mode = modeIn(entry);
    if (mode !== null) return made(rule, mode, `/spec/trafficPolicy/portLevelSettings/${String(index)}/tls`);
  }
  const mode = modeIn(rule.trafficPolicy);
  return mode === null ? null : made(rule, mode, '/spec/trafficPolicy/tls');
}

function modeIn(policy: JsonObject): string | null {
  const tls = policy['tls'];
  if (!isObject(tls)) return null;
  const mode = dig(tls, 'mode');
  // The API's default of a tls block without a mode.
  return typeof mode === 'string' ? mode : 'DISABLE';
}

function made(rule: DestinationRule, mode: string, tail: string): RuleTls {
  return {
    mode,
    rule,
    evidence: evidenceAt(rule, tail, `DestinationRule ${rule.namespace}/${rule.name}: tls.mode ${mode}`),
  };
}
