import type { Hop, Link, Path, Stop } from '../walk/trace.js';

/** One line (or few) of an answer: a process, the connection that leaves it, or a step that decided. */
export type Item =
  | { readonly kind: 'stop'; readonly stop: Stop; readonly index: number }
  | { readonly kind: 'link'; readonly link: Link }
  | { readonly kind: 'hop'; readonly hop: Hop };

/** Paths with what they have in common told once: the items of all, then the branches in which they differ. */
export interface TreeNode {
  readonly items: readonly Item[];
  /** Share of all connections that come this way; null where one of the shares is unknown. */
  readonly probability: number | null;
  readonly branches: readonly TreeNode[];
  /** The path that ends here; null where it forks. */
  readonly path: Path | null;
}

/** Joins paths into a tree, in their order. `shown` says which hops are to be told. */
export function joinPaths(paths: readonly Path[], shown: (hop: Hop, path: Path) => boolean): TreeNode | null {
  if (paths.length === 0) return null;
  return join(
    paths.map((path) => ({ path, items: itemsOf(path, shown) })),
    0,
  );
}

interface Line {
  readonly path: Path;
  readonly items: readonly Item[];
}

function join(lines: readonly Line[], from: number): TreeNode {
  const first = lines[0];
  if (first === undefined) return { items: [], probability: null, branches: [], path: null };
  const probability = sumOf(lines);
  if (lines.length === 1) return { items: first.items.slice(from), probability, branches: [], path: first.path };
  let to = from;
  while (lines.every((line) => keyAt(line, to) !== null && keyAt(line, to) === keyAt(first, to))) to += 1;
  const groups = new Map<string, Line[]>();
  for (const line of lines) {
    // Two paths that print the same and end differently are still two.
    const key = keyAt(line, to) ?? `end ${String(groups.size)}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [line]);
    else group.push(line);
  }
  return {
    items: first.items.slice(from, to),
    probability,
    branches: [...groups.values()].map((group) => join(group, to)),
    path: null,
  };
}

function sumOf(lines: readonly Line[]): number | null {
  let sum = 0;
  for (const { path } of lines) {
    if (path.probability === null) return null;
    sum += path.probability;
  }
  return sum;
}

function keyAt(line: Line, index: number): string | null {
  const item = line.items[index];
  if (item === undefined) return null;
  switch (item.kind) {
    case 'stop':
      return JSON.stringify(['stop', item.stop.role, item.stop.namespace, item.stop.name, item.stop.also ?? []]);
    case 'link':
      return JSON.stringify(['link', item.link]);
    case 'hop': {
      const { node, netns, kind, summary, phase, basis, evidence } = item.hop;
      return JSON.stringify(['hop', node, netns, kind, summary, phase ?? 'request', basis, evidence]);
    }
  }
}

/**
 * The order in which a person reads a path: a stop, what it decides, the connection that leaves it, what the kernel does
 * to that connection's packets, the next stop. `later` and `reply` packets come last, as they do in time.
 */
function itemsOf(path: Path, shown: (hop: Hop, path: Path) => boolean): readonly Item[] {
  const items: Item[] = [];
  const hops = path.hops.filter((hop) => shown(hop, path));
  const first = hops.filter((hop) => (hop.phase ?? 'request') === 'request');
  const last = Math.max(path.stops.length, path.links.length + 1);
  for (let index = 0; index < last; index += 1) {
    const link = index === 0 ? undefined : path.links[index - 1];
    const stop = path.stops[index];
    const here = first.filter((hop) => hop.stop === index || (index === last - 1 && hop.stop > index));
    if (link !== undefined) items.push({ kind: 'link', link });
    const before = index === 0 ? [] : here.filter((hop) => isOnTheWay(hop));
    for (const hop of before) items.push({ kind: 'hop', hop });
    if (stop !== undefined) items.push({ kind: 'stop', stop, index });
    for (const hop of here) if (!before.includes(hop)) items.push({ kind: 'hop', hop });
  }
  for (const hop of hops) if ((hop.phase ?? 'request') !== 'request') items.push({ kind: 'hop', hop });
  return items;
}

/** Packets are told before the process that they reach; what a process decides and opens comes after its name. */
function isOnTheWay(hop: Hop): boolean {
  return hop.packet !== undefined && hop.kind !== 'proxy' && hop.kind !== 'connect' && hop.kind !== 'send';
}
