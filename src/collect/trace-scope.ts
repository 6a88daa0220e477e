import type { Selection } from './api.js';
import {
  nameOf,
  namespaceOf,
  NAMESPACES,
  NODES,
  PODS,
  REPLICASETS,
  SERVICES,
  WORKLOADS,
  type Cluster,
} from './cluster.js';
import { asCollectError } from './errors.js';
import { asArray, asString, at, stringMap, type Doc } from './json.js';
import { kindFile, type Kind } from './kinds.js';
import { AGENT_NAMESPACES, agentOn, cniAgentOn } from './netns.js';
import { podFacts, type PodFacts } from './pod.js';
import type { Reference } from './reference.js';

/** Pods of waypoints and gateways (Gateway API), whatever their namespace: few, and any of them may be on the way. */
const GATEWAYS = 'gateway.networking.k8s.io/gateway-name';
const CLASSIC_GATEWAYS = 'istio in (ingressgateway,egressgateway,eastwestgateway)';
const ISTIOD = 'app=istiod';
const ZTUNNEL = 'app=ztunnel';

/**
 * The pods and namespaces that a trace starts from. Everything is narrowed by the server (names, selectors, addresses,
 * nodes), so that requests and bytes do not grow with the cluster.
 */
export class TraceScope {
  private readonly cluster: Cluster;
  private readonly nodes = new Set<string>();
  private readonly lookedUp = new Set<string>();
  /** Namespaces that were asked for one by one. */
  private readonly named = new Set<string>();
  /** Namespaces of the istiods, and of the agents. */
  private readonly istiods = new Set<string>();
  private readonly agentNamespaces = new Set<string>();
  /** Selections by labels that were refused over all namespaces. */
  private readonly refused = new Map<string, { readonly kind: Kind; readonly labels: string }>();
  private readonly triedIn = new Set<string>();

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  /** Where the mesh has its settings and policies; that of its agents stands in where nobody may look for istiod everywhere. */
  get istioNamespaces(): ReadonlySet<string> {
    return this.isRefused(PODS, ISTIOD) ? new Set([...this.istiods, ...this.agentNamespaces]) : this.istiods;
  }

  /** istiod says the release and the namespace of the mesh; gateways and waypoints may be on any way. */
  async meshPods(): Promise<void> {
    await Promise.all([
      this.pods({ labels: ISTIOD }).then(async (pods) => {
        this.istiodsIn(pods);
        if (this.isRefused(PODS, ISTIOD)) await this.again(AGENT_NAMESPACES, ({ labels }) => labels === ISTIOD);
      }),
      this.pods({ labels: GATEWAYS }),
      this.try(SERVICES, { labels: GATEWAYS }),
    ]);
  }

  private istiodsIn(pods: readonly PodFacts[]): void {
    for (const pod of pods) if (pod.labels['app'] === 'istiod') this.istiods.add(pod.namespace);
  }

  private isRefused(kind: Kind, labels: string): boolean {
    return this.refused.has(`${kindFile(kind)} ${labels}`);
  }

  /**
   * What was refused over all namespaces is asked of those that the question has come to concern since. True where something
   * was found.
   */
  inNewNamespaces(): Promise<boolean> {
    return this.again([...this.cluster.namespaces, ...this.istioNamespaces], () => true);
  }

  private async again(
    namespaces: readonly string[],
    wanted: (selection: { readonly labels: string }) => boolean,
  ): Promise<boolean> {
    const fresh = [...this.refused].flatMap(([key, selection]) =>
      wanted(selection) ? namespaces.filter((one) => this.firstIn(key, one)).map((one) => ({ ...selection, one })) : [],
    );
    const found = await Promise.all(
      fresh.map(async ({ kind, labels, one }) => {
        const items = await this.cluster.select(kind, { labels, namespace: one }, 'some').catch((error: unknown) => {
          this.cluster.refuse(kind, error);
          return [];
        });
        if (kind === PODS) this.istiodsIn(items.map(podFacts));
        return items.length > 0;
      }),
    );
    return found.includes(true);
  }

  private firstIn(key: string, namespace: string): boolean {
    const tried = `${key} ${namespace}`;
    if (this.triedIn.has(tried)) return false;
    this.triedIn.add(tried);
    return true;
  }

  /**
   * `fallback`: namespaces to try one after the other for names that carry none; where none of them has the name, all are
   * searched.
   */
  async resolve(reference: Reference, fallback: readonly string[]): Promise<void> {
    if (reference.external) {
      await Promise.all([this.pods({ labels: CLASSIC_GATEWAYS }), this.try(SERVICES, { labels: CLASSIC_GATEWAYS })]);
    }
    if (reference.node !== null) await this.agents(reference.node);
    if (reference.address !== null) await this.lookUp(reference.address);
    for (const { name, namespace } of reference.names) {
      if (namespace !== null) {
        if (await this.inNamespace(name, namespace)) return;
        continue;
      }
      for (const candidate of fallback) if (await this.inNamespace(name, candidate)) return;
      const elsewhere = await this.search(name);
      for (const found of elsewhere) await this.inNamespace(name, found);
      if (elsewhere.length > 0) return;
    }
  }

  /** Namespaces that hold something of this name. */
  private async search(name: string): Promise<readonly string[]> {
    const fields = `metadata.name=${name}`;
    const found = await Promise.all([SERVICES, PODS, ...WORKLOADS].map((kind) => this.try(kind, { fields })));
    return [...new Set(found.flat().map(namespaceOf))].sort();
  }

  /** Reads what has this name in the namespace, and the pods behind it. False: nothing there has it. */
  private async inNamespace(name: string, namespace: string): Promise<boolean> {
    const named = { namespace, fields: `metadata.name=${name}` };
    const [service, pods, ...workloads] = await Promise.all([
      this.try(SERVICES, named),
      this.pods(named),
      ...WORKLOADS.map((kind) => this.try(kind, named)),
    ]);
    const selectors = [
      ...(service ?? []).flatMap((object) => selectorText(at(object, 'spec', 'selector'))),
      ...workloads.flat().flatMap((object) => labelSelectorText(at(object, 'spec', 'selector'))),
    ];
    if (service?.length === 0 && pods.length === 0 && workloads.flat().length === 0) {
      // a ServiceEntry, a ReplicaSet, an owner that is none of the usual kinds: the pods of the namespace show it; and a
      // slip shows by what is there instead
      const [all] = await Promise.all([this.pods({ namespace }), this.try(SERVICES, { namespace })]);
      if (!all.some((pod) => pod.name.startsWith(`${name}-`) || pod.labels['app'] === name)) return false;
      this.cluster.namespaces.add(namespace);
      await this.agentsOf(all.filter((pod) => pod.name.startsWith(`${name}-`) || pod.labels['app'] === name));
      return true;
    }
    this.cluster.namespaces.add(namespace);
    const behind = await Promise.all(selectors.map((labels) => this.pods({ namespace, labels })));
    await Promise.all(selectors.map((labels) => this.try(REPLICASETS, { namespace, labels })));
    await this.agentsOf([...pods, ...behind.flat()]);
    return true;
  }

  /** The pod or Service with an address, once. True where an object was found that was not known. */
  async lookUp(address: string): Promise<boolean> {
    if (this.lookedUp.has(address)) return false;
    this.lookedUp.add(address);
    if (this.knows(address)) return false;
    const [pods, services] = await Promise.all([
      this.pods({ fields: `status.podIP=${address}` }),
      this.try(SERVICES, { fields: `spec.clusterIP=${address}` }),
    ]);
    for (const found of [...pods.filter((pod) => !pod.hostNetwork), ...services.map(refOf)]) {
      this.cluster.namespaces.add(found.namespace);
    }
    await this.agentsOf(pods);
    return pods.length + services.length > 0;
  }

  private knows(address: string): boolean {
    for (const pod of this.cluster.items(PODS)) if (podFacts(pod).ips.includes(address)) return true;
    for (const service of this.cluster.items(SERVICES)) {
      if (asArray(at(service, 'spec', 'clusterIPs')).includes(address)) return true;
      if (at(service, 'spec', 'clusterIP') === address) return true;
    }
    return this.cluster
      .items(NODES)
      .some((node) => asArray(at(node, 'status', 'addresses')).some((entry) => at(entry, 'address') === address));
  }

  /** One pod by its name, with the agents of its node; null where it is not there (any more). */
  async podNamed(namespace: string, name: string): Promise<PodFacts | null> {
    const held = this.cluster.object(PODS, namespace, name);
    if (held !== null) return podFacts(held);
    const [found] = await this.pods({ namespace, fields: `metadata.name=${name}` });
    if (found !== undefined) await this.agentsOf([found]);
    return found ?? null;
  }

  /** The pods read so far that have one of the addresses. */
  podsWith(addresses: ReadonlySet<string>): readonly PodFacts[] {
    return this.cluster
      .items(PODS)
      .map(podFacts)
      .filter((pod) => pod.ips.some((ip) => addresses.has(ip)));
  }

  private async agentsOf(pods: readonly PodFacts[]): Promise<void> {
    await Promise.all(pods.filter((pod) => pod.node !== '').map((pod) => this.agents(pod.node)));
  }

  /** ztunnel and the istio-cni agent of a node are part of every way over it. */
  async agents(node: string): Promise<void> {
    if (this.nodes.has(node)) return;
    this.nodes.add(node);
    const refused = (error: unknown): void => this.cluster.refuse(PODS, error);
    const found = (agent: PodFacts | null): void => {
      if (agent !== null) this.agentNamespaces.add(agent.namespace);
    };
    await Promise.all([
      agentOn(this.cluster, node, ZTUNNEL).then(found, refused),
      cniAgentOn(this.cluster, node).then(found, refused),
    ]);
  }

  private async pods(selection: Selection): Promise<readonly PodFacts[]> {
    return (await this.try(PODS, selection)).map(podFacts);
  }

  /** A selection over all namespaces that is refused is tried in the namespaces that are known. */
  private async try(kind: Kind, selection: Selection): Promise<readonly Doc[]> {
    try {
      return await this.cluster.select(kind, selection);
    } catch (error) {
      this.cluster.refuse(kind, error);
      if (asCollectError(error).kind !== 'forbidden' || selection.namespace !== undefined) return [];
      const known = [...this.cluster.namespaces].sort();
      const { labels, fields } = selection;
      if (labels !== undefined && fields === undefined) {
        const key = `${kindFile(kind)} ${labels}`;
        this.refused.set(key, { kind, labels });
        for (const namespace of known) this.firstIn(key, namespace);
      }
      const found = await Promise.all(known.map((namespace) => this.try(kind, { ...selection, namespace })));
      return found.flat();
    }
  }

  /** Labels of namespaces decide enrolment: all of them are read; each by its name where that is refused. */
  async namespaceObjects(): Promise<void> {
    await this.cluster.list(NAMESPACES, 'all');
    await this.namespacesByName();
  }

  /**
   * Who may read a namespace may get it, without any right to the list. False: there is none that was not tried, or all were
   * read.
   */
  async namespacesByName(): Promise<boolean> {
    if (!this.cluster.refused.has(NAMESPACES)) return false;
    const fresh = [...this.cluster.namespaces].filter((name) => !this.named.has(name));
    for (const name of fresh) this.named.add(name);
    await Promise.all(
      fresh.map((name) =>
        this.cluster.get(NAMESPACES, name).catch((error: unknown) => {
          this.cluster.refuse(NAMESPACES, error);
        }),
      ),
    );
    return fresh.length > 0;
  }
}

function refOf(object: Doc): { readonly namespace: string; readonly name: string } {
  return { namespace: namespaceOf(object), name: nameOf(object) };
}

/** `{app: web}` → `app=web`; empty where there is no selector, which selects nothing. */
function selectorText(selector: unknown): string[] {
  const pairs = Object.entries(stringMap(selector)).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? [] : [pairs.join(',')];
}

function labelSelectorText(selector: unknown): string[] {
  const [labels] = selectorText(at(selector, 'matchLabels'));
  const expressions = asArray(at(selector, 'matchExpressions')).flatMap((expression) => {
    const key = asString(at(expression, 'key'));
    const values = asArray(at(expression, 'values')).flatMap((value) => asString(value) ?? []);
    switch (key === null ? null : asString(at(expression, 'operator'))) {
      case 'In':
        return [`${key} in (${values.join(',')})`];
      case 'NotIn':
        return [`${key} notin (${values.join(',')})`];
      case 'Exists':
        return [`${key}`];
      case 'DoesNotExist':
        return [`!${key}`];
      default:
        return [];
    }
  });
  const all = [...(labels === undefined ? [] : [labels]), ...expressions];
  return all.length === 0 ? [] : [all.join(',')];
}
