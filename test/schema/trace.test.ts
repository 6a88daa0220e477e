import { describe, expect, test } from 'vitest';
import { renderJson } from '../../src/render/json.js';
import { stories } from '../render/traces.js';
import { errorsOf, validatorOf } from './validate.js';

describe('trace.schema.json', () => {
  const published = validatorOf('trace', 'allowed');
  const closed = validatorOf('trace', 'refused');

  test.each(Object.keys(stories))('the story %s fits, and has no field that the schema does not know', (name) => {
    const story = stories[name];
    if (story === undefined) throw new Error(name);
    const value: unknown = JSON.parse(renderJson(story));
    expect(errorsOf(published, value)).toEqual([]);
    expect(errorsOf(closed, value)).toEqual([]);
  });

  test.each([
    ['a verdict that is not in the contract', { verdict: 'lost' }],
    ['a share above 1', { probability: 1.5 }],
    ['no reason', { reason: undefined }],
    ['a stop of an unknown role', { stops: [{ role: 'proxy', namespace: 'a', name: 'b', node: 'c' }] }],
  ])('%s is refused', (_what, change) => {
    const value: unknown = JSON.parse(renderJson(stories['fork'] ?? fail()));
    const text = JSON.stringify(value);
    const copy: { paths: object[] } = JSON.parse(text);
    copy.paths[0] = { ...copy.paths[0], ...change };
    expect(errorsOf(published, JSON.parse(JSON.stringify(copy)))).not.toEqual([]);
  });

  test('a field more is allowed: additions are minor', () => {
    expect(errorsOf(published, { ...JSON.parse(renderJson(stories['fork'] ?? fail())), seen: [] })).toEqual([]);
  });
});

function fail(): never {
  throw new Error('no such story');
}
