// Everything that must hold before a change lands, step by step; the last line is "N passed, N failed".
// `node scripts/check.js unit lint` runs those steps only.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const scratch = mkdtempSync(path.join(os.tmpdir(), 'meshpath-check-'));
const npx = (name, ...args) => [process.execPath, [path.join('node_modules', name), ...args]];
const vitest = (config) => ({ tests: true, command: npx('vitest/vitest.mjs', 'run', '--config', config) });

/** A step passes or fails as a whole, or (tests) counts its tests. */
const steps = {
  build: { command: npx('../scripts/build.js') },
  // The build writes it from the commands: what is committed must be that.
  manifest: { command: ['git', ['diff', '--exit-code', '--stat', '--', 'oclif.manifest.json']] },
  types: { command: npx('typescript/bin/tsc', '--noEmit') },
  lint: { command: npx('eslint/bin/eslint.js', '.') },
  format: { command: npx('prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.') },
  arrows: {
    command: npx('dependency-cruiser/bin/dependency-cruise.mjs', '--config', '.dependency-cruiser.mjs', 'src'),
  },
  deadcode: { command: npx('knip/bin/knip.js') },
  unit: vitest('vitest.config.ts'),
  kernel: vitest('test/kernel/vitest.config.ts'),
  envoy: vitest('test/envoy-server/vitest.config.ts'),
  cluster: vitest('test/cluster/vitest.config.ts'),
};

function run(name, step) {
  const report = path.join(scratch, `${name}.json`);
  const [program, args] = step.command;
  const extra = step.tests ? ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`] : [];
  const began = process.hrtime.bigint();
  const { status } = spawnSync(program, [...args, ...extra], { stdio: ['ignore', 'inherit', 'inherit'] });
  const seconds = Number((process.hrtime.bigint() - began) / 1_000_000_000n);
  let [passed, failed, skipped] = status === 0 ? [1, 0, 0] : [0, 1, 0];
  if (step.tests && existsSync(report)) {
    const counts = JSON.parse(readFileSync(report, 'utf8'));
    passed = counts.numPassedTests;
    // A file that fails to load has no failed test of its own.
    failed = Math.max(counts.numFailedTests, status === 0 ? 0 : 1);
    skipped = counts.numPendingTests;
  }
  console.log(`--- ${name}: ${passed} passed, ${failed} failed, ${skipped} skipped (${seconds} s)`);
  return { passed, failed };
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in steps));
if (unknown.length > 0) {
  console.error(`no such step: ${unknown.join(', ')}; there are: ${Object.keys(steps).join(', ')}`);
  process.exit(2);
}
const total = { passed: 0, failed: 0 };
const broken = [];
for (const [name, step] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  const { passed, failed } = run(name, step);
  total.passed += passed;
  total.failed += failed;
  if (failed > 0) broken.push(name);
}
rmSync(scratch, { recursive: true, force: true });
if (broken.length > 0) console.log(`failed: ${broken.join(', ')}`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;
