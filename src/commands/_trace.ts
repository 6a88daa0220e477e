import type { Finding, Severity, Trace } from '../walk/trace.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { answer } from './_answer.js';
import { ExpectedError } from './_errors.js';
import type { QuestionWords } from './_question.js';
import { recorded } from './_recorded.js';
import type { SourceFlags } from './_source.js';
import { writeOut } from './_write.js';

export type OutputFormat = 'text' | 'json' | 'yaml' | 'mermaid';

export interface TraceFlags extends SourceFlags {
  readonly from: string;
  readonly to: string;
  readonly port?: number | undefined;
  readonly protocol?: 'http' | 'tcp' | 'udp' | undefined;
  readonly method: string;
  readonly path?: string | undefined;
  readonly header?: readonly string[] | undefined;
  readonly direct?: boolean | undefined;
  readonly output: OutputFormat;
  readonly verbose?: boolean | undefined;
  readonly 'fail-on': Severity | 'never';
  readonly color?: boolean | undefined;
}

/** Collects or opens, answers, prints. The answer itself is pure: see answer(). */
export async function printTrace(flags: TraceFlags): Promise<void> {
  const words: QuestionWords = { ...flags, headers: parseHeaders(flags.header ?? []) };
  const snapshot = flags.snapshot === undefined ? await collected(flags, words) : await recorded(flags.snapshot);
  const trace = answer(snapshot, words);
  await writeOut(await render(trace, flags));
  process.exitCode = exitCodeOf(trace, flags['fail-on']);
}

async function collected(flags: TraceFlags, words: QuestionWords): Promise<Snapshot> {
  const { openSource } = await import('./_source.js');
  return openSource(flags, {
    kind: 'trace',
    from: flags.from,
    to: flags.to,
    namespace: flags.namespace ?? null,
    ask: (part) => answer(part, words),
  });
}

/** `Name: value`, as curl takes it. */
export function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*:\s*(.*)$/.exec(line);
    if (match?.[1] === undefined) throw new ExpectedError(`--header "${line}": expected "Name: value"`, 2);
    headers[match[1]] = match[2] ?? '';
  }
  return headers;
}

const RANK: Readonly<Record<Severity, number>> = { error: 3, warning: 2, info: 1 };

/** 1: not delivered, or a finding at or above the threshold; 3: no verdict; 0: as it should be. */
export function exitCodeOf(trace: Trace, failOn: Severity | 'never'): 0 | 1 | 3 {
  const grave = (finding: Finding): boolean => failOn !== 'never' && RANK[finding.severity] >= RANK[failOn];
  const refused = trace.paths.some((path) => path.verdict !== 'delivered' && path.verdict !== 'unknown');
  if (refused || trace.findings.some(grave)) return 1;
  return trace.paths.every((path) => path.verdict === 'delivered') ? 0 : 3;
}

async function render(trace: Trace, flags: TraceFlags): Promise<string> {
  switch (flags.output) {
    case 'json':
      return (await import('../render/json.js')).renderJson(trace);
    case 'yaml':
      return (await import('../render/yaml.js')).renderYaml(trace);
    case 'mermaid':
      return (await import('../render/mermaid.js')).renderMermaid(trace);
    case 'text': {
      const [{ renderText }, { canShowUnicode, colorOf }] = await Promise.all([
        import('../render/text.js'),
        import('./_color.js'),
      ]);
      return renderText(trace, {
        verbose: flags.verbose ?? false,
        color: colorOf({ flag: flags.color, env: process.env, stream: process.stdout }),
        columns: Math.min(80, process.stdout.columns ?? 80),
        unicode: canShowUnicode(process.env),
        command: commandOf(flags),
      });
    }
  }
}

/** The command again, for the suggestion of a next one. */
function commandOf(flags: TraceFlags): string {
  const words = ['meshpath', 'trace', flags.from, flags.to];
  if (flags.snapshot !== undefined) words.push('--snapshot', flags.snapshot);
  if (flags.namespace !== undefined) words.push('--namespace', flags.namespace);
  if (flags.direct === true) words.push('--direct');
  if (flags.port !== undefined) words.push('--port', String(flags.port));
  if (flags.protocol !== undefined) words.push('--protocol', flags.protocol);
  if (flags.method !== 'GET') words.push('--method', flags.method);
  if (flags.path !== undefined) words.push('--path', flags.path);
  for (const header of flags.header ?? []) words.push('--header', header);
  return words.map((word) => (/^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}
