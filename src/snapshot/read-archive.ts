import { isUtf8 } from 'node:buffer';
import { insidePath, MAX_FILE_BYTES, NOT_UTF8, tooLarge } from './inside.js';
import { memorySnapshot, type Content } from './memory.js';
import { SNAPSHOT_ENTRIES } from './read-folder.js';
import type { Snapshot, SnapshotProblem } from './snapshot.js';

/** What an archive may hold in all: a compressed bomb must not take the machine's memory. */
const MAX_TOTAL_BYTES = 4 * 1024 * 1024 * 1024;

/**
 * Reads a `.tar.gz` (or plain `.tar`) into memory. Links, devices, absolute names and names with `..` are refused one by
 * one; an archive that ends early gives the files that stand whole before the end. Null: no entry could be read.
 */
export async function archiveSnapshot(source: AsyncIterable<Uint8Array>, name: string): Promise<Snapshot | null> {
  const { Parser } = await import('tar');
  const problems: SnapshotProblem[] = [];
  const files = new Map<string, Content>();
  let total = 0;
  let damage: string | null = null;
  const parser = new Parser({
    onReadEntry: (entry) => {
      const path = insidePath(entry.path);
      const plain = entry.type === 'File' || entry.type === 'OldFile' || entry.type === 'ContiguousFile';
      if (!plain || path === null || path === '') {
        if (entry.type !== 'Directory' && entry.type !== 'GNUDumpDir') {
          const why = path === null ? 'its path leaves the snapshot' : `it is a ${entry.type}, not a regular file`;
          problems.push({ file: name, message: `entry "${entry.path}" is refused: ${why}` });
        }
        entry.resume();
        return;
      }
      total += entry.size;
      if (entry.size > MAX_FILE_BYTES || total > MAX_TOTAL_BYTES) {
        const why = entry.size > MAX_FILE_BYTES ? tooLarge(entry.size) : 'the archive holds more than 4 GB';
        files.set(path, { unusable: why });
        if (entry.size <= MAX_FILE_BYTES) total -= entry.size;
        entry.resume();
        return;
      }
      const parts: Uint8Array[] = [];
      let bytes = 0;
      entry.on('data', (part: Uint8Array) => {
        parts.push(part);
        bytes += part.length;
      });
      // an entry that the archive cuts off ends short, or not at all
      entry.on('end', () => {
        if (bytes === entry.size) files.set(path, () => decode(Buffer.concat(parts)));
      });
    },
    onwarn: (code, message) => {
      damage ??= `${String(message)} (${code})`;
    },
  });
  const done = new Promise<void>((resolve) => {
    parser.on('end', () => resolve());
    parser.on('close', () => resolve());
    parser.on('error', (error: Error) => {
      damage ??= error.message;
      resolve();
    });
  });
  try {
    for await (const part of source) {
      if (!parser.write(Buffer.from(part))) await drained(parser, done);
      if (damage !== null) break;
    }
    parser.end();
  } catch (error) {
    damage ??= error instanceof Error ? error.message : String(error);
  }
  await Promise.race([done, settle()]);
  if (damage !== null)
    problems.push({ file: name, message: `the archive is damaged, what follows is missing: ${damage}` });
  const root = rootOf([...files.keys()]);
  if (root === null) return null;
  const inner = new Map<string, Content>();
  for (const [path, content] of files) if (path.startsWith(root)) inner.set(path.slice(root.length), content);
  return memorySnapshot(inner, { name, problems });
}

function drained(parser: { once(event: 'drain', listener: () => void): unknown }, done: Promise<void>): Promise<void> {
  return Promise.race([done, new Promise<void>((resolve) => parser.once('drain', resolve))]);
}

/** A parser that stopped at damage may emit neither end nor error: what it has done by the next turns is all there is. */
function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 2000).unref());
}

function decode(bytes: Buffer): string | { readonly unusable: string } {
  return isUtf8(bytes) ? bytes.toString('utf8') : { unusable: NOT_UTF8 };
}

/** The folder of the archive that is the snapshot: `` or `name/` or `name/snapshot/`; null where there is none. */
function rootOf(paths: readonly string[]): string | null {
  let best: string | null = null;
  for (const path of paths) {
    const parts = path.split('/');
    const at = parts.findIndex(
      (part, index) => SNAPSHOT_ENTRIES.includes(part) && (part !== 'snapshot.json' || index === parts.length - 1),
    );
    if (at < 0) continue;
    const root = parts
      .slice(0, at)
      .map((part) => `${part}/`)
      .join('');
    if (best === null || root.split('/').length < best.split('/').length) best = root;
  }
  return best;
}
