import { Random } from '../kernel/random.js';

/** One way in which a file can be damaged so that it shows. */
export interface Damage {
  readonly what: string;
  /** Null: the file is not there. */
  readonly text: string | null;
}

/**
 * A seeded sample of damages: cuts, lines and fields that are gone, fields of another type. What leaves a whole file of its
 * own is left out: a list of sockets that ends between two of them, a rule less, a route without its gateway.
 */
export function damages(name: string, text: string, seed: number): readonly Damage[] {
  if (text === '') return [];
  const random = new Random(seed * 31 + name.length);
  return name.endsWith('.json') ? inJson(text, random) : [...cuts(text, random), ...lines(name, text, random)];
}

/** In the middle of a line. */
function cuts(text: string, random: Random): readonly Damage[] {
  return [0, random.int(text.length), random.int(text.length), text.length - 1].map((at) => {
    const place = text[at - 1] === '\n' || at === 0 ? at + 1 : at;
    return { what: `cut at ${place}`, text: text.slice(0, place) };
  });
}

/** Lines without which a file is not whole. */
const NEEDED: Readonly<Record<string, RegExp>> = {
  'iptables-save.txt': /^(COMMIT|\*|# (Generated|Completed))/,
  'ip6tables-save.txt': /^(COMMIT|\*|# (Generated|Completed))/,
  'sysctl.txt': /./,
};

function lines(name: string, text: string, random: Random): readonly Damage[] {
  const all = text.split('\n');
  const without = (at: number): Damage => ({
    what: `without line ${at + 1}, ${all[at] ?? ''}`,
    text: all.filter((_, place) => place !== at).join('\n'),
  });
  const needed = all.flatMap((line, at) => (NEEDED[name]?.test(line) === true ? [at] : []));
  const gone = pick(needed, 4, random).map(without);
  // a chain with rules of its own
  const declared = all.flatMap((line, at) => {
    const chain = /^:(\S+) /.exec(line)?.[1];
    return chain !== undefined && all.some((rule) => rule.startsWith(`-A ${chain} `)) && isOnly(all, line) ? [at] : [];
  });
  const inTable = all.flatMap((line, at) => (/^(-A|:|\*)/.test(line) ? [at] : []));
  const ended = pick(inTable, 2, random).map((at) => ({
    what: `cut after line ${at + 1}`,
    text: `${all.slice(0, at + 1).join('\n')}\n`,
  }));
  return [...gone, ...pick(declared, 2, random).map(without), ...ended];
}

/** No other table has a chain of that name. */
function isOnly(all: readonly string[], line: string): boolean {
  const name = line.split(' ')[0] ?? '';
  return all.filter((other) => other.startsWith(`${name} `)).length === 1;
}

/** Fields that the tools print for every element. */
const ALWAYS: ReadonlySet<string> = new Set(
  'priority src dst dev ifname ifindex flags addr_info local prefixlen family table chain expr hook prio policy name'.split(
    ' ',
  ),
);
/** What nobody asks about, or what is right with more than one type. */
const UNASKED: ReadonlySet<string> = new Set(['metainfo', 'handle', 'comment']);

function inJson(text: string, random: Random): readonly Damage[] {
  const paths = pathsIn(JSON.parse(text), []);
  const needed = paths.filter((path) => isNeeded(path));
  const gone = pick(needed, 4, random).map((path) => changed(text, path, undefined));
  const read = paths.filter((path) => !path.some((step) => UNASKED.has(step)) && isRead(path));
  const typed = pick(read, 6, random).map((path) => changed(text, path, ODD[random.int(ODD.length)] ?? null));
  const at = [1 + random.int(text.length - 2), text.length - 1];
  return [...gone, ...typed, ...at.map((place) => ({ what: `cut at ${place}`, text: text.slice(0, place) }))];
}

const ODD: readonly unknown[] = [{ odd: 1 }, [[1]], -7.5, true];

/** An element's own field, not one inside an expression of nft: `/3/dst`, `/nftables/7/chain/prio`. */
function isNeeded(path: readonly string[]): boolean {
  const own = path[0] === 'nftables' ? path.length === 4 : path.length === 2 || path.at(-3) === 'addr_info';
  const field = path.at(-1) ?? '';
  // nft prints no element of an empty set, and `src` of a route is of those from one source only
  return own && ALWAYS.has(field) && !(path[0] === 'nftables' && (field === 'flags' || field === 'dev'));
}

const READ: ReadonlySet<string> = new Set(
  'priority src srclen dst dstlen iif oif fwmark fwmask uid_start uid_end ipproto sport dport table goto gateway dev scope metric prefsrc'.split(
    ' ',
  ),
);

function isRead(path: readonly string[]): boolean {
  return isNeeded(path) || (path[0] !== 'nftables' && path.length === 2 && READ.has(path.at(-1) ?? ''));
}

function pathsIn(value: unknown, path: readonly string[]): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[...path, key], ...pathsIn(inner, [...path, key])]);
}

/** `value` undefined: the field is gone. */
function changed(text: string, path: readonly string[], value: unknown): Damage {
  const root = JSON.parse(text) as Record<string, unknown>;
  let place = root;
  for (const step of path.slice(0, -1)) place = place[step] as Record<string, unknown>;
  place[path.at(-1) ?? ''] = value;
  const what = value === undefined ? 'gone' : `is ${JSON.stringify(value)}`;
  return { what: `${path.join('/')} ${what}`, text: JSON.stringify(root) };
}

function pick<T>(list: readonly T[], count: number, random: Random): readonly T[] {
  if (list.length <= count) return list;
  return Array.from({ length: count }, () => list[random.int(list.length)]).filter(
    (one): one is T => one !== undefined,
  );
}
