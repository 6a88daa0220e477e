import type { Evidence } from '../formats/evidence.js';
import { parseIpAddresses, type IpAddresses } from '../formats/ip-address.js';
import { parseSysctl, type Sysctls } from '../formats/sysctl.js';
import { parseIpRoutes, type IpRoutes } from '../formats/ip-route.js';
import { parseIpRules, type IpRules } from '../formats/ip-rule.js';
import { parseIpsetSave, type IpsetSave } from '../formats/ipset-save.js';
import { parseIptablesSave, type IptablesSave } from '../formats/iptables-save.js';
import { parseSockets, type Sockets } from '../formats/sockets.js';
import type { ParseProblem } from '../formats/evidence.js';
import { nodeFolder, podFolder } from '../mesh/folders.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { known, unknown, type Known } from './known.js';

/** Reads and parses one file; what was not read whole is unknown. */
function whole<T extends { readonly problems: readonly ParseProblem[] }>(
  snapshot: Snapshot,
  path: string,
  fact: string,
  parse: (file: string, text: string) => T,
): Known<T> {
  const file = snapshot.read(path);
  if (file.kind !== 'text') return unknown(`${fact}: ${path}`, file.reason);
  // Every tool ends its last line: a file that does not was cut, and its last entry may be half of one.
  if (file.text !== '' && !file.text.endsWith('\n') && path.endsWith('.txt')) {
    return unknown(`${fact}: ${path}`, 'the file ends inside a line');
  }
  const parsed = parse(path, file.text);
  const problem = parsed.problems[0];
  if (problem !== undefined) return unknown(`${fact}: ${path}`, `not read whole: ${problem.message}`);
  // Every namespace has the rules 0, 32766 and 32767, a device lo, and (lo being up) local routes.
  if (path.endsWith('.json') && /^\s*\[\s*\]\s*$/.test(file.text))
    return unknown(`${fact}: ${path}`, 'the list is empty, which no kernel prints');
  return known(parsed);
}

export function netnsOfPod(pod: Pod): string {
  return `${podFolder(pod) ?? `pods/${pod.namespace}/${pod.name}`}/netns`;
}

export function netnsOfNode(node: string): string {
  return `${nodeFolder(node) ?? `nodes/${node}`}/netns`;
}

/** The same file is asked for by many checks: it is parsed once a snapshot. */
function once<T>(read: (snapshot: Snapshot, folder: string) => T): (snapshot: Snapshot, folder: string) => T {
  const made = new WeakMap<Snapshot, Map<string, T>>();
  return (snapshot, folder) => {
    const ofSnapshot = made.get(snapshot) ?? new Map<string, T>();
    made.set(snapshot, ofSnapshot);
    const known = ofSnapshot.get(folder);
    if (known !== undefined) return known;
    const value = read(snapshot, folder);
    ofSnapshot.set(folder, value);
    return value;
  };
}

export const socketsIn = once((snapshot, folder): Known<Sockets> =>
  whole(snapshot, `${folder}/sockets.txt`, 'listening sockets', parseSockets),
);

export const ipsetsIn = once((snapshot, folder): Known<IpsetSave> =>
  whole(snapshot, `${folder}/ipset-save.txt`, 'ipsets', parseIpsetSave),
);

export const ipRulesIn = once((snapshot, folder): Known<IpRules> =>
  whole(snapshot, `${folder}/ip-rule.json`, 'policy routing rules', parseIpRules),
);

export const ipRoutesIn = once((snapshot, folder): Known<IpRoutes> =>
  whole(snapshot, `${folder}/ip-route.json`, 'routes', parseIpRoutes),
);

export const addressesIn = once((snapshot, folder): Known<IpAddresses> =>
  whole(snapshot, `${folder}/ip-address.json`, 'devices and addresses', parseIpAddresses),
);

export const sysctlsIn = once((snapshot, folder): Known<Sysctls> =>
  whole(snapshot, `${folder}/sysctl.txt`, 'kernel settings', parseSysctl),
);

/** The rules of the back-end in use. */
export const rulesIn = once((snapshot, folder): Known<IptablesSave> =>
  whole(snapshot, `${folder}/iptables-save.txt`, 'iptables rules', parseIptablesSave),
);

/** The rules of the other back-end: the file is there only where both hold some. Null: none. */
export function otherRulesIn(snapshot: Snapshot, folder: string): IptablesSave | null {
  const path = `${folder}/iptables-legacy-save.txt`;
  const file = snapshot.read(path);
  return file.kind === 'text' ? parseIptablesSave(path, file.text) : null;
}

/** Names of native nftables tables (`istio-ambient-nat`) with where they stand; empty where the file is missing. */
export function nftTablesIn(
  snapshot: Snapshot,
  folder: string,
): readonly { readonly name: string; readonly evidence: Evidence }[] {
  const path = `${folder}/nft-ruleset.json`;
  const file = snapshot.read(path);
  if (file.kind !== 'text') return [];
  const found: { name: string; evidence: Evidence }[] = [];
  // The tables only, wherever they stand: `{"table": {"family": "inet", "name": "istio-ambient-nat", …}}`.
  for (const match of file.text.matchAll(/\{\s*"table"\s*:\s*\{[^{}]*?"name"\s*:\s*"([^"]+)"[^{}]*\}/g)) {
    const name = match[1];
    if (name === undefined) continue;
    const line = file.text.slice(0, match.index).split('\n').length;
    found.push({ name, evidence: { file: path, line, text: `table ${name}` } });
  }
  return found;
}

/** The chains of one iptables-save whose name fits, with the line that declares each. */
export function chainsNamed(
  save: IptablesSave,
  name: RegExp,
): readonly { readonly chain: string; readonly evidence: Evidence }[] {
  const found: { chain: string; evidence: Evidence }[] = [];
  for (const table of save.tables.values()) {
    for (const chain of table.chains.values()) {
      if (name.test(chain.name)) found.push({ chain: chain.name, evidence: chain.evidence });
    }
  }
  return found;
}

/** Whether some TCP socket listens on the port (any address), with that socket. */
export function listenerOn(sockets: Sockets, port: number): Sockets['sockets'][number] | null {
  return sockets.sockets.find((socket) => socket.protocol === 'tcp' && socket.port === port) ?? null;
}
