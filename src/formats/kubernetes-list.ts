import type { JsonObject } from './kubernetes-types.js';
import { arrayAt, isObject, stringAt } from './kubernetes-narrow.js';
import { elementsOfDamagedArray } from './kubernetes-salvage.js';

/** One object of a list, with the pointer at which it stands (`/items/3`; empty for a file that holds one object). */
export interface ListItem {
  readonly value: JsonObject;
  readonly pointer: string;
}

interface ParsedList {
  /** Kind of the items where the list names it (`PodList` → `Pod`), for items that carry none. */
  readonly itemKind: string | null;
  readonly items: readonly ListItem[];
  /** Set where the text could not be read whole; `items` are those that could be. */
  readonly problem: { readonly line: number; readonly pointer: string; readonly message: string } | null;
}

/**
 * Reads what `kubectl get X -A -o json` or the API server prints: a v1 List, a `PodList`, or one object alone. A truncated
 * or malformed text gives the items that stand whole before the damage, and says where that is.
 */
export function parseList(text: string): ParsedList {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return salvage(text);
  }
  if (!isObject(root)) return failed('expected a Kubernetes List: an object with "items"');
  const kind = stringAt(root, 'kind');
  if (!Array.isArray(root['items'])) {
    if (root['items'] === null) return { itemKind: itemKindOf(kind), items: [], problem: null };
    if (isObject(root['metadata'])) return { itemKind: kind, items: [{ value: root, pointer: '' }], problem: null };
    return failed('expected a Kubernetes List: "items" is not an array');
  }
  const items: ListItem[] = [];
  let problem: ParsedList['problem'] = null;
  arrayAt(root, 'items').forEach((value, index) => {
    if (isObject(value)) items.push({ value, pointer: `/items/${index}` });
    else problem ??= { line: 1, pointer: `/items/${index}`, message: 'expected an object' };
  });
  return { itemKind: itemKindOf(kind), items, problem };
}

function failed(message: string): ParsedList {
  return { itemKind: null, items: [], problem: { line: 1, pointer: '', message } };
}

function itemKindOf(listKind: string | null): string | null {
  if (listKind === null || listKind === 'List' || !listKind.endsWith('List')) return null;
  return listKind.slice(0, -4);
}

function salvage(text: string): ParsedList {
  const result = elementsOfDamagedArray(text, 'items');
  const items: ListItem[] = [];
  result.elements.forEach((value, index) => {
    if (isObject(value)) items.push({ value, pointer: `/items/${index}` });
  });
  const line = lineOf(text, result.offset);
  const message =
    result.offset >= text.length
      ? `the file ends in the middle: expected ${result.expected}`
      : `not JSON at line ${line}: expected ${result.expected}`;
  return { itemKind: null, items, problem: { line, pointer: `/items/${result.elements.length}`, message } };
}

function lineOf(text: string, offset: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < offset; at = text.indexOf('\n', at + 1)) line++;
  return line;
}
