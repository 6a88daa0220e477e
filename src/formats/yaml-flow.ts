/** Plain scalars of YAML 1.2's core schema. */
export function resolvePlain(text: string): unknown {
  if (text === '' || text === '~' || /^(null|Null|NULL)$/.test(text)) return null;
  if (/^(true|True|TRUE)$/.test(text)) return true;
  if (/^(false|False|FALSE)$/.test(text)) return false;
  if (/^[-+]?\d+$/.test(text)) return Number(text);
  if (/^0x[0-9a-fA-F]+$/.test(text) || /^0o[0-7]+$/.test(text)) return Number(text);
  if (/^[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?$/.test(text)) return Number(text);
  if (/^[-+]?\.(inf|Inf|INF)$/.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^\.(nan|NaN|NAN)$/.test(text)) return NaN;
  return text;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '0': '\0', a: '\x07', b: '\b', t: '\t', '\t': '\t', n: '\n', v: '\v', f: '\f', r: '\r', e: '\x1b',
  ' ': ' ', '"': '"', '/': '/', '\\': '\\', N: '\x85', _: '\xa0', L: '\u2028', P: '\u2029',
}; // prettier-ignore

/** What a double-quoted text says, its escapes resolved. */
export function unescapeDouble(text: string, fail: (message: string) => never): string {
  return text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[\s\S]|$)/g, (_, code: string) => {
    if (code.length > 1) {
      const point = Number.parseInt(code.slice(1), 16);
      return point > 0x10ffff ? fail('not a character') : String.fromCodePoint(point);
    }
    return ESCAPES[code] ?? fail(`unknown escape "\\${code}"`);
  });
}

/** Quoted scalars and flow collections, which may go on over several lines deeper than `parent`. */
export class Flow {
  row: number;
  private column: number;
  private readonly lines: readonly string[];
  private readonly parent: number;
  private readonly failAt: (message: string, line: number) => never;

  constructor(
    lines: readonly string[],
    row: number,
    column: number,
    parent: number,
    failAt: (message: string, line: number) => never,
  ) {
    this.lines = lines;
    this.row = row;
    this.column = column;
    this.parent = parent;
    this.failAt = failAt;
  }

  private fail(message: string): never {
    return this.failAt(message, this.row);
  }

  private rest(): string {
    return (this.lines[this.row] ?? '').slice(this.column);
  }

  private newLine(): void {
    this.row++;
    const line = this.lines[this.row];
    if (line === undefined) this.fail('the text ends inside a quoted or flow value');
    const indent = /^[ \t]*/.exec(line)?.[0].length ?? 0;
    if (indent <= this.parent && line.trim() !== '') this.fail('a quoted or flow value ends at a lesser indentation');
    this.column = indent;
  }

  private skip(): void {
    for (;;) {
      const rest = this.rest();
      const content = rest.trimStart();
      if (content !== '' && !(content.startsWith('#') && (content.length < rest.length || this.column === 0))) {
        this.column += rest.length - content.length;
        return;
      }
      this.newLine();
    }
  }

  endOfLine(): void {
    if (!/^\s*$|^\s+#/.test(this.rest())) this.fail('expected the end of the line');
  }

  value(): unknown {
    this.skip();
    const head = this.rest().charAt(0);
    if (head === '"' || head === "'") return this.quoted(head);
    if (head === '[') return this.list();
    if (head === '{') return this.map();
    if ('&*!'.includes(head)) this.fail('anchors, aliases and tags are not read');
    const plain = /^(?:[^-?,[\]{}:#%@`|>\s]|[-?:](?=[^\s,[\]{}]))(?:[^,[\]{}:#]|:(?=[^\s,[\]{}])|(?<=\S)#)*/.exec(
      this.rest(),
    );
    if (plain === null) this.fail('expected a value');
    this.column += plain[0].length;
    return resolvePlain(plain[0].trim());
  }

  private list(): unknown[] {
    const items: unknown[] = [];
    this.column++;
    for (this.skip(); this.rest().charAt(0) !== ']'; this.skip()) {
      items.push(this.value());
      this.separator(']');
    }
    this.column++;
    return items;
  }

  private map(): Readonly<Record<string, unknown>> {
    const result: Record<string, unknown> = Object.create(null);
    this.column++;
    for (this.skip(); this.rest().charAt(0) !== '}'; this.skip()) {
      const head = this.rest().charAt(0);
      const key = this.value();
      if (typeof key === 'object' && key !== null) this.fail('complex keys are not read');
      const name = key === null && head !== '~' && head !== 'n' && head !== 'N' ? '' : String(key);
      if (name in result) this.fail(`the key "${name}" stands twice`);
      this.skip();
      if (this.rest().charAt(0) === ':') {
        this.column++;
        this.skip();
        result[name] = /^[,}]/.test(this.rest()) ? null : this.value();
      } else result[name] = null;
      this.separator('}');
    }
    this.column++;
    return result;
  }

  private separator(close: string): void {
    this.skip();
    const token = this.rest().charAt(0);
    if (token === ',') this.column++;
    else if (token !== close) this.fail(`expected "," or "${close}"`);
  }

  private quoted(quote: '"' | "'"): string {
    this.column++;
    let text = '';
    for (;;) {
      const rest = this.rest();
      const match = (quote === '"' ? /^((?:[^"\\]|\\.)*)(["\\]?)/ : /^((?:[^']|'')*)('?)/).exec(rest);
      const part = match?.[1] ?? '';
      if (match?.[2] === quote) {
        this.column += part.length + 1;
        return this.finish(text + part, quote);
      }
      // the line ends inside the quotes: an escaped line break joins, others fold
      const escaped = quote === '"' && match?.[2] === '\\';
      text += escaped ? part : part.trimEnd();
      let breaks = 0;
      do {
        this.newLine();
        breaks++;
      } while (this.rest().trim() === '');
      if (!escaped) text += breaks > 1 ? '\n'.repeat(breaks - 1) : ' ';
      else if (breaks > 1) text += '\n'.repeat(breaks - 1);
    }
  }

  private finish(text: string, quote: '"' | "'"): string {
    return quote === "'" ? text.replaceAll("''", "'") : unescapeDouble(text, (message) => this.fail(message));
  }
}
