import type { ChalkInstance } from 'chalk';
import type { Hop, Path, Stop, Trace } from '../walk/trace.js';
import { columnsOf, escapeTerminal, truncate } from './escape.js';
import { renderSummary } from './summary.js';
import { glyphsOf, type Style } from './style.js';
import { Gutter, hopLines, linkLines, outcomeLines, stopLine } from './text-lines.js';
import { joinPaths, type Item, type TreeNode } from './tree.js';
import { partyText, requestText, shareText, splitFile, stopName } from './words.js';

export interface TextOptions {
  /** Every hop, with all of its evidence, and the later packets and replies. */
  readonly verbose: boolean;
  readonly color: ChalkInstance;
  /** Width of the terminal; at most this many columns are used, but no fewer than 40. */
  readonly columns: number;
  /** False: ASCII only (no line drawing, no marks). */
  readonly unicode: boolean;
  /** The command that made this answer, for the suggestion of the next one; null where there is none to repeat. */
  readonly command?: string | null;
}

/**
 * The answer of `trace` for a terminal: who asks whom, the way as a line (a tree where it forks) with what decides each
 * step, and last the verdict, the findings with what to do, and one command to run next. Ends with a newline.
 */
export function renderText(trace: Trace, options: TextOptions): string {
  const style: Style = {
    verbose: options.verbose,
    color: options.color,
    columns: Math.max(40, options.columns),
    glyphs: glyphsOf(options.unicode),
    sourceMode: trace.source.mode ?? null,
    sourceName: stopName(trace.source),
    forked: trace.paths.length > 1,
  };
  const lines = [...titleLines(trace, style), ''];
  const tree = joinPaths(trace.paths, (hop, path) => isShown(hop, path, options.verbose));
  if (tree !== null) {
    nodeLines(tree, '', style, lines);
    lines.push('');
  }
  lines.push(...renderSummary(trace, style, options.command ?? null));
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function titleLines(trace: Trace, style: Style): readonly string[] {
  const { color, glyphs, columns } = style;
  const from = partyText(trace.source);
  const to = partyText(trace.destination);
  const request = requestText(trace.request);
  const full = `${from} ${glyphs.arrow} ${to}  ${request}`;
  if (columnsOf(full) <= columns) return [`${color.bold(`${from} ${glyphs.arrow} ${to}`)}  ${color.dim(request)}`];
  return [
    color.bold(truncate(from, columns, glyphs.ellipsis)),
    color.bold(truncate(`  ${glyphs.arrow} ${to}`, columns, glyphs.ellipsis)),
    color.dim(truncate(`    ${request}`, columns, glyphs.ellipsis)),
  ];
}

/**
 * Without -v: the steps that decide of the first packet. The answer's way back and the later packets are told where they
 * are what the path fails by.
 */
function isShown(hop: Hop, path: Path, verbose: boolean): boolean {
  if (verbose) return true;
  const last = path.hops[path.hops.length - 1];
  if (path.verdict !== 'delivered' && path.verdict !== 'unknown' && hop === last) return true;
  const phase = hop.phase ?? 'request';
  if (hop.detail === true) return false;
  if (phase !== 'request') return path.verdict === 'dropped' && last?.phase === phase && isDecision(hop);
  return isDecision(hop);
}

function isDecision(hop: Hop): boolean {
  switch (hop.kind) {
    case 'netfilter':
    case 'route':
    case 'tunnel':
    case 'intercept':
    case 'proxy':
      return true;
    case 'wire':
      return hop.basis === 'assumed';
    case 'send':
    case 'connect':
    case 'deliver':
      return false;
  }
}

function nodeLines(node: TreeNode, prefix: string, style: Style, lines: string[]): void {
  const gutter = new Gutter(style.glyphs.line);
  let folder: string | null = null;
  let phase: Hop['phase'] = 'request';
  node.items.forEach((item, index) => {
    const next = node.items[index + 1];
    switch (item.kind) {
      case 'stop':
        lines.push(`${prefix}${stopLine(item.stop, item.index, columnsLeft(style, prefix), style)}`);
        gutter.set(style.glyphs.line);
        folder = null;
        break;
      case 'link':
        gutter.follow(item.link, style);
        lines.push(
          ...linkLines(item.link, nextStop(node.items, index), columnsLeft(style, prefix), style).map(
            (line) => prefix + line,
          ),
        );
        folder = null;
        break;
      case 'hop': {
        const hopPhase = item.hop.phase ?? 'request';
        if (hopPhase !== phase) {
          phase = hopPhase;
          gutter.set(style.glyphs.line);
          lines.push(`${prefix}${phaseTitle(hopPhase, style)}`);
          folder = null;
        }
        const here = splitFile(item.hop.evidence[0]?.file ?? '').folder;
        if (here !== '' && here !== folder) {
          folder = here;
          lines.push(`${prefix}${gutter.text(style)} ${style.color.dim(escapeTerminal(here))}`);
        }
        lines.push(
          ...hopLines(
            item.hop,
            folder ?? '',
            sameEvidence(node.items[index - 1], item.hop),
            columnsLeft(style, prefix) - 2,
            style,
          ).map((line) => `${prefix}${gutter.text(style)} ${line}`),
        );
        break;
      }
    }
    if (endsGroup(item, next)) lines.push(`${prefix}${gutter.text(style)}`);
  });
  if (node.path !== null) {
    lines.push(...outcomeLines(node.path, columnsLeft(style, prefix), style).map((line) => prefix + line));
    return;
  }
  node.branches.forEach((branch, index) => {
    const isLast = index === node.branches.length - 1;
    const { fork, lastFork, line } = style.glyphs;
    if (index > 0) lines.push(`${prefix}${line}`);
    lines.push(`${prefix}${isLast ? lastFork : fork} ${style.color.bold(shareText(branch.probability))}`);
    nodeLines(branch, `${prefix}${isLast ? ' ' : line}  `, style, lines);
  });
}

/** Whether the item before is a step that rests on the same line or entry. */
function sameEvidence(before: Item | undefined, hop: Hop): boolean {
  if (before?.kind !== 'hop') return false;
  const [a] = before.hop.evidence;
  const [b] = hop.evidence;
  return a !== undefined && b !== undefined && a.file === b.file && a.line === b.line && a.pointer === b.pointer;
}

/** An empty line of the gutter after the steps of a stop or link. */
function endsGroup(item: Item, next: Item | undefined): boolean {
  return item.kind === 'hop' && next?.kind !== 'hop';
}

function nextStop(items: readonly Item[], from: number): Stop | null {
  for (const item of items.slice(from + 1)) {
    if (item.kind === 'stop') return item.stop;
    if (item.kind === 'link') return null;
  }
  return null;
}

function phaseTitle(phase: 'request' | 'reply' | 'later', style: Style): string {
  const { color, glyphs } = style;
  switch (phase) {
    case 'request':
      return `${glyphs.line} ${color.bold('the first packet')}`;
    case 'reply':
      return `${glyphs.back} ${color.bold("the answer's way back")}`;
    case 'later':
      return `${glyphs.line} ${color.bold('the packets that follow')}`;
  }
}

function columnsLeft(style: Style, prefix: string): number {
  return Math.max(30, style.columns - columnsOf(prefix));
}
