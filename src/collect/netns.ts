import { redactObject } from '../snapshot/redact.js';
import { PODS, type Cluster } from './cluster.js';
import { logStream, withDeadline } from './dumps.js';
import { asCollectError, CollectError } from './errors.js';
import type { Doc } from './json.js';
import { exec, type ExecResult } from './exec.js';
import { debugContainer } from './debug-container.js';
import { withDebugPod } from './debug-pod.js';
import { rulesFromInitLog } from './init-log.js';
import {
  DIRECT,
  netnsCommand,
  parseOutput,
  type Part,
  type ScriptOutput,
  type Target as Scripted,
} from './netns-script.js';
import { isZtunnel, podFacts, podFolder, podId, type PodFacts } from './pod.js';

/** What is wanted of one node in one go: its own namespace, pods on it, the files of its CNI configuration. */
interface NodeWants {
  readonly node: string;
  readonly own: boolean;
  readonly pods: readonly PodFacts[];
  readonly conntrack: boolean;
}

/** Labels of the agents that can enter namespaces: istio-cni since 1.18. */
const CNI_AGENT = 'k8s-app=istio-cni-node';

/** Where istiod, istio-cni and ztunnel are installed, to be tried one by one where all namespaces may not be listed. */
export const AGENT_NAMESPACES = ['istio-system', 'kube-system', 'istio-cni'];

/**
 * Reads the pods of one label on one node; they are part of the snapshot too. Null: there is none. Throws CollectError where
 * they may not be read.
 */
export async function agentOn(cluster: Cluster, node: string, labels: string): Promise<PodFacts | null> {
  const selection = { labels, fields: `spec.nodeName=${node}` };
  const running = (pods: readonly Doc[]): PodFacts | null => pods.map(podFacts).find((pod) => pod.running) ?? null;
  try {
    return running(await cluster.select(PODS, selection));
  } catch (error) {
    const refused = asCollectError(error);
    if (refused.kind !== 'forbidden') throw refused;
    for (const namespace of AGENT_NAMESPACES) {
      const found = await cluster.select(PODS, { ...selection, namespace }).then(running, () => null);
      if (found !== null) return found;
    }
    throw refused;
  }
}

export function cniAgentOn(cluster: Cluster, node: string): Promise<PodFacts | null> {
  return agentOn(cluster, node, CNI_AGENT);
}

/** A network namespace of which the agents of the mesh have told nothing, or not all. */
export interface Unread {
  /** Null: the node's own. */
  readonly pod: PodFacts | null;
  readonly node: string;
  readonly reason: string;
}

/**
 * Prints all wanted namespaces of a node by one exec into its istio-cni pod; what that cannot give is tried otherwise. Gives
 * what is left to a debug container.
 */
export async function fetchNamespaces(cluster: Cluster, wants: NodeWants): Promise<readonly Unread[]> {
  const targets = new Map<string, Target>();
  const add = (id: string, folder: string, pod: PodFacts | null): void => void targets.set(id, { folder, pod });
  if (wants.own) add('node', `nodes/${wants.node}`, null);
  for (const [index, pod] of wants.pods.entries()) {
    if (pod.hostNetwork) {
      cluster.problem(`${podFolder(pod)}/netns`, `it shares the namespace of its node: nodes/${pod.node}/netns`);
    } else if (pod.ips.length === 0 || !pod.running) {
      cluster.problem(`${podFolder(pod)}/netns`, 'the pod does not run: it has no network namespace');
    } else add(`t${index}`, podFolder(pod), pod);
  }
  if (targets.size === 0) return [];
  const reasons = new Map<string, string>();
  await byAgent(cluster, wants, targets, reasons);
  const left = await Promise.all(
    [...targets].map(async ([id, { folder, pod }]): Promise<readonly Unread[]> => {
      const reason = reasons.get(id);
      if (reason === undefined) return [];
      const unread: Unread = { pod, node: wants.node, reason };
      const read = pod === null ? 'nothing' : await byOtherWays(cluster, pod);
      if (read === 'nothing') cluster.problem(`${folder}/netns`, reason);
      else said(cluster, unread, folder);
      return read === 'all' ? [] : [unread];
    }),
  );
  return left.flat();
}

/**
 * Reads one of them by a debug container, where the person has allowed any: by a pod that shares the network of the node, or
 * by an ephemeral container in the pod. False: it could not be read so either, which the person is told.
 */
export async function fetchByDebugging(cluster: Cluster, unread: Unread): Promise<boolean> {
  const { pod, node } = unread;
  const image = cluster.debugImage;
  if (image === null) return false;
  const folder = pod === null ? `nodes/${node}` : podFolder(pod);
  const [who, what] = pod === null ? [`node ${node}`, 'debug pod'] : [podId(pod), 'debug container'];
  try {
    const read = await (pod === null
      ? byDebugPod(cluster, node, image)
      : ownByExec(cluster, pod, await debugContainer(cluster, pod, image)));
    if (!read) throw new CollectError('refused', 'the script that prints the rules did not run in it');
  } catch (error) {
    cluster.notice(`${who}: no ${what}: ${asCollectError(error).message}`);
    return false;
  }
  cluster.problems.delete(`${folder}/netns`);
  cluster.problems.delete(`${folder}/netns/`);
  said(cluster, unread, folder);
  return true;
}

function said(cluster: Cluster, { pod, node, reason }: Unread, folder: string): void {
  const what = pod === null ? `node ${node}` : podId(pod);
  cluster.notice(`${what}: rules read by ${cluster.sources.get(`${folder}/netns`) ?? '?'} (${reason})`);
}

interface Target {
  readonly folder: string;
  readonly pod: PodFacts | null;
}

type Targets = ReadonlyMap<string, Target>;

async function byAgent(
  cluster: Cluster,
  wants: NodeWants,
  targets: Targets,
  reasons: Map<string, string>,
): Promise<void> {
  const all = (reason: string): void => {
    for (const id of targets.keys()) reasons.set(id, reason);
  };
  let agent: PodFacts | null;
  try {
    agent = await cniAgentOn(cluster, wants.node);
  } catch (error) {
    return all(asCollectError(error).message);
  }
  if (agent === null) return all(`no istio-cni pod runs on ${wants.node}`);
  const container = agent.containers.find((name) => name === 'install-cni') ?? agent.containers[0] ?? '';
  const mark = `@${Math.random().toString(36).slice(2, 10)}@`;
  const scripted: Scripted[] = [...targets].map(([id, { pod }]) => {
    if (pod !== null) return { kind: 'pod', id, ips: pod.ips };
    return { kind: agent.hostNetwork ? 'own' : 'node', id };
  });
  let output: ScriptOutput;
  try {
    const command = netnsCommand(scripted, { mark, conntrack: wants.conntrack });
    const result = await withDeadline(cluster.session, (session) => exec(session, agent, container, command));
    output = parseOutput(result.stdout, result.stderr, mark);
  } catch (error) {
    const failure = asCollectError(error);
    all(inAgent(agent, failure));
    if (failure.kind === 'refused' && agent.hostNetwork && targets.has('node')) {
      if (await direct(cluster, agent, container, `nodes/${wants.node}`)) reasons.delete('node');
    }
    return;
  }
  for (const [id, { folder, pod }] of targets) {
    const parts = output.parts.get(id);
    if (parts !== undefined && parts.size > 0) {
      writeParts(cluster, folder, parts, podId(agent));
      cluster.sources.set(
        `${folder}/netns`,
        `exec ${podId(agent)}${pod === null && agent.hostNetwork ? '' : ', nsenter'}`,
      );
    } else {
      reasons.set(id, notEntered(agent, pod, output.failed.get(id)));
    }
  }
}

function inAgent(agent: PodFacts, failure: CollectError): string {
  if (failure.kind === 'refused' && /not found|no such file/i.test(failure.message)) {
    return `the image of ${podId(agent)} has no shell (${agent.image})`;
  }
  return `exec in ${podId(agent)}: ${failure.message}`;
}

function notEntered(agent: PodFacts, pod: PodFacts | null, code: number | undefined): string {
  if (pod !== null && code === 404) {
    return `no network namespace that ${podId(agent)} can see holds ${pod.ips.join(', ')}`;
  }
  return `${podId(agent)} could not enter the network namespace (nsenter: ${code === undefined ? 'no output' : code})`;
}

/** Without a shell, single commands still print the namespace that the container is in. */
async function direct(cluster: Cluster, agent: PodFacts, container: string, folder: string): Promise<boolean> {
  const parts = new Map<string, Part>();
  for (const [name, command] of DIRECT) {
    try {
      const result: ExecResult = await withDeadline(cluster.session, (session) =>
        exec(session, agent, container, command),
      );
      parts.set(name, { stdout: result.stdout, stderr: result.stderr, exit: result.exitCode });
    } catch (error) {
      parts.set(name, { stdout: '', stderr: asCollectError(error).message, exit: 127 });
    }
  }
  if (![...parts.values()].some((part) => part.exit === 0)) return false;
  writeParts(cluster, folder, parts, podId(agent));
  cluster.sources.set(`${folder}/netns`, `exec ${podId(agent)}`);
  return true;
}

/** The rest of the ways, best first: exec in a ztunnel of 1.18, the log of istio-init. */
async function byOtherWays(cluster: Cluster, pod: PodFacts): Promise<'all' | 'part' | 'nothing'> {
  const folder = podFolder(pod);
  if (isZtunnel(pod) && (await ownByExec(cluster, pod, pod.containers[0] ?? '').catch(() => false))) return 'all';
  if (!pod.initContainers.includes('istio-init')) return 'nothing';
  try {
    const chunks: Buffer[] = [];
    for await (const chunk of await logStream(cluster.session, pod, 'istio-init')) chunks.push(chunk);
    const rules = rulesFromInitLog(Buffer.concat(chunks).toString('utf8'));
    if (rules.v4 === null) return 'nothing';
    cluster.put(`${folder}/netns/iptables-save.txt`, rules.v4);
    if (rules.v6 !== null) cluster.put(`${folder}/netns/ip6tables-save.txt`, rules.v6);
    cluster.sources.set(`${folder}/netns`, `log of ${podId(pod)}/istio-init`);
    cluster.problem(`${folder}/netns/`, 'only the rules that istio-init applied are known, from its log');
    return 'part';
  } catch {
    // its refusal adds nothing to the reason that is recorded already
    return 'nothing';
  }
}

/** A node's own namespace by a pod that shares it. */
async function byDebugPod(cluster: Cluster, node: string, image: string): Promise<boolean> {
  const where = { node, namespace: await agentNamespace(cluster, node), image };
  return cluster.hold(
    withDebugPod(cluster, where, (pod, container) => ownByExec(cluster, pod, container, `nodes/${node}`)),
  );
}

/** Where istio-cni runs pods of the same kind may run too; kube-system otherwise. */
async function agentNamespace(cluster: Cluster, node: string): Promise<string> {
  const agent = await cniAgentOn(cluster, node).catch(() => null);
  return agent?.namespace ?? 'kube-system';
}

/** The namespace of the container itself. Throws CollectError. */
async function ownByExec(
  cluster: Cluster,
  pod: PodFacts,
  container: string,
  folder = podFolder(pod),
): Promise<boolean> {
  const mark = `@${Math.random().toString(36).slice(2, 10)}@`;
  const command = netnsCommand([{ kind: 'own', id: 'own' }], { mark, conntrack: false });
  const result = await withDeadline(cluster.session, (session) => exec(session, pod, container, command));
  const parts = parseOutput(result.stdout, result.stderr, mark).parts.get('own');
  if (parts === undefined) return false;
  writeParts(cluster, folder, parts, podId(pod));
  cluster.sources.set(`${folder}/netns`, `exec ${podId(pod)}/${container}`);
  return true;
}

/** Both back-ends of iptables under the names of the contract, everything else as it was printed. */
function writeParts(cluster: Cluster, folder: string, parts: ReadonlyMap<string, Part>, where: string): void {
  const put = (file: string, text: string): void => cluster.put(`${folder}/netns/${file}`, text);
  for (const family of ['iptables', 'ip6tables']) {
    const nft = parts.get(`${family}-nft`);
    const legacy = parts.get(`${family}-legacy`);
    const legacyText = legacy !== undefined && legacy.exit === 0 && /^-A /m.test(legacy.stdout) ? legacy.stdout : null;
    if (nft?.exit === 0) {
      const nftHasRules = /^-A /m.test(nft.stdout);
      put(`${family}-save.txt`, legacyText !== null && !nftHasRules ? legacyText : nft.stdout);
      if (legacyText !== null && nftHasRules) put(`${family}-legacy-save.txt`, legacyText);
      if (legacy !== undefined && legacy.exit !== 0) {
        cluster.problem(`${folder}/netns/${family}-legacy-save.txt`, failed('iptables-legacy-save', legacy, where));
      }
    } else if (legacyText !== null) {
      put(`${family}-save.txt`, legacyText);
    } else if (nft !== undefined) {
      cluster.problem(`${folder}/netns/${family}-save.txt`, failed(`${family}-save`, nft, where));
    }
  }
  for (const [name, part] of parts) {
    if (name.includes('tables-')) continue;
    // sysctl complains of the few keys that it may not read, and prints the rest
    if (name === 'sysctl.txt' && part.stdout !== '') put(name, withoutSecrets(part.stdout));
    else if (part.exit === 0) put(name, part.stdout);
    else cluster.problem(`${folder}/netns/${name}`, failed(name, part, where));
  }
}

/** Keys of the kernel that make cookies and addresses unguessable (`tcp_fastopen_key`, `stable_secret`). */
function withoutSecrets(sysctl: string): string {
  return sysctl.replace(/^net\.(?:ipv4\.tcp_fastopen_key|ipv6\.conf\..*\.stable_secret) = .*\n?/gm, '');
}

function failed(what: string, part: Part, where: string): string {
  const said = part.stderr.trim().split('\n')[0]?.slice(0, 300) ?? '';
  if (part.exit === 127) return `not in the image of ${where}: ${said || what}`;
  return `exit status ${part.exit} in ${where}${said === '' ? '' : `: ${said}`}`;
}

/** The conflist and conf files of a node, by exec in the istio-cni pod, which has their folder mounted. */
export async function fetchCniFiles(cluster: Cluster, node: string): Promise<void> {
  const agent = await cniAgentOn(cluster, node);
  if (agent === null) throw new CollectError('gone', `no istio-cni pod runs on ${node}`);
  const container = agent.containers.find((name) => name === 'install-cni') ?? agent.containers[0] ?? '';
  const mark = `@${Math.random().toString(36).slice(2, 10)}@`;
  // the kubeconfig of the plugin lies in the same folder and holds a token: only these two endings are read
  const script = `cd /host/etc/cni/net.d&&for f in *.conf *.conflist;do [ -f "$f" ]&&{ echo "${mark} cni $f";cat "$f";echo;echo "${mark} = $?";};done;exit 0`;
  let result: ExecResult;
  try {
    result = await withDeadline(cluster.session, (session) => exec(session, agent, container, ['sh', '-c', script]));
  } catch (error) {
    throw new CollectError('refused', inAgent(agent, asCollectError(error)));
  }
  for (const [file, part] of parseOutput(result.stdout, result.stderr, mark).parts.get('cni') ?? []) {
    if (!/^[A-Za-z0-9_.-]+\.conf(?:list)?$/.test(file)) continue;
    try {
      const parsed: unknown = JSON.parse(part.stdout);
      cluster.put(`nodes/${node}/cni/${file}`, `${JSON.stringify(redactObject(parsed), null, 2)}\n`);
    } catch {
      cluster.problem(`nodes/${node}/cni/${file}`, 'not JSON: left out, since its secrets could not be found');
    }
  }
}
