import { listWorkloads, type WorkloadList } from '../checks/workload-list.js';
import { loadMesh } from '../mesh/load.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ExpectedError } from './_errors.js';
import { recorded } from './_recorded.js';
import type { SourceFlags } from './_source.js';
import { writeOut } from './_write.js';

export interface LsFlags extends SourceFlags {
  readonly 'all-namespaces'?: boolean | undefined;
  readonly output: 'text' | 'wide' | 'json';
  readonly color?: boolean | undefined;
}

/** Collects or opens, lists, prints. */
export async function printWorkloads(flags: LsFlags): Promise<void> {
  const namespace = flags['all-namespaces'] === true ? null : (flags.namespace ?? null);
  const snapshot = flags.snapshot === undefined ? await collected(flags, namespace) : await recorded(flags.snapshot);
  await writeOut(await render(workloadsOf(snapshot, namespace), flags));
}

/** Pure: the same snapshot gives the same list. Throws where nothing can be said, or the namespace does not exist. */
export function workloadsOf(snapshot: Snapshot, namespace: string | null): WorkloadList {
  const mesh = loadMesh(snapshot);
  const list = listWorkloads(snapshot, mesh, namespace);
  const pods = mesh.list('pods');
  if (list.items.length === 0 && pods.state !== 'read') {
    throw new ExpectedError(`the pods are not known: ${pods.file}: ${pods.reason ?? pods.state}`, 3);
  }
  if (namespace !== null && mesh.namespace(namespace) === null && list.items.length === 0) {
    const known = mesh.list('namespaces').items.map((entry) => entry.name);
    throw new ExpectedError(
      `there is no namespace ${namespace}`,
      2,
      known.length === 0 ? [] : [`There are: ${known.join(', ')}`],
    );
  }
  return list;
}

async function collected(flags: LsFlags, namespace: string | null): Promise<Snapshot> {
  const { openSource } = await import('./_source.js');
  return openSource(flags, {
    kind: 'scope',
    namespaces: namespace === null ? 'all' : [namespace],
    ask: (part) => {
      const mesh = loadMesh(part);
      return listWorkloads(part, mesh, namespace);
    },
  });
}

async function render(list: WorkloadList, flags: LsFlags): Promise<string> {
  const { renderWorkloads, renderWorkloadsJson } = await import('../render/ls.js');
  if (flags.output === 'json') return renderWorkloadsJson(list);
  const { canShowUnicode, colorOf } = await import('./_color.js');
  return renderWorkloads(list, {
    wide: flags.output === 'wide',
    color: colorOf({ flag: flags.color, env: process.env, stream: process.stdout }),
    unicode: canShowUnicode(process.env),
  });
}
