import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseList } from '../../src/formats/kubernetes-list.js';
import { elementsOfDamagedArray } from '../../src/formats/kubernetes-salvage.js';

const LIST = JSON.stringify(
  {
    apiVersion: 'v1',
    kind: 'PodList',
    metadata: { resourceVersion: '7', nested: { items: [1] } },
    items: [
      { kind: 'Pod', metadata: { name: 'a', annotations: { q: 'x"}],\\' } } },
      { metadata: { name: 'b' }, spec: { numbers: [1, -2.5e3, true, null] } },
      { metadata: { name: 'c' } },
    ],
  },
  null,
  1,
);

const names = (text: string): readonly unknown[] =>
  parseList(text).items.map((item) => [item.pointer, (item.value['metadata'] as { name: string }).name]);

describe('a Kubernetes list', () => {
  it('gives its items with their pointers, and the kind that a typed list leaves out', () => {
    expect(names(LIST)).toEqual([
      ['/items/0', 'a'],
      ['/items/1', 'b'],
      ['/items/2', 'c'],
    ]);
    expect(parseList(LIST)).toMatchObject({ itemKind: 'Pod', problem: null });
  });

  it('may be one object alone', () => {
    expect(names('{"kind":"Pod","metadata":{"name":"a"}}')).toEqual([['', 'a']]);
  });

  it('may have null for items, as Go prints an empty list', () => {
    expect(parseList('{"kind":"List","items":null}')).toMatchObject({ items: [], problem: null });
  });

  it.each([
    ['a string', '"x"'],
    ['an array', '[]'],
    ['an object without items', '{"kind":"List"}'],
    ['items that are no array', '{"kind":"List","items":{}}'],
  ])('says what was expected of %s', (_, text) => {
    const { items, problem } = parseList(text);
    expect(items).toEqual([]);
    expect(problem?.message).toMatch(/expected a Kubernetes List/);
  });

  it('keeps the items around one that is no object', () => {
    const { items, problem } = parseList('{"items":[{"metadata":{"name":"a"}},7,{"metadata":{"name":"b"}}]}');
    expect(items.map((item) => item.pointer)).toEqual(['/items/0', '/items/2']);
    expect(problem).toMatchObject({ pointer: '/items/1', message: 'expected an object' });
  });

  it('gives the items before the cut of a truncated file, and where that is', () => {
    const cut = LIST.slice(0, LIST.indexOf('"c"'));
    expect(names(cut)).toEqual([
      ['/items/0', 'a'],
      ['/items/1', 'b'],
    ]);
    const { problem } = parseList(cut);
    expect(problem).toMatchObject({ pointer: '/items/2', line: cut.split('\n').length });
    expect(problem?.message).toMatch(/ends in the middle/);
  });

  it('gives the items before damage in the middle, and its line', () => {
    const damaged = LIST.replace('"spec":', '"spec" garbage:');
    expect(names(damaged)).toEqual([['/items/0', 'a']]);
    const line = damaged.slice(0, damaged.indexOf('garbage')).split('\n').length;
    expect(parseList(damaged).problem).toMatchObject({ pointer: '/items/1', line });
  });

  it('is not confused by a byte order mark, an empty file or deep nesting', () => {
    expect(names(`\uFEFF${LIST.slice(0, -2)}`)).toHaveLength(3);
    expect(parseList('').problem?.message).toMatch(/ends in the middle: expected "\{"/);
    const deep = `{"items":[{"metadata":{"name":"a"}},${'['.repeat(200_000)}`;
    expect(parseList(deep).items).toHaveLength(1);
  });

  it('salvages, wherever a list is cut, exactly the elements that stand whole', () => {
    const array = fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 5 });
    fc.assert(
      fc.property(array, fc.double({ min: 0, max: 1, noNaN: true }), (elements, at) => {
        const parts = elements.map((element) => JSON.stringify(element));
        const text = `{"a":{"items":[0]},"items":[${parts.join(',')}],"z":1}`;
        const cut = text.slice(0, Math.floor(text.length * at));
        let end = text.indexOf('"items":[', 10) + '"items":['.length;
        const whole = elements.filter((_, index) => {
          end += (parts[index] ?? '').length + (index === 0 ? 0 : 1);
          return end < cut.length;
        });
        const { elements: found } = elementsOfDamagedArray(cut, 'items');
        expect(found).toEqual(JSON.parse(JSON.stringify(elements.slice(0, found.length))));
        expect(found.length).toBeGreaterThanOrEqual(whole.length);
        expect(found.length).toBeLessThanOrEqual(whole.length + 1);
      }),
      { numRuns: 1000, seed: 1 },
    );
  });
});
