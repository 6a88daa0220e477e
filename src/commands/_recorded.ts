import { openSnapshot, SnapshotError } from '../snapshot/open.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ExpectedError } from './_errors.js';

/** The recorded snapshot that --snapshot names; nothing of a cluster is loaded for it. */
export async function recorded(path: string): Promise<Snapshot> {
  try {
    return await openSnapshot(path);
  } catch (error) {
    if (error instanceof SnapshotError) throw new ExpectedError(error.message, 2, error.suggestions);
    throw error;
  }
}
