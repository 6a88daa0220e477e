/**
 * A snapshot is a folder (contract: "The snapshot"), read lazily and synchronously: a trace opens the files of its path
 * only. Paths are relative to the snapshot, with forward slashes, as in evidence.
 */
export type FileRead =
  | { readonly kind: 'text'; readonly path: string; readonly text: string }
  /** Not in the snapshot; `reason` is the manifest's when it names one ("pods/exec is forbidden for …"). */
  | { readonly kind: 'missing'; readonly path: string; readonly reason: string }
  /** In the snapshot, but unusable (over 256 MB, not UTF-8, unreadable). */
  | { readonly kind: 'unusable'; readonly path: string; readonly reason: string };

export interface Snapshot {
  /** What a person calls it: the folder or archive as it was given. */
  readonly name: string;
  readonly manifest: Manifest | null;
  /** Reads one file; the same path gives the same answer for the lifetime of the snapshot. */
  read(path: string): FileRead;
  /** Names directly inside a folder, sorted; empty where the folder does not exist. */
  list(folder: string): readonly string[];
  /** What is wrong with the snapshot as a whole: a damaged manifest, an archive that ends early, entries refused. */
  readonly problems?: readonly SnapshotProblem[];
}

export interface Manifest {
  readonly capturedAt: string | null;
  readonly meshpathVersion: string | null;
  readonly cluster: {
    readonly context: string | null;
    readonly server: string | null;
    readonly istio: readonly string[];
    /** Of the context: where names without a namespace are looked for first, as kubectl does. */
    readonly namespace?: string;
  };
  readonly scope: { readonly kind: 'all' | 'trace'; readonly note: string | null } | null;
  readonly redacted: boolean | null;
  readonly problems: readonly { readonly file: string; readonly reason: string }[];
  /** Of lists that stand in `problems`: the namespaces of which all that was asked for could be read all the same. */
  readonly partial?: readonly { readonly file: string; readonly namespaces: readonly string[] }[];
}

export interface SnapshotProblem {
  /** File of the snapshot, or the archive as it was given. */
  readonly file: string;
  readonly line?: number;
  readonly message: string;
}
