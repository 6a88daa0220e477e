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
