import { asArray, asString, at } from './json.js';
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

/** What a connection goes through, as far as the answer knows: the only places where a debug container may be started. */
export interface Way {
  /** `namespace/name` of pods that are stops. */
  readonly pods: ReadonlySet<string>;
  /** The nodes of the stops. */
  readonly nodes: ReadonlySet<string>;
  /** Ends of the connections between them: the next stop of a way that ends early has one. */
  readonly addresses: ReadonlySet<string>;
}

/** The stops and links of the `paths` of an answer (src/walk/trace.ts); not those of what was expected. */
export function wayOf(answer: unknown): Way {
  const [pods, nodes, addresses] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const path of asArray(at(answer, 'paths'))) {
    for (const stop of asArray(at(path, 'stops'))) {
      for (const one of [stop, ...asArray(at(stop, 'also'))]) {
        const [namespace, name, node] = ['namespace', 'name', 'node'].map((key) => asString(at(one, key)) ?? '');
        if (namespace !== '') pods.add(`${namespace}/${name}`);
        if (node !== undefined && node !== '') nodes.add(node);
      }
    }
    for (const link of asArray(at(path, 'links'))) {
      const ends = [at(link, 'to'), ...asArray(at(link, 'also'))];
      for (const address of addressesIn(ends.map((to) => ({ to })))) addresses.add(address);
    }
  }
  return { pods, nodes, addresses };
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
