import { problemOf } from './manifest.js';
import type { FileRead, Snapshot } from './snapshot.js';

/** A file of a network namespace; `unread`: it is not there, but something tells that its tool had something to print. */
export type NamespaceFile =
  | FileRead
  | { readonly kind: 'unread'; readonly path: string; readonly reason: string }
  /** Missing, while another namespace has it, which alone says nothing. */
  | { readonly kind: 'missing'; readonly path: string; readonly reason: string; readonly elsewhere: string };

/**
 * Files whose absence says, in a snapshot where nobody has them, that there is nothing to print; what a tool prints in one
 * namespace it prints in all.
 */
const EVERYWHERE: ReadonlySet<string> = new Set(['nft-ruleset.json']);
/** The rules of the other back-end, which are kept only where there are some. */
const SOMEWHERE: ReadonlySet<string> = new Set(['iptables-legacy-save.txt', 'ip6tables-legacy-save.txt']);

/** What every namespace has: a folder of an archive that lacks one of them was hit by the damage. */
const ALWAYS = ['ip-address.json', 'ip-route.json', 'ip-rule.json', 'iptables-save.txt', 'sockets.txt', 'sysctl.txt'];

/** How a capture says that a tool is not installed where it looked: that tells of nothing which it would have printed. */
const NOT_INSTALLED = /^not in the image of /;

/**
 * Reads files of network namespaces. A file that the manifest names among its problems, that other namespaces of the snapshot
 * have, or that stood behind the damage of an archive, was not read: it must not pass for one of which nothing is missed.
 */
export function namespaceFiles(snapshot: Snapshot): (path: string) => NamespaceFile {
  const holders = new Map<string, string | null>();
  const damaged = snapshot.problems?.some(({ file }) => file === snapshot.name) === true;
  const holderOf = (name: string): string | null => {
    let holder = holders.get(name);
    if (holder === undefined) {
      holder = findHolder(snapshot, name);
      holders.set(name, holder);
    }
    return holder;
  };
  const why = (path: string, reason: string): string | null => {
    const named = problemOf(snapshot.manifest, path);
    if (named !== null && !NOT_INSTALLED.test(named)) return named;
    const cut = path.lastIndexOf('/');
    const folder = path.slice(0, cut);
    const lost = damaged && ALWAYS.some((name) => snapshot.read(`${folder}/${name}`).kind === 'missing');
    if (lost) return 'the archive is damaged, and other files of this namespace are missing too';
    const name = path.slice(cut + 1);
    const holder = EVERYWHERE.has(name) ? holderOf(name) : null;
    return holder === null ? null : `${reason}, though another namespace has it (${holder}): capture again`;
  };
  return (path) => {
    const read = snapshot.read(path);
    if (read.kind !== 'missing') return read;
    const reason = why(read.path, read.reason);
    if (reason !== null) return { kind: 'unread', path: read.path, reason };
    const name = path.slice(path.lastIndexOf('/') + 1);
    const elsewhere = SOMEWHERE.has(name) ? holderOf(name) : null;
    return elsewhere === null ? read : { ...read, elsewhere };
  };
}

/** The first namespace that has the file, those of nodes first; as few folders are listed as possible. */
function findHolder(snapshot: Snapshot, name: string): string | null {
  for (const folder of netnsFolders(snapshot)) {
    if (snapshot.list(folder).includes(name)) return `${folder}/${name}`;
  }
  return null;
}

function* netnsFolders(snapshot: Snapshot): Generator<string> {
  for (const node of snapshot.list('nodes')) yield `nodes/${node}/netns`;
  for (const namespace of snapshot.list('pods')) {
    for (const pod of snapshot.list(`pods/${namespace}`)) yield `pods/${namespace}/${pod}/netns`;
  }
}
