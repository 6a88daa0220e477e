import type { Evidence } from '../formats/evidence.js';
import { numberAt, objectAt, objectsAt, stringAt } from '../formats/kubernetes-narrow.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import type { DestinationRule, JsonObject, Pod } from '../formats/kubernetes-types.js';
import { labelsMatch } from './labels.js';
import type { Mesh } from './model.js';

/** What a client's proxy takes from the DestinationRule of a host. */
interface ClientTls {
  /** `DISABLE`, `SIMPLE`, `MUTUAL`, `ISTIO_MUTUAL` as written; null: no rule sets one. */
  readonly mode: string | null;
  /** The rule that holds, with or without a mode; null: none does. */
  readonly rule: DestinationRule | null;
  readonly evidence: readonly Evidence[];
}

/**
 * TLS mode for one port of a host, as the client's proxy is told: the rule of the client's namespace, else of the
 * service's, else of the root namespace; the most specific host wins; port level over subset over top level
 * (istio 1.30.3 pilot/pkg/model/push_context.go:destinationRule).
 */
export function clientTlsOf(
  mesh: Mesh,
  client: Pod,
  host: string,
  serviceNamespace: string,
  port: number | null,
  subset: string | null,
): ClientTls {
  const rule = destinationRuleOf(mesh, client, host, serviceNamespace);
  if (rule === null) return { mode: null, rule, evidence: [] };
  const levels: { readonly policy: JsonObject | null; readonly pointer: string }[] = [];
  const add = (policy: JsonObject | null, pointer: string): void => {
    if (policy === null) return;
    objectsAt(policy, 'portLevelSettings').forEach((entry, index) => {
      const settings = objectAt(entry, 'port');
      if (settings !== null && port !== null && numberAt(settings, 'number') === port) {
        levels.push({ policy: entry, pointer: `${pointer}/portLevelSettings/${index}` });
      }
    });
    levels.push({ policy, pointer });
  };
  const index = rule.subsets.findIndex((entry) => entry.name === subset);
  if (index >= 0) add(rule.subsets[index]?.trafficPolicy ?? null, `/spec/subsets/${index}/trafficPolicy`);
  add(rule.trafficPolicy, '/spec/trafficPolicy');
  for (const { policy, pointer } of levels) {
    const tls = policy === null ? null : objectAt(policy, 'tls');
    if (tls === null) continue;
    // the API's default of a tls block without a mode
    const mode = stringAt(tls, 'mode') ?? 'DISABLE';
    return { mode, rule, evidence: [evidenceAt(rule, `${pointer}/tls`, `${rule.evidence.text}: tls.mode ${mode}`)] };
  }
  return { mode: null, rule, evidence: [rule.evidence] };
}

/** The one DestinationRule that holds for a client and a host; null: none. */
export function destinationRuleOf(
  mesh: Mesh,
  client: Pod,
  host: string,
  serviceNamespace: string,
): DestinationRule | null {
  for (const namespace of new Set([client.namespace, serviceNamespace, mesh.rootNamespace()])) {
    const fitting = mesh
      .list('destinationRules')
      .items.filter((rule) => rule.namespace === namespace && hostFits(mesh, rule, host) && visible(rule, client))
      .filter(
        ({ workloadSelector }) =>
          workloadSelector === null || (namespace === client.namespace && labelsMatch(workloadSelector, client.labels)),
      )
      .sort(bySpecificity);
    if (fitting[0] !== undefined) return fitting[0];
  }
  return null;
}

function visible(rule: DestinationRule, client: Pod): boolean {
  const { exportTo, namespace } = rule;
  if (exportTo.length === 0 || exportTo.includes('*') || exportTo.includes(client.namespace)) return true;
  return exportTo.includes('.') && client.namespace === namespace;
}

function hostFits(mesh: Mesh, rule: DestinationRule, host: string): boolean {
  if (rule.host.startsWith('*')) return host.endsWith(rule.host.slice(1));
  return fullHost(mesh, rule.host, rule.namespace) === host;
}

/** A short name is of the namespace of the object that uses it; `name.ns` and `name.ns.svc` are not completed by istiod. */
export function fullHost(mesh: Mesh, host: string, namespace: string): string {
  return host.includes('.') ? host : `${host}.${namespace}.svc.${mesh.clusterDomain()}`;
}

function bySpecificity(a: DestinationRule, b: DestinationRule): number {
  const wild = (rule: DestinationRule): number => (rule.host.startsWith('*') ? 1 : 0);
  const selected = (rule: DestinationRule): number => (rule.workloadSelector === null ? 1 : 0);
  const age = (rule: DestinationRule): string => `${rule.created ?? '9'} ${rule.name}`;
  return wild(a) - wild(b) || selected(a) - selected(b) || b.host.length - a.host.length || (age(a) < age(b) ? -1 : 1);
}
