import { scrub } from '../snapshot/redact.js';
import type { WrittenManifest } from '../snapshot/write.js';
import { PODS, type Cluster } from './cluster.js';
import { asArray, asString, at } from './json.js';
import type { Connection } from './kubeconfig.js';
import type { CollectOptions, Plan } from './plan.js';

/** What a snapshot says of itself. */
export function manifestOf(
  cluster: Cluster,
  plan: Plan,
  options: CollectOptions,
  { context, namespace }: Pick<Connection, 'context' | 'namespace'>,
  version: string | null,
): WrittenManifest {
  const sorted = (map: ReadonlyMap<string, string>): [string, string][] =>
    [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const partial = sorted(cluster.refusals).flatMap(([file]) => {
    const namespaces = cluster.readIn(file);
    return namespaces.length === 0 ? [] : [{ file, namespaces }];
  });
  const problems = new Map(cluster.problems);
  for (const [file, message] of cluster.refusals) {
    const namespaces = partial.find((one) => one.file === file)?.namespaces.join(', ');
    const other = problems.get(file);
    const refusal = `${namespaces === undefined ? '' : `only of the namespaces ${namespaces}: `}${message}`;
    problems.set(file, other === undefined ? refusal : `${refusal}; ${other}`);
  }
  return {
    ...emptyManifest(plan, options, context),
    cluster: {
      context,
      server: version,
      istio: istioReleases(cluster),
      ...(namespace === null ? {} : { namespace }),
    },
    problems: sorted(problems).map(([file, reason]) => ({ file, reason })),
    ...(partial.length === 0 ? {} : { partial }),
    sources: sorted(cluster.sources).map(([path, by]) => ({ path, by })),
  };
}

/** The same of a cluster of which nothing could be read, or nothing yet. */
export function emptyManifest(
  plan: Plan,
  options: CollectOptions,
  context: string,
  problems: WrittenManifest['problems'] = [],
): WrittenManifest {
  const note =
    plan.kind === 'trace'
      ? `trace ${plan.from} ${withoutSecrets(plan.to)}`
      : plan.namespaces === 'all'
        ? null
        : `namespaces ${plan.namespaces.join(', ')}`;
  return {
    capturedAt: new Date().toISOString().replace(/\.\d+Z$/, 'Z'),
    meshpathVersion: options.meshpathVersion,
    cluster: { context, server: null, istio: [] },
    scope: { kind: plan.kind === 'scope' && plan.namespaces === 'all' ? 'all' : 'trace', note },
    redacted: true,
    problems,
    sources: [],
  };
}

/** A URL without its user, password and query: what was asked for is told by the rest. */
function withoutSecrets(word: string): string {
  const bare = word.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?#]*@/i, '$1').replace(/[?#].*$/s, '');
  return scrub(bare) ?? bare;
}

/** Releases of the istiods that run, by the tags of their images. */
function istioReleases(cluster: Cluster): readonly string[] {
  const tags = new Set<string>();
  for (const pod of cluster.items(PODS)) {
    if (at(pod, 'metadata', 'labels', 'app') !== 'istiod') continue;
    for (const container of asArray(at(pod, 'spec', 'containers'))) {
      const tag = /:(\d+\.\d+\.\d+[^@:/]*)(?:@.*)?$/.exec(asString(at(container, 'image')) ?? '')?.[1];
      if (tag !== undefined) tags.add(tag.replace(/-(?:distroless|debug)$/, ''));
    }
  }
  return [...tags].sort();
}
