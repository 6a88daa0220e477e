import { afterEach, expect, it, vi } from 'vitest';
import { BaseCommand } from '../../src/commands/_base.js';

class Probe extends BaseCommand {
  override argv: string[] = [];
  run(): Promise<void> {
    return Promise.resolve();
  }
  caught(error: Error): Promise<void> {
    return this.catch(error);
  }
}

const before = process.exitCode;
afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = before;
});

const HINT = '\nNote: --header allows multiple values.\nuse "--" to signify the beginning of arguments.';

it("what the framework says of flags that may be repeated is left out of its own errors, never of another's", async () => {
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  // without a Config of the framework, which is not asked
  const probe = Object.assign(Object.create(Probe.prototype) as Probe, { argv: [] });
  const usage = Object.assign(new Error(`Unexpected argument: x${HINT}`), { oclif: { exit: 2 } });
  await expect(probe.caught(usage)).rejects.toThrow(/^Unexpected argument: x$/);
  await probe.caught(new Error(`of a server${HINT}`));
  expect(written.mock.calls.join()).toContain('Note: --header');
  expect(process.exitCode).toBe(70);
});
