import { run, flush, handle } from '@oclif/core';

/** Entry of bin/run.js. Commands set `process.exitCode`; only what escapes them is handled here. */
export async function main(binUrl: string): Promise<void> {
  try {
    await run(process.argv.slice(2), binUrl);
    await flush();
  } catch (error) {
    await handle(error instanceof Error ? error : new Error(String(error)));
  }
}
