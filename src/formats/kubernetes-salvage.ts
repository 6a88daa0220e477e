/**
 * What can be read of a JSON document that is cut off or broken somewhere: the elements of one array of its root object
 * that stand whole before the damage.
 */
interface Salvaged {
  readonly elements: readonly unknown[];
  /** Offset of the first character that does not fit; the length of the text where it just ends. */
  readonly offset: number;
  /** What would have fitted there. */
  readonly expected: string;
}

/** `key`: name of the array in the root object (`items`). Reads no other field of the root. */
export function elementsOfDamagedArray(text: string, key: string): Salvaged {
  const scanner = new Scanner(text);
  const elements: unknown[] = [];
  try {
    scanner.open('{');
    for (;;) {
      const name = scanner.string();
      scanner.expect(':');
      if (name === key) {
        scanner.open('[');
        if (!scanner.closes(']')) {
          do {
            const start = scanner.skipSpace();
            scanner.value();
            elements.push(JSON.parse(text.slice(start, scanner.at)));
          } while (scanner.comma(']'));
        }
      } else {
        scanner.value();
      }
      if (!scanner.comma('}')) break;
    }
    if (scanner.skipSpace() < text.length) scanner.fail('the end of the file');
  } catch (error) {
    if (error instanceof Misfit) return { elements, offset: error.offset, expected: error.expected };
    // JSON.parse refuses what the scanner let pass (a control character in a string, an odd escape)
    return { elements, offset: scanner.at, expected: 'a valid string or number' };
  }
  return { elements, offset: scanner.at, expected: 'valid JSON' };
}

class Misfit extends Error {
  readonly offset: number;
  readonly expected: string;
  constructor(offset: number, expected: string) {
    super(expected);
    this.offset = offset;
    this.expected = expected;
  }
}

/** A scanner over JSON's tokens that knows no values: strings and numbers are left to JSON.parse. */
class Scanner {
  at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text.startsWith('\uFEFF') ? ` ${text.slice(1)}` : text;
  }

  fail(expected: string): never {
    throw new Misfit(Math.min(this.at, this.text.length), expected);
  }

  skipSpace(): number {
    while (this.at < this.text.length && ' \t\r\n'.includes(this.text.charAt(this.at))) this.at++;
    return this.at;
  }

  private peek(): string {
    this.skipSpace();
    return this.text.charAt(this.at);
  }

  expect(token: string): void {
    if (this.peek() !== token) this.fail(`"${token}"`);
    this.at++;
  }

  open(token: '{' | '['): void {
    this.expect(token);
  }

  closes(token: '}' | ']'): boolean {
    if (this.peek() !== token) return false;
    this.at++;
    return true;
  }

  /** After an element: true where another follows, false where the array or object is closed. */
  comma(close: '}' | ']'): boolean {
    const token = this.peek();
    if (token !== ',' && token !== close) this.fail(`"," or "${close}"`);
    this.at++;
    return token === ',';
  }

  string(): string {
    if (this.peek() !== '"') this.fail('a string in double quotes');
    const start = this.at++;
    for (; this.at < this.text.length; this.at++) {
      const char = this.text.charAt(this.at);
      if (char === '\\') this.at++;
      else if (char === '"') {
        this.at++;
        return this.text.slice(start + 1, this.at - 1);
      }
    }
    return this.fail('the end of a string');
  }

  /** Steps over one value of any kind, nested to any depth (no recursion: a hostile file must not exhaust the stack). */
  value(): void {
    const closers: ('}' | ']')[] = [];
    for (;;) {
      const token = this.peek();
      if (token === '{') {
        this.at++;
        if (!this.closes('}')) {
          closers.push('}');
          this.string();
          this.expect(':');
          continue;
        }
      } else if (token === '[') {
        this.at++;
        if (!this.closes(']')) {
          closers.push(']');
          continue;
        }
      } else if (token === '"') this.string();
      else this.literal();
      for (;;) {
        const closer = closers.at(-1);
        if (closer === undefined) return;
        if (this.comma(closer)) {
          if (closer === '}') {
            this.string();
            this.expect(':');
          }
          break;
        }
        closers.pop();
      }
    }
  }

  private literal(): void {
    const match = /(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/y;
    match.lastIndex = this.at;
    const found = match.exec(this.text);
    if (found === null) this.fail('a value');
    const end = this.at + found[0].length;
    // "12" at the very end of a cut text may have been "123"
    if (end >= this.text.length) {
      this.at = this.text.length;
      this.fail('the rest of a value');
    }
    this.at = end;
  }
}
