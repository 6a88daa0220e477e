// What the benchmarks of the three engines share: the engine in one file, and a clock.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Bundles what `contents` (a module that imports from ./src) exports, and imports it. */
export async function importBundled(contents) {
  const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-bench-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const outfile = path.join(folder, 'engine.mjs');
  await build({
    absWorkingDir: root,
    stdin: { contents, resolveDir: root },
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile,
    logLevel: 'warning',
  });
  return import(outfile);
}

/** What `work` returns, and its milliseconds: of CPU, for which other work on the machine does not count, and of wall clock. */
export function timed(work) {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const result = work();
  const used = process.cpuUsage(cpu);
  return { result, cpu: (used.user + used.system) / 1000, wall: performance.now() - start };
}

export const best = (runs) => Math.min(...runs);
