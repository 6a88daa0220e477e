import type { Unknown } from '../formats/evidence.js';
import type { Finding, Path, Severity, Trace } from '../walk/trace.js';
import { columnsOf, escapeTerminal, wrap } from './escape.js';
import { evidenceLines } from './text-lines.js';
import type { Style } from './style.js';
import { encryptionText, placeText, shareText, stopName, symptomText, verdictText } from './words.js';

/** How many unknowns are told without -v. */
const UNKNOWNS_SHOWN = 3;

/**
 * The end of the answer, where a person looks first: what could not be read, what is wrong and how to mend it, the verdict
 * in one sentence, one command to run next.
 */
export function renderSummary(trace: Trace, style: Style, command: string | null): readonly string[] {
  const lines: string[] = [];
  lines.push(...expectedLines(trace, style));
  for (const finding of trace.findings) lines.push(...findingLines(finding, style), '');
  lines.push(...unknownLines(trace.unknowns, style));
  lines.push(...verdictLines(trace, style));
  const next = nextCommand(trace, style.verbose, command);
  if (next !== null) lines.push(...nextLines(next, style));
  return lines;
}

function expectedLines(trace: Trace, style: Style): readonly string[] {
  const real = trace.paths.map((path) => ({ way: wayText(path), whole: path.verdict === 'delivered' }));
  const missing = new Set<string>();
  for (const path of trace.expected.paths) {
    const way = wayText(path);
    const open = path.verdict === 'unknown';
    // A way that ends early, or of which no more is known, is the same one as far as it goes: its end is told elsewhere.
    const taken = real.some(
      (one) =>
        one.way === way || (!one.whole && way.startsWith(`${one.way}\n`)) || (open && one.way.startsWith(`${way}\n`)),
    );
    if (!taken) missing.add(way);
  }
  if (missing.size === 0) return [];
  const { color, columns } = style;
  const lines = [color.bold('Labels and policies ask for another way:')];
  for (const way of missing) {
    const arrow = ` ${style.glyphs.arrow} `;
    lines.push(...wrap(escapeTerminal(way.split('\n').join(arrow)), columns - 2).map((line) => `  ${line}`));
  }
  return [...lines, ''];
}

function wayText(path: Path): string {
  return path.stops
    .map((stop) => (stop.role === 'workload' ? stopName(stop) : `${stop.role} ${stopName(stop)}`))
    .join('\n');
}

function severityMark(severity: Severity, style: Style): string {
  const { color, glyphs } = style;
  switch (severity) {
    case 'error':
      return color.red.bold(glyphs.bad);
    case 'warning':
      return color.yellow.bold(glyphs.warn);
    case 'info':
      return color.blue.bold(glyphs.info);
  }
}

function findingLines(finding: Finding, style: Style): readonly string[] {
  const { color, columns } = style;
  const subject = escapeTerminal(`${finding.subject.kind} ${stopName(finding.subject)}`);
  const head = `${finding.code} ${finding.severity}: ${escapeTerminal(finding.title)}`;
  const indent = '  ';
  const width = columns - indent.length;
  const lines = wrap(head, width).map((line, index) =>
    index === 0 ? `${severityMark(finding.severity, style)} ${color.bold(line)}` : `${indent}${color.bold(line)}`,
  );
  lines.push(...wrap(subject, width).map((line) => `${indent}${color.cyan(line)}`));
  lines.push(...wrap(escapeTerminal(finding.message), width).map((line) => `${indent}${line}`));
  const shown = style.verbose ? finding.evidence : finding.evidence.slice(0, 2);
  for (const evidence of shown) {
    lines.push(
      ...evidenceLines(evidence.text, placeText(evidence, ''), width - 2, style).map((line) => `${indent}  ${line}`),
    );
  }
  const fix = wrap(escapeTerminal(finding.fix), width - 5);
  lines.push(
    ...fix.map((line, index) => `${indent}${index === 0 ? color.green.bold('fix: ') : '     '}${line}`),
    `${indent}${color.dim(`more: ${escapeTerminal(finding.docs)}`)}`,
  );
  return lines;
}

function unknownLines(unknowns: readonly Unknown[], style: Style): readonly string[] {
  if (unknowns.length === 0) return [];
  const { color, columns, glyphs } = style;
  const shown = style.verbose ? unknowns : unknowns.slice(0, UNKNOWNS_SHOWN);
  const lines: string[] = [color.yellow.bold('Not known:')];
  for (const unknown of shown) {
    const text = escapeTerminal(`${unknown.fact} (${unknown.reason})`);
    lines.push(
      ...wrap(text, columns - 4).map((line, index) =>
        index === 0 ? `  ${color.yellow(glyphs.unknown)} ${line}` : `    ${line}`,
      ),
    );
  }
  const hidden = unknowns.length - shown.length;
  if (hidden > 0) lines.push(color.dim(`    and ${String(hidden)} more (-v shows them)`));
  return [...lines, ''];
}

interface Ending {
  readonly path: Path;
  readonly probability: number | null;
}

/** Paths that end alike for the same reason, with their joint share. */
function endingsOf(paths: readonly Path[]): readonly Ending[] {
  const groups = new Map<string, Ending>();
  for (const path of paths) {
    const key =
      path.verdict === 'delivered'
        ? JSON.stringify([path.verdict, path.encryption])
        : JSON.stringify([path.verdict, path.reason]);
    const known = groups.get(key);
    if (known === undefined) {
      groups.set(key, { path, probability: path.probability });
      continue;
    }
    const both = known.probability === null || path.probability === null ? null : known.probability + path.probability;
    groups.set(key, { path: known.path, probability: both });
  }
  return [...groups.values()];
}

function verdictLines(trace: Trace, style: Style): readonly string[] {
  const { color, columns, glyphs } = style;
  const endings = endingsOf(trace.paths);
  if (endings.length === 0) return [color.yellow.bold(`${glyphs.unknown} No way could be found: see above.`)];
  const bad = endings.filter((ending) => ending.path.verdict !== 'delivered');
  const failed = bad.some((ending) => ending.path.verdict !== 'unknown');
  const insecure = endings.some((e) => e.path.verdict === 'delivered' && e.path.encryption !== 'mtls');
  const sentence = endings.length === 1 ? singleSentence(endings, trace) : forkSentence(endings);
  const symptom = bad.length === 1 && bad[0] !== undefined ? symptomText(bad[0].path.verdict) : null;
  const text = `${sentence}${findingsClause(trace.findings)}`;
  const mark = failed ? glyphs.bad : bad.length > 0 ? glyphs.unknown : insecure ? glyphs.warn : glyphs.ok;
  const tone = failed ? color.red.bold : bad.length > 0 || insecure ? color.yellow.bold : color.green.bold;
  const indent = ' '.repeat(columnsOf(mark) + 1);
  const lines = wrap(text, columns - indent.length).map((line, index) =>
    tone(index === 0 ? `${mark} ${line}` : `${indent}${line}`),
  );
  if (symptom !== null)
    lines.push(...wrap(capital(`${symptom}.`), columns - indent.length).map((line) => `${indent}${line}`));
  return lines;
}

function singleSentence(endings: readonly Ending[], trace: Trace): string {
  const path = endings[0]?.path;
  if (path === undefined) return '';
  const reason = escapeTerminal(path.reason).replace(/[.\s]+$/, '');
  if (path.verdict !== 'delivered') return `${capital(verdictText(path.verdict))}: ${reason}.`;
  const ways = trace.paths.length > 1 ? ` on all ${String(trace.paths.length)} ways` : '';
  const encryption = encryptionText(path.encryption);
  return `Delivered${ways}${encryption === null ? '' : `, ${encryption}`}.`;
}

function forkSentence(endings: readonly Ending[]): string {
  const parts = [...endings].sort(byTrouble).map(({ path, probability }) => {
    const share = probability === null ? 'an unknown share' : shareText(probability);
    if (path.verdict === 'delivered') {
      const encryption = encryptionText(path.encryption);
      return `${share} delivered${encryption === null ? '' : ` ${encryption}`}`;
    }
    return `${share} ${verdictText(path.verdict)} (${escapeTerminal(path.reason).replace(/[.\s]+$/, '')})`;
  });
  return capital(`${parts.join(', ')}.`);
}

function byTrouble(a: Ending, b: Ending): number {
  const rank = (ending: Ending): number =>
    ending.path.verdict === 'delivered' ? 2 : ending.path.verdict === 'unknown' ? 1 : 0;
  return rank(a) - rank(b);
}

function findingsClause(findings: readonly Finding[]): string {
  const first = findings[0];
  if (first === undefined) return '';
  const count = (severity: Severity): number => findings.filter((finding) => finding.severity === severity).length;
  const parts = (
    [
      ['error', count('error')],
      ['warning', count('warning')],
      ['info', count('info')],
    ] as const
  )
    .filter(([, number]) => number > 0)
    .map(
      ([severity, number]) => `${String(number)} ${severity === 'info' ? 'note' : severity}${number === 1 ? '' : 's'}`,
    );
  return ` ${capital(parts.join(', '))}, first ${first.code}: ${escapeTerminal(first.title)}.`;
}

/**
 * One command: what the first finding's fix says to run; the file that would decide where something is not known; else the
 * same question with every step told.
 */
function nextCommand(trace: Trace, verbose: boolean, command: string | null): string | null {
  const worst = trace.findings.find((finding) => finding.severity === 'error') ?? trace.findings[0];
  if (worst !== undefined && worst.severity !== 'info') {
    const run = /`((?:kubectl|istioctl|helm) [^`]+)`/.exec(worst.fix)?.[1];
    if (run !== undefined) return run;
  }
  if (command === null) return null;
  return verbose ? `${command} -o json` : `${command} -v`;
}

function nextLines(next: string, style: Style): readonly string[] {
  const label = 'Next: ';
  return wrap(escapeTerminal(next), style.columns - label.length).map((line, index) =>
    index === 0 ? `${style.color.bold(label)}${line}` : `${' '.repeat(label.length)}${line}`,
  );
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
