import { assertNever, type Evidence, type Unknown } from '../formats/evidence.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import { parseEnablementSelectors, type EnablementSelector } from '../formats/kubernetes-mesh-config.js';
import type { ConfigMap, Labels, Pod } from '../formats/kubernetes-types.js';
import { isObject } from '../formats/kubernetes-narrow.js';
import { selectorMatches } from './labels.js';
import { isTerminated } from './order.js';
import type { Mesh, PodMode, Release } from './model.js';
import { annotationEvidence, isZtunnel, labelEvidence, proxyContainer } from './proxies.js';
import { atLeast } from './release.js';

const MODE_LABEL = 'istio.io/dataplane-mode';
const REDIRECTION = 'ambient.istio.io/redirection';
const SIDECAR_STATUS = 'sidecar.istio.io/status';

/**
 * Who istio-cni enrols, by release. `labels`: which labels ask · `disabledAnnotation`: redirection=disabled opts out ·
 * `hostNetwork`: test = such pods are refused by rule, none = no rule (they fail later, on finding their namespace).
 * istio cni/pkg/util/podutil.go at 1.18.0, 1.21.0, 1.22.0, 1.23.0; cni/pkg/util/enablement_selector.go at 1.27.0 and later.
 */
interface EnrolmentRule {
  readonly since: readonly [minor: number, patch: number];
  readonly labels: 'namespace' | 'namespace-or-pod' | 'selectors';
  readonly disabledAnnotation: boolean;
  readonly hostNetwork: 'test' | 'none';
  /** False: the informer enrolled running pods of excluded namespaces when the label changed (until 1.30.0). */
  readonly informerExcludes: boolean;
}

const ENROLMENT_RULES: readonly EnrolmentRule[] = [
  { since: [0, 0], labels: 'namespace', disabledAnnotation: true, hostNetwork: 'none', informerExcludes: false },
  {
    since: [22, 0],
    labels: 'namespace-or-pod',
    disabledAnnotation: false,
    hostNetwork: 'none',
    informerExcludes: false,
  },
  {
    since: [23, 0],
    labels: 'namespace-or-pod',
    disabledAnnotation: false,
    hostNetwork: 'test',
    informerExcludes: false,
  },
  { since: [27, 0], labels: 'selectors', disabledAnnotation: false, hostNetwork: 'none', informerExcludes: false },
  { since: [30, 0], labels: 'selectors', disabledAnnotation: false, hostNetwork: 'none', informerExcludes: true },
  { since: [31, 0], labels: 'selectors', disabledAnnotation: false, hostNetwork: 'test', informerExcludes: true },
];

/** values.yaml of the istio-cni chart, `ambient.enablementSelectors`, 1.27.0 to 1.31.0-rc.0. */
const DEFAULT_SELECTORS: readonly EnablementSelector[] = [
  { podSelector: { matchLabels: { [MODE_LABEL]: 'ambient' }, matchExpressions: [] }, namespaceSelector: null },
  {
    podSelector: { matchLabels: {}, matchExpressions: [{ key: MODE_LABEL, operator: 'NotIn', values: ['none'] }] },
    namespaceSelector: { matchLabels: { [MODE_LABEL]: 'ambient' }, matchExpressions: [] },
  },
];

type Expected = PodMode['expected'];

interface Verdict extends Expected {
  readonly unknowns: readonly Unknown[];
}

/** Whether labels and release ask for this pod to be enrolled in ambient. */
export function expectedEnrolment(mesh: Mesh, pod: Pod): Verdict {
  const release = mesh.release('cni') ?? mesh.release('istiod') ?? mesh.release('ztunnel');
  if (release !== null) return byRule(mesh, pod, ruleOf(release));
  const verdicts = ENROLMENT_RULES.map((rule) => byRule(mesh, pod, rule));
  const first = verdicts[0];
  if (first !== undefined && verdicts.every((verdict) => verdict.enrolled === first.enrolled)) return first;
  const unknown = { fact: 'release of istio-cni', reason: 'no image, no manifest names it; the rule depends on it' };
  return { enrolled: null, reason: 'the releases of Istio decide it differently', evidence: [], unknowns: [unknown] };
}

function ruleOf(release: Release): EnrolmentRule {
  let found: EnrolmentRule | undefined;
  for (const rule of ENROLMENT_RULES) if (atLeast(release, rule.since[0], rule.since[1])) found = rule;
  const rule = found ?? ENROLMENT_RULES[0];
  if (rule === undefined) throw new Error('ENROLMENT_RULES is empty');
  return rule;
}

function byRule(mesh: Mesh, pod: Pod, rule: EnrolmentRule): Verdict {
  const no = (reason: string, ...evidence: readonly Evidence[]): Verdict => ({
    enrolled: false,
    reason,
    evidence,
    unknowns: [],
  });
  if (isTerminated(pod)) return no(`it has ended (${pod.phase ?? ''})`, pod.evidence);
  if (isZtunnel(pod) || proxyContainer(pod)?.type === 'ztunnel') return no('it is a ztunnel', pod.evidence);
  if (pod.annotations[SIDECAR_STATUS] !== undefined) {
    return no('it has a sidecar, which wins over ambient', annotationEvidence(pod, SIDECAR_STATUS));
  }
  if (rule.disabledAnnotation && pod.annotations[REDIRECTION] === 'disabled') {
    return no('its annotation opts out', annotationEvidence(pod, REDIRECTION));
  }
  const asked = askedByLabels(mesh, pod, rule);
  if (asked.enrolled !== true) return asked;
  if (pod.hostNetwork) {
    if (rule.hostNetwork === 'test') return no('it shares the network of its node', ...asked.evidence, pod.evidence);
    return no('it has no network namespace of its own that could be redirected', ...asked.evidence, pod.evidence);
  }
  return excluded(mesh, pod, rule, asked);
}

function askedByLabels(mesh: Mesh, pod: Pod, rule: EnrolmentRule): Verdict {
  const namespace = mesh.namespace(pod.namespace);
  const own = pod.labels[MODE_LABEL];
  switch (rule.labels) {
    case 'namespace':
    case 'namespace-or-pod': {
      const counts = rule.labels === 'namespace-or-pod' ? own : undefined;
      if (counts === 'none') {
        return {
          enrolled: false,
          reason: 'its label opts out',
          evidence: [labelEvidence(pod, MODE_LABEL)],
          unknowns: [],
        };
      }
      if (counts === 'ambient') {
        return {
          enrolled: true,
          reason: 'its label asks for it',
          evidence: [labelEvidence(pod, MODE_LABEL)],
          unknowns: [],
        };
      }
      if (namespace === null) return unknownNamespace(mesh, pod);
      const asks = namespace.labels[MODE_LABEL] === 'ambient';
      return {
        enrolled: asks,
        reason: asks ? 'the label of its namespace asks for it' : 'no label asks for it',
        evidence: [labelEvidence(namespace, MODE_LABEL)],
        unknowns: [],
      };
    }
    case 'selectors':
      return bySelectors(mesh, pod);
    default:
      return assertNever(rule.labels);
  }
}

function unknownNamespace(mesh: Mesh, pod: Pod): Verdict {
  const unknown = mesh.unknownOf('namespaces', `labels of namespace ${pod.namespace}`) ?? {
    fact: `labels of namespace ${pod.namespace} (${mesh.list('namespaces').file})`,
    reason: 'the list does not hold this namespace',
  };
  return { enrolled: null, reason: 'the labels of its namespace are not known', evidence: [], unknowns: [unknown] };
}

/** 1.27+: the first entry that takes pod and namespace decides; there is no "not". */
function bySelectors(mesh: Mesh, pod: Pod): Verdict {
  const configured = enablementSelectors(mesh);
  if ('reason' in configured) {
    return {
      enrolled: null,
      reason: 'the selectors of istio-cni are not understood',
      evidence: [],
      unknowns: [configured],
    };
  }
  const namespace = mesh.namespace(pod.namespace);
  const namespaceLabels: Labels | null = namespace?.labels ?? null;
  const evidence = [
    ...(pod.labels[MODE_LABEL] === undefined ? [] : [labelEvidence(pod, MODE_LABEL)]),
    ...(namespace === null ? [] : [labelEvidence(namespace, MODE_LABEL)]),
    ...configured.evidence,
  ];
  let open = false;
  for (const entry of configured.selectors) {
    const podFits = entry.podSelector === null ? true : selectorMatches(entry.podSelector, pod.labels);
    const namespaceFits =
      entry.namespaceSelector === null
        ? true
        : namespaceLabels === null
          ? null
          : selectorMatches(entry.namespaceSelector, namespaceLabels);
    if (podFits === false || namespaceFits === false) continue;
    if (podFits === null || namespaceFits === null) open = true;
    else if (!open) return { enrolled: true, reason: reasonOf(pod, namespaceLabels), evidence, unknowns: [] };
  }
  if (open && namespaceLabels === null) return unknownNamespace(mesh, pod);
  if (open) {
    const unknown = { fact: 'enablementSelectors of istio-cni', reason: 'an operator in them is not known' };
    return { enrolled: null, reason: 'the selectors of istio-cni are not understood', evidence, unknowns: [unknown] };
  }
  const optsOut = pod.labels[MODE_LABEL] === 'none';
  return { enrolled: false, reason: optsOut ? 'its label opts out' : 'no label asks for it', evidence, unknowns: [] };
}

/** The label in everyday words; selectors that somebody wrote may go by others. */
function reasonOf(pod: Pod, namespaceLabels: Labels | null): string {
  if (pod.labels[MODE_LABEL] === 'ambient') return 'its label asks for it';
  if (namespaceLabels?.[MODE_LABEL] === 'ambient') return 'the label of its namespace asks for it';
  return 'the selectors of istio-cni take it';
}

function cniConfig(mesh: Mesh): ConfigMap | null {
  const maps = mesh.list('configMaps').items.filter((map) => map.name === 'istio-cni-config');
  return maps.find((map) => map.namespace === mesh.istioNamespace()) ?? maps[0] ?? null;
}

function enablementSelectors(
  mesh: Mesh,
): { readonly selectors: readonly EnablementSelector[]; readonly evidence: readonly Evidence[] } | Unknown {
  const map = cniConfig(mesh);
  const text = map?.data['AMBIENT_ENABLEMENT_SELECTOR'];
  // without the ConfigMap the chart's default is what nearly every mesh runs with, and the labels mean what they say
  if (map === null || text === undefined) return { selectors: DEFAULT_SELECTORS, evidence: [] };
  const parsed = parseEnablementSelectors(text);
  if ('message' in parsed) {
    return { fact: 'enablementSelectors of istio-cni', reason: `line ${parsed.line}: ${parsed.message}` };
  }
  return {
    selectors: parsed.value,
    evidence: [
      evidenceAt(map, '/data/AMBIENT_ENABLEMENT_SELECTOR', `${map.evidence.text}: AMBIENT_ENABLEMENT_SELECTOR`),
    ],
  };
}

function excluded(mesh: Mesh, pod: Pod, rule: EnrolmentRule, asked: Verdict): Verdict {
  const { names, evidence } = excludedNamespaces(mesh);
  if (!names.includes(pod.namespace)) return asked;
  const all = [...asked.evidence, ...evidence];
  if (rule.informerExcludes) {
    return { enrolled: false, reason: 'istio-cni excludes its namespace', evidence: all, unknowns: [] };
  }
  const unknown = {
    fact: `whether namespace ${pod.namespace} was labelled while the pod ran`,
    reason: 'before 1.30 istio-cni excluded namespaces for new pods only',
  };
  return {
    enrolled: null,
    reason: 'istio-cni excludes its namespace for new pods',
    evidence: all,
    unknowns: [unknown],
  };
}

/** `EXCLUDE_NAMESPACES` (1.24+), or `exclude_namespaces` of the CNI configuration; the chart's default is kube-system. */
function excludedNamespaces(mesh: Mesh): { readonly names: readonly string[]; readonly evidence: readonly Evidence[] } {
  const map = cniConfig(mesh);
  const list = map?.data['EXCLUDE_NAMESPACES'];
  if (map !== null && list !== undefined) {
    const evidence = evidenceAt(map, '/data/EXCLUDE_NAMESPACES', `${map.evidence.text}: EXCLUDE_NAMESPACES=${list}`);
    return { names: list.split(',').map((name) => name.trim()), evidence: [evidence] };
  }
  const network = map?.data['cni_network_config'];
  if (map !== null && network !== undefined) {
    const names = namesInNetworkConfig(network);
    const evidence = evidenceAt(map, '/data/cni_network_config', `${map.evidence.text}: cni_network_config`);
    if (names !== null) return { names, evidence: [evidence] };
  }
  return { names: ['kube-system'], evidence: [] };
}

function namesInNetworkConfig(text: string): readonly string[] | null {
  try {
    const root: unknown = JSON.parse(text);
    const kubernetes = isObject(root) ? root['kubernetes'] : null;
    const names = isObject(kubernetes) ? kubernetes['exclude_namespaces'] : null;
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : null;
  } catch {
    return null;
  }
}
