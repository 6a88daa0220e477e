import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.resolve(import.meta.dirname, '../..');

export interface Ran {
  readonly status: number | null;
  /** What stands on standard output, a line each. */
  readonly answers: readonly { readonly id: unknown; readonly error?: string; readonly outcomes?: readonly object[] }[];
  readonly stderr: string;
}

export interface EvalCommand {
  /** A folder of its own, for what its questions are about. */
  readonly folder: string;
  run(args: readonly string[], input?: string): Ran;
  remove(): void;
}

/** `meshpath eval <name>` as a process of its own, built from the sources as they are. */
export async function evalCommand(name: 'netns' | 'ztunnel'): Promise<EvalCommand> {
  // inside node_modules: the framework is found from there
  const cache = path.join(root, 'node_modules', '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, `eval-${name}-`));
  const command = path.join(folder, 'command.mjs');
  await build({
    stdin: {
      contents: `import Command from './src/commands/eval/${name}.ts'; await Command.run(process.argv.slice(2), ${JSON.stringify(root)});`,
      resolveDir: root,
    },
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    outfile: command,
    logLevel: 'warning',
  });
  return {
    folder,
    run: (args, input = '') => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { input, encoding: 'utf8' });
      const lines = stdout.split('\n').filter((line) => line !== '');
      return { status, answers: lines.map((line): Ran['answers'][number] => JSON.parse(line)), stderr };
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
