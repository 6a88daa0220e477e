import { Command, Flags } from '@oclif/core';
import { ExpectedError } from './_errors.js';

/** What every command shares: exit statuses of the contract, results to stdout, all else to stderr. */
export abstract class BaseCommand extends Command {
  static override baseFlags = {
    debug: Flags.boolean({ description: 'print the stack of an error', helpGroup: 'GLOBAL' }),
    color: Flags.boolean({
      description: 'colours even where the output is no terminal (--no-color: none)',
      allowNo: true,
      helpGroup: 'GLOBAL',
    }),
  };

  /**
   * 2 and 3 for what the person can change, 70 for a defect of meshpath. Parse errors of oclif carry their own status 2.
   */
  protected override async catch(error: Error & { exitCode?: number; oclif?: { exit?: number } }): Promise<void> {
    if (error instanceof ExpectedError) {
      process.stderr.write(` ›   Error: ${error.message}\n`);
      for (const suggestion of error.suggestions) process.stderr.write(`       ${suggestion}\n`);
      if (this.argv.includes('--debug')) process.stderr.write(`${error.stack ?? ''}\n`);
      process.exitCode = error.exit;
      return;
    }
    if (error.oclif?.exit !== undefined || error.exitCode !== undefined) {
      throw error;
    }
    process.stderr.write(` ›   Defect in meshpath: ${error.message}\n`);
    process.stderr.write(
      '       Please report it with the command and, if you can, a snapshot (`meshpath capture`).\n',
    );
    if (this.argv.includes('--debug')) process.stderr.write(`${error.stack ?? ''}\n`);
    else process.stderr.write('       --debug prints the stack.\n');
    process.exitCode = 70;
  }
}

/** Writes a result to stdout and waits until it is taken: a large answer is never cut by the end of the process. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
