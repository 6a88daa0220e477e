/**
 * Where a fact was read. Every parsed rule, route, set entry and dump entry carries one, so that a hop or a finding
 * can name the line that decided it.
 */
export interface Evidence {
  /** Path inside the snapshot (`pods/foo/sleep-1/netns/iptables-save.txt`), or the file as it was given to `eval`. */
  readonly file: string;
  /** 1-based line in a text file. */
  readonly line?: number;
  /** RFC 6901 JSON pointer in a JSON file. */
  readonly pointer?: string;
  /** The line or a short rendering of the entry, unescaped: whoever prints it must escape it. */
  readonly text: string;
}

/** A fact that is needed and is not there: what it is, and why it could not be read. */
export interface Unknown {
  /** The fact that would decide, naming its file ("rules of pod foo/sleep: pods/foo/sleep/netns/iptables-save.txt"). */
  readonly fact: string;
  readonly reason: string;
}

/** True for the form in which something that could not be read or loaded answers. */
export function isUnknown<T extends object>(value: T | Unknown): value is Unknown {
  return 'fact' in value && 'reason' in value;
}

/** Something in a file that could not be used: the rest of the file still is. */
export interface ParseProblem {
  readonly file: string;
  readonly line?: number;
  readonly pointer?: string;
  readonly message: string;
}

/** For the end of an exhaustive switch over a closed union. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value ${JSON.stringify(value)}`);
}

/** Appends one reference token to an RFC 6901 pointer. */
export function pointerTo(parent: string, token: string | number): string {
  return `${parent}/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
