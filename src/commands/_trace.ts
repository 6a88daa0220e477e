import type { Finding, Severity, Trace } from '../walk/trace.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ExpectedError } from './_errors.js';
import type { QuestionWords } from './_question.js';
import { recorded } from './_recorded.js';
import type { SourceFlags } from './_source.js';
import { checkWords } from './_words.js';
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
  const { answer, renderTrace } = await engines();
  const trace = answer(snapshot, words);
  await writeOut(await renderTrace(trace, flags));
  process.exitCode = exitCodeOf(trace, flags['fail-on']);
}

async function collected(flags: TraceFlags, words: QuestionWords): Promise<Snapshot> {
  checkWords(flags, flags.context ?? []);
  const { openSource } = await import('./_source.js');
  return openSource(flags, {
    kind: 'trace',
    from: flags.from,
    to: flags.to,
    namespace: flags.namespace ?? null,
    ask: async (part) => (await engines()).answer(part, words),
  });
}

/** Loaded when there is something to answer from: the first request of a live trace does not wait for them. */
function engines(): Promise<typeof import('./_engines.js')> {
  return import('./_engines.js');
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
