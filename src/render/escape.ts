/**
 * Strings from a cluster are hostile: a pod's annotation or a policy's name may hold escape sequences that rewrite the
 * terminal, or direction marks that make a line read as another. What a renderer prints goes through here first.
 */

/**
 * C0, DEL and C1 controls; line and paragraph separators; direction marks, embeddings, overrides and isolates; invisible
 * characters (zero width, soft hyphen, word joiner, fillers, tags, variation selectors); lone surrogates.
 */
const UNSAFE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

/** Replaces what could steer a terminal or mislead its reader by a visible `\u{…}`; the rest stays as it is. */
export function escapeTerminal(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

/** The same for the inside of a JSON or double-quoted YAML string: `\uXXXX`, which their readers turn back. */
export function escapeInJson(text: string): string {
  return text.replace(UNSAFE, (character) => {
    if (character === '\n') return character;
    let escaped = '';
    for (let index = 0; index < character.length; index += 1) {
      escaped += `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}

/** True where the text holds something that `escapeTerminal` would replace. */
export function isUnsafe(text: string): boolean {
  return escapeTerminal(text) !== text;
}

/** Columns that a text without control characters takes: wide East Asian and emoji count two, combining marks none. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (isCombining(code)) continue;
    columns += isWide(code) ? 2 : 1;
  }
  return columns;
}

function isCombining(code: number): boolean {
  return (
    (code >= 0x300 && code <= 0x36f) ||
    (code >= 0x1ab0 && code <= 0x1aff) ||
    (code >= 0x20d0 && code <= 0x20ff) ||
    (code >= 0xfe20 && code <= 0xfe2f)
  );
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1f64f) ||
    (code >= 0x1f900 && code <= 0x1f9ff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/** Cuts a text to a number of columns, with an ellipsis where something was cut. */
export function truncate(text: string, columns: number, ellipsis: string): string {
  if (columnsOf(text) <= columns) return text;
  let kept = '';
  let used = columnsOf(ellipsis);
  for (const character of text) {
    const width = columnsOf(character);
    if (used + width > columns) break;
    kept += character;
    used += width;
  }
  return kept + ellipsis;
}

/**
 * Cuts the middle out of a text that is too long: of a rule, the chain at its start and the target at its end are what a
 * person looks for.
 */
export function truncateMiddle(text: string, columns: number, ellipsis: string): string {
  if (columnsOf(text) <= columns) return text;
  const head = truncate(text, Math.max(1, Math.floor((columns - columnsOf(ellipsis)) * 0.45)), '');
  const room = columns - columnsOf(head) - columnsOf(ellipsis);
  let tail = '';
  let used = 0;
  for (const character of [...text].reverse()) {
    const width = columnsOf(character);
    if (used + width > room) break;
    tail = character + tail;
    used += width;
  }
  return head + ellipsis + tail;
}

/** Breaks a text into lines of at most `columns`, at spaces where it can, inside a word that is longer than a line. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    let rest = word;
    if (line !== '' && columnsOf(line) + 1 + columnsOf(rest) <= columns) {
      line = `${line} ${rest}`;
      continue;
    }
    if (line !== '') lines.push(line);
    while (columnsOf(rest) > columns) {
      const cut = breakingPoint(rest, columns);
      lines.push(rest.slice(0, cut));
      rest = rest.slice(cut);
    }
    line = rest;
  }
  if (line !== '' || lines.length === 0) lines.push(line);
  return lines;
}

/** Where to break a long word: after a slash, comma or pipe in its second half, else where the line is full. */
function breakingPoint(word: string, columns: number): number {
  let used = 0;
  let index = 0;
  let soft = 0;
  for (const character of word) {
    used += columnsOf(character);
    if (used > columns) break;
    index += character.length;
    if ('/,|'.includes(character)) soft = index;
  }
  if (soft > columns / 2) return soft;
  return Math.max(index, 1);
}
