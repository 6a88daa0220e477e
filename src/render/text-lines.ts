import type { Hop, Link, Path, Stop } from '../walk/trace.js';
import { columnsOf, escapeTerminal, truncate, truncateMiddle, wrap } from './escape.js';
import type { Style } from './style.js';
import { encryptionText, linkText, placeText, protectionOf, roleText, stopName, verdictText } from './words.js';

/** The line at the left that joins the stops: double where the link is encrypted, dotted where it is plaintext. */
export class Gutter {
  private glyph: string;
  private kind: 'own' | 'mtls' | 'plaintext' | 'unknown' = 'own';

  constructor(glyph: string) {
    this.glyph = glyph;
  }

  set(glyph: string): void {
    this.glyph = glyph;
    this.kind = 'own';
  }

  follow(link: Link, style: Style): void {
    this.kind = protectionOf(link);
    this.glyph = linkGlyph(this.kind, style);
  }

  text(style: Style): string {
    return paint(this.kind, this.glyph, style);
  }
}

function linkGlyph(kind: 'own' | 'mtls' | 'plaintext' | 'unknown', style: Style): string {
  switch (kind) {
    case 'mtls':
      return style.glyphs.encrypted;
    case 'plaintext':
      return style.glyphs.plain;
    case 'own':
    case 'unknown':
      return style.glyphs.line;
  }
}

function paint(kind: 'own' | 'mtls' | 'plaintext' | 'unknown', text: string, style: Style): string {
  switch (kind) {
    case 'mtls':
      return style.color.green(text);
    case 'plaintext':
      return style.color.yellow(text);
    case 'own':
    case 'unknown':
      return text;
  }
}

/** `● foo/sleep-7c  ambient workload on node-a`, and how many pods share the stop. */
export function stopLine(stop: Stop, index: number, columns: number, style: Style): string {
  const { color, glyphs } = style;
  const mode =
    index === 0 && stop.role === 'workload' && style.sourceMode !== null && stopName(stop) === style.sourceName
      ? `${escapeTerminal(style.sourceMode)} `
      : '';
  const more = stop.also === undefined || stop.also.length === 0 ? '' : ` and ${String(stop.also.length)} more like it`;
  const where = stop.node === '' || stop.role === 'node' ? '' : ` on ${escapeTerminal(stop.node)}`;
  const role = `${mode}${roleText(stop.role)}${where}${more}`;
  const name = truncate(stopName(stop), Math.max(20, columns - columnsOf(role) - 4), glyphs.ellipsis);
  return `${color.bold(`${glyphs.stop} ${name}`)}  ${color.cyan(truncate(role, columns - columnsOf(name) - 4, glyphs.ellipsis))}`;
}

/** The connection that leaves a stop for the next (null: it reaches none), and how it is protected. */
export function linkLines(link: Link, next: Stop | null, columns: number, style: Style): readonly string[] {
  const { color, glyphs } = style;
  const kind = protectionOf(link);
  const gutter = paint(kind, linkGlyph(kind, style), style);
  // The form of the endpoint's address in EDS: an internal address is what makes a sidecar or waypoint send HBONE.
  const form =
    link.own === true || link.endpointAddressType === undefined
      ? ''
      : ` ${glyphs.dot} ${escapeTerminal(link.endpointAddressType)}`;
  const words = `${protectionWords(link, kind, next)}${form}`;
  const text = `${linkText(link)} ${glyphs.dot} `;
  const painted =
    kind === 'plaintext' ? color.yellow.bold(words) : kind === 'mtls' ? color.green(words) : color.dim(words);
  if (columnsOf(text) + columnsOf(words) + 2 <= columns) return [`${gutter} ${text}${painted}`];
  return [
    ...wrap(linkText(link), columns - 2).map((line) => `${gutter} ${line}`),
    `${gutter}   ${kind === 'own' ? color.dim(truncate(words, columns - 4, glyphs.ellipsis)) : painted}`,
  ];
}

function protectionWords(link: Link, kind: 'own' | 'mtls' | 'plaintext' | 'unknown', next: Stop | null): string {
  switch (kind) {
    case 'mtls':
      return 'mTLS';
    case 'plaintext':
      return 'PLAINTEXT';
    case 'own':
      return ownWords(link, next);
    case 'unknown':
      return 'encryption unknown';
  }
}

function ownWords(link: Link, next: Stop | null): string {
  if (next === null) return link.via === undefined ? 'to its own proxy or app' : escapeTerminal(link.via);
  return next.role === 'workload' ? 'to the app' : `captured for its ${roleText(next.role)}`;
}

/**
 * One step: what happens, and where that stands. Without -v one place a step, and none where the step before rests on the
 * same (`told`); a JSON entry is named by its place alone. With -v all of the evidence, whole, and the packet.
 */
export function hopLines(hop: Hop, folder: string, told: boolean, columns: number, style: Style): readonly string[] {
  const { color, glyphs } = style;
  const basis = hop.basis === 'observed' || /\bassumed\b/.test(hop.summary) ? '' : ` (${hop.basis})`;
  const words = wrap(`${escapeTerminal(hop.summary)}${basis}`, columns - 4);
  const lines = words.map((line, index) => (index === 0 ? `  ${line}` : `    ${line}`));
  if (!style.verbose)
    return [...lines.slice(0, -1), ...briefEvidence(hop, folder, told, lines.at(-1) ?? '', columns, style)];
  const { packet } = hop;
  if (packet !== undefined) {
    const mark = packet.mark === '0x0' ? '' : ` mark ${packet.mark}`;
    const dev = packet.dev === null ? '' : ` dev ${packet.dev}`;
    const from = packet.src === '' ? '' : `${packet.src} > `;
    const text = escapeTerminal(`${packet.protocol} ${from}${packet.dst}${mark}${dev}`);
    lines.push(`    ${color.dim(truncate(text, columns - 4, glyphs.ellipsis))}`);
  }
  for (const evidence of hop.evidence) {
    lines.push(...evidenceLines(evidence.text, placeText(evidence, folder), columns - 4, style).map((l) => `    ${l}`));
  }
  return lines;
}

/** The last line of a step's words with the place of its first evidence, beside it where it fits. */
function briefEvidence(
  hop: Hop,
  folder: string,
  told: boolean,
  last: string,
  columns: number,
  style: Style,
): readonly string[] {
  const { color, glyphs } = style;
  const evidence = hop.evidence[0];
  if (evidence === undefined || told || hop.kind === 'wire') return [last];
  const place = placeText(evidence, folder);
  if (evidence.line !== undefined) {
    return [last, ...evidenceLines(evidence.text, place, columns - 4, style).map((line) => `    ${line}`)];
  }
  const beside = columns - columnsOf(last) - columnsOf(place);
  if (beside >= 2) return [`${last}${' '.repeat(beside)}${color.dim.cyan(place)}`];
  const cut = truncateMiddle(place, columns - 4, glyphs.ellipsis);
  return [last, `${' '.repeat(Math.max(4, columns - columnsOf(cut)))}${color.dim.cyan(cut)}`];
}

/** How many lines of a rule are told without -v: what is longer loses its middle. */
const RULE_LINES = 2;

/** A line of a file and where it stands: `-A OUTPUT -j ISTIO_OUTPUT      netns/iptables-save.txt:15`. */
export function evidenceLines(text: string, place: string, columns: number, style: Style): readonly string[] {
  const { color, glyphs } = style;
  // Counters of iptables-save -c say nothing of the rule.
  const shown = escapeTerminal((style.verbose ? text : text.replace(/^\[\d+:\d+\] /, '')).trim());
  const room = columns - columnsOf(place) - 2;
  const cut = style.verbose ? shown : truncateMiddle(shown, columns * RULE_LINES, glyphs.ellipsis);
  const texts = columnsOf(cut) <= room ? [cut] : wrap(cut, columns);
  const last = texts.at(-1) ?? '';
  const before = texts.slice(0, -1).map((line) => color.dim(line));
  if (columnsOf(last) <= room) {
    return [...before, `${color.dim(last)}${' '.repeat(room - columnsOf(last) + 2)}${color.dim.cyan(place)}`];
  }
  const places = wrap(style.verbose ? place : truncateMiddle(place, columns, glyphs.ellipsis), columns);
  return [
    ...texts.map((line) => color.dim(line)),
    ...places.map((line) => `${' '.repeat(Math.max(0, columns - columnsOf(line)))}${color.dim.cyan(line)}`),
  ];
}

/** How a path ends: in a fork with its reason; a path that is alone is judged in the sentence at the end. */
export function outcomeLines(path: Path, columns: number, style: Style): readonly string[] {
  const { color, glyphs } = style;
  const encryption = encryptionText(path.encryption);
  const verdict = verdictText(path.verdict);
  if (path.verdict === 'delivered') {
    if (!style.forked) return [];
    return [color.green(`${glyphs.ok} ${verdict}${encryption === null ? '' : `, ${encryption}`}`)];
  }
  const mark = path.verdict === 'unknown' ? glyphs.unknown : glyphs.bad;
  const tone = path.verdict === 'unknown' ? color.yellow : color.red;
  if (!style.forked) return [tone.bold(`${mark} ${verdict} here`)];
  const indent = columnsOf(mark) + 1;
  return wrap(`${verdict}: ${escapeTerminal(path.reason)}`, columns - indent).map((line, index) =>
    tone.bold(index === 0 ? `${mark} ${line}` : `${' '.repeat(indent)}${line}`),
  );
}
