import { createRequire } from 'node:module';
import type { RE2JS } from 're2js';

/** Its tables take longer to set up than a whole trace: loaded with the first pattern that needs it. */
let library: typeof RE2JS | null = null;

function re2js(): typeof RE2JS {
  library ??= (createRequire(import.meta.url)('re2js') as { readonly RE2JS: typeof RE2JS }).RE2JS;
  return library;
}

/**
 * RE2 as Envoy uses it: a pattern matches where it matches the whole text (RE2::FullMatch). Whether a whole text
 * belongs to a language does not depend on the engine for the plainest patterns, so those run on the native engine;
 * everything else goes through RE2JS, which is linear and speaks RE2's own syntax.
 */
interface Regex {
  readonly pattern: string;
  fullMatch(text: string): boolean;
  /** RE2::GlobalReplace with `\1` references; null where the substitution is not understood. */
  replaceAll(text: string, substitution: string): string | null;
}

const LITERAL = /^(?:[A-Za-z0-9/_\-:,@ =%~&;#]|\\[./_\-+*?()[\]{}|^$\\])*$/;
const cache = new Map<string, Regex | null>();

function unescape(literal: string): string {
  return literal.replace(/\\(.)/g, '$1');
}

/** `lit`, `.*lit.*`, `lit.+`: at most one wildcard at each end. */
function plain(pattern: string): ((text: string) => boolean) | null {
  const head = pattern.startsWith('.*') ? 0 : pattern.startsWith('.+') ? 1 : -1;
  const rest = head < 0 ? pattern : pattern.slice(2);
  const hasTail = /\.[*+]$/.test(rest) && !/\\\.[*+]$/.test(rest);
  const tail = hasTail ? (rest.endsWith('*') ? 0 : 1) : -1;
  const middle = hasTail ? rest.slice(0, -2) : rest;
  if (!LITERAL.test(middle)) return null;
  const literal = unescape(middle);
  if (head < 0 && tail < 0) return (text) => text === literal;
  return (text) => {
    // `.` is any character but a line feed, and the literal has none
    if (text.includes('\n')) return false;
    const spare = text.length - literal.length;
    if (head < 0) return text.startsWith(literal) && spare >= tail;
    if (tail < 0) return text.endsWith(literal) && spare >= head;
    const at = text.indexOf(literal, head);
    return at >= 0 && text.length - at - literal.length >= tail;
  };
}

/** Null where RE2 would refuse the pattern: Envoy would not have accepted the configuration. */
export function regex(pattern: string): Regex | null {
  const known = cache.get(pattern);
  if (known !== undefined) return known;
  const made = compile(pattern);
  cache.set(pattern, made);
  return made;
}

function compile(pattern: string): Regex | null {
  const test = plain(pattern);
  let compiled: RE2JS | null = null;
  const re2 = (): RE2JS => (compiled ??= re2js().compile(pattern));
  if (test === null) {
    try {
      re2();
    } catch {
      return null;
    }
  }
  return {
    pattern,
    fullMatch: test ?? ((text) => re2().matches(text)),
    replaceAll: (text, substitution) => {
      if (/\\[^0-9\\]/.test(substitution)) return null;
      return re2()
        .matcher(text)
        .replaceAll((...groups: readonly unknown[]) =>
          substitution.replace(/\\(\\|\d)/g, (_, c: string) => {
            if (c === '\\') return '\\';
            const group = groups[Number(c)];
            return typeof group === 'string' ? group : '';
          }),
        );
    },
  };
}
