import type { Evidence } from '../formats/evidence.js';
import { parseMeshConfig, type MeshConfig } from '../formats/kubernetes-mesh-config.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import type { ConfigMap, Container, Pod, WorkloadObject } from '../formats/kubernetes-types.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Lists } from './lists.js';
import type { Mesh, MeshProblem, Release } from './model.js';
import { parseRelease, releaseOfImage } from './release.js';

type Component = 'istiod' | 'cni' | 'ztunnel';

/** How the pods and the workload of each component are recognised (istio manifests/charts, 1.18 to 1.31 alike). */
const COMPONENTS: Readonly<
  Record<
    Component,
    {
      readonly label: string;
      readonly value: string;
      readonly image: RegExp;
      readonly workload: 'deployments' | 'daemonSets';
    }
  >
> = {
  istiod: { label: 'app', value: 'istiod', image: /(^|\/)pilot(:|@|$)/, workload: 'deployments' },
  cni: { label: 'k8s-app', value: 'istio-cni-node', image: /(^|\/)install-cni(:|@|$)/, workload: 'daemonSets' },
  ztunnel: { label: 'app', value: 'ztunnel', image: /(^|\/)ztunnel(:|@|$)/, workload: 'daemonSets' },
};

type ControlPlane = Pick<
  Mesh,
  'config' | 'trustDomain' | 'rootNamespace' | 'istioNamespace' | 'clusterDomain' | 'release' | 'problems'
>;

/** What holds for the whole mesh: its configuration, its names and the releases that run. */
export function loadControlPlane(snapshot: Snapshot, lists: Lists): ControlPlane {
  const problems: MeshProblem[] = [];
  let config: ReturnType<Mesh['config']> | undefined;
  let istioNamespace: string | null | undefined;
  const releases = new Map<Component, Release | null>();
  const self: ControlPlane = {
    istioNamespace: () =>
      istioNamespace === undefined ? (istioNamespace = findIstioNamespace(lists)) : istioNamespace,
    config: () => (config === undefined ? (config = readConfig(lists, self.istioNamespace(), problems)) : config),
    trustDomain: () => {
      const found = self.config();
      return found === null ? null : (found.config.trustDomain ?? 'cluster.local');
    },
    rootNamespace: () => {
      const found = self.config();
      return found === null ? null : (found.config.rootNamespace ?? self.istioNamespace());
    },
    clusterDomain: () => domainOf(lists),
    release: (component) => {
      let release = releases.get(component);
      if (release === undefined) {
        release = findRelease(snapshot, lists, component);
        releases.set(component, release);
      }
      return release;
    },
    problems: () => [...lists.problems(), ...problems],
  };
  return self;
}

function isComponent(
  component: Component,
  labels: Readonly<Record<string, string>>,
  containers: readonly Container[],
): boolean {
  const { label, value, image } = COMPONENTS[component];
  return labels[label] === value || containers.some((container) => !container.init && image.test(container.image));
}

/** Pods of one component: by the chart's label, or by the image where somebody renamed it. Terminated ones left out. */
function componentPods(lists: Lists, component: Component): readonly Pod[] {
  return lists
    .list('pods')
    .items.filter((pod) => pod.phase !== 'Succeeded' && pod.phase !== 'Failed')
    .filter((pod) => isComponent(component, pod.labels, pod.containers));
}

function componentWorkloads(lists: Lists, component: Component): readonly WorkloadObject[] {
  return lists
    .list(COMPONENTS[component].workload)
    .items.filter((workload) =>
      isComponent(component, { ...workload.labels, ...workload.templateLabels }, workload.containers),
    );
}

function findIstioNamespace(lists: Lists): string | null {
  const istiod = componentPods(lists, 'istiod')[0];
  if (istiod !== undefined) return istiod.namespace;
  const config = lists.list('configMaps').items.find((map) => map.name === 'istio' && map.data['mesh'] !== undefined);
  if (config !== undefined) return config.namespace;
  return componentWorkloads(lists, 'istiod')[0]?.namespace ?? componentPods(lists, 'ztunnel')[0]?.namespace ?? null;
}

/** `istio` is the default revision's, `istio-<revision>` another's. */
function readConfig(
  lists: Lists,
  namespace: string | null,
  problems: MeshProblem[],
): { readonly config: MeshConfig; readonly evidence: Evidence } | null {
  const rank = (map: ConfigMap): number => (map.namespace === namespace ? 0 : 2) + (map.name === 'istio' ? 0 : 1);
  const candidates = lists
    .list('configMaps')
    .items.filter((map) => (map.name === 'istio' || map.name.startsWith('istio-')) && map.data['mesh'] !== undefined)
    .sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1));
  const map = candidates[0];
  if (map === undefined) return null;
  const evidence = evidenceAt(map, '/data/mesh', `${map.evidence.text}: mesh`);
  const parsed = parseMeshConfig(map.data['mesh'] ?? '');
  if ('message' in parsed) {
    problems.push({
      file: evidence.file,
      pointer: evidence.pointer ?? '',
      message: `line ${parsed.line} of the mesh configuration is not understood: ${parsed.message}`,
    });
    return null;
  }
  return { config: parsed.value, evidence };
}

function domainOf(lists: Lists): string {
  for (const pod of componentPods(lists, 'istiod')) {
    for (const { args } of pod.containers) {
      const at = args.indexOf('--domain');
      const value = at >= 0 ? args[at + 1] : args.find((arg) => arg.startsWith('--domain='))?.slice('--domain='.length);
      if (value !== undefined && value !== '') return value;
    }
  }
  return 'cluster.local';
}

/** Release of the container that runs a component, by its image's tag. */
function releaseOfContainers(
  component: Component,
  object: { readonly containers: readonly Container[]; readonly evidence: Evidence },
): Release | null {
  const running = object.containers.filter((container) => !container.init);
  const container = running.find((entry) => COMPONENTS[component].image.test(entry.image)) ?? running[0];
  if (container === undefined) return null;
  const evidence = { ...object.evidence, text: `${object.evidence.text}: image ${container.image}` };
  return releaseOfImage(container.image, evidence);
}

/**
 * Of several that run, the newest: during an upgrade the new control plane decides what the proxies are told. Where no
 * image's tag names a release, the manifest, if it names exactly one.
 */
function findRelease(snapshot: Snapshot, lists: Lists, component: Component): Release | null {
  const found = componentPods(lists, component).flatMap((pod) => releaseOfContainers(component, pod) ?? []);
  if (found.length === 0) {
    found.push(
      ...componentWorkloads(lists, component).flatMap((workload) => releaseOfContainers(component, workload) ?? []),
    );
  }
  if (found.length > 0) return newest(found);
  const listed = snapshot.manifest?.cluster.istio ?? [];
  const only = listed.length === 1 ? listed[0] : undefined;
  if (only === undefined) return null;
  return parseRelease(only, { file: 'snapshot.json', pointer: '/cluster/istio/0', text: `istio ${only}` });
}

function newest(releases: readonly Release[]): Release | null {
  let best: Release | null = null;
  for (const release of releases) {
    if (best === null) best = release;
    else {
      const order = release.major - best.major || release.minor - best.minor || release.patch - best.patch;
      if (order > 0) best = release;
    }
  }
  return best;
}
