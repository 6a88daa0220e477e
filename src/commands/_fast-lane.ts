import { readFileSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { reportError } from './_errors.js';
import { CONCURRENCY, PORT } from './_limits.js';
import type { TraceFlags } from './_trace.js';

/**
 * `trace` without the command framework, whose start takes longer than an answer from a snapshot, and than all else until
 * the first request to a cluster is on the wire. It takes plain command lines only, by the same definition
 * (oclif.manifest.json, written from the command by the build); whatever it does not know for sure (help, errors) is left
 * to the framework.
 */
interface FlagDefinition {
  readonly name: string;
  readonly type: 'boolean' | 'option';
  readonly char?: string;
  readonly multiple?: boolean;
  readonly allowNo?: boolean;
  readonly options?: readonly string[];
  readonly default?: unknown;
}

export type FlagDefinitions = Readonly<Record<string, FlagDefinition>>;

const INTEGERS: Readonly<Record<string, { readonly min: number; readonly max: number }>> = {
  port: PORT,
  concurrency: CONCURRENCY,
};

/** Flags and arguments as the framework would parse them; null where that is not certain. */
export function parsePlain(argv: readonly string[], definitions: FlagDefinitions): Record<string, unknown> | null {
  const [command, ...args] = argv;
  if (command !== 'trace') return null;
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, flag] of Object.entries(definitions)) {
    options[name] = {
      type: flag.type === 'boolean' ? 'boolean' : 'string',
      multiple: flag.multiple ?? false,
      ...(flag.char === undefined ? {} : { short: flag.char }),
    };
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    const { tokens, ...read } = parseArgs({
      args,
      options,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
      tokens: true,
    });
    const seen = new Set<string>();
    for (const token of tokens) {
      if (token.kind !== 'option') continue;
      // the framework refuses a second value, and reads `-n=a` as "a"
      if (seen.has(token.name) && options[token.name]?.multiple !== true) return null;
      if (!token.rawName.startsWith('--') && token.value?.startsWith('=') === true) return null;
      seen.add(token.name);
    }
    parsed = read;
  } catch {
    return null;
  }
  const [from, to, ...more] = parsed.positionals;
  if (from === undefined || to === undefined || more.length > 0) return null;
  const values: Record<string, unknown> = {};
  for (const flag of Object.values(definitions)) {
    const value = parsed.values[flag.name];
    if (flag.default !== undefined) values[flag.name] = flag.default;
    if (value === undefined) continue;
    if (value === false && flag.allowNo !== true) return null;
    // the framework reads "-" words and empty values in its own way
    const words = [value].flat();
    if (words.some((word) => typeof word === 'string' && (word === '' || word.startsWith('-')))) return null;
    if (flag.options !== undefined && !words.every((word) => flag.options?.includes(String(word)))) return null;
    const range = INTEGERS[flag.name];
    const number = range === undefined ? null : integerIn(range, value);
    if (range !== undefined && number === null) return null;
    values[flag.name] = number ?? value;
  }
  return { ...values, from, to };
}

function integerIn(range: { readonly min: number; readonly max: number }, value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  return number >= range.min && number <= range.max ? number : null;
}

/** True where the command line was taken and answered (or its error was said). */
export async function runFast(argv: readonly string[], manifest: string): Promise<boolean> {
  let definitions: FlagDefinitions;
  try {
    const { commands } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      commands: { trace: { flags: FlagDefinitions } };
    };
    definitions = commands.trace.flags;
  } catch {
    return false;
  }
  const parsed = parsePlain(argv, definitions);
  if (parsed === null) return false;
  const flags = parsed as unknown as TraceFlags & { readonly debug?: boolean };
  try {
    const { printTrace } = await import('./_trace.js');
    await printTrace(flags);
  } catch (error) {
    reportError(error instanceof Error ? error : new Error(String(error)), flags.debug === true);
  }
  return true;
}
