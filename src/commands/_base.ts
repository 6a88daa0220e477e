import { Command, Flags } from '@oclif/core';
import { isExpected, reportError } from './_errors.js';

export { writeOut } from './_write.js';

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
    const usage = error.oclif?.exit !== undefined || error.exitCode !== undefined;
    if (usage && !isExpected(error)) {
      // oclif says it of every flag that may be repeated, also of those that take one value a time
      error.message = error.message.replace(/\n+Note: --[^]*beginning of arguments\./, '');
      throw error;
    }
    reportError(error, this.argv.includes('--debug'));
  }
}
