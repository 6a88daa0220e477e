import type { Snapshot } from '../snapshot/snapshot.js';

/** A snapshot that notes what was asked of it, so that the collector knows what the question needs. */
interface Tracked {
  readonly snapshot: Snapshot;
  /** Files that were read and are not there, lists that were read, and folders that were listed, in the order of asking. */
  readonly asked: ReadonlySet<string>;
}

export function tracked(snapshot: Snapshot): Tracked {
  const asked = new Set<string>();
  return {
    asked,
    snapshot: {
      ...snapshot,
      read: (path) => {
        const answer = snapshot.read(path);
        // a list that is there may hold only what a name led to so far
        if (answer.kind === 'missing' || /^(?:clusters\/[^/]+\/)?kubernetes\//.test(path)) asked.add(answer.path);
        return answer;
      },
      list: (folder) => {
        asked.add(`${folder.replace(/\/+$/, '')}/`);
        return snapshot.list(folder);
      },
    },
  };
}

const ADDRESS_KEYS = new Set(['to', 'inner', 'src', 'dst', 'ip']);
const IPV4 = /(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])/;
const IPV6 = /^\[?([0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F:.]*?)(?:\]:\d+|\])?$/;

/** Addresses that the answer speaks of as ends of a connection, wherever they stand in it. */
export function addressesIn(answer: unknown): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (value: unknown, key: string): void => {
    if (typeof value === 'string') {
      if (!ADDRESS_KEYS.has(key)) return;
      const address = IPV4.exec(value)?.[1] ?? IPV6.exec(value)?.[1];
      if (address !== undefined) found.add(address);
    } else if (Array.isArray(value)) {
      for (const item of value) walk(item, key);
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, item] of Object.entries(value)) walk(item, name);
    }
  };
  walk(answer, '');
  return found;
}

/** Loopback, link-local, multicast and unspecified addresses are no pod's. */
export function mayBePod(address: string): boolean {
  return !/^(?:0\.|127\.|169\.254\.|22[4-9]\.|23\d\.|24\d\.|25\d\.|::1?$|fe80:|ff|fd16:9254:7127:)/i.test(address);
}

/** What was asked of the cluster whose paths begin with `prefix`, as that cluster calls it; empty prefix: the first. */
export function askedOf(asked: ReadonlySet<string>, prefix: string): ReadonlySet<string> {
  const own = [...asked].filter((path) => (prefix === '' ? !path.startsWith('clusters/') : path.startsWith(prefix)));
  return new Set(own.map((path) => path.slice(prefix.length)));
}
