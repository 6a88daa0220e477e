import { REDACTED, replacementFor, scrub } from './redact.js';

/** What came is no JSON that a proxy prints; asking again gives the same. */
export class NoDumpError extends Error {
  constructor(what: string) {
    super(`no dump: ${what}`);
  }
}

interface Frame {
  readonly object: boolean;
  named: string | null;
}

/** What is longer or deeper is no dump of a proxy, and would take the machine's memory. */
const MAX_STRING = 32 * 1024 * 1024;
const MAX_DEPTH = 1000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Takes the secrets out of a JSON text while it streams, and leaves every other byte as it was: a dump of 100 MB needs the
 * memory of its longest string. A text that is cut off comes out cut off, without the string that was cut. Throws where it is
 * no JSON that could be a dump.
 */
export async function* redactJson(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const stack: Frame[] = [];
  // the keys of the stack, kept beside it: strings are many, and each asks for them
  const keys: string[] = [];
  let expectKey = false;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const buffer = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let written = 0;
    let at = 0;
    let cut = false;
    while (at < buffer.length) {
      const byte = buffer[at];
      if (byte === QUOTE) {
        const end = endOfString(buffer, at + 1);
        if (end < 0) {
          cut = true;
          break;
        }
        const frame = stack.at(-1);
        if (expectKey && frame !== undefined) {
          keys[keys.length - 1] = decode(buffer, at, end);
        } else {
          const replacement = redactString(decode(buffer, at, end), keys, frame);
          if (replacement !== null) {
            yield buffer.subarray(written, at);
            yield Buffer.from(JSON.stringify(replacement));
            written = end + 1;
          }
        }
        at = end + 1;
        continue;
      }
      if (byte === 0x7b) {
        stack.push({ object: true, named: null });
        keys.push('');
        expectKey = true;
      } else if (byte === 0x5b) {
        stack.push({ object: false, named: null });
        keys.push('');
        expectKey = false;
      } else if (byte === 0x7d || byte === 0x5d) {
        stack.pop();
        keys.pop();
        expectKey = false;
      } else if (byte === 0x2c) {
        expectKey = stack.at(-1)?.object === true;
      } else if (byte === 0x3a) {
        expectKey = false;
      }
      at++;
    }
    if (stack.length > MAX_DEPTH) throw new NoDumpError(`more than ${MAX_DEPTH} levels deep`);
    const upTo = cut ? at : buffer.length;
    if (buffer.length - upTo > MAX_STRING) throw new NoDumpError('a string that does not end');
    if (upTo > written) yield buffer.subarray(written, upTo);
    rest = buffer.subarray(upTo);
  }
}

/** Index of the closing quote, or -1. */
function endOfString(buffer: Buffer, from: number): number {
  let end = buffer.indexOf(QUOTE, from);
  while (end >= 0) {
    let slashes = 0;
    while (end - 1 - slashes >= from && buffer[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
    end = buffer.indexOf(QUOTE, end + 1);
  }
  return -1;
}

/** The string between two quotes, escapes resolved; as it stands where it is no valid JSON string. */
function decode(buffer: Buffer, quote: number, end: number): string {
  const raw = buffer.toString('utf8', quote + 1, end);
  if (!raw.includes('\\')) return raw;
  try {
    const parsed: unknown = JSON.parse(`"${raw}"`);
    return typeof parsed === 'string' ? parsed : raw;
  } catch {
    return raw;
  }
}

function redactString(text: string, keys: readonly string[], frame: Frame | undefined): string | null {
  const key = keys.at(-1);
  if (frame?.object === true && (key === 'name' || key === 'key')) frame.named = text;
  return replacementFor({ keys, named: frame?.named ?? null }, text);
}

/** Begins a block that is a secret as a whole; what follows its end is text again. */
const KEY_BEGIN = /-----BEGIN [A-Z ]*PRIVATE KEY-----/g;
const KEY_END = /-----END [A-Z ]*PRIVATE KEY-----/;
/** More than any key has. */
const KEY_LIMIT = 64 * 1024;

/** Where a private key begins that does not end in this text; its length where there is none. */
function openKey(text: string): number {
  let open = text.length;
  for (const match of text.matchAll(KEY_BEGIN)) {
    if (!KEY_END.test(text.slice(match.index))) open = Math.min(open, match.index);
  }
  return open;
}

/** The last line end before which no key is cut in two; -1 where there is none. */
function lastWhole(text: string): number {
  const last = text.lastIndexOf('\n');
  const key = openKey(text.slice(0, last + 1));
  if (key > last || text.length - key > KEY_LIMIT) return last;
  return key === 0 ? -1 : text.lastIndexOf('\n', key - 1);
}

/** The same for text that is read by lines (logs). A line longer than 1 MiB is left out: what is in it cannot be known. */
export async function* redactLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const limit = 1024 * 1024;
  let rest = '';
  // inside of a line that was too long: up to its end nothing is kept
  let skipping = false;
  const decoder = new TextDecoder();
  for await (const chunk of chunks) {
    let text = rest + decoder.decode(chunk, { stream: true });
    rest = '';
    if (skipping) {
      const end = text.indexOf('\n');
      if (end < 0) continue;
      skipping = false;
      text = REDACTED + text.slice(end);
    }
    const last = lastWhole(text);
    if (last >= 0) {
      const lines = text.slice(0, last + 1);
      yield Buffer.from(scrub(lines) ?? lines);
    }
    rest = text.slice(last + 1);
    if (rest.length > limit) {
      skipping = true;
      rest = '';
    }
  }
  if (skipping) yield Buffer.from(REDACTED);
  else if (rest !== '') yield Buffer.from(scrub(rest) ?? rest);
}
