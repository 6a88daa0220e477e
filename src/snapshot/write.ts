import { createWriteStream, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { insidePath, MAX_FILE_BYTES, tooLarge } from './inside.js';
import { MANIFEST_FILE } from './manifest.js';
import { outputError, writing } from './output-error.js';
import { memorySnapshot, type Content } from './memory.js';
import { folderSnapshot } from './read-folder.js';
import type { Manifest, Snapshot } from './snapshot.js';

/** The manifest as it is written: what the reader knows, and by which way each network namespace was read. */
export interface WrittenManifest extends Manifest {
  /** `path`: a file or folder of the snapshot; `by`: how it was read ("exec istio-system/istio-cni-node-x, nsenter"). */
  readonly sources: readonly { readonly path: string; readonly by: string }[];
}

/** Where collected files go. What is handed in is redacted already: a sink writes every byte that it gets. */
export interface SnapshotSink {
  put(file: string, text: string): void;
  /** A file of any size; nothing of it is left where the stream fails. Gives the bytes written. */
  stream(file: string, chunks: AsyncIterable<Buffer>): Promise<number>;
  /** Writes `snapshot.json`. May be called again: an interrupted capture is a valid, smaller one at any moment. */
  manifest(manifest: WrittenManifest): void;
  /** What a reader sees of the files written so far. */
  snapshot(name: string): Snapshot;
}

/** `snapshot.json` as it is written. */
export function manifestText(manifest: WrittenManifest): string {
  return `${JSON.stringify({ apiVersion: 'meshpath.dev/v1', kind: 'Snapshot', ...manifest }, null, 2)}\n`;
}

/** A name from the cluster never becomes a path outside the folder. */
function safe(file: string): string {
  const inside = insidePath(file);
  if (inside === null || inside === '' || inside !== file) {
    throw new Error(`${JSON.stringify(file)} is no path inside a snapshot`);
  }
  return inside;
}

/** Holds all files in memory; a reader sees what a reader of the same files on disk would see. */
export function memorySink(): SnapshotSink {
  const files = new Map<string, Content>();
  return {
    put: (file, text) => {
      files.set(safe(file), text);
    },
    stream: async (file, chunks) => {
      const target = safe(file);
      const parts: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of chunks) {
        bytes += chunk.length;
        // as a reader of the folder would refuse it; the rest is counted, not kept
        if (bytes <= MAX_FILE_BYTES) parts.push(chunk);
        else parts.length = 0;
      }
      files.set(target, bytes > MAX_FILE_BYTES ? { unusable: tooLarge(bytes) } : Buffer.concat(parts).toString('utf8'));
      return bytes;
    },
    manifest: (manifest) => {
      files.set(MANIFEST_FILE, manifestText(manifest));
    },
    snapshot: (name) => memorySnapshot(files, { name }),
  };
}

/** A folder with all above it. A recursive mkdir never returns below a folder that takes none (Node 20, /proc). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  const parent = path.dirname(folder);
  if (parent !== folder) makeFolder(parent);
  mkdirSync(folder);
}

/** A folder: every file is written to a temporary name beside it and renamed, so that none is ever seen half written. */
export function folderSink(folder: string): SnapshotSink {
  writing(folder, () => makeFolder(path.resolve(folder)));
  let counter = 0;
  const target = (file: string): { readonly final: string; readonly temporary: string } => {
    const final = path.join(folder, safe(file));
    writing(folder, () => makeFolder(path.dirname(path.resolve(final))));
    return { final, temporary: path.join(path.dirname(final), `.${path.basename(final)}.${process.pid}.${counter++}`) };
  };
  const put = (file: string, text: string): void => {
    const { final, temporary } = target(file);
    writing(folder, () => {
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, final);
    });
  };
  return {
    put,
    stream: async (file, chunks) => {
      const { final, temporary } = target(file);
      let bytes = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        for await (const chunk of chunks) {
          bytes += chunk.length;
          yield chunk;
        }
      }
      try {
        await pipeline(counted(), createWriteStream(temporary, { mode: 0o600 }));
        renameSync(temporary, final);
        return bytes;
      } catch (error) {
        rmSync(temporary, { force: true });
        // of the file that is written; what is read has errors of its own
        throw error instanceof Error && 'path' in error ? outputError(folder, error) : error;
      }
    },
    manifest: (manifest) => put(MANIFEST_FILE, manifestText(manifest)),
    snapshot: (name) => folderSnapshot(folder, name),
  };
}

/** True where a capture may be written: the folder is not there, or is empty. */
export function isFree(folder: string): boolean {
  try {
    return readdirSync(folder).length === 0;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'ENOENT';
  }
}
