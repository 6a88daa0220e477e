import type { Evidence } from '../formats/evidence.js';
import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelConnection } from './face.js';
import { Undecided, type State } from './state.js';
import type { World } from './world.js';

export type Local =
  | { readonly kind: 'workload'; readonly workload: DumpWorkload }
  /** ztunnel does not know its own workload. */
  | { readonly kind: 'error'; readonly error: string; readonly evidence: Evidence | null };

interface PodInfo {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string | null;
}

/**
 * Which workload a connection belongs to. Since 1.24 ztunnel goes by what the CNI said of the pod (name, namespace and
 * service account), among the workloads of its own node (Z:src/state/workload.rs find_by_info); before, by address.
 */
export class LocalPods {
  private readonly state: State;
  private readonly byName = new Map<string, DumpWorkload[]>();
  private readonly byIp = new Map<string, DumpWorkload[]>();

  constructor(state: State) {
    this.state = state;
    const { localNode } = state.dump.config;
    const served = servedPods(state);
    for (const workload of state.dump.workloads) {
      if (localNode !== null && workload.node !== localNode) continue;
      const key = `${workload.namespace}/${workload.name}`;
      push(this.byName, key, workload);
      if (served !== null && !served.has(`${key}/${workload.serviceAccount}`)) continue;
      for (const ip of workload.ips) push(this.byIp, ip, workload);
    }
  }

  find(connection: Pick<ZtunnelConnection, 'pod'>, ip: string, world: World): Local {
    if (this.state.behaviour.localWorkload === 'address') return this.byAddress(ip, world);
    return connection.pod === null ? this.byServedAddress(ip, world) : this.byInfo(connection.pod, world);
  }

  private byInfo(pod: PodInfo, world: World): Local {
    const known = (this.byName.get(`${pod.namespace}/${pod.name}`) ?? []).filter(
      (workload) => pod.serviceAccount === null || workload.serviceAccount === pod.serviceAccount,
    );
    const first = known[0];
    if (first === undefined) {
      const gap = this.state.dump.gaps.workloads;
      if (gap !== null) throw new Undecided(gap);
      const who = `${pod.serviceAccount ?? '?'}.${pod.namespace} (${pod.name})`;
      return { kind: 'error', error: `failed to fetch information about local workload: ${who}`, evidence: null };
    }
    return { kind: 'workload', workload: pickOne(known, first, world) };
  }

  /** Without the CNI's word: the pods that ztunnel says it serves, by the addresses that their workloads have. */
  private byServedAddress(ip: string, world: World): Local {
    const { gaps } = this.state.dump;
    if (gaps.pods !== null) throw new Undecided(gaps.pods);
    const known = this.byIp.get(ip) ?? [];
    const first = known[0];
    if (first !== undefined) return { kind: 'workload', workload: pickOne(known, first, world) };
    throw new Undecided({
      fact: `which pod of this ztunnel has the address ${ip}: ${this.state.dump.file}/workloadState`,
      reason: 'no pod that ztunnel serves on its node is known to have this address',
    });
  }

  private byAddress(ip: string, world: World): Local {
    const workload = this.state.workloadByAddress(this.state.dump.config.network, ip, world);
    if (workload !== null) return { kind: 'workload', workload };
    return { kind: 'error', error: `unknown source: ${ip}`, evidence: null };
  }
}

/** Pods of `workloadState` as `ns/name/sa`; null where the dump has none (not in-pod mode, or an old release). */
function servedPods(state: State): ReadonlySet<string> | null {
  const { pods, config } = state.dump;
  if (pods !== null) {
    const infos = pods.map((pod) => pod.info).filter((info) => info !== null);
    return new Set(infos.map((info) => `${info.namespace}/${info.name}/${info.serviceAccount}`));
  }
  if (config.dedicatedFor === null) return null;
  const { namespace, name, serviceAccount } = config.dedicatedFor;
  return new Set([`${namespace}/${name}/${serviceAccount}`]);
}

function pickOne(known: readonly DumpWorkload[], first: DumpWorkload, world: World): DumpWorkload {
  for (const { unread } of known) if (unread !== null) throw new Undecided(unread);
  if (known.length === 1) return first;
  const chosen = world.choose(
    `local ${first.namespace}/${first.name} ${known.length}`,
    known.length,
    () => `${known.length} workloads of this node are ${first.namespace}/${first.name}; ztunnel takes any`,
  );
  return known[chosen] ?? first;
}

function push<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}
