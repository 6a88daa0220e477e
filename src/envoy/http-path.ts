/**
 * Path normalisation of the HTTP connection manager (envoy 1.40 source/common/http/path_utility.cc, which uses
 * Chromium's URL canonicalisation), and the small helpers on paths that routes use.
 */

export function withoutQuery(path: string): string {
  const end = path.search(/[?#]/);
  return end < 0 ? path : path.slice(0, end);
}

const UNRESERVED = /^[A-Za-z0-9\-._~]$/;
/** Characters that Chromium leaves as they are in a path. */
const PLAIN = /^[A-Za-z0-9\-._~!$&'()*+,;=:@%/[\]|^]$/;

function canonicalSegmentText(path: string): string {
  let result = '';
  for (let i = 0; i < path.length; i++) {
    const char = path.charAt(i);
    const code = char === '%' ? path.slice(i + 1, i + 3) : '';
    if (char === '%' && /^[0-9A-Fa-f]{2}$/.test(code)) {
      const decoded = String.fromCharCode(Number.parseInt(code, 16));
      result += UNRESERVED.test(decoded) ? decoded : `%${code}`;
      i += 2;
    } else if (char === '\\') {
      result += '/';
    } else if (PLAIN.test(char)) {
      result += char;
    } else {
      for (const byte of new TextEncoder().encode(char)) {
        result += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
      }
    }
  }
  return result;
}

function removeDots(path: string): string {
  const output: string[] = [];
  const segments = path.split('/').slice(1);
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (segment === '.') {
      if (last) output.push('');
    } else if (segment === '..') {
      output.pop();
      if (last) output.push('');
    } else {
      output.push(segment);
    }
  });
  return `/${output.join('/')}`;
}

/** Nothing in such a path changes: no dots, no escapes, only characters that stay as they are. */
const CANONICAL = /^\/[A-Za-z0-9\-_~!$&'()*+,;=:@/]*$/;

/** `normalize_path`: null where Envoy answers 400 instead. */
export function normalized(path: string): string | null {
  if (!path.startsWith('/')) return null;
  const base = withoutQuery(path);
  if (CANONICAL.test(base)) return path;
  if (base.includes('\0')) return null;
  return removeDots(canonicalSegmentText(base)) + path.slice(base.length);
}

/** Empty segments go, but for the slashes at both ends: a path of slashes alone keeps two of them. */
export function mergeSlashes(path: string): string {
  const base = withoutQuery(path);
  if (!base.includes('//')) return path;
  const inner = base.split('/').filter((segment) => segment !== '');
  return `${base.startsWith('/') ? '/' : ''}${inner.join('/')}${base.endsWith('/') ? '/' : ''}${path.slice(base.length)}`;
}

export const ESCAPED_SLASH = /%2f|%5c/i;

export function unescapeSlashes(path: string): string {
  const base = withoutQuery(path);
  return base.replace(/%2f/gi, '/').replace(/%5c/gi, '\\') + path.slice(base.length);
}

/** Envoy's URI templates `/a/{name}/*` and `**` as a matcher; null where the template is not understood. */
export function uriTemplate(pattern: string): RegExp | null {
  let source = '';
  for (const segment of pattern.split('/').slice(1)) {
    source += '/';
    const variable = /^\{[A-Za-z_][A-Za-z0-9_]*(?:=([^{}]+))?\}$/.exec(segment);
    const body = variable === null ? segment : (variable[1] ?? '*');
    if (body === '*') source += "[a-zA-Z0-9\\-._~%!$&'()+,;:@]+";
    else if (body === '**') source += "[a-zA-Z0-9\\-._~%!$&'()+,;:@/]*";
    else if (/^[a-zA-Z0-9\-._~%!$&'()+,;:@]*$/.test(body)) source += body.replace(/[$().+]/g, '\\$&');
    else return null;
  }
  return new RegExp(`^${source}$`);
}
