import path from 'node:path';
import type * as FastLane from './commands/_fast-lane.js';
import { loadCompiled } from './code-cache.js';
import { reportError } from './commands/_errors.js';

/** Entry of bin/run.js; `root`: the folder of the package. Commands set `process.exitCode`; only what escapes them is handled here. */
export async function main(root: string): Promise<void> {
  process.once('beforeExit', onDrained);
  try {
    await runCommand(root);
  } catch (thrown) {
    reportError(thrown instanceof Error ? thrown : new Error(String(thrown)), process.argv.includes('--debug'));
  }
  process.removeListener('beforeExit', onDrained);
}

/**
 * Node ends with status 0 where nothing is left that a command could wait for, also where the command has not ended: what
 * asks for the status would read "delivered".
 */
function onDrained(): void {
  reportError(new Error('the program ended before the command did'), process.argv.includes('--debug'));
}

async function runCommand(root: string): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv[0] === 'trace' && (await traceFast(argv, root))) return;
  const { flush, handle, run } = await import('./framework.js');
  try {
    await run(argv, root);
    await flush();
  } catch (thrown) {
    const error: Error & { oclif?: { exit?: number } } = thrown instanceof Error ? thrown : new Error(String(thrown));
    // plugin-not-found ends with 127; an unknown command is a wrong command line like any other
    if (error.oclif?.exit === 127) error.oclif.exit = 2;
    await handle(error);
  }
}

/** True where the fast lane took the command line. */
async function traceFast(argv: readonly string[], root: string): Promise<boolean> {
  const lane = loadCompiled(path.join(root, 'dist', 'fast-lane.cjs')) as typeof FastLane;
  return lane.runFast(argv, path.join(root, 'oclif.manifest.json'));
}
