import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { folderSink, type SnapshotSink } from './write.js';

/**
 * A `.tar.gz`: collected as a folder beside it, packed by `close()` under a temporary name and renamed. What is left after
 * a power cut is that folder, itself a valid snapshot.
 */
interface ArchiveSink extends SnapshotSink {
  close(): Promise<void>;
  /** Leaves nothing behind. */
  discard(): Promise<void>;
}

export function archiveSink(file: string): ArchiveSink {
  const parent = path.dirname(path.resolve(file));
  const folder = mkdtempSync(path.join(parent, `.${path.basename(file)}.`));
  const sink = folderSink(folder);
  return {
    ...sink,
    close: async () => {
      const { create } = await import('tar');
      const temporary = `${folder}.tar.gz`;
      try {
        await create({ gzip: true, file: temporary, cwd: folder, portable: true }, ['.']);
        renameSync(temporary, file);
      } finally {
        rmSync(temporary, { force: true });
        rmSync(folder, { recursive: true, force: true });
      }
    },
    discard: () => {
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}
