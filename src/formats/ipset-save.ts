import type { Evidence, ParseProblem } from './evidence.js';

/** `ipset save`: the sets with their members as printed; their meaning is the engine's affair (src/netns/ipset.ts). */
export interface IpsetSave {
  readonly file: string;
  readonly sets: ReadonlyMap<string, Ipset>;
  readonly problems: readonly ParseProblem[];
}

export interface Ipset {
  readonly name: string;
  /** `hash:ip`, `bitmap:port`, `list:set`… */
  readonly type: string;
  /** Words after the type: `family inet hashsize 1024 timeout 300 comment`. */
  readonly options: ReadonlyMap<string, string>;
  readonly evidence: Evidence;
  readonly entries: readonly IpsetEntry[];
}

export interface IpsetEntry {
  /** `10.0.0.1`, `10.0.0.0/8,tcp:80`, the name of a member set. */
  readonly value: string;
  readonly nomatch: boolean;
  /** hash:net,iface: the device is the beginning of a name. */
  readonly wildcard: boolean;
  readonly timeout: number | null;
  readonly comment: string | null;
  readonly evidence: Evidence;
}

const FLAGS: ReadonlySet<string> = new Set(['comment', 'counters', 'skbinfo', 'forceadd', 'nomatch', 'wildcard']);

export function parseIpsetSave(file: string, text: string): IpsetSave {
  const sets = new Map<string, Ipset & { entries: IpsetEntry[] }>();
  const problems: ParseProblem[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    if (row.trim() === '') continue;
    const words = row.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
    const evidence: Evidence = { file, line, text: row };
    const [verb, name, third] = words;
    if (verb === 'create' && name !== undefined && third !== undefined) {
      const options = new Map<string, string>();
      for (let at = 3; at < words.length; at++) {
        const word = words[at] ?? '';
        if (FLAGS.has(word)) options.set(word, '');
        else options.set(word, words[++at] ?? '');
      }
      sets.set(name, { name, type: third, options, evidence, entries: [] });
      continue;
    }
    const set = name === undefined ? undefined : sets.get(name);
    if (verb === 'add' && set !== undefined && third !== undefined) {
      set.entries.push(entryOf(words, third, evidence));
      continue;
    }
    problems.push({ file, line, message: `not a line of ipset save: ${row.slice(0, 120)}` });
  }
  return { file, sets, problems };
}

function entryOf(words: readonly string[], value: string, evidence: Evidence): IpsetEntry {
  let nomatch = false;
  let wildcard = false;
  let timeout: number | null = null;
  let comment: string | null = null;
  for (let at = 3; at < words.length; at++) {
    const word = words[at];
    if (word === 'nomatch') nomatch = true;
    else if (word === 'wildcard') wildcard = true;
    else if (word === 'timeout') timeout = Number(words[++at]);
    else if (word === 'comment') comment = (words[++at] ?? '').replace(/^"|"$/g, '');
    else if (word !== 'before' && word !== 'after') at++;
  }
  return { value, nomatch, wildcard, timeout, comment, evidence };
}
