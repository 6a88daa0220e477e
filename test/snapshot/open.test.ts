import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { create, Header } from 'tar';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { memorySnapshot } from '../../src/snapshot/memory.js';
import { openSnapshot, SnapshotError } from '../../src/snapshot/open.js';
import { archiveSnapshot } from '../../src/snapshot/read-archive.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'meshpath-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(file: string, content: string | Buffer): void {
  const full = path.join(root, file);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, content);
}

const MANIFEST = JSON.stringify({
  apiVersion: 'meshpath.dev/v1',
  kind: 'Snapshot',
  capturedAt: '2026-01-02T03:04:05Z',
  cluster: { istio: ['1.30.3'] },
  problems: [{ file: 'pods/a/b/netns', reason: 'pods/exec is forbidden' }],
});

describe('a snapshot folder', () => {
  it('is read file by file', async () => {
    write('snap/kubernetes/pods.json', '{}');
    write('snap/pods/a/b/netns/ip-rule.json', '[]');
    const snapshot = await openSnapshot(path.join(root, 'snap'));
    expect(snapshot.manifest).toBeNull();
    expect(snapshot.problems).toEqual([]);
    expect(snapshot.read('kubernetes/pods.json')).toEqual({ kind: 'text', path: 'kubernetes/pods.json', text: '{}' });
    expect(snapshot.read('./kubernetes//pods.json')).toMatchObject({ kind: 'text', text: '{}' });
    expect(snapshot.read('kubernetes/nodes.json')).toMatchObject({ kind: 'missing', reason: 'not in the snapshot' });
    expect(snapshot.list('')).toEqual(['kubernetes', 'pods']);
    expect(snapshot.list('pods/a')).toEqual(['b']);
    expect(snapshot.list('pods/none')).toEqual([]);
  });

  it('may stand in a folder named snapshot, or as snapshot.tar.gz', async () => {
    write('one/snapshot/kubernetes/pods.json', '{"a":1}');
    expect((await openSnapshot(path.join(root, 'one'))).read('kubernetes/pods.json')).toMatchObject({
      text: '{"a":1}',
    });
    write('two/kubernetes/pods.json', '{"b":2}');
    await create({ gzip: true, cwd: path.join(root, 'two'), file: path.join(root, 'snapshot.tar.gz') }, ['kubernetes']);
    expect((await openSnapshot(root)).read('kubernetes/pods.json')).toMatchObject({ text: '{"b":2}' });
  });

  it('gives the same answer for a file as long as it is open', async () => {
    write('kubernetes/pods.json', 'one');
    const snapshot = await openSnapshot(root);
    expect(snapshot.read('kubernetes/pods.json')).toMatchObject({ text: 'one' });
    write('kubernetes/pods.json', 'two');
    expect(snapshot.read('kubernetes/pods.json')).toMatchObject({ text: 'one' });
  });

  it('gives the reasons of the manifest for what is missing', async () => {
    write('snapshot.json', MANIFEST);
    const snapshot = await openSnapshot(root);
    expect(snapshot.manifest).toMatchObject({ capturedAt: '2026-01-02T03:04:05Z', cluster: { istio: ['1.30.3'] } });
    expect(snapshot.read('pods/a/b/netns/ip-rule.json')).toMatchObject({ reason: 'pods/exec is forbidden' });
    expect(snapshot.read('pods/a/bc/netns/ip-rule.json')).toMatchObject({ reason: 'not in the snapshot' });
  });

  it.each([
    ['no JSON', '{', /not JSON/],
    ['another kind', '{"apiVersion":"v1","kind":"List"}', /"kind": "Snapshot"/],
    ['another version', '{"apiVersion":"meshpath.dev/v2","kind":"Snapshot"}', /meshpath\.dev\/v2/],
    ['an array', '[]', /expected an object/],
  ])('goes on with a manifest that is %s', async (_, text, message) => {
    write('snapshot.json', text);
    write('kubernetes/pods.json', '{}');
    const snapshot = await openSnapshot(root);
    expect(snapshot.manifest).toBeNull();
    expect(snapshot.problems).toEqual([{ file: 'snapshot.json', message: expect.stringMatching(message) as string }]);
    expect(snapshot.read('kubernetes/pods.json').kind).toBe('text');
  });

  it('takes fields of the wrong type in the manifest for absent', async () => {
    write(
      'snapshot.json',
      '{"apiVersion":"meshpath.dev/v1","kind":"Snapshot","capturedAt":7,"cluster":[],"problems":[1,{}]}',
    );
    const { manifest } = await openSnapshot(root);
    expect(manifest).toMatchObject({ capturedAt: null, cluster: { istio: [] }, problems: [], scope: null });
  });

  it('does not use what is too large, not UTF-8 or no file', async () => {
    write('kubernetes/pods.json', '');
    truncateSync(path.join(root, 'kubernetes/pods.json'), 257 * 1024 * 1024);
    write('kubernetes/nodes.json', Buffer.from([0x7b, 0xff, 0x7d]));
    mkdirSync(path.join(root, 'kubernetes/services.json'));
    const snapshot = await openSnapshot(root);
    expect(snapshot.read('kubernetes/pods.json')).toMatchObject({
      kind: 'unusable',
      reason: expect.stringContaining('256 MB') as string,
    });
    expect(snapshot.read('kubernetes/nodes.json')).toMatchObject({ kind: 'unusable', reason: 'not UTF-8 text' });
    expect(snapshot.read('kubernetes/services.json')).toMatchObject({ kind: 'unusable', reason: 'not a regular file' });
  });

  it('never reads outside of itself', async () => {
    write('secret', 'x');
    write('snap/kubernetes/pods.json', '{}');
    symlinkSync(path.join(root, 'secret'), path.join(root, 'snap/link'));
    symlinkSync(root, path.join(root, 'snap/pods'));
    const snapshot = await openSnapshot(path.join(root, 'snap'));
    for (const file of [
      '../secret',
      'kubernetes/../../secret',
      path.join(root, 'secret'),
      'link',
      'pods/secret',
      '..\\secret',
      'a\0b',
    ]) {
      expect(snapshot.read(file)).toMatchObject({ kind: 'unusable', reason: 'the path leaves the snapshot' });
    }
    expect(snapshot.list('..')).toEqual([]);
    expect(snapshot.list('pods')).toEqual([]);
  });

  it('must be one', async () => {
    await expect(openSnapshot(path.join(root, 'none'))).rejects.toThrow(SnapshotError);
    await expect(openSnapshot(root)).rejects.toThrow(/no snapshot in/);
    write('file.tar.gz', 'no archive');
    await expect(openSnapshot(path.join(root, 'file.tar.gz'))).rejects.toThrow(/no archive of a snapshot/);
  });
});

/** One entry of a tar archive, made by hand where `tar` would refuse to. */
function entry(name: string, content: string, type: 'File' | 'SymbolicLink' | 'Link' = 'File', size?: number): Buffer {
  const body = Buffer.from(content);
  const header = new Header({
    path: name,
    type,
    size: size ?? body.length,
    mode: 0o644,
    linkpath: type === 'File' ? undefined : '/etc/passwd',
  });
  const block = Buffer.alloc(512);
  header.encode(block, 0);
  return Buffer.concat([block, body, Buffer.alloc((512 - (body.length % 512)) % 512)]);
}

const END = Buffer.alloc(1024);

async function archive(bytes: Buffer): ReturnType<typeof archiveSnapshot> {
  return archiveSnapshot(Readable.from([bytes]), 'x.tar.gz');
}

describe('an archive', () => {
  it.each(['', './', 'mesh/', 'mesh/snapshot/'])('is read with the snapshot under "%s"', async (prefix) => {
    const bytes = Buffer.concat([
      entry(`${prefix}kubernetes/pods.json`, '{}'),
      entry(`${prefix}pods/a/b/kubernetes/x`, 'y'),
      entry(`${prefix}snapshot.json`, MANIFEST),
      END,
    ]);
    for (const one of [bytes, gzipSync(bytes)]) {
      const snapshot = await archive(one);
      expect(snapshot?.read('kubernetes/pods.json')).toMatchObject({ kind: 'text', text: '{}' });
      expect(snapshot?.manifest?.capturedAt).toBe('2026-01-02T03:04:05Z');
      expect(snapshot?.list('pods/a')).toEqual(['b']);
      expect(snapshot?.problems).toEqual([]);
    }
  });

  it('refuses links and names that leave it, and uses the rest', async () => {
    const bytes = Buffer.concat([
      entry('kubernetes/pods.json', '{}'),
      entry('../evil', 'x'),
      entry('/etc/evil', 'x'),
      entry('kubernetes/nodes.json', '', 'SymbolicLink'),
      entry('kubernetes/hard.json', '', 'Link'),
      END,
    ]);
    const snapshot = await archive(gzipSync(bytes));
    expect(snapshot?.read('kubernetes/pods.json').kind).toBe('text');
    expect(snapshot?.read('kubernetes/nodes.json').kind).toBe('missing');
    expect(snapshot?.problems?.map((problem) => problem.message)).toEqual([
      expect.stringContaining('"../evil"') as string,
      expect.stringContaining('"/etc/evil"') as string,
      expect.stringContaining('SymbolicLink') as string,
      expect.stringContaining('Link') as string,
    ]);
  });

  it('that ends early gives the files that stand whole, and one problem', async () => {
    const bytes = Buffer.concat([
      entry('kubernetes/pods.json', '{}'),
      entry('kubernetes/nodes.json', 'x'.repeat(90_000)),
      END,
    ]);
    for (const cut of [bytes.subarray(0, 2000), gzipSync(bytes, { level: 0 }).subarray(0, 2000)]) {
      const snapshot = await archive(cut);
      expect(snapshot?.read('kubernetes/pods.json').kind).toBe('text');
      expect(snapshot?.read('kubernetes/nodes.json').kind).toBe('missing');
      expect(snapshot?.problems).toHaveLength(1);
      expect(snapshot?.problems?.[0]?.message).toMatch(/damaged/);
    }
  });

  it('marks what is too large or not UTF-8', async () => {
    const large = Buffer.alloc(257 * 1024 * 1024);
    const bytes = Buffer.concat([
      entry('kubernetes/pods.json', '{}'),
      entry('kubernetes/large.json', '', 'File', large.length),
      large,
      END,
    ]);
    const snapshot = await archive(bytes);
    expect(snapshot?.read('kubernetes/large.json')).toMatchObject({ kind: 'unusable' });
    expect(snapshot?.read('kubernetes/pods.json').kind).toBe('text');
  }, 60_000);
});

describe('a snapshot in memory', () => {
  it('reads and lists like a folder, and makes text on demand once', () => {
    let made = 0;
    const snapshot = memorySnapshot(
      new Map<string, string | (() => string)>([
        ['kubernetes/pods.json', '{}'],
        ['pods/a/b/x', () => `${++made}`],
        ['../evil', 'x'],
      ]),
    );
    expect(snapshot.list('')).toEqual(['kubernetes', 'pods']);
    expect(snapshot.read('pods/a/b/x')).toMatchObject({ text: '1' });
    expect(snapshot.read('pods/a/b/x')).toMatchObject({ text: '1' });
    expect(snapshot.read('../evil')).toMatchObject({ kind: 'unusable' });
    expect(snapshot.read('none')).toMatchObject({ kind: 'missing' });
  });
});
