import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { progressOn } from '../../src/commands/_progress.js';

it.each([
  [true, 'open https://login\ncode: \\u{1b}[31m\n'],
  [false, ''],
])('what a credential plugin says is for a terminal (%j), and cannot steer it', (isTTY, wanted) => {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 80 });
  const shown = progressOn(() => stream as unknown as NodeJS.WriteStream, false);
  shown.progress({ kind: 'said', message: 'open https://login\r\ncode: \u001b[31m' });
  shown.stop();
  expect(String(stream.read() ?? '')).toBe(wanted);
});
