import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

/**
 * Runs a CommonJS bundle with the code that V8 compiled at build time (`<file>.cache`): most of what a short command does
 * is compiling, and Node 20 has no cache of its own. A cache of another V8, or none, only costs the time that it saves.
 * Null where the bundle is not there (a build without it).
 */
export function loadCompiled(file: URL): { readonly exports: unknown; readonly script: vm.Script } | null {
  const filename = fileURLToPath(file);
  let source: string;
  let cachedData: Buffer | undefined;
  try {
    source = readFileSync(filename, 'utf8');
  } catch {
    return null;
  }
  try {
    cachedData = readFileSync(`${filename}.cache`);
  } catch {
    // the first build of it, or a package without
  }
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename,
    ...(cachedData === undefined ? {} : { cachedData }),
    importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const wrapper: unknown = script.runInThisContext();
  if (typeof wrapper !== 'function') return null;
  const module = { exports: {} as unknown };
  wrapper(module.exports, createRequire(file), module, filename, path.dirname(filename));
  return { exports: module.exports, script };
}
