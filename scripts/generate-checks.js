// Writes src/checks/registry.ts: every src/checks/mpNNNN.ts, in order of its code. `--check` compares instead.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const target = path.join(root, 'src/checks/registry.ts');

/** The text of the registry for the check files that are there. */
export function registryText() {
  const names = readdirSync(path.join(root, 'src/checks'))
    .filter((name) => /^mp\d{4}\.ts$/.test(name))
    .map((name) => name.slice(0, -'.ts'.length))
    .sort();
  return [
    '// Written by scripts/generate-checks.js: do not edit.',
    "import type { Check } from './context.js';",
    ...names.map((name) => `import { check as ${name} } from './${name}.js';`),
    '',
    '/** Every check, by code. */',
    'export const CHECKS: readonly Check[] = [',
    ...names.map((name) => `  ${name},`),
    '];',
    '',
  ].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = registryText();
  if (!process.argv.includes('--check')) writeFileSync(target, text);
  else if (readFileSync(target, 'utf8') !== text) {
    console.error('src/checks/registry.ts is not what scripts/generate-checks.js writes: run it');
    process.exitCode = 1;
  }
}
