import { describe, expect, it } from 'vitest';
import { CollectError } from '../../src/collect/errors.js';
import { emptyManifest } from '../../src/collect/manifest.js';
import type { CollectOptions, Plan } from '../../src/collect/plan.js';

/** What a snapshot says of itself holds no secret of the question, a plugin or a server. */
describe('the manifest', () => {
  const options = { meshpathVersion: '0.0.0' } as CollectOptions;

  it('names what was asked for without user, password and query', () => {
    const plan = { kind: 'trace', from: 'foo/sleep', to: 'http://user:PW@httpbin.bar:8000/get?token=Q' } as Plan;
    expect(emptyManifest(plan, options, 'x').scope?.note).toBe('trace foo/sleep http://httpbin.bar:8000/get');
  });

  it('does not repeat a token that a plugin printed', () => {
    const said = new CollectError(
      'refused',
      'plugin: refresh_token=abcdef123456 Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.e30.abcdefghijk',
    );
    expect(said.message).toMatch(/^plugin: /);
    expect(said.message).not.toMatch(/abcdef123456|eyJhbGciOiJIUzI1NiJ9/);
  });
});
