import type { Unknown } from '../formats/evidence.js';
import { parseList } from '../formats/kubernetes-list.js';
import { parseObject } from '../formats/kubernetes-object.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { fileOf, KINDS } from './kinds.js';
import type { Kind, KindList, KindMap, MeshProblem } from './model.js';

/** The lists of a snapshot, each read at the first question for it. */
export interface Lists {
  list<K extends Kind>(kind: K): KindList<KindMap[K]>;
  unknownOf(kind: Kind, fact: string, namespace?: string | null): Unknown | null;
  problems(): readonly MeshProblem[];
}

export function loadLists(snapshot: Snapshot): Lists {
  const lists: { [K in Kind]?: KindList<KindMap[K]> } = {};
  const problems: MeshProblem[] = [...(snapshot.problems ?? [])];
  const list = <K extends Kind>(kind: K): KindList<KindMap[K]> => {
    const known: KindList<KindMap[K]> | undefined = lists[kind];
    if (known !== undefined) return known;
    const read = readList(snapshot, kind, problems);
    Object.assign(lists, { [kind]: read });
    return read;
  };
  return {
    list,
    unknownOf: (kind, fact, namespace = null) => {
      const { state, file, reason, wholeIn } = list(kind);
      const read = state === 'read' || (namespace !== null && wholeIn?.has(namespace) === true);
      return read ? null : { fact: `${fact} (${file})`, reason: reason ?? state };
    },
    problems: () => [...problems].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)),
  };
}

function readList<K extends Kind>(snapshot: Snapshot, kind: K, problems: MeshProblem[]): KindList<KindMap[K]> {
  const file = fileOf(kind);
  const spec = KINDS[kind];
  const read = snapshot.read(file);
  switch (read.kind) {
    case 'missing':
      return { state: 'missing', file, reason: read.reason, items: [] };
    case 'unusable':
      problems.push({ file, message: read.reason });
      return { state: 'unusable', file, reason: read.reason, items: [] };
    case 'text':
      break;
  }
  const parsed = parseList(read.text);
  const items: KindMap[K][] = [];
  let problem: MeshProblem | null = parsed.problem === null ? null : { file, ...parsed.problem };
  for (const item of parsed.items) {
    const object = parseObject(item, { file, kind: parsed.itemKind ?? spec.kind });
    if (object === null) problem ??= { file, pointer: item.pointer, message: 'expected an object with metadata.name' };
    else items.push(spec.parse(object));
  }
  if (problem === null) {
    // what was not allowed to be read whole (one namespace of a list) is no damage, but it is a part all the same
    const refused = snapshot.manifest?.problems.find((one) => one.file === file);
    if (refused === undefined) return { state: 'read', file, reason: null, items };
    const whole = snapshot.manifest?.partial?.find((one) => one.file === file);
    return {
      state: 'partial',
      file,
      reason: refused.reason,
      items,
      ...(whole === undefined ? {} : { wholeIn: new Set(whole.namespaces) }),
    };
  }
  problems.push(problem);
  const where = problem.line === undefined ? '' : ` at line ${problem.line}`;
  const reason = `damaged${where}: ${problem.message}`;
  // a text of which nothing could be read is a lost file, not a list with a hole
  return { state: items.length === 0 && parsed.problem !== null ? 'unusable' : 'partial', file, reason, items };
}
