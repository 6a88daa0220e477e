import { describe, expect, test } from 'vitest';
import { canShowUnicode, colorLevel } from '../../src/commands/_color.js';

const tty = { isTTY: true };
const pipe = {};

describe('colour is decided in the order flag, NO_COLOR, FORCE_COLOR, TERM=dumb, terminal', () => {
  test.each([
    ['a terminal has colours', { flag: undefined, env: {}, stream: tty }, 1],
    ['a pipe has none', { flag: undefined, env: {}, stream: pipe }, 0],
    ['TERM=dumb has none', { flag: undefined, env: { TERM: 'dumb' }, stream: tty }, 0],
    ['NO_COLOR on a terminal', { flag: undefined, env: { NO_COLOR: '1' }, stream: tty }, 0],
    ['an empty NO_COLOR says nothing', { flag: undefined, env: { NO_COLOR: '' }, stream: tty }, 1],
    ['NO_COLOR beats FORCE_COLOR', { flag: undefined, env: { NO_COLOR: '1', FORCE_COLOR: '1' }, stream: tty }, 0],
    ['FORCE_COLOR beats a pipe', { flag: undefined, env: { FORCE_COLOR: '1' }, stream: pipe }, 1],
    ['FORCE_COLOR beats TERM=dumb', { flag: undefined, env: { FORCE_COLOR: '2', TERM: 'dumb' }, stream: pipe }, 2],
    ['FORCE_COLOR=0 means none', { flag: undefined, env: { FORCE_COLOR: '0' }, stream: tty }, 0],
    ['--color beats NO_COLOR', { flag: true, env: { NO_COLOR: '1' }, stream: pipe }, 1],
    ['--no-color beats FORCE_COLOR', { flag: false, env: { FORCE_COLOR: '3' }, stream: tty }, 0],
    ['as many as the terminal has', { flag: undefined, env: { TERM: 'xterm-256color' }, stream: tty }, 2],
    ['true colour', { flag: undefined, env: { COLORTERM: 'truecolor' }, stream: tty }, 3],
  ] as const)('%s', (_what, input, level) => {
    expect(colorLevel(input)).toBe(level);
  });
});

test('Unicode where the locale allows it', () => {
  expect(canShowUnicode({})).toBe(true);
  expect(canShowUnicode({ LANG: 'de_AT.UTF-8' })).toBe(true);
  expect(canShowUnicode({ LANG: 'C' })).toBe(false);
  expect(canShowUnicode({ LANG: 'C', LC_ALL: 'C.UTF-8' })).toBe(true);
  expect(canShowUnicode({ LANG: 'C.UTF-8', TERM: 'linux' })).toBe(false);
});
