/** The place that was given for a snapshot cannot be written to: a person can do something about it. */
export class OutputError extends Error {}

/** The code of an error of the file system (`ENOSPC`); null for any other. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'syscall' in error && 'code' in error ? String(error.code) : null;
}

/** An error of the file system as one about `target`, which it names; any other as it is. */
export function outputError(target: string, error: unknown): unknown {
  if (codeOf(error) === null) return error;
  return new OutputError(`${target} cannot be written: ${error instanceof Error ? error.message : String(error)}`);
}

/** Runs `work`, whose errors of the file system are about `target`. Throws OutputError. */
export function writing<T>(target: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw outputError(target, error);
  }
}
