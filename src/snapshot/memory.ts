import { insidePath, LEAVES } from './inside.js';
import { MANIFEST_FILE, missingReason, parseManifest } from './manifest.js';
import type { FileRead, Snapshot, SnapshotProblem } from './snapshot.js';

/** What is held for one path: its text, text on demand, or why it cannot be used. */
export type Content = string | { readonly unusable: string } | (() => string | { readonly unusable: string });

/**
 * A snapshot that is already in memory: collected from a cluster, read from an archive, or made by a test. `files` is
 * keyed by path inside the snapshot; keys that would leave it are never found.
 */
export function memorySnapshot(
  files: ReadonlyMap<string, Content>,
  options: { readonly name?: string; readonly problems?: readonly SnapshotProblem[] } = {},
): Snapshot {
  const held = new Map<string, Content>();
  const folders = new Map<string, Set<string>>();
  for (const [key, content] of files) {
    const path = insidePath(key);
    if (path === null || path === '') continue;
    held.set(path, content);
    const parts = path.split('/');
    for (let depth = 0; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join('/');
      const names = folders.get(folder) ?? new Set<string>();
      names.add(parts[depth] ?? '');
      folders.set(folder, names);
    }
  }
  const contentOf = (path: string): string | { readonly unusable: string } | undefined => {
    const content = held.get(path);
    if (typeof content !== 'function') return content;
    const text = content();
    held.set(path, text);
    return text;
  };
  const text = contentOf(MANIFEST_FILE);
  const parsed = typeof text === 'string' ? parseManifest(text) : { manifest: null, problem: null };
  return {
    name: options.name ?? 'memory',
    manifest: parsed.manifest,
    problems: [...(options.problems ?? []), ...(parsed.problem === null ? [] : [parsed.problem])],
    read: (given): FileRead => {
      const path = insidePath(given);
      if (path === null) return { kind: 'unusable', path: given, reason: LEAVES };
      const content = contentOf(path);
      if (content === undefined) return { kind: 'missing', path, reason: missingReason(parsed.manifest, path) };
      if (typeof content === 'string') return { kind: 'text', path, text: content };
      return { kind: 'unusable', path, reason: content.unusable };
    },
    list: (given) => {
      const path = insidePath(given);
      return path === null ? [] : [...(folders.get(path) ?? [])].sort();
    },
  };
}
