import { expect, it } from 'vitest';
import { commandOf } from '../../src/commands/_render.js';

it('the command of a suggestion keeps headers, but no secrets', () => {
  const header = [
    'Authorization: Bearer s3cret',
    'cookie: a=s3cret',
    'X-Api-Key: s3cret',
    'x-auth-token:s3cret',
    'end-user: jason',
  ];
  const text = commandOf({
    from: 'a',
    to: 'b',
    output: 'text',
    method: 'GET',
    header,
    'fail-on': 'error',
    'request-timeout': '15s',
    concurrency: 8,
  });
  expect(text).not.toContain('s3cret');
  expect(text).toContain("--header 'Authorization: ***'");
  expect(text).toContain("--header 'end-user: jason'");
});
