/**
 * An error that a person can do something about. Everything else that escapes a command is a defect (exit status 70).
 * `exit` 2: the command line or a file given to it is wrong; 3: too little could be read for a verdict.
 */
export class ExpectedError extends Error {
  readonly exit: 2 | 3;
  readonly suggestions: readonly string[];

  constructor(message: string, exit: 2 | 3, suggestions: readonly string[] = []) {
    super(message);
    this.exit = exit;
    this.suggestions = suggestions;
  }
}

/** Says on standard error what went wrong, and sets the exit status: the person's (2, 3), or ours (70). */
export function reportError(error: Error, debug: boolean): void {
  const lines =
    error instanceof ExpectedError
      ? [` ›   Error: ${error.message}`, ...error.suggestions.map((suggestion) => `       ${suggestion}`)]
      : [
          ` ›   Defect in meshpath: ${error.message}`,
          '       Please report it with the command and, if you can, a snapshot (`meshpath capture`).',
          ...(debug ? [] : ['       --debug prints the stack.']),
        ];
  if (debug) lines.push(error.stack ?? '');
  process.stderr.write(`${lines.map(printable).join('\n')}\n`);
  process.exitCode = error instanceof ExpectedError ? error.exit : 70;
}

/** Messages name things of the cluster: control characters of theirs must not reach a terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\u{fffd}');
}
