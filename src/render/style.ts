import type { ChalkInstance } from 'chalk';

/** The characters of a drawing; an ASCII set for terminals without Unicode. */
export interface Glyphs {
  readonly stop: string;
  readonly line: string;
  readonly encrypted: string;
  readonly plain: string;
  readonly down: string;
  readonly back: string;
  readonly fork: string;
  readonly lastFork: string;
  readonly arrow: string;
  readonly ellipsis: string;
  readonly ok: string;
  readonly bad: string;
  readonly warn: string;
  readonly info: string;
  readonly unknown: string;
  readonly dot: string;
}

const UNICODE: Glyphs = {
  stop: '●',
  line: '│',
  encrypted: '║',
  plain: '┊',
  down: '▼',
  back: '▲',
  fork: '├─',
  lastFork: '└─',
  arrow: '→',
  ellipsis: '…',
  ok: '✔',
  bad: '✖',
  warn: '‼',
  info: 'i',
  unknown: '?',
  dot: '·',
};

const ASCII: Glyphs = {
  stop: '*',
  line: '|',
  encrypted: '#',
  plain: ':',
  down: 'v',
  back: '^',
  fork: '|-',
  lastFork: '`-',
  arrow: '->',
  ellipsis: '...',
  ok: 'ok',
  bad: 'x',
  warn: '!',
  info: 'i',
  unknown: '?',
  dot: '-',
};

export function glyphsOf(unicode: boolean): Glyphs {
  return unicode ? UNICODE : ASCII;
}

/** What the lines of one answer share. */
export interface Style {
  readonly verbose: boolean;
  readonly color: ChalkInstance;
  readonly columns: number;
  readonly glyphs: Glyphs;
  /** Mode of the source (`ambient`), told beside its name. */
  readonly sourceMode: string | null;
  readonly sourceName: string;
  /** More than one path: each says how it ends. */
  readonly forked: boolean;
}
