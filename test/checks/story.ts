import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Check, CheckInput } from '../../src/checks/context.js';
import { runChecks, type CheckReport } from '../../src/checks/run.js';
import { answer, askedOf } from '../../src/commands/_answer.js';
import { questionOf, type QuestionWords } from '../../src/commands/_question.js';
import { loadMesh } from '../../src/mesh/load.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { FileRead, Snapshot } from '../../src/snapshot/snapshot.js';
import { loadEngines } from '../../src/walk/engines.js';
import { placeOfPod } from '../../src/walk/place.js';

/** One change of one file of a recording. Pointers are RFC 6901; in `where` they are relative to the list's element. */
type Change =
  | { readonly file: string; readonly remove: true }
  /** Lines that match are taken out. */
  | { readonly file: string; readonly drop: string }
  | { readonly file: string; readonly append: string }
  /** The first that matches becomes `with` (`$&` is what was there). */
  | { readonly file: string; readonly replace: string; readonly with: string }
  /** Adds an element to the list at `in` (`/items` unless told). */
  | { readonly file: string; readonly in?: string; readonly add: unknown }
  /** Sets values in the elements of the list at `in` (`/items` unless told) that fit `where`; null takes the value out. */
  | {
      readonly file: string;
      readonly in?: string;
      readonly where: Readonly<Record<string, unknown>>;
      readonly set: Readonly<Record<string, unknown>>;
    };

/** A recording with changes, a question, and what the check is to say (`fires`) or not to say (`quiet`). */
interface Story {
  readonly story: string;
  readonly snapshot: string;
  readonly changes?: readonly Change[];
  readonly from: string;
  readonly to: string;
  readonly direct?: boolean;
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the finding must be like; absent where none may be. */
  readonly finding?: { readonly subject: string; readonly severity: string; readonly says: string };
}

export function readStory(code: string, name: 'fires' | 'quiet'): Story {
  const file = new URL(`${code.toLowerCase()}/${name}.json`, import.meta.url);
  const story: Story = JSON.parse(readFileSync(file, 'utf8'));
  return story;
}

const opened = new Map<string, Promise<Snapshot>>();

/** A recording of test/fixtures, opened once. */
export function recording(name: string): Promise<Snapshot> {
  const known = opened.get(name);
  if (known !== undefined) return known;
  const file = fileURLToPath(new URL(`../fixtures/recordings/${name}/snapshot.tar.gz`, import.meta.url));
  const made = openSnapshot(file);
  opened.set(name, made);
  return made;
}

async function snapshotOf(story: Story): Promise<Snapshot> {
  return changed(await recording(story.snapshot), story.changes ?? []);
}

/** The snapshot with changes laid over it; a change that hits nothing is a mistake of the story. */
function changed(snapshot: Snapshot, changes: readonly Change[]): Snapshot {
  const files = new Map<string, string | null>();
  for (const change of changes) {
    const before = files.get(change.file) ?? textOf(snapshot, change.file);
    const after = apply(before, change);
    if (after === before) throw new Error(`a change of ${change.file} changes nothing`);
    files.set(change.file, after);
  }
  return {
    ...snapshot,
    name: snapshot.name,
    manifest: snapshot.manifest,
    list: (folder) => snapshot.list(folder),
    read: (path): FileRead => {
      const text = files.get(path);
      if (text === undefined) return snapshot.read(path);
      return text === null ? { kind: 'missing', path, reason: 'taken out by the story' } : { kind: 'text', path, text };
    },
  };
}

function textOf(snapshot: Snapshot, path: string): string {
  const file = snapshot.read(path);
  if (file.kind !== 'text') throw new Error(`${path}: ${file.reason}`);
  return file.text;
}

function apply(text: string, change: Change): string | null {
  if ('remove' in change) return null;
  if ('drop' in change) {
    const pattern = new RegExp(change.drop);
    return text
      .split('\n')
      .filter((line) => !pattern.test(line))
      .join('\n');
  }
  if ('replace' in change) return text.replace(new RegExp(change.replace, 'm'), change.with);
  if ('append' in change) return `${text}${change.append}\n`;
  const root: unknown = JSON.parse(text);
  const list = at(root, change.in ?? '/items');
  if (!Array.isArray(list)) throw new Error(`${change.file} has no list ${change.in ?? '/items'}`);
  if ('add' in change) list.push(change.add);
  else {
    for (const element of list) {
      if (!Object.entries(change.where).every(([pointer, value]) => at(element, pointer) === value)) continue;
      for (const [pointer, value] of Object.entries(change.set)) put(element, pointer, value);
    }
  }
  return JSON.stringify(root);
}

function tokens(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function at(value: unknown, pointer: string): unknown {
  let found = value;
  for (const token of tokens(pointer)) {
    if (typeof found !== 'object' || found === null) return undefined;
    found = Object.entries(found).find(([key]) => key === token)?.[1];
  }
  return found;
}

function put(value: unknown, pointer: string, set: unknown): void {
  const path = tokens(pointer);
  const last = path.at(-1);
  let parent = value;
  for (const token of path.slice(0, -1)) {
    if (at(parent, `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`) === undefined) define(parent, token, {});
    parent = at(parent, `/${token.replaceAll('~', '~0').replaceAll('/', '~1')}`);
  }
  if (last === undefined) return;
  if (set === null) Reflect.deleteProperty(Object(parent), last);
  else define(parent, last, set);
}

function define(target: unknown, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

function wordsOf(story: Story): QuestionWords {
  const { from, to, direct, method, path, headers } = story;
  return { from, to, direct, protocol: 'http', method, path, headers };
}

/** A snapshot that notes which of its files are asked for. */
export function recorded(snapshot: Snapshot, asked: Set<string>): Snapshot {
  return {
    name: snapshot.name,
    get manifest() {
      asked.add('snapshot.json');
      return snapshot.manifest;
    },
    list: (folder) => snapshot.list(folder),
    read: (path) => {
      asked.add(path);
      return snapshot.read(path);
    },
  };
}

/** Runs one check (null: none, to see what finding the subjects reads) on the paths of a trace, over a snapshot that notes what it reads. */
export async function runOne(
  check: Check | null,
  story: Story,
): Promise<{ readonly report: CheckReport; readonly asked: ReadonlySet<string> }> {
  const base = await snapshotOf(story);
  const { paths, expected, unknowns } = answer(base, wordsOf(story));
  const asked = new Set<string>();
  const snapshot = recorded(base, asked);
  const mesh = loadMesh(snapshot);
  const { question } = questionOf(mesh, wordsOf(story));
  const engines = loadEngines(snapshot, mesh);
  const input: CheckInput = {
    snapshot,
    mesh,
    question: askedOf(question),
    paths,
    expected: expected.paths,
    lacking: unknowns,
    netns: (pod) => engines.netns(placeOfPod(pod)),
    ztunnel: (pod) => engines.ztunnelDump(pod),
    envoy: (pod) => engines.envoy(pod),
  };
  return { report: runChecks(input, check === null ? [] : [check]), asked };
}
