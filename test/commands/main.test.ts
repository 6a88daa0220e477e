import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, it } from 'vitest';

let root: string;

/** The package with its own entry, and commands of the test behind it. */
beforeAll(async () => {
  root = mkdtempSync(path.join(tmpdir(), 'meshpath-main-'));
  cpSync('bin', path.join(root, 'bin'), { recursive: true });
  await build({
    entryPoints: ['src/main.ts'],
    outfile: path.join(root, 'dist', 'main.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    external: ['./framework.js'],
    logLevel: 'error',
  });
  const how = `(argv) => {
    const wait = new Promise((resolve) => setTimeout(resolve, 20));
    if (argv.includes('--leaves')) return wait.then(() => new Promise(() => undefined));
    if (argv.includes('--throws')) return wait.then(() => { throw new Error('thrown'); });
    return wait.then(() => { process.exitCode = 1; return true; });
  }`;
  writeFileSync(path.join(root, 'dist', 'fast-lane.cjs'), `exports.runFast = ${how};`);
  writeFileSync(path.join(root, 'dist', 'package.json'), '{"type":"module"}');
  writeFileSync(
    path.join(root, 'dist', 'framework.js'),
    `export const run = ${how};
export const flush = () => Promise.resolve();
export const handle = (error) => { process.stderr.write('handled: ' + error.message); process.exit(2); };`,
  );
}, 60_000);
afterAll(() => rmSync(root, { recursive: true, force: true }));

function run(...argv: readonly string[]): Promise<{ readonly status: number | null; readonly said: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [path.join(root, 'bin', 'run.js'), ...argv]);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, said }));
  });
}

// the fast lane, and the framework
it.each(['trace', 'capture'])(
  '%s that never ends, though nothing is left to wait for, is a defect',
  async (command) => {
    const { status, said } = await run(command, '--leaves');
    expect(said).toMatch(/Defect in meshpath: the program ended before the command did/);
    expect(status).toBe(70);
  },
);

it.each(['trace', 'capture'])('%s that ends has its own status', async (command) => {
  expect(await run(command)).toEqual({ status: 1, said: '' });
});

it('what the fast lane throws is a defect; of the framework, its own handler says it', async () => {
  const thrown = await run('trace', '--throws');
  expect(thrown.said).toMatch(/Defect in meshpath: thrown/);
  expect(thrown.status).toBe(70);
  expect(await run('capture', '--throws')).toEqual({ status: 2, said: 'handled: thrown' });
});
