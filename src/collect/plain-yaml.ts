/**
 * The form in which kubectl, kubeadm, kind and the clouds write a kubeconfig: block mappings and sequences, plain words and
 * quoted strings without escapes. Its reading takes a tenth of what the YAML library takes, and stands before the first
 * request. Null: the text holds anything else, and is for the library.
 */
export function parsePlainYaml(text: string): { readonly value: unknown } | null {
  const lines: Line[] = [];
  for (const [number, raw] of text.split('\n').entries()) {
    if (number === 0 && raw === '---') continue;
    const content = raw.replace(/^ +/, '');
    if (content !== '' && !content.startsWith('#')) lines.push({ indent: raw.length - content.length, content });
  }
  try {
    const reader = { lines, at: 0 };
    const value = lines.length === 0 ? null : readBlock(reader, 0);
    return reader.at === lines.length ? { value } : null;
  } catch (error) {
    if (error === NOT_PLAIN) return null;
    throw error;
  }
}

interface Line {
  readonly indent: number;
  readonly content: string;
}

interface Reader {
  readonly lines: Line[];
  at: number;
}

const NOT_PLAIN = new Error('not plain');

function readBlock(reader: Reader, indent: number): unknown {
  const line = reader.lines[reader.at];
  if (line?.indent !== indent) throw NOT_PLAIN;
  return /^-(?: |$)/.test(line.content) ? readSequence(reader, indent) : readMapping(reader, indent);
}

const ENTRY = /^([A-Za-z][A-Za-z0-9_./-]*):(?: +([^ ].*))?$/;

function readMapping(reader: Reader, indent: number): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (;;) {
    const line = reader.lines[reader.at];
    if (line === undefined || line.indent < indent) return out;
    const [, key, value] = ENTRY.exec(line.content) ?? [];
    if (line.indent > indent || key === undefined || Object.hasOwn(out, key)) throw NOT_PLAIN;
    if (scalarOfWord(key) !== key) throw NOT_PLAIN;
    reader.at++;
    out[key] = value === undefined ? readBelow(reader, indent, true) : scalar(value);
  }
}

function readSequence(reader: Reader, indent: number): unknown[] {
  const out: unknown[] = [];
  for (;;) {
    const line = reader.lines[reader.at];
    if (line === undefined || line.indent < indent) return out;
    const [, gap, rest] = /^-(?:( +)([^ ].*))?$/.exec(line.content) ?? [];
    if (line.indent > indent) throw NOT_PLAIN;
    if (!/^-(?: |$)/.test(line.content)) return out;
    if (gap === undefined || rest === undefined) {
      if (line.content !== '-') throw NOT_PLAIN;
      reader.at++;
      out.push(readBelow(reader, indent, false));
    } else if (ENTRY.test(rest)) {
      const inner = indent + 1 + gap.length;
      reader.lines[reader.at] = { indent: inner, content: rest };
      out.push(readMapping(reader, inner));
    } else {
      reader.at++;
      out.push(scalar(rest));
    }
  }
}

/** What stands under a key or a dash that has nothing beside it; a sequence may be as far left as its key. */
function readBelow(reader: Reader, indent: number, isKey: boolean): unknown {
  const next = reader.lines[reader.at];
  if (next === undefined || next.indent < indent) return null;
  if (next.indent > indent) return readBlock(reader, next.indent);
  return isKey && /^-(?: |$)/.test(next.content) ? readSequence(reader, indent) : null;
}

function scalar(text: string): unknown {
  if (text === '{}') return {};
  if (text === '[]') return [];
  const quoted = /^"([^"\\\u0000-\u001f\u007f-\uffff]*)"$|^'([^'\u0000-\u001f\u007f-\uffff]*)'$/.exec(text);
  if (quoted !== null) return quoted[1] ?? quoted[2];
  return scalarOfWord(text);
}

/** A word that no version of YAML reads as a number, a date or a switch, but for `true`, `false` and `null`. */
function scalarOfWord(text: string): unknown {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  if (!/^(?:[A-Za-z/_]|--[A-Za-z])[A-Za-z0-9_./@+=:,~-]*$/.test(text) || text.endsWith(':')) throw NOT_PLAIN;
  if (/^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text)) throw NOT_PLAIN;
  return text;
}
