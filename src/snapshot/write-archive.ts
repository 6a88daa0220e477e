import { constants, copyFileSync, linkSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { codeOf, OutputError, writing } from './output-error.js';
import { folderSink, type SnapshotSink } from './write.js';

/**
 * A `.tar.gz`: collected as a folder beside it, packed by `close()` under a temporary name that becomes its own where nobody
 * has taken it meanwhile. What is left after a power cut, or where it cannot be packed, is that folder: a valid snapshot.
 */
interface ArchiveSink extends SnapshotSink {
  /** Throws OutputError, which names the folder that is left. */
  close(): Promise<void>;
  /** Leaves nothing behind. */
  discard(): Promise<void>;
}

/** Throws OutputError. */
export function archiveSink(file: string): ArchiveSink {
  const parent = path.dirname(path.resolve(file));
  const folder = writing(file, () => mkdtempSync(path.join(parent, `.${path.basename(file)}.`)));
  const sink = folderSink(folder);
  return {
    ...sink,
    close: async () => {
      const { create } = await import('tar');
      const temporary = `${folder}.tar.gz`;
      try {
        await create({ gzip: true, file: temporary, cwd: folder, portable: true }, ['.']);
        place(temporary, file);
      } catch (error) {
        const why = codeOf(error) === 'EEXIST' ? 'something of that name was made meanwhile' : messageOf(error);
        throw new OutputError(`${file} cannot be written (${why}); what was read is in the folder ${folder}`);
      } finally {
        rmSync(temporary, { force: true });
      }
      rmSync(folder, { recursive: true, force: true });
    },
    discard: () => {
      rmSync(folder, { recursive: true, force: true });
      return Promise.resolve();
    },
  };
}

/** Unlike a rename, it writes over nothing. */
function place(temporary: string, file: string): void {
  try {
    linkSync(temporary, file);
  } catch (error) {
    // file systems without hard links
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(codeOf(error) ?? '')) throw error;
    copyFileSync(temporary, file, constants.COPYFILE_EXCL);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
