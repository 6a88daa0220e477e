import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import EvalEnvoy from '../../src/commands/eval/envoy.js';
import { cluster, dump, endpoint, listener, manager, TO_C } from './dumps.js';

/** What stands in for standard input, which a test process has none of. */
const standardInput = vi.hoisted(() => ({ text: '' }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const readFileSync = ((from: string | number, ...rest: []) =>
    from === 0 ? standardInput.text : real.readFileSync(from, ...rest)) as typeof real.readFileSync;
  return { ...real, readFileSync };
});

const root = path.resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-eval-'));
const file = (name: string): string => path.join(folder, name);
const question = { id: 'a', listener: '0.0.0.0:80', src: '10.0.0.1:4000', dst: '10.0.0.9:80', tls: null, http: null };
const http = { method: 'GET', authority: 'a', path: '/', headers: {} };
const asked = [
  { ...question, http },
  { ...question, id: 2, http },
].map((item) => JSON.stringify(item));

beforeAll(() => {
  const text = dump({
    listeners: [listener({ filters: [manager([TO_C])] })],
    clusters: [cluster('c', [endpoint('10.1.0.1')], { outlier_detection: {} })],
  });
  writeFileSync(file('config_dump.json'), text);
  writeFileSync(file('truncated.json'), text.slice(0, -40));
  writeFileSync(file('other.json'), '{"a":1}');
  writeFileSync(file('health.json'), '{"cluster_statuses":[]}');
  writeFileSync(file('questions.jsonl'), `${asked.join('\n\n')}\n`);
  writeFileSync(
    file('broken.jsonl'),
    `${asked[0] ?? ''}\n{\n${JSON.stringify({ ...question, dst: 'x' })}\n${asked[1] ?? ''}\n`,
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly status: number;
  readonly answers: readonly {
    readonly id: unknown;
    readonly error?: string;
    readonly outcomes?: readonly { readonly to: string | null; readonly probability: number | null }[];
  }[];
  readonly stderr: string;
}

/** Runs the command; `input` is what standard input holds. */
async function run(args: readonly string[], input = ''): Promise<Ran> {
  standardInput.text = input;
  let stdout = '';
  let stderr = '';
  const take =
    (add: (text: string) => void) =>
    (chunk: unknown, ...rest: unknown[]) => {
      add(String(chunk));
      const done = rest.at(-1);
      if (typeof done === 'function') (done as () => void)();
      return true;
    };
  const spies = [
    vi.spyOn(process.stdout, 'write').mockImplementation(take((text) => (stdout += text))),
    vi.spyOn(process.stderr, 'write').mockImplementation(take((text) => (stderr += text))),
  ];
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await EvalEnvoy.run([...args], root);
  } catch (error) {
    stderr += error instanceof Error ? error.message : String(error);
    process.exitCode = exitOf(error);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  const status = Number(process.exitCode ?? 0);
  process.exitCode = before;
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { status, answers: lines.map((line) => JSON.parse(line) as Ran['answers'][number]), stderr };
}

/** Status with which oclif ends the process for this error. */
function exitOf(error: unknown): number {
  const found = (error as { readonly oclif?: { readonly exit?: number } }).oclif?.exit;
  return found ?? 1;
}

describe('meshpath eval envoy', () => {
  it('answers each line in order, blank ones aside, and exits 0', async () => {
    const { status, answers } = await run(['--dump', file('config_dump.json'), '--requests', file('questions.jsonl')]);
    expect(status).toBe(0);
    expect(answers.map((item) => item.id)).toEqual(['a', 2]);
    expect(answers[0]?.outcomes?.[0]?.to).toBe('10.1.0.1:8080');
  });

  it('reads questions from standard input', async () => {
    const { status, answers } = await run(['--dump', file('config_dump.json'), '--requests', '-'], asked.join('\n'));
    expect(status).toBe(0);
    expect(answers).toHaveLength(2);
  });

  it('answers all other lines before it exits 2 for a malformed one', async () => {
    const { status, answers } = await run(['--dump', file('config_dump.json'), '--requests', file('broken.jsonl')]);
    expect(status).toBe(2);
    expect(answers.map((item) => [item.id, item.error === undefined])).toEqual([
      ['a', true],
      [null, false],
      ['a', false],
      [2, true],
    ]);
  });

  it('no question is no error', async () => {
    expect(await run(['--dump', file('config_dump.json'), '--requests', '-'], '\n\n')).toMatchObject({
      status: 0,
      answers: [],
    });
  });

  it.each([
    ['a dump that is not there', ['--dump', 'nowhere.json', '--requests', '-'], 'nowhere.json'],
    ['questions that are not there', ['--dump', file('config_dump.json'), '--requests', 'nowhere'], 'nowhere'],
    ['a truncated dump', ['--dump', file('truncated.json'), '--requests', '-'], 'no Envoy config_dump'],
    ['another file', ['--dump', file('other.json'), '--requests', '-'], 'no Envoy config_dump'],
    ['no dump', ['--requests', '-'], 'dump'],
  ])('%s is exit status 2, and named', async (_what, args, named) => {
    const { status, answers, stderr } = await run(args, asked.join('\n'));
    expect(status).toBe(2);
    expect(answers).toEqual([]);
    expect(stderr).toContain(named);
  });

  it('takes the health of the endpoints from --clusters', async () => {
    const args = ['--dump', file('config_dump.json'), '--requests', file('questions.jsonl')];
    const health = await run([...args, '--clusters', file('health.json')]);
    expect(health.answers[0]?.outcomes?.[0]).not.toHaveProperty('unknowns');
    const none = await run(args);
    expect(none.answers[0]?.outcomes?.[0]).toHaveProperty('unknowns');
    const broken = await run([...args, '--clusters', file('other.json')]);
    expect(broken.status).toBe(0);
    expect(broken.answers[0]?.outcomes?.[0]).toHaveProperty('unknowns');
  });
});
