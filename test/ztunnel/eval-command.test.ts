import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { evalCommand, type EvalCommand } from '../commands/eval-command.js';
import { dumpOf, service, workload } from './dumps.js';

let command: EvalCommand;
let folder: string;
let run: EvalCommand['run'];
let dump: string;

beforeAll(async () => {
  command = await evalCommand('ztunnel');
  ({ folder, run } = command);
  dump = path.join(folder, 'config_dump.json');
  writeFileSync(
    dump,
    dumpOf({
      workloads: [workload('client', '10.0.0.1'), workload('server', '10.0.0.2')],
      services: [service('web', '10.96.0.1', ['server'])],
    }),
  );
}, 60_000);

afterAll(() => command.remove());

const question = (id: string, dst: string): string =>
  JSON.stringify({ id, direction: 'outbound', src: '10.0.0.1', dst });

test('questions of a file are answered in their order', () => {
  const questions = path.join(folder, 'questions.jsonl');
  writeFileSync(questions, `${question('b', '10.96.0.1:80')}\r\n\n${question('a', '8.8.8.8:53')}`);
  const { status, answers, stderr } = run(['--dump', dump, '--connections', questions]);
  expect([status, stderr]).toEqual([0, '']);
  expect(answers).toMatchObject([
    { id: 'b', outcomes: [{ action: 'forward', protocol: 'hbone', to: '10.0.0.2:15008', target: '10.0.0.2:8080' }] },
    { id: 'a', outcomes: [{ action: 'forward', protocol: 'tcp', to: '8.8.8.8:53' }] },
  ]);
}, 30_000);

test('standard input; a malformed line gets its error in place, and status 2 after all others', () => {
  const lines = [
    question('1', '10.0.0.2:80'),
    '{"id":"2","direction":"sideways"}',
    '{oops',
    question('4', '10.0.0.2:81'),
  ];
  const { status, answers } = run(['--dump', dump, '--connections', '-'], lines.join('\n'));
  expect(status).toBe(2);
  expect(answers.map(({ id }) => id)).toEqual(['1', '2', null, '4']);
  expect(answers.map(({ error }) => error !== undefined)).toEqual([false, true, true, false]);
}, 30_000);

test('no questions, no answers', () => {
  expect(run(['--dump', dump, '--connections', '-'], '\n')).toMatchObject({ status: 0, answers: [] });
}, 30_000);

test.each([
  ['the dump', ['--dump', 'no-such-file.json', '--connections', '-']],
  ['the questions', ['--dump', path.join('package.json'), '--connections', 'no-such-file.json']],
])(
  '%s that cannot be read: status 2, the file named, no answers',
  (_what, args) => {
    const { status, answers, stderr } = run(args, question('1', '10.0.0.2:80'));
    expect([status, answers]).toEqual([2, []]);
    expect(stderr).toContain('no-such-file.json');
  },
  30_000,
);

test.each([
  ['cut off', (text: string) => text.slice(0, 200)],
  ['empty', () => ''],
  ['of something else', () => '{"configs":[]}'],
])(
  'a dump that is %s: every answer is unknown and says so, status 2',
  (_what, change) => {
    const damaged = path.join(folder, 'damaged.json');
    writeFileSync(damaged, change(dumpOf({ workloads: [workload('client', '10.0.0.1')] })));
    const { status, answers, stderr } = run(['--dump', damaged, '--connections', '-'], question('1', '10.0.0.2:80'));
    expect(status).toBe(2);
    expect(answers).toMatchObject([{ id: '1', outcomes: [{ action: 'unknown', probability: null }] }]);
    expect(JSON.stringify(answers)).toContain('damaged.json');
    expect(stderr).toContain('damaged.json');
  },
  30_000,
);

test('what is strange in a dump is said on standard error and does not stop the answers', () => {
  const strange = path.join(folder, 'strange.json');
  writeFileSync(strange, dumpOf({ workloads: [workload('client', '10.0.0.1', { colour: 'red' })] }));
  const { status, answers, stderr } = run(['--dump', strange, '--connections', '-'], question('1', '8.8.8.8:53'));
  expect([status, answers.length]).toEqual([0, 1]);
  expect(stderr).toContain('colour');
}, 30_000);
