import { createReadStream, existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { errorCode, folderSnapshot, SNAPSHOT_ENTRIES } from './read-folder.js';
import type { Snapshot } from './snapshot.js';

/** The path given is no snapshot: the command line is wrong (exit status 2). */
export class SnapshotError extends Error {
  readonly suggestions: readonly string[];
  constructor(message: string, suggestions: readonly string[] = []) {
    super(message);
    this.suggestions = suggestions;
  }
}

const WHAT =
  'A snapshot is a folder with kubernetes/, nodes/ or pods/ in it, or that folder as .tar.gz (meshpath capture).';

/**
 * Opens a folder (or the `snapshot/` folder or `snapshot.tar.gz` inside it), a `.tar.gz`, `.tgz` or `.tar`, or `-` for an archive on standard
 * input. Throws SnapshotError where there is none; whatever is damaged inside is a problem of the snapshot, not an error.
 */
export async function openSnapshot(given: string): Promise<Snapshot> {
  if (given === '-') {
    if (process.stdin.isTTY)
      throw new SnapshotError('--snapshot - reads an archive from standard input, which is a terminal');
    return archive(process.stdin, 'standard input');
  }
  let isFolder: boolean;
  try {
    isFolder = statSync(given).isDirectory();
  } catch (error) {
    const code = errorCode(error);
    throw new SnapshotError(code === 'ENOENT' ? `no snapshot at ${given}` : `cannot read ${given} (${code})`, [WHAT]);
  }
  if (!isFolder) return archive(createReadStream(given), given);
  for (const folder of [given, path.join(given, 'snapshot')]) {
    if (SNAPSHOT_ENTRIES.some((entry) => existsSync(path.join(folder, entry)))) return folderSnapshot(folder, given);
  }
  for (const name of ['snapshot.tar.gz', 'snapshot.tgz']) {
    const file = path.join(given, name);
    if (existsSync(file)) return archive(createReadStream(file), given);
  }
  throw new SnapshotError(`no snapshot in ${given}`, [WHAT]);
}

async function archive(stream: AsyncIterable<Uint8Array>, name: string): Promise<Snapshot> {
  const { archiveSnapshot } = await import('./read-archive.js');
  const snapshot = await archiveSnapshot(stream, name);
  if (snapshot === null) throw new SnapshotError(`${name} is no archive of a snapshot`, [WHAT]);
  return snapshot;
}
