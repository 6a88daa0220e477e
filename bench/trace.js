// How long an offline trace of the shipped example takes as a whole process, against `node -e 0` on the same machine.
// Both are run in turns, so that whatever else the machine does slows both; the minimum of each counts.
// usage: node bench/trace.js [runs]
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const runs = Number(process.argv[2] ?? 20);
const cases = {
  'node -e 0': ['-e', '0'],
  'meshpath --version': ['bin/run.js', '--version'],
  'meshpath trace --help': ['bin/run.js', 'trace', '--help'],
  'meshpath trace (offline)': [
    'bin/run.js',
    'trace',
    'foo/sleep',
    'bar/httpbin:8000',
    '--snapshot',
    'examples/istio-1.18-node-redirect',
  ],
};

/** Wall time of one run, in milliseconds. */
function once(args) {
  const start = process.hrtime.bigint();
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'ignore' });
  const wall = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}`);
  return wall;
}

const best = Object.fromEntries(Object.keys(cases).map((name) => [name, Infinity]));
for (let run = 0; run < runs; run++) {
  for (const [name, args] of Object.entries(cases)) best[name] = Math.min(best[name], once(args));
}
const base = best['node -e 0'];
for (const [name, wall] of Object.entries(best)) {
  console.log(`${name.padEnd(28)} ${wall.toFixed(0).padStart(5)} ms  ${(wall / base).toFixed(2)} x node -e 0`);
}
