import { Chalk, type ChalkInstance } from 'chalk';

/** What the decision hangs on; `flag` is `--color` (true), `--no-color` (false) or neither (undefined). */
export interface ColorInput {
  readonly flag: boolean | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stream: { readonly isTTY?: boolean };
}

/**
 * Level of colours (0 none, 1 sixteen, 2 256, 3 true colour) for one stream, in this order: --no-color/--color, NO_COLOR
 * that is not empty, FORCE_COLOR, TERM=dumb, whether the stream written to is a terminal. chalk itself does not honour
 * NO_COLOR on a terminal (chalk/supports-color#105), so the level is decided here and handed to it.
 */
export function colorLevel({ flag, env, stream }: ColorInput): 0 | 1 | 2 | 3 {
  if (flag === false) return 0;
  if (flag === true) return atLeastOne(depthOf(env));
  if (env['NO_COLOR'] !== undefined && env['NO_COLOR'] !== '') return 0;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forcedLevel(forced, env);
  if (env['TERM'] === 'dumb') return 0;
  return stream.isTTY === true ? atLeastOne(depthOf(env)) : 0;
}

function forcedLevel(forced: string, env: ColorInput['env']): 0 | 1 | 2 | 3 {
  switch (forced) {
    case '0':
    case 'false':
      return 0;
    case '1':
      return 1;
    case '2':
      return 2;
    case '3':
      return 3;
    default:
      return atLeastOne(depthOf(env));
  }
}

function depthOf(env: ColorInput['env']): 0 | 1 | 2 | 3 {
  if (/^(truecolor|24bit)$/i.test(env['COLORTERM'] ?? '')) return 3;
  return /-256(color)?$/i.test(env['TERM'] ?? '') ? 2 : 1;
}

function atLeastOne(level: 0 | 1 | 2 | 3): 1 | 2 | 3 {
  return level === 0 ? 1 : level;
}

export function colorOf(input: ColorInput): ChalkInstance {
  return new Chalk({ level: colorLevel(input) });
}

/**
 * Whether line drawing and marks can be shown: the locale says UTF-8 (or says nothing, as in many containers), and the
 * terminal is not the Linux console, which has no glyphs for them.
 */
export function canShowUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  if (env['TERM'] === 'linux') return false;
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'];
  if (locale === undefined || locale === '') return true;
  return /utf-?8/i.test(locale);
}
