import { Parser } from '@oclif/core';
import { describe, expect, it } from 'vitest';
import { parsePlain, type FlagDefinitions } from '../../src/commands/_fast-lane.js';
import Trace from '../../src/commands/trace.js';

/** The command framework's own reading of a command line. */
async function framework(argv: readonly string[]): Promise<Record<string, unknown>> {
  const { args, flags } = await Parser.parse([...argv], {
    flags: { ...Trace.baseFlags, ...Trace.flags },
    args: Trace.args,
  });
  return { ...flags, ...args };
}

/** What the build writes to oclif.manifest.json. */
const definitions = Object.fromEntries(
  Object.entries({ ...Trace.baseFlags, ...Trace.flags }).map(([name, flag]) => [name, { ...flag, name }]),
) as unknown as FlagDefinitions;

const SNAPSHOT = ['--snapshot', 'x'];

describe('a plain command line is read as the framework reads it', () => {
  it.each([
    [['trace', 'foo/sleep', 'bar/httpbin:8000', ...SNAPSHOT]],
    [['trace', ...SNAPSHOT, 'a', 'b', '-v', '-o', 'json']],
    [['trace', 'a', 'b', '--snapshot=x', '-n', 'foo', '--direct', '--method', 'POST', '--path', '/v1?x=1']],
    [['trace', 'a', 'b', ...SNAPSHOT, '--header', 'Host: a.b', '--header', 'X: 1', '--fail-on', 'never']],
    [['trace', 'a', 'b', ...SNAPSHOT, '-ojson', '--protocol=tcp']],
    [['trace', 'a', 'b']],
    [['trace', 'a', 'b', '--port', '80', '--concurrency=3', '--timings', '--debug']],
    [['trace', 'a', 'b', '--no-color']],
    [['trace', 'a', 'b', '--color', '-n', 'x', '--kubeconfig', '~/.kube/config', '--request-timeout', '5s']],
    [['trace', '--context', 'x', '--context', 'y', 'a', 'b', '--as', 'me', '--as-group', 'g', '--as-group=h']],
    [['trace', '--header', 'A: 1', 'a', 'b', '--header', 'B: 2', '--allow-debug-container', 'busybox:1']],
    [['trace', '-vn', 'foo', 'a', 'b']],
  ])('%j', async (argv) => {
    const fast = parsePlain(argv, definitions);
    expect(fast).toEqual(await framework(argv.slice(1)));
  });
});

describe('whatever is not plain is left to the framework', () => {
  it.each([
    [['trace', 'a', ...SNAPSHOT]],
    [['trace', 'a', 'b', 'c', ...SNAPSHOT]],
    [['trace', 'a', 'b', ...SNAPSHOT, '--help']],
    [['trace', 'a', 'b', '--port', '0']],
    [['trace', 'a', 'b', '--port', '65536']],
    [['trace', 'a', 'b', '--port', 'http']],
    [['trace', 'a', 'b', '--concurrency', '65']],
    [['trace', 'a', 'b', '--no-timings']],
    [['trace', 'a', 'b', '--context', '-']],
    [['trace', 'a', 'b', '--version']],
    [['trace', 'a', 'b', ...SNAPSHOT, '-o', 'xml']],
    [['trace', 'a', 'b', '--snapshot', '-']],
    [['trace', 'a', 'b', '--snapshot', '']],
    [['trace', 'a', 'b', '-o', 'json', '-o', 'yaml']],
    [['trace', 'a', 'b', '--output=json', '-ojson']],
    [['trace', 'a', 'b', '-n', 'x', '--namespace', 'y']],
    [['trace', 'a', 'b', '-n=x']],
    [['ls', ...SNAPSHOT]],
  ])('%j', (argv) => expect(parsePlain(argv, definitions)).toBeNull());
});
