import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runCapture } from '../../src/commands/_capture.js';
import { clustersOf } from '../../src/snapshot/clusters.js';
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
async function capture(target: string, contexts: readonly string[], options: DoubleOptions): Promise<string> {
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
