import type { Trace } from '../walk/trace.js';
import type { TraceFlags } from './_trace.js';

/** The answer in the format that was asked for. */
export async function renderTrace(trace: Trace, flags: TraceFlags): Promise<string> {
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

/** Headers whose values are secrets: they are not repeated where an answer may be shown to others. */
const SECRET_HEADER = /^(?:(?:proxy-)?authorization|cookie)$|token|secret|password|api-?key|credential|session/i;

function withoutSecret(header: string): string {
  const colon = header.indexOf(':');
  return colon > 0 && SECRET_HEADER.test(header.slice(0, colon).trim()) ? `${header.slice(0, colon)}: ***` : header;
}

/** The command again, for the suggestion of a next one. */
export function commandOf(flags: TraceFlags): string {
  const words = ['meshpath', 'trace', flags.from, flags.to];
  if (flags.snapshot !== undefined) words.push('--snapshot', flags.snapshot);
  for (const context of flags.context ?? []) words.push('--context', context);
  if (flags.kubeconfig !== undefined) words.push('--kubeconfig', flags.kubeconfig);
  if (flags.as !== undefined) words.push('--as', flags.as);
  for (const group of flags['as-group'] ?? []) words.push('--as-group', group);
  if (flags.namespace !== undefined) words.push('--namespace', flags.namespace);
  if (flags.direct === true) words.push('--direct');
  if (flags.port !== undefined) words.push('--port', String(flags.port));
  if (flags.protocol !== undefined) words.push('--protocol', flags.protocol);
  if (flags.method !== 'GET') words.push('--method', flags.method);
  if (flags.path !== undefined) words.push('--path', flags.path);
  for (const header of flags.header ?? []) words.push('--header', withoutSecret(header));
  return words.map((word) => (/^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');
}
