import { readFileSync } from 'node:fs';
import { ExpectedError } from '../_errors.js';

/** The text of a file, or of standard input for `-`. */
export function readInput(path: string): string {
  try {
    return readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new ExpectedError(`cannot read ${path}: ${why}`, 2);
  }
}

/** Lines are written in pieces of about this many characters: a long file of questions is never held as answers. */
const PIECE = 1 << 16;

/** Answers every line that is not blank, in order. */
export async function answerAll(
  questions: string,
  answer: (line: string) => { readonly text: string; readonly malformed: boolean },
  write: (text: string) => Promise<void>,
): Promise<{ readonly malformed: boolean }> {
  let malformed = false;
  let piece: string[] = [];
  let size = 0;
  const flush = async (): Promise<void> => {
    if (piece.length > 0) await write(`${piece.join('\n')}\n`);
    piece = [];
    size = 0;
  };
  for (const line of questions.split('\n')) {
    if (line.trim() === '') continue;
    const result = answer(line);
    malformed ||= result.malformed;
    piece.push(result.text);
    size += result.text.length;
    if (size > PIECE) await flush();
  }
  await flush();
  return { malformed };
}
