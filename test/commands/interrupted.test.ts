import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { startDouble, type Double, type DoubleOptions } from '../collect/double.js';

/** The commands without the framework around them. */
const PROGRAM = `
import { runCapture } from './src/commands/_capture.ts';
import { reportError } from './src/commands/_errors.ts';
import { printTrace } from './src/commands/_trace.ts';
const { command, flags } = JSON.parse(process.argv[2]);
try {
  await (command === 'trace' ? printTrace : runCapture)(flags);
} catch (error) {
  reportError(error, false);
}
`;

let folder: string;
let program: string;
let recorded: Snapshot;
let double: Double | null = null;
let runs = 0;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'meshpath-interrupted-'));
  recorded = await openSnapshot('test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz');
  program = path.join(folder, 'stdin.mjs');
  await build({
    stdin: { contents: PROGRAM, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    splitting: true,
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    logLevel: 'error',
    external: ['typescript'],
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
  });
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  await double?.close();
  double = null;
});

/** How a run ended, and all that it wrote on its terminal. */
interface Ended {
  readonly exit: number | null;
  readonly signal: number | null;
  readonly restored: boolean;
  readonly out: string;
}

interface Running {
  readonly out: () => string;
  readonly tell: (what: string) => void;
  readonly ended: Promise<Ended>;
}

/** A command against a double, on a terminal of its own (terminal.py). */
async function onTerminal(
  command: 'trace' | 'capture',
  flags: Readonly<Record<string, unknown>>,
  options: DoubleOptions,
): Promise<Running> {
  double = await startDouble(recorded, options);
  const kubeconfig = path.join(folder, `kubeconfig-${runs++}`);
  writeFileSync(kubeconfig, double.kubeconfig);
  // a minute without an answer is none: whatever ends here is ended by the person
  const all = { kubeconfig, 'request-timeout': '60s', concurrency: 8, ...flags };
  // there is no spinner in CI
  const env = { ...process.env, TERM: 'xterm', CI: undefined };
  const child = spawn(
    'python3',
    ['test/commands/terminal.py', process.execPath, program, JSON.stringify({ command, flags: all })],
    { env, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  let out = '';
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`terminal.py ended with ${code}: ${out}`)));
    createInterface(child.stdout).on('line', (line) => {
      const event = JSON.parse(line) as { readonly out?: string } & Omit<Ended, 'out'>;
      if (event.out === undefined) resolve({ ...event, out });
      else out += event.out;
    });
  });
  return { out: () => out, tell: (what) => void child.stdin.write(`${what}\n`), ended };
}

/** Until the double has been asked for it, and the spinner turns. */
async function busyWith({ out, ended }: Running, request: RegExp): Promise<void> {
  const isAsked = (): boolean => (double?.transcript ?? []).some((line) => request.test(line));
  const busy = expect.poll(() => isAsked() && out().includes(HIDDEN), { timeout: 60_000, interval: 20 }).toBe(true);
  const early = ended.then(({ out: said }) => Promise.reject(new Error(`it ended before that: ${said}`)));
  await Promise.race([busy, early]);
}

const HIDDEN = '\u001B[?25l';
const SHOWN = '\u001B[?25h';

function expectTidy({ restored, out }: Ended): void {
  expect(restored).toBe(true);
  expect(out.lastIndexOf(SHOWN)).toBeGreaterThan(out.lastIndexOf(HIDDEN));
}

const TRACE = { from: 'foo/sleep', to: 'bar/httpbin:8000', method: 'GET', output: 'text', 'fail-on': 'error' };
const hanging: DoubleOptions = { fault: (_method, pathname) => (pathname.endsWith('/portforward') ? 'hang' : null) };
const DEBUG = /^POST \/api\/v1\/namespaces\/istio-system\/pods$/;
const REMOVAL = /^DELETE \/api\/v1\/namespaces\/istio-system\/pods\/meshpath-/;

/** Nodes are read by debug pods, which never start. */
const debugging = (fault: DoubleOptions['fault']): DoubleOptions => ({
  exec: (_pod, [command]) => ({ error: `exec: "${command}": executable file not found in $PATH` }),
  debugPod: { phase: 'Pending' },
  ...(fault === undefined ? {} : { fault }),
});

const hasPython = spawnSync('python3', ['-c', 'import pty, termios']).status === 0;
if (!hasPython) process.stderr.write('skipped, for lack of python3: runs that are interrupted on a terminal\n');

describe.skipIf(!hasPython)('Ctrl-C on a terminal (needs python3)', { timeout: 120_000 }, () => {
  it('ends a trace without an answer', async () => {
    const run = await onTerminal('trace', TRACE, hanging);
    await busyWith(run, /portforward/);
    run.tell('type CTRL-C');
    const ended = await run.ended;
    expect(ended).toMatchObject({ exit: 130, signal: null });
    expect(ended.out).toContain('interrupted before all was read: no answer');
    expectTidy(ended);
  });

  it.each(['tar.gz', 'folder'])('leaves a capture (%s) that is valid, smaller, and says so', async (kind) => {
    const place = mkdtempSync(path.join(folder, 'capture-'));
    const target = path.join(place, `capture.${kind}`);
    const run = await onTerminal('capture', { 'all-namespaces': true, 'output-file': target }, hanging);
    await busyWith(run, /portforward/);
    run.tell('type CTRL-C');
    const ended = await run.ended;
    expect(ended).toMatchObject({ exit: 130, signal: null });
    expect(ended.out).toContain(`interrupted; what was read is in ${target}`);
    expectTidy(ended);
    expect(readdirSync(place)).toEqual([path.basename(target)]);
    const snapshot = await openSnapshot(target);
    expect(snapshot.problems).toEqual([]);
    expect(snapshot.read('kubernetes/pods.json').kind).toBe('text');
    expect(snapshot.manifest?.problems).toContainEqual({
      file: '.',
      reason: 'the capture was interrupted: what is not here was not read',
    });
  });

  it('while the archive is packed lets it be finished', async () => {
    const place = mkdtempSync(path.join(folder, 'packing-'));
    const target = path.join(place, 'capture.tar.gz');
    // long enough to be met while it is packed
    const padding = `{"padding":"${Array.from({ length: 500_000 }, (_, at) => (at * 2_654_435_761) % 4_294_967_296).join('')}"}`;
    const large: DoubleOptions = { dump: (file) => (file.includes('/ztunnel/') ? padding : null) };
    const run = await onTerminal('capture', { namespace: 'foo', 'output-file': target }, large);
    const isPacking = (): boolean => readdirSync(place).some((name) => /^\..+\.tar\.gz$/.test(name));
    await expect.poll(() => isPacking() || existsSync(target), { timeout: 60_000, interval: 5 }).toBe(true);
    run.tell('type CTRL-C');
    const ended = await run.ended;
    expect(ended).toMatchObject({ exit: 0, signal: null });
    expect(ended.out).toContain(`written: ${target}`);
    expectTidy(ended);
    expect(readdirSync(place)).toEqual(['capture.tar.gz']);
    expect((await openSnapshot(target)).problems).toEqual([]);
  });

  it('before anything is read leaves nothing', async () => {
    const place = mkdtempSync(path.join(folder, 'nothing-'));
    const flags = { 'all-namespaces': true, 'output-file': path.join(place, 'capture.tar.gz') };
    const run = await onTerminal('capture', flags, { fault: () => 'hang' });
    await busyWith(run, /^GET \/apis$/);
    run.tell('type CTRL-C');
    const ended = await run.ended;
    expect(ended).toMatchObject({ exit: 130, signal: null });
    expectTidy(ended);
    expect(readdirSync(place)).toEqual([]);
  });

  it.each(['SIGTERM', 'SIGHUP'] as const)('and %s take a debug pod away first', async (signal) => {
    for (const how of ['type CTRL-C', `signal ${constants.signals[signal]}`]) {
      const run = await onTerminal('trace', { ...TRACE, 'allow-debug-container': 'image' }, debugging(undefined));
      await busyWith(run, DEBUG);
      run.tell(how);
      const ended = await run.ended;
      expect(ended).toMatchObject({ exit: 130, signal: null });
      expectTidy(ended);
      const made = double?.transcript.filter((line) => DEBUG.test(line)).length;
      expect(double?.transcript.filter((line) => REMOVAL.test(line))).toHaveLength(made ?? 0);
      expect(ended.out).toMatch(/the debug pod istio-system\/meshpath-\w{6} is removed/);
      await double?.close();
    }
  });

  it('twice does not wait for that', async () => {
    const removalHangs: DoubleOptions['fault'] = (method) => (method === 'DELETE' ? 'hang' : null);
    const run = await onTerminal('trace', { ...TRACE, 'allow-debug-container': 'image' }, debugging(removalHangs));
    await busyWith(run, DEBUG);
    run.tell('type CTRL-C');
    await busyWith(run, REMOVAL);
    run.tell('type CTRL-C');
    const ended = await run.ended;
    expect(ended).toMatchObject({ exit: null, signal: constants.signals.SIGINT });
    expectTidy(ended);
  });
});
