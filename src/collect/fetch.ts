import { CONFIGMAPS, PODS, type Cluster } from './cluster.js';
import { CollectError } from './errors.js';
import { adminPath, ENVOY_FILES, fetchDump, fetchLog, ZTUNNEL_FILES } from './dumps.js';
import { kindFile, kindOfFile, type Kind } from './kinds.js';
import { fetchByDebugging, fetchCniFiles, fetchNamespaces, type Unread } from './netns.js';
import { isEnvoy, isZtunnel, podFacts, podFolder, podId, type PodFacts } from './pod.js';
import type { Way } from './tracking.js';
import type { TraceScope } from './trace-scope.js';

/** Turns paths of the snapshot into what has to be read for them, and reads each thing once. */
export class Fetcher {
  private readonly cluster: Cluster;
  private readonly scope: TraceScope;
  /** A capture: connections and logs too, which a trace does not need. */
  private readonly whole: boolean;
  private readonly tried = new Set<string>();
  private readonly listsAsked = new Set<string>();
  /** By the folder of its files. */
  private readonly unread = new Map<string, Unread>();

  constructor(cluster: Cluster, scope: TraceScope, options: { readonly whole: boolean }) {
    this.cluster = cluster;
    this.scope = scope;
    this.whole = options.whole;
  }

  /** Reads what was asked for and not tried yet. False: there was nothing of that kind. */
  async fetch(asked: ReadonlySet<string>): Promise<boolean> {
    const pods = new Map<string, Set<string>>();
    const nodes = new Map<string, { own: boolean; pods: PodFacts[] }>();
    const work: Promise<void>[] = [];
    for (const path of asked) {
      const kind = kindOfFile(path);
      if (kind !== null) this.listsAsked.add(path);
      const node = /^nodes\/([^/]+)\/(netns|cni)\//.exec(path);
      if (node !== null && this.first(`${node[0]}`)) {
        const name = node[1] ?? '';
        if (node[2] === 'cni') work.push(this.cniFiles(name));
        else wantsOf(nodes, name).own = true;
      }
      const pod = /^(pods\/([^/]+)\/([^/]+))\/(?:netns\/|(ztunnel\/.+|envoy\/.+)|logs\/(.+)\.log$)/.exec(path);
      if (pod === null) continue;
      const id = `${pod[2]}/${pod[3]}`;
      for (const key of together(path.slice((pod[1] ?? '').length + 1))) {
        if (this.first(`${pod[1]}/${key}`)) pods.set(id, (pods.get(id) ?? new Set()).add(key));
      }
    }
    const lists = this.lists();
    const learned = await Promise.all([this.scope.namespacesByName(), this.scope.inNewNamespaces()]);
    const isQuiet = pods.size === 0 && nodes.size === 0 && work.length === 0 && lists.length === 0;
    if (isQuiet && !learned.includes(true)) return false;
    await Promise.all([...lists, ...[...pods].map(([id, parts]) => this.pod(id, parts, nodes, work))]);
    for (const [node, wants] of nodes) work.push(this.namespaces(node, wants));
    await Promise.all(work);
    return true;
  }

  private first(key: string): boolean {
    if (this.tried.has(key)) return false;
    this.tried.add(key);
    return true;
  }

  /** Lists that were asked for, in every namespace that the question has come to concern since. */
  private lists(): Promise<void>[] {
    return [...this.listsAsked].flatMap((path) => {
      const kind = kindOfFile(path);
      // pods come by name, selector, address and node: a list of a whole namespace would grow with it
      if (kind === null || kind === PODS) return [];
      // read whole already, unless that was refused
      if (kind.size === 'config' && !(kind.namespaced && this.cluster.refused.has(kind))) return [];
      // the control plane's own objects hold its flags; its ConfigMaps are the only ones that mean anything here
      const { istioNamespaces } = this.scope;
      const namespaces =
        kind === CONFIGMAPS ? istioNamespaces : new Set([...this.cluster.namespaces, ...istioNamespaces]);
      const fresh = [...namespaces].filter((namespace) => this.first(`${path} ${namespace}`));
      return fresh.length === 0 ? [] : [this.list(kind, fresh)];
    });
  }

  private list(kind: Kind, namespaces: readonly string[]): Promise<void> {
    return this.cluster.task(`reading ${kind.plural}`, kindFile(kind), () => this.cluster.list(kind, namespaces));
  }

  private async pod(
    id: string,
    parts: ReadonlySet<string>,
    nodes: Map<string, { own: boolean; pods: PodFacts[] }>,
    work: Promise<void>[],
  ): Promise<void> {
    const [namespace = '', name = ''] = id.split('/');
    const pod = await this.scope.podNamed(namespace, name);
    if (pod === null) {
      this.cluster.problem(`pods/${id}`, 'the pod is not there (any more)');
      return;
    }
    for (const part of parts) {
      if (part === 'netns') {
        if (pod.node === '') {
          this.cluster.problem(`pods/${id}/netns`, 'the pod is on no node yet');
          continue;
        }
        const wants = wantsOf(nodes, pod.node);
        wants.pods.push(pod);
        // what leaves the pod goes through its node: one exec reads both
        if (this.first(`nodes/${pod.node}/netns/`)) wants.own = true;
      } else if (part.startsWith('logs/')) work.push(this.log(pod, part.slice(5, -4)));
      else if (adminPath(part) !== null) work.push(this.dump(pod, part));
    }
  }

  private dump(pod: PodFacts, file: string): Promise<void> {
    return this.cluster.task(`${podId(pod)} ${file}`, `${podFolder(pod)}/${file}`, () =>
      fetchDump(this.cluster, pod, file),
    );
  }

  private log(pod: PodFacts, container: string): Promise<void> {
    const file = `${podFolder(pod)}/logs/${container}.log`;
    return this.cluster.task(`log of ${podId(pod)}`, file, async () => {
      if (![...pod.containers, ...pod.initContainers].includes(container)) {
        throw new CollectError('gone', `the pod has no container ${container}`);
      }
      await fetchLog(this.cluster, pod, container);
    });
  }

  private namespaces(
    node: string,
    wants: { readonly own: boolean; readonly pods: readonly PodFacts[] },
  ): Promise<void> {
    return this.cluster.task(`network namespaces on ${node}`, `nodes/${node}/netns`, async () => {
      for (const unread of await fetchNamespaces(this.cluster, { node, ...wants, conntrack: this.whole })) {
        this.unread.set(unread.pod === null ? `nodes/${node}` : podFolder(unread.pod), unread);
      }
    });
  }

  /**
   * Starts debug containers for what was asked for, nothing else could read, and the way goes through: what is near it is
   * left alone. False: there was nothing of that kind.
   */
  async debug(asked: ReadonlySet<string>, way: Way): Promise<boolean> {
    if (this.cluster.debugImage === null) return false;
    const wanted = new Set([...asked].flatMap((path) => /^(.+)\/netns\//.exec(path)?.[1] ?? []));
    const ends = this.scope.podsWith(way.addresses);
    const pods = new Set([...way.pods, ...ends.map(podId)]);
    const nodes = new Set([...way.nodes, ...ends.map((pod) => pod.node)]);
    const chosen = [...this.unread].filter(
      ([folder, { pod, node }]) => wanted.has(folder) && (pod === null ? nodes.has(node) : pods.has(podId(pod))),
    );
    const read = chosen.map(async ([folder, unread]) => {
      this.unread.delete(folder);
      let done = false;
      await this.cluster.task(`debug container for ${folder}`, `${folder}/netns`, async () => {
        done = await fetchByDebugging(this.cluster, unread);
      });
      return done;
    });
    return (await Promise.all(read)).includes(true);
  }

  private cniFiles(node: string): Promise<void> {
    return this.cluster.task(`CNI configuration of ${node}`, `nodes/${node}/cni`, () =>
      fetchCniFiles(this.cluster, node),
    );
  }

  /** All that the snapshot can hold of these nodes, of the pods of these namespaces, and of the agents of the nodes. */
  async everything(nodes: ReadonlySet<string>, namespaces: 'all' | readonly string[]): Promise<void> {
    const pods = this.cluster
      .items(PODS)
      .map(podFacts)
      .filter(
        (pod) => namespaces === 'all' || namespaces.includes(pod.namespace) || (isAgent(pod) && nodes.has(pod.node)),
      );
    const work: Promise<void>[] = [];
    for (const pod of pods) {
      const ztunnel = isZtunnel(pod);
      if (!pod.running || (!ztunnel && !isEnvoy(pod))) continue;
      for (const file of ztunnel ? ZTUNNEL_FILES : ENVOY_FILES) work.push(this.dump(pod, file));
      if (pod.containers.includes('istio-proxy')) work.push(this.log(pod, 'istio-proxy'));
    }
    for (const node of nodes) {
      const here = pods.filter((pod) => pod.node === node && pod.running && !pod.hostNetwork);
      const agent = pods.find((pod) => pod.node === node && pod.labels['k8s-app'] === 'istio-cni-node');
      work.push(this.namespaces(node, { own: true, pods: here }), this.cniFiles(node));
      if (agent?.containers.includes('install-cni')) work.push(this.log(agent, 'install-cni'));
    }
    await Promise.all(work);
  }
}

/** ztunnel and istio-cni: of every way over their node. */
function isAgent(pod: PodFacts): boolean {
  return isZtunnel(pod) || pod.labels['k8s-app'] === 'istio-cni-node';
}

/** What is read with a part of a pod, since the next question asks for it: an answer takes fewer rounds. */
function together(part: string): readonly string[] {
  if (part.startsWith('netns/')) return ['netns'];
  return part === 'envoy/config_dump.json' ? [part, 'envoy/clusters.json'] : [part];
}

function wantsOf(
  nodes: Map<string, { own: boolean; pods: PodFacts[] }>,
  node: string,
): { own: boolean; pods: PodFacts[] } {
  const held = nodes.get(node) ?? { own: false, pods: [] };
  nodes.set(node, held);
  return held;
}
