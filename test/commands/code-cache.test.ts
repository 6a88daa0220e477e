import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCompiled } from '../../src/code-cache.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'meshpath-cache-'));
afterAll(() => rmSync(folder, { recursive: true }));

function bundle(name: string, source: string, cache?: Buffer): URL {
  const file = path.join(folder, name);
  writeFileSync(file, source);
  if (cache !== undefined) writeFileSync(`${file}.cache`, cache);
  return pathToFileURL(file);
}

describe('a bundle with compiled code', () => {
  const source = 'module.exports = { twice: (n) => n * 2, file: __filename };';

  it('runs without a cache, with its own, and with one that is not for it', () => {
    const plain = loadCompiled(bundle('plain.cjs', source));
    const cached = loadCompiled(bundle('cached.cjs', source, plain?.script.createCachedData()));
    const foreign = loadCompiled(bundle('foreign.cjs', source, Buffer.from('of another program')));
    expect(cached?.script.cachedDataRejected).toBe(false);
    expect(foreign?.script.cachedDataRejected).toBe(true);
    for (const loaded of [plain, cached, foreign]) {
      const { twice, file } = loaded?.exports as { twice: (n: number) => number; file: string };
      expect(twice(21)).toBe(42);
      expect(path.dirname(file)).toBe(folder);
    }
  });

  it('is null where there is none', () => {
    expect(loadCompiled(pathToFileURL(path.join(folder, 'nothing.cjs')))).toBeNull();
  });
});
