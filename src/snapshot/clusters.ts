import { MANIFEST_FILE, missingReason, parseManifest } from './manifest.js';
import type { FileRead, Snapshot } from './snapshot.js';

/** Where the clusters of further contexts lie in a snapshot, each a whole snapshot of its own. */
const FOLDER = 'clusters';

/** One cluster of a snapshot, with paths as if it were the only one. */
export interface ClusterPart {
  /** The context that it was read by; the name of its folder where no manifest says. */
  readonly name: string;
  /** What stands before its paths in the whole snapshot: empty for the first, `clusters/<context>/` for the others. */
  readonly prefix: string;
  readonly snapshot: Snapshot;
}

/** The clusters of a snapshot, the one at its root first. */
export function clustersOf(snapshot: Snapshot): readonly [ClusterPart, ...ClusterPart[]] {
  const first: ClusterPart = { name: snapshot.manifest?.cluster.context ?? 'first', prefix: '', snapshot };
  const others = snapshot.list(FOLDER).map((folder): ClusterPart => {
    const prefix = `${FOLDER}/${folder}/`;
    const part = partOf(snapshot, prefix);
    return { name: part.manifest?.cluster.context ?? folder, prefix, snapshot: part };
  });
  return [first, ...others];
}

/** A file system takes 255 bytes, and the files in it have longer paths still. */
const LONGEST = 100;

/** A context in a file name: those of EKS and GKE hold colons and slashes. Its real name stands in the manifest. */
export function fileNameOf(context: string): string {
  return context
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .replace(/^\.+|^$/, '_')
    .slice(0, LONGEST);
}

/**
 * Where further contexts lie: `arn:aws:eks:…/b` below `clusters/arn_aws_eks_…_b/`. A number tells apart what would be the
 * same then, on a disk that does not know capital letters too.
 */
export function prefixesOf(contexts: readonly string[]): readonly (readonly [context: string, prefix: string])[] {
  const taken = new Set<string>();
  return contexts.map((context) => {
    const folder = fileNameOf(context);
    let name = folder;
    for (let number = 2; taken.has(name.toLowerCase()); number++) name = `${folder}-${number}`;
    taken.add(name.toLowerCase());
    return [context, `${FOLDER}/${name}/`];
  });
}

/** What lies below `prefix` as a snapshot. Its problems are those of its own manifest. */
export function partOf(whole: Snapshot, prefix: string): Snapshot {
  const file = whole.read(prefix + MANIFEST_FILE);
  const parsed = file.kind === 'text' ? parseManifest(file.text) : { manifest: null, problem: null };
  return {
    name: whole.name,
    manifest: parsed.manifest,
    problems: parsed.problem === null ? [] : [parsed.problem],
    read: (path): FileRead => {
      const read = whole.read(prefix + path);
      const own = read.path.startsWith(prefix) ? read.path.slice(prefix.length) : path;
      if (read.kind !== 'missing') return { ...read, path: own };
      return { ...read, path: own, reason: missingReason(parsed.manifest, own) };
    },
    list: (folder) => whole.list(prefix + folder),
  };
}

/**
 * `foo/sleep@east` → `foo/sleep`, of the cluster `east`; cluster null where none of `names` is named. No name of Kubernetes
 * holds an `@`, those of contexts may: what stands behind the first one is the context, and a URL may end with one.
 */
export function splitCluster(
  text: string,
  names: readonly string[],
): { readonly words: string; readonly cluster: string | null } {
  for (let at = text.indexOf('@'); at > 0; at = text.indexOf('@', at + 1)) {
    const cluster = text.slice(at + 1);
    if (names.includes(cluster)) return { words: text.slice(0, at), cluster };
  }
  return { words: text, cluster: null };
}
