/**
 * The path of a file inside a snapshot in one spelling (`pods/foo/sleep-1`), or null for what would leave it: absolute
 * names, `..`, backslashes (a separator on Windows), control characters, drive letters.
 */
export function insidePath(path: string): string | null {
  if (/[\u0000-\u001f\\]/.test(path) || path.startsWith('/') || /^[A-Za-z]:/.test(path)) return null;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return parts.includes('..') ? null : parts.join('/');
}

/** A file above it is unusable, the rest of the snapshot is used. V8 holds no string of more than 512 MB. */
export const MAX_FILE_BYTES = 256 * 1024 * 1024;

export function tooLarge(bytes: number): string {
  return `${Math.ceil(bytes / (1024 * 1024))} MB: files over 256 MB are not read`;
}

export const NOT_UTF8 = 'not UTF-8 text';
export const LEAVES = 'the path leaves the snapshot';
