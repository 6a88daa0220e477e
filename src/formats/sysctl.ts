import type { Evidence, ParseProblem } from './evidence.js';

/** `sysctl -a -r '^net\.(ipv4|ipv6)\.'`: `key = value`. */
export interface Sysctls {
  readonly file: string;
  readonly values: ReadonlyMap<string, { readonly value: string; readonly evidence: Evidence }>;
  readonly problems: readonly ParseProblem[];
}

export function parseSysctl(file: string, text: string): Sysctls {
  const values = new Map<string, { value: string; evidence: Evidence }>();
  const problems: ParseProblem[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    if (row.trim() === '' || row.startsWith('sysctl:')) continue;
    const cut = row.indexOf('=');
    if (cut < 0) problems.push({ file, line, message: `not key = value: ${row.slice(0, 120)}` });
    else
      values.set(row.slice(0, cut).trim(), { value: row.slice(cut + 1).trim(), evidence: { file, line, text: row } });
  }
  return { file, values, problems };
}
