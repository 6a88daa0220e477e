import { isUtf8 } from 'node:buffer';
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { insidePath, LEAVES, MAX_FILE_BYTES, NOT_UTF8, tooLarge } from './inside.js';
import { MANIFEST_FILE, missingReason, parseManifest } from './manifest.js';
import type { FileRead, Manifest, Snapshot } from './snapshot.js';

/** What a folder must hold one of to be a snapshot. */
export const SNAPSHOT_ENTRIES: readonly string[] = [MANIFEST_FILE, 'kubernetes', 'nodes', 'pods'];

/** A snapshot folder, each file read when it is first asked for. `name`: as the person gave it. */
export function folderSnapshot(folder: string, name: string): Snapshot {
  const root = realpathSync(folder);
  const reads = new Map<string, FileRead>();
  const lists = new Map<string, readonly string[]>();
  const first = readFile(root, MANIFEST_FILE, null);
  const parsed = first.kind === 'text' ? parseManifest(first.text) : { manifest: null, problem: null };
  const unreadable = first.kind === 'unusable' ? [{ file: MANIFEST_FILE, message: first.reason }] : [];
  return {
    name,
    manifest: parsed.manifest,
    problems: [...unreadable, ...(parsed.problem === null ? [] : [parsed.problem])],
    read: (given) => {
      let read = reads.get(given);
      if (read === undefined) {
        read = readFile(root, given, parsed.manifest);
        reads.set(given, read);
      }
      return read;
    },
    list: (given) => {
      let names = lists.get(given);
      if (names === undefined) {
        names = listFolder(root, given);
        lists.set(given, names);
      }
      return names;
    },
  };
}

function readFile(root: string, given: string, manifest: Manifest | null): FileRead {
  const inside = insidePath(given);
  if (inside === null) return { kind: 'unusable', path: given, reason: LEAVES };
  try {
    const file = realpathSync(path.join(root, inside));
    // a link in a folder that somebody mailed may point anywhere
    if (!file.startsWith(root + path.sep)) return { kind: 'unusable', path: inside, reason: LEAVES };
    const stat = statSync(file);
    if (!stat.isFile()) return { kind: 'unusable', path: inside, reason: 'not a regular file' };
    if (stat.size > MAX_FILE_BYTES) return { kind: 'unusable', path: inside, reason: tooLarge(stat.size) };
    const bytes = readFileSync(file);
    if (!isUtf8(bytes)) return { kind: 'unusable', path: inside, reason: NOT_UTF8 };
    return { kind: 'text', path: inside, text: bytes.toString('utf8') };
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      return { kind: 'missing', path: inside, reason: missingReason(manifest, inside) };
    }
    return { kind: 'unusable', path: inside, reason: `cannot be read (${code})` };
  }
}

function listFolder(root: string, given: string): readonly string[] {
  const inside = insidePath(given);
  if (inside === null) return [];
  try {
    const folder = realpathSync(path.join(root, inside));
    if (folder !== root && !folder.startsWith(root + path.sep)) return [];
    return readdirSync(folder).sort();
  } catch {
    // not there, not a folder, not readable: nothing can be read through it either, and read() says why
    return [];
  }
}

/** `ENOENT`, `EACCES`, …; the message of an error that has no code. */
export function errorCode(error: unknown): string {
  if (error instanceof Error) return 'code' in error && typeof error.code === 'string' ? error.code : error.message;
  return String(error);
}
