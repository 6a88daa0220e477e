import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Snapshot } from '../src/snapshot/snapshot.js';

/**
 * From here on it is the time of the recording, for this process and for the programs of Node that it starts: what plays a
 * recorded cluster presents its certificates, which end a day later. The first call counts.
 */
export function setClockOf({ manifest }: Snapshot): void {
  const time = manifest?.capturedAt ?? null;
  if (time === null || process.env['MESHPATH_TEST_CLOCK'] !== undefined) return;
  const clock = fileURLToPath(new URL('./recorded-clock.cjs', import.meta.url));
  process.env['MESHPATH_TEST_CLOCK'] = time;
  process.env['NODE_OPTIONS'] = `${process.env['NODE_OPTIONS'] ?? ''} --require ${clock}`.trim();
  createRequire(import.meta.url)(clock);
}
