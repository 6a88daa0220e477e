import type { Snapshot } from '../snapshot/snapshot.js';

/**
 * What a command is going to ask. `ask` runs the pure question on what has been read so far, and may be called several
 * times: what it asked for and missed is fetched, and it is asked again, until it misses nothing more that the cluster
 * has. So a trace costs what its path costs, and forgets nothing. Addresses in its result (any JSON) that no object read
 * so far explains are looked up as well.
 */
export type Plan =
  | {
      readonly kind: 'trace';
      /** As the person wrote them: `sleep`, `foo/sleep`, `deploy/sleep.foo`, `10.0.0.1:80`, `http://host/path`. */
      readonly from: string;
      readonly to: string;
      /** Namespace of names that carry none; null: that of the context, then any. */
      readonly namespace: string | null;
      readonly ask: Ask;
    }
  | {
      readonly kind: 'scope';
      /** Namespaces whose workloads are meant. */
      readonly namespaces: 'all' | readonly string[];
      /** Null: everything of these namespaces is fetched (capture). */
      readonly ask: Ask | null;
    };

/** May be async for one reason: engines need not be loaded before the first request is on the wire. */
export type Ask = (snapshot: Snapshot) => unknown;

/** What is going on, for whoever shows it to a person. */
export type Progress =
  | { readonly kind: 'step'; readonly what: string; readonly done: number; readonly total: number }
  /** What took its time, for --timings: one entry per piece of work, once it is done. */
  | { readonly kind: 'took'; readonly what: string; readonly milliseconds: number }
  /** What a credential plugin that is still running has written, lines or a part of one: it may wait for a person. */
  | { readonly kind: 'said'; readonly message: string }
  /** Said to the person as it is: what cannot be read, what was changed in the cluster. */
  | { readonly kind: 'notice'; readonly message: string };

export interface CollectOptions {
  readonly kubeconfig: string | null;
  /** Null: the current context. */
  readonly context: string | null;
  readonly as: string | null;
  readonly asGroups: readonly string[];
  /** Milliseconds. */
  readonly requestTimeout: number;
  readonly concurrency: number;
  /** Image of the debug container that may be started; null: none may. */
  readonly debugImage: string | null;
  readonly meshpathVersion: string;
  readonly signal: AbortSignal;
  readonly progress: (progress: Progress) => void;
}
