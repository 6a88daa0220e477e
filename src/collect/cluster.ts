import pLimit, { type LimitFunction } from 'p-limit';
import { redactObject, scrub } from '../snapshot/redact.js';
import type { SnapshotSink } from '../snapshot/write.js';
import { getOne, listAll, type Selection, type Served } from './api.js';
import { asCollectError, CollectError } from './errors.js';
import { asString, at, isName, type Doc } from './json.js';
import { kindFile, KINDS, type Kind } from './kinds.js';
import type { Progress } from './plan.js';
import type { Session } from './request.js';

/**
 * One cluster while it is being read: what is there so far, what could not be read and why. Objects are held without
 * their secrets, and written as lists in the order of their names, so that the same objects make the same file whatever
 * the order in which they came.
 */
export class Cluster {
  readonly session: Session;
  readonly served: Served;
  readonly limit: LimitFunction;
  /** Namespaces that the question is about; where a list of all namespaces is refused, these are tried. */
  readonly namespaces = new Set<string>();
  readonly debugImage: string | null;
  private readonly sink: SnapshotSink;
  private readonly progress: (progress: Progress) => void;
  private readonly objects = new Map<string, Map<string, Doc>>();
  private readonly dirty = new Set<string>();
  private readonly selections = new Map<string, Promise<readonly Doc[]>>();
  /** Kinds of which no list of all namespaces may be read. */
  readonly refused = new Set<Kind>();
  readonly problems = new Map<string, string>();
  /** Files of lists that could not be read of all namespaces, with the words of the server. */
  readonly refusals = new Map<string, string>();
  /** By file of a list: the namespaces of which it was read, and those of which it could not be. */
  private readonly readOf = new Map<string, Set<string>>();
  private readonly unreadOf = new Map<string, Set<string>>();
  readonly sources = new Map<string, string>();
  private readonly held: Promise<unknown>[] = [];
  private total = 0;
  private done = 0;

  constructor(parts: {
    readonly session: Session;
    readonly served: Served;
    readonly sink: SnapshotSink;
    readonly concurrency: number;
    readonly debugImage: string | null;
    readonly progress: (progress: Progress) => void;
  }) {
    this.session = parts.session;
    this.served = parts.served;
    this.sink = parts.sink;
    this.limit = pLimit(parts.concurrency);
    this.debugImage = parts.debugImage;
    this.progress = parts.progress;
  }

  /** Runs one piece of work among at most `concurrency`, shown to the person. Never throws but for a cancelled run. */
  async task(what: string, file: string, work: () => Promise<void>): Promise<void> {
    this.total++;
    await this.limit(async () => {
      if (this.session.signal.aborted) {
        this.problem(file, 'interrupted');
      } else {
        this.progress({ kind: 'step', what, done: this.done, total: this.total });
        const began = performance.now();
        await this.guarded(file, work);
        this.took(what, performance.now() - began);
      }
      this.done++;
    });
  }

  /** Turns a failure into the one entry that says why `file` is not there. */
  async guarded(file: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof CollectError)) throw error;
      this.problem(file, error.message);
    }
  }

  /** Work that must come to its end even where the run is over: what it made is taken away again. */
  hold<T>(work: Promise<T>): Promise<T> {
    this.held.push(work);
    return work;
  }

  /** When all of that has ended. */
  async released(): Promise<void> {
    await Promise.allSettled(this.held);
  }

  took(what: string, milliseconds: number): void {
    this.progress({ kind: 'took', what, milliseconds });
  }

  notice(message: string): void {
    this.progress({ kind: 'notice', message: scrub(message) ?? message });
  }

  problem(file: string, reason: string): void {
    if (!this.problems.has(file)) this.problems.set(file, scrub(reason) ?? reason);
  }

  /** A list, or a part of one, that could not be read: what was read of other namespaces stands. The first words stay. */
  refuse(kind: Kind, error: unknown): void {
    const file = kindFile(kind);
    if (!this.refusals.has(file)) this.refusals.set(file, asCollectError(error).message);
  }

  /** The namespaces of which a list was read that could not be read of all; sorted. */
  readIn(file: string): readonly string[] {
    const unread = this.unreadOf.get(file);
    return [...(this.readOf.get(file) ?? [])].filter((namespace) => unread?.has(namespace) !== true).sort();
  }

  put(file: string, text: string): void {
    this.sink.put(file, text);
  }

  stream(file: string, chunks: AsyncIterable<Buffer>): Promise<number> {
    return this.sink.stream(file, chunks);
  }

  /**
   * Adds the objects of a selection to the list of their kind. The same selection is read once. `some`: it says nothing of
   * the others in its namespace. Throws CollectError.
   */
  select(kind: Kind, selection: Selection, holds: 'all' | 'some' = 'all'): Promise<readonly Doc[]> {
    const key = `${kindFile(kind)} ${JSON.stringify(selection)}`;
    let reading = this.selections.get(key);
    if (reading === undefined) {
      reading = this.read(kind, selection);
      this.selections.set(key, reading);
      const { namespace } = selection;
      if (namespace !== undefined) {
        const note = (of: Map<string, Set<string>>): void => {
          of.set(kindFile(kind), (of.get(kindFile(kind)) ?? new Set()).add(namespace));
        };
        reading.then(
          () => {
            if (holds === 'all') note(this.readOf);
          },
          () => note(this.unreadOf),
        );
      }
    }
    return reading;
  }

  private async read(kind: Kind, selection: Selection): Promise<readonly Doc[]> {
    const version = this.served(kind);
    const items = version === null ? [] : await listAll(this.session, kind, version, selection);
    // an API server that was tampered with, or stands in for one
    const usable = items.filter(
      (item) => isName(nameOf(item)) && (namespaceOf(item) === '' || isName(namespaceOf(item))),
    );
    if (usable.length < items.length) {
      this.problem(
        kindFile(kind),
        `${items.length - usable.length} objects have names that Kubernetes does not allow: left out`,
      );
    }
    const clean = usable.map((item) => redactObject(item));
    this.add(kind, clean);
    return clean;
  }

  private add(kind: Kind, items: readonly Doc[]): void {
    const file = kindFile(kind);
    const held = this.objects.get(file) ?? new Map<string, Doc>();
    for (const item of items) held.set(keyOf(item), item);
    this.objects.set(file, held);
    this.dirty.add(file);
  }

  /**
   * A whole list, or, where the cluster-wide one is refused, that of the namespaces concerned: then the list is there and
   * the manifest says that it is not whole.
   */
  async list(kind: Kind, namespaces: 'all' | readonly string[]): Promise<void> {
    if (namespaces !== 'all' && kind.namespaced) return this.listIn(kind, namespaces);
    try {
      await this.select(kind, {});
    } catch (error) {
      this.refuse(kind, error);
      if (asCollectError(error).kind !== 'forbidden') return;
      this.refused.add(kind);
      if (kind.namespaced) await this.listIn(kind, [...this.namespaces].sort());
    }
  }

  private async listIn(kind: Kind, namespaces: readonly string[]): Promise<void> {
    await Promise.all(
      namespaces.map((namespace) =>
        this.select(kind, { namespace }).catch((error: unknown) => {
          this.refuse(kind, error);
        }),
      ),
    );
  }

  /** One object by its name, added to the list of its kind: what may be read where the list may not. Throws CollectError. */
  async get(kind: Kind, name: string): Promise<void> {
    const version = this.served(kind);
    if (version !== null) this.add(kind, [redactObject(await getOne(this.session, kind, version, name))]);
  }

  items(kind: Kind): readonly Doc[] {
    return [...(this.objects.get(kindFile(kind))?.values() ?? [])];
  }

  object(kind: Kind, namespace: string, name: string): Doc | null {
    return this.objects.get(kindFile(kind))?.get(`${namespace}/${name}`) ?? null;
  }

  /** Writes the lists that have changed since the last time. */
  flush(): void {
    for (const file of this.dirty) {
      const held = [...(this.objects.get(file) ?? new Map<string, Doc>())].sort(([a], [b]) => (a < b ? -1 : 1));
      const items = held.map(([, item]) => JSON.stringify(item)).join(',\n');
      this.sink.put(file, `{"apiVersion":"v1","kind":"List","metadata":{},"items":[\n${items}\n]}\n`);
    }
    this.dirty.clear();
  }
}

export function nameOf(object: Doc): string {
  return asString(at(object, 'metadata', 'name')) ?? '';
}

export function namespaceOf(object: Doc): string {
  return asString(at(object, 'metadata', 'namespace')) ?? '';
}

function keyOf(object: Doc): string {
  return `${namespaceOf(object)}/${nameOf(object)}`;
}

function byPlural(plural: string, group = ''): Kind {
  const found = KINDS.find((kind) => kind.plural === plural && kind.group === group);
  if (found === undefined) throw new Error(`no kind ${plural}.${group}`);
  return found;
}

export const PODS = byPlural('pods');
export const NODES = byPlural('nodes');
export const SERVICES = byPlural('services');
export const CONFIGMAPS = byPlural('configmaps');
export const NAMESPACES = byPlural('namespaces');
/** Kinds that a person may name, and that select pods. */
export const WORKLOADS = [
  byPlural('deployments', 'apps'),
  byPlural('statefulsets', 'apps'),
  byPlural('daemonsets', 'apps'),
];
export const REPLICASETS = byPlural('replicasets', 'apps');
