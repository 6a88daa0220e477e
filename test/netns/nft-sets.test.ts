import { describe, expect, it } from 'vitest';
import { type Json, listed, field, vmap, mark, DROP, SADDR, set, map, change } from './nft-rules.js';
import { verdicts } from './packets.js';
import { ask } from './two-devices.js';

/** Sets and maps that a packet changes: a newer nft gives as JSON what the one of the kernel harness prints as text. */

describe('sets and maps that a packet changes', () => {
  const passes = (rules: readonly (readonly Json[])[], objects: readonly Json[]): readonly string[] =>
    verdicts(ask(listed(rules, { objects })));

  it('a map: what was put into it is there, but not what it stands for', () => {
    const add = { map: { op: 'add', elem: SADDR, data: 5, map: '@m' } };
    const remove = { map: { op: 'delete', elem: SADDR, data: 5, map: '@m' } };
    const read = mark({ map: { key: SADDR, data: '@m' } });
    const asks = (elem?: readonly Json[], size = 5): readonly Json[] => [map('m', { size, ...(elem ? { elem } : {}) })];
    expect(passes([[add, DROP]], asks())).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks(undefined, 0))).toEqual(['delivered']);
    expect(passes([[add], [read, DROP]], asks())).toEqual(['unknown']);
    expect(passes([[add], [add, DROP]], asks(undefined, 1))).toEqual(['dropped']);
    expect(passes([[read, DROP], [add]], asks())).toEqual(['delivered']);
    expect(passes([[add], [read, DROP]], asks([['10.0.0.9', 7]]))).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks([['10.0.0.9', 7]], 1))).toEqual(['dropped']);
    expect(passes([[add, DROP]], asks([['10.0.0.8', 7]], 1))).toEqual(['delivered']);
    expect(passes([[remove], [read, DROP]], asks([['10.0.0.9', 7]]))).toEqual(['delivered']);
    const other = mark({ map: { key: field('ip', 'daddr'), data: '@m' } });
    expect(passes([[add], [other, DROP]], asks([['10.0.0.5', 7]]))).toEqual(['dropped']);
    expect(passes([[add], [other, DROP]], asks())).toEqual(['delivered']);
  });

  it('a change in words: what is read afterwards is not known', () => {
    const read = mark({ map: { key: SADDR, data: '@marks' } });
    const objects = [map('marks'), map('n', { elem: [['10.0.0.9', 7]] })];
    for (const text of ['add @marks { ip saddr : 0x00000005 }', 'delete @marks { ip saddr : 0x00000005 }']) {
      expect(passes([[text], [read, DROP]], objects)).toEqual(['delivered', 'unknown']);
      expect(passes([[text], [mark({ map: { key: SADDR, data: '@n' } }), DROP]], objects)).toEqual(['dropped']);
      expect(passes([[read, DROP], [text]], objects)).toEqual(['delivered']);
    }
  });

  it.each([
    ['a set that is not listed', change('add', 'nobody', SADDR)],
    ['a key that is not understood', change('add', 's', { odd: 1 })],
    ['elements that are not understood', change('add', 'odd', SADDR)],
  ])('%s may break the rule off', (_name, statement) => {
    const outcomes = ask(listed([[statement, DROP]], { objects: [set('s'), set('odd', { elem: [{ odd: 1 }] })] }));
    expect(outcomes.map(({ verdict, conditions: [one] }) => [verdict, one?.startsWith('not: ')])).toEqual([
      ['delivered', true],
      ['dropped', false],
    ]);
  });

  it('an element of a map that is limited may not count', () => {
    const limited = { elem: { val: '10.0.0.9', limit: { rate: 1, per: 'second' } } };
    const rules = (element: Json): readonly string[] => verdicts(ask(listed([[vmap(SADDR, [element, DROP])]])));
    expect(rules('10.0.0.9')).toEqual(['dropped']);
    expect(rules(limited)).toEqual(['delivered', 'dropped']);
    expect(rules({ elem: { val: '10.0.0.9', comment: 'x' } })).toEqual(['dropped']);
    expect(rules({ elem: { ...limited.elem, val: '10.0.0.8' } })).toEqual(['delivered']);
  });

  it('what the statement says of the element decides too, where it can be full', () => {
    const limit = { stmt: [{ limit: { rate: 1, per: 'second' } }] };
    const counter = { stmt: [{ counter: null }] };
    expect(passes([[change('add', 's', SADDR, limit), DROP]], [set('s')])).toEqual(['delivered', 'dropped']);
    expect(passes([[change('add', 's', SADDR, counter), DROP]], [set('s')])).toEqual(['dropped']);
    const outcomes = ask(listed([[change('add', 's', SADDR, limit), DROP]], { objects: [set('s')] }));
    expect(outcomes.map(({ verdict, conditions: [one] }) => [verdict, one?.startsWith('not: ')])).toEqual([
      ['delivered', true],
      ['dropped', false],
    ]);
    expect(passes([[change('add', 's', { elem: { val: SADDR, timeout: 5 } }), DROP]], [set('s', { size: 0 })])).toEqual(
      ['delivered'],
    );
  });
});
