import { KINDS } from './kinds.js';

type Tier = 'view' | 'portforward' | 'exec';

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
  readonly why: string;
}

/** The rules of a tier; each tier holds the one before. Made of the kinds that are read, so that the two cannot part. */
export function rulesOf(tier: Tier): readonly Rule[] {
  const groups = new Map<string, string[]>();
  for (const kind of KINDS) groups.set(kind.group, [...(groups.get(kind.group) ?? []), kind.plural]);
  const rules: Rule[] = [...groups].map(([group, resources]) => ({
    apiGroups: [group],
    resources: [...resources].sort(),
    verbs: ['get', 'list'],
    why: group === '' ? 'workloads, Services, nodes' : group,
  }));
  rules.push({ apiGroups: [''], resources: ['pods/log'], verbs: ['get'], why: 'logs of proxies and of istio-init' });
  // a WebSocket is authorized as get up to Kubernetes 1.34, as create too from 1.35
  const stream = ['get', 'create'];
  if (tier !== 'view') {
    rules.push({ apiGroups: [''], resources: ['pods/portforward'], verbs: stream, why: 'dumps of ztunnel and Envoy' });
  }
  if (tier === 'exec') {
    rules.push({
      apiGroups: [''],
      resources: ['pods/exec'],
      verbs: stream,
      why: 'rules, sets and routes; needed in the namespace of istio-cni only, so a RoleBinding there is enough',
    });
  }
  return rules;
}

/** The ClusterRole as YAML that kubectl takes. */
export function clusterRole(tier: Tier, name: string): string {
  const lines = [
    'apiVersion: rbac.authorization.k8s.io/v1',
    'kind: ClusterRole',
    'metadata:',
    `  name: ${JSON.stringify(name)}`,
    'rules:',
  ];
  for (const rule of rulesOf(tier)) {
    lines.push(
      `  # ${rule.why}`,
      `  - apiGroups: ${JSON.stringify(rule.apiGroups)}`,
      `    resources: ${JSON.stringify(rule.resources)}`,
      `    verbs: ${JSON.stringify(rule.verbs)}`,
    );
  }
  return `${lines.join('\n')}\n`;
}
