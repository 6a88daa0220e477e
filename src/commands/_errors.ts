import { escapeTerminal } from '../render/escape.js';

/** 128 and the number of SIGINT, as shells count. */
export const INTERRUPTED = 130;

/** What to do about a refusal. */
export const RIGHTS_HINT = 'meshpath rbac prints a ClusterRole with the rights that are needed.';

type Exit = 2 | 3 | typeof INTERRUPTED;

/**
 * An error that a person can do something about. Everything else that escapes a command is a defect (exit status 70).
 * `exit` 2: the command line or a file given to it is wrong; 3: too little could be read for a verdict; 130: the person
 * has stopped it (Ctrl-C).
 */
export class ExpectedError extends Error {
  readonly exit: Exit;
  readonly suggestions: readonly string[];

  constructor(message: string, exit: Exit, suggestions: readonly string[] = []) {
    super(message);
    this.exit = exit;
    this.suggestions = suggestions;
  }
}

/** By its shape: the bundles of the fast lane (scripts/build.js) hold a copy of the class each. */
export function isExpected(error: Error): error is ExpectedError {
  return 'exit' in error && [2, 3, INTERRUPTED].some((exit) => exit === error.exit) && 'suggestions' in error;
}

/** Says on standard error what went wrong, and sets the exit status: the person's (2, 3), or ours (70). */
export function reportError(error: Error, debug: boolean): void {
  const lines = isExpected(error)
    ? [` ›   Error: ${error.message}`, ...error.suggestions.map((suggestion) => `       ${suggestion}`)]
    : [
        ` ›   Defect in meshpath: ${error.message}`,
        '       Please report it with the command and, if you can, a snapshot (`meshpath capture`).',
        ...(debug ? [] : ['       --debug prints the stack.']),
      ];
  if (debug) lines.push(...(error.stack ?? '').split('\n'));
  // messages name things of the cluster
  process.stderr.write(`${lines.map(escapeTerminal).join('\n')}\n`);
  process.exitCode = isExpected(error) ? error.exit : 70;
}
