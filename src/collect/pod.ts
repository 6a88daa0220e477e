import type { PodRef } from './exec.js';
import { asArray, asString, at, isName, stringMap, type Doc } from './json.js';
import { nameOf, namespaceOf } from './cluster.js';

/** The few fields of a pod that say how to read it. */
export interface PodFacts extends PodRef {
  readonly node: string;
  readonly hostNetwork: boolean;
  readonly ips: readonly string[];
  readonly running: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Ordinary containers, then init containers that stay (native sidecars). */
  readonly containers: readonly string[];
  readonly initContainers: readonly string[];
  readonly image: string;
}

export function podFacts(pod: Doc): PodFacts {
  const names = (list: unknown): string[] =>
    asArray(list).flatMap((c) => [asString(at(c, 'name')) ?? ''].filter(isName));
  const node = asString(at(pod, 'spec', 'nodeName')) ?? '';
  const init = asArray(at(pod, 'spec', 'initContainers'));
  const phase = asString(at(pod, 'status', 'phase'));
  const ips = asArray(at(pod, 'status', 'podIPs')).flatMap((entry) => asString(at(entry, 'ip')) ?? []);
  const single = asString(at(pod, 'status', 'podIP'));
  return {
    namespace: namespaceOf(pod),
    name: nameOf(pod),
    node: isName(node) ? node : '',
    hostNetwork: at(pod, 'spec', 'hostNetwork') === true,
    ips: ips.length > 0 || single === null ? ips : [single],
    running: phase === 'Running' || phase === 'Pending',
    labels: stringMap(at(pod, 'metadata', 'labels')),
    containers: [
      ...names(at(pod, 'spec', 'containers')),
      ...names(init.filter((container) => at(container, 'restartPolicy') === 'Always')),
    ],
    initContainers: names(init),
    image: asString(at(asArray(at(pod, 'spec', 'containers'))[0], 'image')) ?? '',
  };
}

export function podId(pod: PodRef): string {
  return `${pod.namespace}/${pod.name}`;
}

export function podFolder(pod: PodRef): string {
  return `pods/${pod.namespace}/${pod.name}`;
}

/** Label of Istio's chart on every ztunnel pod. */
export function isZtunnel(pod: PodFacts): boolean {
  return pod.labels['app'] === 'ztunnel';
}

/** Sidecars, waypoints and gateways: all run in a container of this name. */
export function isEnvoy(pod: PodFacts): boolean {
  return pod.containers.includes('istio-proxy') && !isZtunnel(pod);
}
