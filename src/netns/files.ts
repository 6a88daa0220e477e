import type { ParseProblem } from '../formats/evidence.js';
import type { Fact } from './facts.js';

/**
 * A file of the namespace's folder, as the snapshot hands it out. `missing`: not there, and nothing tells that its tool would
 * have printed something; `unread`: it should be there, for it could not be collected, or other namespaces have it;
 * `unusable`: it is there, and cannot be read.
 */
export type NetnsRead =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'unread' | 'unusable'; readonly reason: string }
  /** `elsewhere`: another namespace of the snapshot has it. */
  | { readonly kind: 'missing'; readonly reason: string; readonly elsewhere?: string };

export type ReadFile = (path: string) => NetnsRead;

/** A parsed file: whole, or why it cannot be used. `absent`: it is missing, which need not mean that something is unknown. */
type Parsed<T> =
  | { readonly kind: 'known'; readonly value: T }
  | {
      readonly kind: 'unknown';
      readonly reason: string;
      readonly absent: boolean;
      /** Another namespace that has the file. */
      readonly elsewhere: string | null;
    };

/** Reads and parses one file; a damaged one is not used at all. */
export function parseFile<T extends { readonly problems: readonly ParseProblem[] }>(
  read: ReadFile,
  file: string,
  parse: (file: string, text: string) => T,
): Parsed<T> {
  const content = read(file);
  if (content.kind !== 'text') {
    const elsewhere = content.kind === 'missing' ? (content.elsewhere ?? null) : null;
    return { kind: 'unknown', reason: content.reason, absent: content.kind === 'missing', elsewhere };
  }
  const value = parse(file, content.text);
  const [problem] = value.problems;
  if (problem !== undefined) return { kind: 'unknown', reason: damage(problem), absent: false, elsewhere: null };
  if (isCut(file, content.text)) {
    const reason = 'damaged: the file ends inside a line, as every tool ends its last one';
    return { kind: 'unknown', reason, absent: false, elsewhere: null };
  }
  return { kind: 'known', value };
}

/** As a fact of the namespace, `what` naming it. */
export function factOf<T extends { readonly problems: readonly ParseProblem[] }>(
  read: ReadFile,
  file: string,
  what: string,
  parse: (file: string, text: string) => T,
): Fact<T> {
  const parsed = parseFile(read, file, parse);
  if (parsed.kind === 'known') return parsed;
  return { kind: 'unknown', unknown: { fact: `${what}: ${file}`, reason: parsed.reason } };
}

export function damage({ line, message }: ParseProblem): string {
  return `damaged${line === undefined ? '' : ` (line ${line})`}: ${message}`;
}

/** JSON shows by itself where it ends; of text the last line may be half of one, and half of an address is an address. */
function isCut(file: string, text: string): boolean {
  return file.endsWith('.txt') && text !== '' && !text.endsWith('\n');
}
