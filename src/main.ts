import type * as FastLane from './commands/_fast-lane.js';
import { loadCompiled } from './code-cache.js';

/** Entry of bin/run.js. Commands set `process.exitCode`; only what escapes them is handled here. */
export async function main(binUrl: string): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv[0] === 'trace' && (await traceFast(argv, binUrl))) return;
  const { flush, handle, run } = await import('./framework.js');
  try {
    await run(argv, binUrl);
    await flush();
  } catch (thrown) {
    const error: Error & { oclif?: { exit?: number } } = thrown instanceof Error ? thrown : new Error(String(thrown));
    // plugin-not-found ends with 127; an unknown command is a wrong command line like any other
    if (error.oclif?.exit === 127) error.oclif.exit = 2;
    await handle(error);
  }
}

/** True where the fast lane took the command line. */
async function traceFast(argv: readonly string[], binUrl: string): Promise<boolean> {
  const compiled = loadCompiled(new URL('../dist/fast-lane.cjs', binUrl));
  const lane = (compiled?.exports ?? (await import('./commands/_fast-lane.js'))) as typeof FastLane;
  return lane.runFast(argv, new URL('../oclif.manifest.json', binUrl));
}
