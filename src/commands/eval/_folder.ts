import { folderSnapshot } from '../../snapshot/read-folder.js';
import type { FileRead } from '../../snapshot/snapshot.js';
import { ExpectedError } from '../_errors.js';

/** The files of one folder, read as those of a snapshot are: nothing outside it, nothing over its limits. */
export function openFolder(folder: string): (path: string) => FileRead {
  let files;
  try {
    files = folderSnapshot(folder, folder);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ExpectedError(`cannot read the folder ${folder}: ${why}`, 2);
  }
  if (files.list('').length === 0 && files.list('.').length === 0) {
    throw new ExpectedError(`${folder} is no folder with files in it`, 2);
  }
  return (path) => files.read(path);
}
