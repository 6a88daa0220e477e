import { Flow, resolvePlain, unescapeDouble } from './yaml-flow.js';

/**
 * The YAML that Go's marshallers and Helm write into ConfigMaps: block mappings and sequences, flow collections, plain and
 * quoted scalars, block scalars, comments. Anchors, aliases, tags, complex keys and several documents are refused with
 * their line, never guessed at. Written by hand because every trace reads the mesh configuration and loading a whole YAML
 * library costs more than reading it; the tests hold it against that library.
 */
type YamlResult = { readonly value: unknown } | { readonly message: string; readonly line: number };

export function parseBlockYaml(text: string): YamlResult {
  const reader = new Reader(text);
  try {
    return { value: reader.document() };
  } catch (error) {
    if (error instanceof YamlError) return { message: error.message, line: error.line };
    throw error;
  }
}

class YamlError extends Error {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

class Reader {
  private readonly lines: string[];
  private at = 0;

  constructor(text: string) {
    this.lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  }

  private fail(message: string): never {
    throw new YamlError(message, Math.min(this.at, this.lines.length - 1) + 1);
  }

  private line(): string {
    return this.lines[this.at] ?? '';
  }

  private indentOf(line: string): number {
    let indent = 0;
    while (line.charAt(indent) === ' ') indent++;
    if (line.charAt(indent) === '\t' && line.trim() !== '') this.fail('a tab in the indentation');
    return indent;
  }

  /** Steps over blank lines and comments; the indentation of the next line with content, -1 at the end. */
  private next(): number {
    for (; this.at < this.lines.length; this.at++) {
      const line = this.line();
      const trimmed = line.trim();
      if (trimmed === '' || trimmed.startsWith('#')) continue;
      if (/^(---|\.\.\.)(\s|$)/.test(line)) this.fail('several documents are not read');
      return this.indentOf(line);
    }
    return -1;
  }

  document(): unknown {
    while (this.at < this.lines.length && /^\s*(#|$)/.test(this.line())) this.at++;
    if (/^---\s*(#.*)?$/.test(this.line())) this.at++;
    const indent = this.next();
    if (indent < 0) return null;
    const value = this.node(indent);
    if (this.next() >= 0) this.fail('expected the end, or the same indentation');
    return value;
  }

  /** The node that begins at the current line, whose content begins at `indent`. */
  private node(indent: number): unknown {
    const content = this.line().slice(indent);
    if (/^-(\s|$)/.test(content)) return this.sequence(indent);
    if (this.keyEnd(content) >= 0) return this.mapping(indent);
    if (/^[|>]/.test(content)) this.fail('a block scalar belongs to a key or a list');
    return this.scalar(content, indent, indent - 1);
  }

  private sequence(indent: number): unknown[] {
    const items: unknown[] = [];
    while (this.next() === indent && /^-(\s|$)/.test(this.line().slice(indent))) {
      const rest = this.line().slice(indent + 1);
      if (rest.trim() === '' || rest.trim().startsWith('#')) {
        this.at++;
        const inner = this.next();
        items.push(inner > indent ? this.node(inner) : null);
        continue;
      }
      // the item's content stands as if the dash were a space
      this.lines[this.at] = `${' '.repeat(indent + 1)}${rest}`;
      const inner = this.indentOf(this.line());
      if (/^[|>]/.test(this.line().slice(inner))) items.push(this.value(this.line().slice(inner), indent));
      else items.push(this.node(inner));
    }
    return items;
  }

  private mapping(indent: number): Readonly<Record<string, unknown>> {
    const result: Record<string, unknown> = Object.create(null);
    while (this.next() === indent) {
      const content = this.line().slice(indent);
      const end = this.keyEnd(content);
      if (end < 0) this.fail('expected "key: value"');
      const key = this.keyText(content.slice(0, end).trimEnd());
      if (key in result) this.fail(`the key "${key}" stands twice`);
      result[key] = this.value(content.slice(end + 1).trimStart(), indent);
    }
    return result;
  }

  /** Offset of the colon that ends a key at the beginning of `content`; -1 where there is no key. */
  private keyEnd(content: string): number {
    const quote = content.charAt(0);
    if (quote === '"' || quote === "'") {
      const match = (quote === '"' ? /^"(?:[^"\\]|\\.)*"\s*(?=:(\s|$))/ : /^'(?:[^']|'')*'\s*(?=:(\s|$))/).exec(
        content,
      );
      return match === null ? -1 : match[0].length;
    }
    if (']},'.includes(quote)) this.fail(`a key cannot begin with "${quote}"`);
    if ('[{#|>%@`&*!'.includes(quote) || /^\?(\s|$)/.test(content)) {
      if ('&*!'.includes(quote) || quote === '?') this.fail('anchors, aliases, tags and complex keys are not read');
      return -1;
    }
    const colon = /:(\s|$)/.exec(content);
    const comment = / #/.exec(content);
    if (colon === null || (comment !== null && comment.index < colon.index)) return -1;
    if (colon.index === 0) this.fail('an empty key');
    return colon.index;
  }

  private keyText(text: string): string {
    if (text.startsWith('"')) return this.unescape(text.slice(1, -1));
    if (text.startsWith("'")) return text.slice(1, -1).replaceAll("''", "'");
    return text;
  }

  /** What follows `key:` or `- `; `parent` is the indentation that the value must exceed. */
  private value(rest: string, parent: number): unknown {
    if (rest === '' || rest.startsWith('#')) {
      this.at++;
      const inner = this.next();
      if (inner > parent) return this.node(inner);
      // a sequence may stand at the indentation of its key
      if (inner === parent && /^-(\s|$)/.test(this.line().slice(inner))) return this.sequence(inner);
      return null;
    }
    if (/^[|>]/.test(rest)) return this.blockScalar(rest, parent);
    return this.scalar(rest, this.line().length - rest.length, parent);
  }

  /** A scalar or flow collection that begins at `column` of the current line and may go on in deeper lines. */
  private scalar(first: string, column: number, parent: number): unknown {
    const head = first.charAt(0);
    if ('&*!'.includes(head)) this.fail('anchors, aliases and tags are not read');
    if ('%@`}],'.includes(head) || /^[-?:](\s|$)/.test(first)) this.fail(`a value cannot begin with "${head}"`);
    if ('"\'[{'.includes(head)) {
      const flow = new Flow(this.lines, this.at, column, parent, (message, line) => {
        this.at = line;
        return this.fail(message);
      });
      const value = flow.value();
      flow.endOfLine();
      this.at = flow.row + 1;
      return value;
    }
    let text = stripComment(first);
    let commented = text.length !== first.trimEnd().length;
    let blanks = 0;
    this.at++;
    for (; this.at < this.lines.length && !commented; this.at++) {
      const line = this.line();
      if (line.trim() === '') {
        blanks++;
        continue;
      }
      if (this.indentOf(line) <= parent || /^(---|\.\.\.)(\s|$)/.test(line)) break;
      const content = line.trimStart();
      if (content.startsWith('#')) break;
      if (/:(\s|$)/.test(stripComment(content))) this.fail('"key: value" inside a plain scalar');
      const stripped = stripComment(content);
      commented = stripped.length !== content.trimEnd().length;
      text += (blanks > 0 ? '\n'.repeat(blanks) : ' ') + stripped;
      blanks = 0;
    }
    if (/:(\s|$)/.test(text)) this.fail('"key: value" inside a plain scalar');
    return resolvePlain(text);
  }

  private blockScalar(header: string, parent: number): string {
    const match = /^([|>])(?:([1-9])([-+])?|([-+])([1-9])?)?\s*(?:\s#.*)?$/.exec(header);
    if (match === null) this.fail('not a block scalar header');
    const folded = match[1] === '>';
    const chomp = match[3] ?? match[4] ?? '';
    const explicit = match[2] ?? match[5];
    this.at++;
    let indent = explicit === undefined ? -1 : parent + Number(explicit);
    const body: string[] = [];
    for (; this.at < this.lines.length; this.at++) {
      const line = this.line();
      const own = /^ */.exec(line)?.[0].length ?? 0;
      if (own === line.length) {
        body.push(indent >= 0 ? line.slice(indent) : '');
        continue;
      }
      if (indent < 0) indent = own;
      if (own < indent || own <= parent) break;
      body.push(line.slice(indent));
    }
    let trailing = 0;
    while (body.length > 0 && body.at(-1) === '') {
      body.pop();
      trailing++;
    }
    const text = folded ? fold(body) : body.join('\n');
    if (chomp === '-' || (body.length === 0 && chomp !== '+')) return text;
    return (
      text +
      (chomp === '+'
        ? '\n'.repeat(trailing + (body.length > 0 ? 1 : 0) - (this.at >= this.lines.length ? 1 : 0))
        : '\n')
    );
  }

  private unescape(text: string): string {
    return unescapeDouble(text, (message) => this.fail(message));
  }
}

function stripComment(text: string): string {
  return (/(?:^|\s)#/.exec(text) === null ? text : text.slice(0, /(?:^|\s)#/.exec(text)?.index)).trimEnd();
}

/** Folding of `>`: single line breaks become spaces, except next to more-indented lines. */
function fold(lines: readonly string[]): string {
  let text = '';
  let blanks = 0;
  let previousKeeps = true;
  lines.forEach((line, index) => {
    if (line === '') {
      blanks++;
      return;
    }
    const keeps = /^[ \t]/.test(line);
    if (index > 0 || blanks > 0) {
      if (text === '' && previousKeeps && index === blanks) text += '\n'.repeat(blanks);
      else if (keeps || previousKeeps) text += '\n'.repeat(blanks + 1);
      else text += blanks > 0 ? '\n'.repeat(blanks) : ' ';
    }
    text += line;
    blanks = 0;
    previousKeeps = keeps;
  });
  return text;
}
