import type { Hop, Link, Path, Stop, Trace } from '../walk/trace.js';
import { escapeTerminal } from './escape.js';
import {
  encryptionText,
  linkText,
  partyText,
  protectionOf,
  requestText,
  roleText,
  sameStop,
  shareText,
  stopName,
  verdictText,
} from './words.js';

/** How many steps a note tells of one process: more belong to `-o json`. */
const STEPS_IN_NOTE = 4;

/**
 * `-o mermaid`: a sequence diagram, one participant a process, one arrow a connection, a note where a process decides;
 * distinct paths are the branches of an `alt`. Text only, without the fences of Markdown.
 */
export function renderMermaid(trace: Trace): string {
  const lines = ['sequenceDiagram', `  %% ${commentText(trace)}`];
  const participants = participantsOf(trace.paths);
  participants.forEach((stop, index) => {
    const where = stop.node === '' ? '' : `, ${stop.node}`;
    const keyword = stop.role === 'external' || index === 0 ? 'actor' : 'participant';
    lines.push(
      `  ${keyword} p${String(index)} as ${escapeMermaid(`${stopName(stop)} (${roleText(stop.role)}${where})`)}`,
    );
  });
  const only = trace.paths.length === 1 ? trace.paths[0] : undefined;
  if (only !== undefined) lines.push(...pathLines(only, participants, '  '));
  else {
    trace.paths.forEach((path, index) => {
      const head = `${shareText(path.probability)}, ${verdictText(path.verdict)}`;
      lines.push(`  ${index === 0 ? 'alt' : 'else'} ${escapeMermaid(head)}`, ...pathLines(path, participants, '    '));
    });
    if (trace.paths.length > 0) lines.push('  end');
  }
  const noteOver = participants.length === 0 ? null : 'p0';
  if (noteOver !== null) {
    for (const finding of trace.findings) {
      lines.push(`  Note over ${noteOver}: ${escapeMermaid(`${finding.code} ${finding.severity}: ${finding.title}`)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/**
 * Text that may stand in a label, message or note: every character but letters, digits and harmless punctuation becomes a
 * numeric entity, so that nothing ends the line (`;`), opens a comment (`#`, `%%`) or a directive, or is taken for HTML.
 */
export function escapeMermaid(text: string): string {
  return [...escapeTerminal(text)]
    .map((character) =>
      /^[\p{L}\p{N} ./_,()=@+-]$/u.test(character) ? character : `#${String(character.codePointAt(0))};`,
    )
    .join('')
    .replace(/\b(end)\b/gi, (word) => `#${String(word.charCodeAt(0))};${word.slice(1)}`);
}

function commentText(trace: Trace): string {
  // A comment ends with its line; braces after %% would make it a directive.
  return `${partyText(trace.source)} to ${partyText(trace.destination)} ${requestText(trace.request)}`.replace(
    /[{}%]/g,
    '_',
  );
}

function participantsOf(paths: readonly Path[]): readonly Stop[] {
  const participants: Stop[] = [];
  for (const path of paths) {
    for (const stop of path.stops) if (!participants.some((known) => sameStop(known, stop))) participants.push(stop);
  }
  return participants;
}

function pathLines(path: Path, participants: readonly Stop[], indent: string): readonly string[] {
  const lines: string[] = [];
  const ids = path.stops.map((stop) => `p${String(participants.findIndex((known) => sameStop(known, stop)))}`);
  path.stops.forEach((stop, index) => {
    const id = ids[index];
    const link = path.links[index];
    const next = ids[index + 1];
    if (id === undefined) return;
    lines.push(...noteLines(path, index, id, indent));
    if (link === undefined) return;
    // A connection that reaches nobody: an arrow with a cross, to the process itself.
    const arrow = next === undefined ? '-x' : protectionOf(link) === 'plaintext' ? '-->>' : '->>';
    lines.push(`${indent}${id}${arrow}${next ?? id}: ${escapeMermaid(arrowText(link))}`);
    if (stop.also !== undefined && stop.also.length > 0) {
      lines.push(`${indent}Note over ${id}: ${escapeMermaid(`and ${String(stop.also.length)} more like it`)}`);
    }
  });
  const last = ids[ids.length - 1];
  if (last !== undefined) {
    const encryption = encryptionText(path.encryption);
    const text =
      path.verdict === 'delivered'
        ? `delivered${encryption === null ? '' : `, ${encryption}`}`
        : `${verdictText(path.verdict)}: ${path.reason}`;
    lines.push(`${indent}Note over ${last}: ${escapeMermaid(text)}`);
  }
  return lines;
}

function noteLines(path: Path, index: number, id: string, indent: string): readonly string[] {
  const steps = path.hops.filter((hop) => hop.stop === index && isTold(hop));
  if (steps.length === 0) return [];
  const shown = steps.slice(0, STEPS_IN_NOTE).map((hop) => escapeMermaid(hop.summary));
  if (steps.length > shown.length) shown.push(escapeMermaid(`and ${String(steps.length - shown.length)} more steps`));
  return [`${indent}Note over ${id}: ${shown.join('<br/>')}`];
}

function isTold(hop: Hop): boolean {
  if ((hop.phase ?? 'request') !== 'request') return false;
  return hop.kind === 'proxy' || hop.kind === 'netfilter' || hop.kind === 'intercept' || hop.kind === 'tunnel';
}

function arrowText(link: Link): string {
  const kind = protectionOf(link);
  const words = kind === 'mtls' ? ', mTLS' : kind === 'plaintext' ? ', PLAINTEXT' : '';
  return `${linkText(link)}${words}`;
}
