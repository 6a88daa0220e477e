import { numberAt, objectAt, objectsAt, portAt, stringAt, stringsAt } from './kubernetes-narrow.js';
import { evidenceAt, parseLabelSelector, specOf } from './kubernetes-object.js';
import type { ApiObject, JsonObject, NetworkPolicy, NetworkPolicyRule } from './kubernetes-types.js';

const ALL_PODS = { matchLabels: {}, matchExpressions: [] };

export function parseNetworkPolicy(object: ApiObject): NetworkPolicy {
  const spec = specOf(object);
  const declared = stringsAt(spec, 'policyTypes');
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    podSelector: parseLabelSelector(spec['podSelector']) ?? ALL_PODS,
    // API: Ingress always, Egress where there are egress rules
    policyTypes: declared.length > 0 ? declared : ['Ingress', ...('egress' in spec ? ['Egress'] : [])],
    ingress: parseRules(object, spec, 'ingress', 'from'),
    egress: parseRules(object, spec, 'egress', 'to'),
  };
}

function parseRules(
  object: ApiObject,
  spec: JsonObject,
  direction: 'ingress' | 'egress',
  side: 'from' | 'to',
): readonly NetworkPolicyRule[] {
  return objectsAt(spec, direction).map((rule, index) => ({
    peers: objectsAt(rule, side).map((peer) => {
      const block = objectAt(peer, 'ipBlock');
      return {
        podSelector: parseLabelSelector(peer['podSelector']),
        namespaceSelector: parseLabelSelector(peer['namespaceSelector']),
        ipBlock: block === null ? null : { cidr: stringAt(block, 'cidr') ?? '', except: stringsAt(block, 'except') },
      };
    }),
    ports: objectsAt(rule, 'ports').map((port) => ({
      protocol: stringAt(port, 'protocol') ?? 'TCP',
      port: portAt(port, 'port'),
      endPort: numberAt(port, 'endPort'),
    })),
    evidence: evidenceAt(object, `/spec/${direction}/${index}`, `${object.evidence.text}, ${direction} ${index + 1}`),
  }));
}
