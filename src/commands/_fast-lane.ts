import { readFileSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { reportError } from './_errors.js';
import type { TraceFlags } from './_trace.js';

/**
 * `trace` on a recorded snapshot without the command framework, whose start takes longer than the answer. It takes plain
 * command lines only, by the same definition (oclif.manifest.json, written from the command by the build); whatever it does
 * not know for sure (help, errors, live flags) is left to the framework.
 */
const TAKEN: readonly string[] = [
  ...['snapshot', 'namespace', 'output', 'verbose', 'direct', 'method', 'path', 'header', 'protocol', 'fail-on'],
];

interface FlagDefinition {
  readonly name: string;
  readonly type: 'boolean' | 'option';
  readonly char?: string;
  readonly multiple?: boolean;
  readonly options?: readonly string[];
  readonly default?: unknown;
}

export type FlagDefinitions = Readonly<Record<string, FlagDefinition>>;

/** Flags and arguments as the framework would parse them; null where that is not certain. */
export function parsePlain(argv: readonly string[], definitions: FlagDefinitions): Record<string, unknown> | null {
  const [command, ...args] = argv;
  if (command !== 'trace' || !args.some((arg) => arg === '--snapshot' || arg.startsWith('--snapshot='))) return null;
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const name of TAKEN) {
    const flag = definitions[name];
    if (flag === undefined) return null;
    options[name] = {
      type: flag.type === 'boolean' ? 'boolean' : 'string',
      multiple: flag.multiple ?? false,
      ...(flag.char === undefined ? {} : { short: flag.char }),
    };
  }
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch {
    return null;
  }
  const [from, to, ...more] = parsed.positionals;
  if (from === undefined || to === undefined || more.length > 0) return null;
  for (const name of TAKEN) {
    const allowed = definitions[name]?.options;
    const value = parsed.values[name];
    if (allowed !== undefined && typeof value === 'string' && !allowed.includes(value)) return null;
    // the framework reads "-" words and empty values in its own way
    if (typeof value === 'string' && (value === '' || value.startsWith('-'))) return null;
  }
  const defaults = Object.values(definitions).flatMap((flag) =>
    flag.default === undefined ? [] : [[flag.name, flag.default] as const],
  );
  return { ...Object.fromEntries(defaults), ...parsed.values, from, to };
}

/** True where the command line was taken and answered (or its error was said). */
export async function runFast(argv: readonly string[], manifest: URL): Promise<boolean> {
  if (argv[0] !== 'trace') return false;
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
  try {
    const { printTrace } = await import('./_trace.js');
    await printTrace(parsed as unknown as TraceFlags);
  } catch (error) {
    reportError(error instanceof Error ? error : new Error(String(error)), false);
  }
  return true;
}
