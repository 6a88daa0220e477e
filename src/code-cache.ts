import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';

/**
 * Runs a CommonJS bundle with the code that V8 compiled at build time (`<filename>.cache`): most of what a short command does
 * is compiling, and Node 20 has no cache of its own. A cache of another V8, or none, only costs the time that it saves. Gives
 * what the bundle exports. The bundle must not use import(), which needs a loader of its own in such a script.
 */
export function loadCompiled(filename: string): unknown {
  // esbuild writes ASCII: as Latin-1 it is neither checked nor widened
  const source = readFileSync(filename, 'latin1');
  let cachedData: Buffer | undefined;
  try {
    cachedData = readFileSync(`${filename}.cache`);
  } catch {
    // the first build of it, or a package without
  }
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
  const wrapper: unknown = script.runInThisContext();
  if (typeof wrapper !== 'function') throw new Error(`${filename} is no bundle`);
  const module = { exports: {} as unknown };
  wrapper(module.exports, createRequire(filename), module, filename, path.dirname(filename));
  return module.exports;
}
