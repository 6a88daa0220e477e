import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evalCommand, type EvalCommand } from '../commands/eval-command.js';
import { loadVectors } from './vectors.js';

let command: EvalCommand;
let folder: string;
let run: EvalCommand['run'];
let netns: string;

beforeAll(async () => {
  command = await evalCommand('netns');
  ({ folder, run } = command);
  netns = path.join(folder, 'netns');
  mkdirSync(netns);
  const files = loadVectors().find(({ name }) => name === 'ambient-ipt-001')?.files ?? {};
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(netns, name), text);
}, 60_000);

afterAll(() => command.remove());

const question = (id: string, dst: string): string =>
  JSON.stringify({ id, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.244.2.9:40000', dst });

test('questions of a file are answered in their order, with all that the contract names', () => {
  const flows = path.join(folder, 'flows.jsonl');
  writeFileSync(flows, `${question('b', '10.244.1.5:8080')}\r\n\n${question('a', '10.244.1.5:15008')}`);
  const { status, answers, stderr } = run(['--netns', netns, '--flows', flows]);
  expect([status, stderr]).toEqual([0, '']);
  expect(answers).toMatchObject([
    { id: 'b', outcomes: [{ probability: 1, verdict: 'delivered', dst: '10.244.1.5:15006', socket: '*:15006' }] },
    { id: 'a', outcomes: [{ probability: 1, verdict: 'delivered', dst: '10.244.1.5:15008', socket: '*:15008' }] },
  ]);
  const [first] = answers[0]?.outcomes ?? [];
  expect(Object.keys(first ?? {})).toEqual([
    'probability',
    'verdict',
    'src',
    'dst',
    'oif',
    'mark',
    'connmark',
    'socket',
    'decidedBy',
  ]);
  expect(first).toMatchObject({
    mark: '0x0',
    decidedBy: { file: 'iptables-save.txt', text: expect.stringContaining('--to-ports 15006') as string },
  });
}, 30_000);

test('standard input; a malformed line gets its error in place, and status 2 after all others', () => {
  const lines = [
    question('1', '10.244.1.5:8080'),
    '{"id":"2","direction":"sideways"}',
    '{oops',
    question('4', 'nowhere'),
    question('5', '10.244.1.5:15008'),
  ];
  const { status, answers } = run(['--netns', netns, '--flows', '-'], lines.join('\n'));
  expect(status).toBe(2);
  expect(answers.map(({ id }) => id)).toEqual(['1', '2', null, '4', '5']);
  expect(answers.map(({ error }) => error !== undefined)).toEqual([false, true, true, true, false]);
  expect(Object.keys(answers[1] ?? {})).toEqual(['id', 'error']);
}, 30_000);

test('no questions, no answers', () => {
  expect(run(['--netns', netns, '--flows', '-'])).toEqual({ status: 0, answers: [], stderr: '' });
}, 30_000);

test('a folder or a file that is not there: what is wrong on standard error, status 2, no answer', () => {
  const gone = run(['--netns', path.join(folder, 'gone'), '--flows', '-'], question('1', '10.244.1.5:80'));
  expect([gone.status, gone.answers]).toEqual([2, []]);
  expect(gone.stderr).toContain('gone');
  const flows = run(['--netns', netns, '--flows', path.join(folder, 'no-flows')]);
  expect([flows.status, flows.answers]).toEqual([2, []]);
  expect(flows.stderr).toContain('no-flows');
  expect(flows.stderr).not.toContain('    at ');
}, 30_000);

test('a damaged file of the folder makes unknown what hangs on it', () => {
  const damaged = path.join(folder, 'damaged');
  mkdirSync(damaged);
  for (const name of ['ip-rule.json', 'ip-route.json', 'ip-address.json', 'sysctl.txt', 'sockets.txt']) {
    writeFileSync(
      path.join(damaged, name),
      loadVectors().find((one) => one.name === 'ambient-ipt-001')?.files[name] ?? '',
    );
  }
  writeFileSync(path.join(damaged, 'iptables-save.txt'), '*nat\n:PREROUTING ACCEPT [0:0]\n');
  const { status, answers } = run(['--netns', damaged, '--flows', '-'], question('1', '10.244.1.5:80'));
  expect(status).toBe(0);
  expect(answers).toMatchObject([
    { id: '1', outcomes: [{ verdict: 'unknown', reason: expect.stringContaining('iptables-save.txt') as string }] },
  ]);
}, 30_000);
