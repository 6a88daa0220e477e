import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { afterAll, describe, expect, it } from 'vitest';
import { loadCompiled } from '../../src/code-cache.js';

const folder = mkdtempSync(path.join(os.tmpdir(), 'meshpath-cache-'));
afterAll(() => rmSync(folder, { recursive: true }));

function bundle(name: string, source: string, cache?: Buffer): string {
  const file = path.join(folder, name);
  writeFileSync(file, source);
  if (cache !== undefined) writeFileSync(`${file}.cache`, cache);
  return file;
}

describe('a bundle with compiled code', () => {
  const source =
    'module.exports = { twice: (n) => n * 2, file: __filename, dirname: __dirname, own: require("./own") };';
  writeFileSync(path.join(folder, 'own.js'), 'module.exports = 7');
  const compiled = new vm.Script(
    `(function (exports, require, module, __filename, __dirname) {${source}\n})`,
  ).createCachedData();

  it.each([
    ['without a cache', undefined],
    ['with its own', compiled],
    ['with one that is not for it', Buffer.from('of another program')],
  ])('runs %s', (name, cache) => {
    const file = bundle(`${name}.cjs`, source, cache);
    const loaded = loadCompiled(file) as { twice: (n: number) => number; file: string; dirname: string; own: number };
    expect(loaded.twice(21)).toBe(42);
    expect(loaded).toMatchObject({ file, dirname: folder, own: 7 });
  });

  it('that is not there is an error', () => {
    expect(() => loadCompiled(path.join(folder, 'nothing.cjs'))).toThrow(/ENOENT/);
  });
});
