import { expect, test } from 'vitest';
import { lazyList } from '../../src/ztunnel/lazy.js';
import { ask, meshOf, service, told, workload } from './dumps.js';

const plain = ['a', 'b', 'c'];
const fresh = (made: number[] = []): readonly string[] =>
  lazyList(plain.length, (index) => {
    made.push(index);
    return plain[index] ?? '';
  });

test.each<readonly [string, (list: readonly string[]) => unknown]>([
  ['spread', (list) => [...list]],
  ['destructured', ([first, ...rest]) => [first, rest]],
  ['mapped', (list) => list.map((item) => `${item}!`)],
  ['flattened', (list) => list.flatMap((item) => [item, item])],
  ['reduced', (list) => list.reduce((sum, item) => sum + item, '')],
  ['searched', (list) => [list.includes('c'), list.indexOf('b'), list.find((item) => item > 'a'), list.at(-1)]],
  ['iterated', (list) => Array.from(list.entries())],
  ['asked for its keys', (list) => [Object.keys(list), 1 in list, 3 in list, Object.values(list)]],
  ['printed', (list) => JSON.stringify({ list })],
  ['asked what it is', (list) => [Array.isArray(list), list.length, list[3], String(list)]],
  ['copied', (list) => [list.slice(1), list.toSorted().reverse(), structuredClone([...list])]],
  ['joined', (list) => [list.concat(['d']), ['x'].concat(list)]],
])('a list that is %s answers as any other', (_how, read) => {
  expect(read(fresh())).toEqual(read(plain));
});

test('it equals a list of the same elements, and no other', () => {
  expect(fresh()).toEqual(plain);
  expect(plain).toEqual(fresh());
  expect(fresh()).not.toEqual(['a', 'b', 'x']);
});

test('an element is made once; the first one and the length make no other', () => {
  const made: number[] = [];
  const list = fresh(made);
  expect([list.length, list[0], list[0]]).toEqual([3, 'a', 'a']);
  expect(made).toEqual([0]);
  expect([...list, ...list]).toHaveLength(6);
  expect(made).toEqual([0, 1, 2]);
});

test('outcomes of a large Service are plain data: all of them, with their steps, whoever reads first', () => {
  const names = Array.from({ length: 40 }, (_, index) => `pod-${String(index).padStart(2, '0')}`);
  const pods = names.map((name, index) =>
    workload(name, `10.1.0.${index}`, { protocol: index % 3 === 0 ? 'TCP' : 'HBONE', capacity: 1 + (index % 2) }),
  );
  const mesh = () =>
    meshOf({ workloads: [workload('client', '10.0.0.1'), ...pods], services: [service('web', '10.96.0.1', names)] });
  const outcomes = ask(mesh(), 'outbound', '10.0.0.1', '10.96.0.1:80');
  expect(outcomes).toHaveLength(40);
  const [first] = outcomes;
  expect({ ...first }).toEqual(JSON.parse(JSON.stringify(first)));
  const copies = outcomes.map((item) => ({ ...item, steps: [...item.steps] }));
  expect(copies).toEqual(JSON.parse(JSON.stringify(ask(mesh(), 'outbound', '10.0.0.1', '10.96.0.1:80'))));
  const shares = outcomes.map((item) => item.probability ?? 0);
  expect(shares).toEqual([...shares].sort((left, right) => right - left));
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
  expect(new Set(told(outcomes)).size).toBe(40);
  expect(outcomes.every((item) => item.steps.length === 3 && item.identities.length < 2 && item.log !== null)).toBe(
    true,
  );
});
