import { listWorkloads, type WorkloadList } from '../checks/workload-list.js';
import type { LabelSelector } from '../formats/kubernetes-types.js';
import { loadMesh } from '../mesh/load.js';
import { clustersOf } from '../snapshot/clusters.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ExpectedError, RIGHTS_HINT } from './_errors.js';
import { prefixed } from './_prefixed.js';
import { recorded } from './_recorded.js';
import { parseSelector } from './_selector.js';
import type { SourceFlags } from './_source.js';
import { writeOut } from './_write.js';

export interface LsFlags extends SourceFlags {
  readonly selector?: string | undefined;
  readonly 'all-namespaces'?: boolean | undefined;
  readonly output: 'text' | 'wide' | 'json' | 'yaml';
  readonly color?: boolean | undefined;
}

/** Collects or opens, lists, prints. */
export async function printWorkloads(flags: LsFlags): Promise<void> {
  const namespace = flags['all-namespaces'] === true ? null : (flags.namespace ?? null);
  const selector = flags.selector === undefined ? null : parseSelector(flags.selector);
  const snapshot =
    flags.snapshot === undefined ? await collected(flags, namespace, selector) : await recorded(flags.snapshot);
  await writeOut(await render(workloadsOf(snapshot, namespace, selector), flags));
}

/** Pure: the same snapshot gives the same list. Throws where nothing can be said, or the namespace does not exist. */
export function workloadsOf(
  snapshot: Snapshot,
  namespace: string | null,
  selector: LabelSelector | null = null,
): WorkloadList {
  const clusters = clustersOf(snapshot).map((cluster) => ({ ...cluster, mesh: loadMesh(cluster.snapshot) }));
  const list = listed(snapshot, namespace, selector);
  if (list.items.length > 0) return list;
  const pods = clusters.map(({ mesh }) => mesh.list('pods'));
  const unread = pods.find((one) => one.state !== 'read');
  if (unread !== undefined) {
    const reason = unread.reason ?? unread.state;
    const hints = /forbidden/.test(reason) ? [RIGHTS_HINT] : [];
    if (hints.length > 0 && namespace === null) hints.unshift('--namespace NAME lists one that you may read.');
    throw new ExpectedError(`the pods are not known: ${unread.file}: ${reason}`, 3, hints);
  }
  if (namespace !== null && clusters.every(({ mesh }) => mesh.namespace(namespace) === null)) {
    const known = clusters.flatMap(({ mesh }) => mesh.list('namespaces').items.map((entry) => entry.name));
    throw new ExpectedError(
      `there is no namespace ${namespace}`,
      2,
      known.length === 0 ? [] : [`There are: ${shortened([...new Set(known)])}`],
    );
  }
  return list;
}

/** As many names as a person reads. */
function shortened(names: readonly string[]): string {
  const more = names.length - 30;
  return more <= 0 ? names.join(', ') : `${names.slice(0, 30).join(', ')} and ${more} more`;
}

/** The workloads of all clusters of the snapshot, those of the first one first. */
function listed(snapshot: Snapshot, namespace: string | null, selector: LabelSelector | null): WorkloadList {
  const clusters = clustersOf(snapshot);
  const lists = clusters.map(({ name, prefix, snapshot: part }): WorkloadList => {
    const list = listWorkloads(part, loadMesh(part), namespace, selector);
    if (clusters.length === 1) return list;
    return prefixed({ ...list, items: list.items.map((item) => ({ cluster: name, ...item })) }, prefix);
  });
  return {
    apiVersion: 'meshpath.dev/v1',
    kind: 'WorkloadList',
    items: lists.flatMap(({ items }) => items),
    problems: lists.flatMap(({ problems }) => problems),
    unknowns: lists.flatMap(({ unknowns }) => unknowns),
  };
}

async function collected(flags: LsFlags, namespace: string | null, selector: LabelSelector | null): Promise<Snapshot> {
  const { openSource } = await import('./_source.js');
  return openSource(flags, {
    kind: 'scope',
    namespaces: namespace === null ? 'all' : [namespace],
    ask: (part) => listed(part, namespace, selector),
  });
}

async function render(list: WorkloadList, flags: LsFlags): Promise<string> {
  const { renderWorkloads, renderWorkloadsJson } = await import('../render/ls.js');
  if (flags.output === 'json') return renderWorkloadsJson(list);
  if (flags.output === 'yaml') return (await import('../render/yaml.js')).renderWorkloadsYaml(list);
  const { canShowUnicode, colorOf } = await import('./_color.js');
  return renderWorkloads(list, {
    wide: flags.output === 'wide',
    color: colorOf({ flag: flags.color, env: process.env, stream: process.stdout }),
    unicode: canShowUnicode(process.env),
  });
}
