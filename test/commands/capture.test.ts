import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCapture, type CaptureFlags } from '../../src/commands/_capture.js';
import { clustersOf } from '../../src/snapshot/clusters.js';
import { asCollectError } from '../../src/collect/errors.js';
import { OutputError } from '../../src/snapshot/output-error.js';
import { folderSink } from '../../src/snapshot/write.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import { startDouble, type Double, type DoubleOptions } from '../collect/double.js';

let folder: string;
let double: Double | null = null;
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'meshpath-capture-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  vi.restoreAllMocks();
  await double?.close();
  double = null;
});

/** Captures a namespace of the double by the given contexts; gives what was said on standard error. */
async function capture(
  target: string,
  contexts: readonly string[],
  options: DoubleOptions,
  flags: Partial<CaptureFlags> = {},
): Promise<string> {
  const recorded = await openSnapshot('test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz');
  double = await startDouble(recorded, options);
  const config = JSON.parse(double.kubeconfig) as { contexts: { name: string }[] };
  config.contexts = contexts.map((name) => ({ ...config.contexts[0], name }));
  const kubeconfig = path.join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(config));
  const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  vi.spyOn(process.stdout, 'write').mockImplementation((_text: unknown, done: unknown) => {
    if (typeof done === 'function') (done as () => void)();
    return true;
  });
  await runCapture({
    kubeconfig,
    context: contexts,
    namespace: 'foo',
    'output-file': target,
    'request-timeout': '10s',
    concurrency: 8,
    ...flags,
  });
  return said.mock.calls.map(([text]) => String(text)).join('');
}

describe('a capture says how much of it could not be read', () => {
  const noExec: DoubleOptions = {
    fault: (_method, pathname) => (pathname.endsWith('/exec') ? { status: 403, message: 'no exec' } : null),
  };

  it.each([[['one']], [['one', 'third', 'two']]])('of the clusters %j together', async (contexts) => {
    const target = path.join(folder, contexts.join('-'));
    const said = await capture(target, contexts, noExec);
    const parts = clustersOf(await openSnapshot(target));
    expect(parts.map(({ name }) => name)).toEqual(contexts);
    const counts = parts.map(({ snapshot }) => snapshot.manifest?.problems.length ?? 0);
    for (const count of counts) expect(count).toBeGreaterThan(0);
    const sum = counts.reduce((total, count) => total + count, 0);
    expect(said).toContain(`written: ${target} (${sum} things could not be read: see snapshot.json)`);
  });

  it('and nothing of it where all was read', async () => {
    const target = path.join(folder, 'whole.tar.gz');
    expect(await capture(target, ['one'], {})).toMatch(/written: \S+whole\.tar\.gz\n$/);
  });
});

describe('a place that cannot be written to', () => {
  it.each([{ 'request-timeout': 'bogus' }, { namespace: 'Bad_NS' }])(
    'is not touched where %j is wrong',
    async (flags) => {
      const empty = mkdtempSync(path.join(folder, 'wrong-'));
      await expect(capture(path.join(empty, 'x.tar.gz'), ['one'], {}, flags)).rejects.toMatchObject({ exit: 2 });
      await expect(capture(path.join(empty, 'folder'), ['one'], {}, flags)).rejects.toMatchObject({ exit: 2 });
      expect(readdirSync(empty)).toEqual([]);
    },
  );

  it.skipIf(process.platform !== 'linux').each(['nowhere/x.tar.gz', 'file/x.tar.gz', 'file/x', '/proc/x', '/proc/x/y'])(
    '%s is named, and is no defect',
    async (name) => {
      writeFileSync(path.join(folder, 'file'), '');
      const target = path.resolve(folder, name);
      const run = capture(target, ['one'], {});
      await expect(run).rejects.toMatchObject({ exit: 2 });
      await expect(run).rejects.toThrow(target);
    },
  );

  it('a file that was made meanwhile stays, and so does what was read', async () => {
    const place = mkdtempSync(path.join(folder, 'meanwhile-'));
    const target = path.join(place, 'x.tar.gz');
    const said = await capture(target, ['one'], {
      fault: () => {
        writeFileSync(target, 'of somebody else');
        return null;
      },
    }).catch((error: unknown) => error);
    expect(said).toMatchObject({ exit: 2 });
    expect(readFileSync(target, 'utf8')).toBe('of somebody else');
    const [, left = ''] = /what was read is in the folder (\S+)$/.exec(String(said)) ?? [];
    expect(readdirSync(place).sort()).toEqual([path.basename(left), 'x.tar.gz']);
    expect((await openSnapshot(left)).list('kubernetes')).toContain('pods.json');
  });

  it('a disk that is full ends the capture, whatever is being read', () => {
    expect(() => asCollectError(new OutputError('full'))).toThrow(OutputError);
    const sink = folderSink(path.join(folder, 'gone'));
    rmSync(path.join(folder, 'gone'), { recursive: true });
    writeFileSync(path.join(folder, 'gone'), '');
    expect(() => sink.put('a/b', '')).toThrow(OutputError);
    expect(existsSync(path.join(folder, 'gone', 'a'))).toBe(false);
  });
});
