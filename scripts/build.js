// Builds dist/ (one small entry a command, shared chunks, lazily loaded rooms) and oclif.manifest.json.
import { execFileSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Every command file under src/commands (one oclif command a file); helpers there begin with an underscore. */
function commandFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) return commandFiles(full);
    return entry.name.endsWith('.ts') && !entry.name.startsWith('_') ? [full] : [];
  });
}

// Built aside, then moved: a build that fails leaves the last good one in place.
const made = path.join(root, `dist.${process.pid}`);
await build({
  absWorkingDir: root,
  entryPoints: [
    'src/main.ts',
    'src/code-cache.ts',
    ...commandFiles(path.join(root, 'src/commands')).map((f) => path.relative(root, f)),
  ],
  outbase: 'src',
  outdir: made,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  sourcemap: false,
  logLevel: 'warning',
  // @oclif/core asks for typescript where it is installed: bundling it would cost 4 MB.
  external: ['typescript'],
  banner: {
    js: [
      "import { createRequire as __createRequire } from 'node:module';",
      "import { fileURLToPath as __fileURLToPath } from 'node:url';",
      "import { dirname as __pathDirname } from 'node:path';",
      'const require = __createRequire(import.meta.url);',
      'const __filename = __fileURLToPath(import.meta.url);',
      'const __dirname = __pathDirname(__filename);',
    ].join('\n'),
  },
});
// The fast lane of `trace` once more, as one file that can carry V8's compiled code (src/code-cache.ts).
await build({
  absWorkingDir: root,
  entryPoints: ['src/commands/_fast-lane.ts'],
  outfile: path.join(made, 'fast-lane.cjs'),
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  logLevel: 'warning',
  define: { 'import.meta.url': '__fileUrl' },
  banner: { js: "const __fileUrl = require('node:url').pathToFileURL(__filename).href;" },
  plugins: [
    {
      // live collection is never on the fast lane: it stays where the other build puts it
      name: 'live-apart',
      setup: (setup) =>
        setup.onResolve({ filter: /\/_source\.js$/ }, () => ({ path: './commands/_source.js', external: true })),
    },
  ],
});
rmSync(path.join(root, 'dist'), { recursive: true, force: true });
renameSync(made, path.join(root, 'dist'));
execFileSync(process.execPath, [path.join(root, 'node_modules/oclif/bin/run.js'), 'manifest'], {
  cwd: root,
  env: { ...process.env, OCLIF_SKIP_NEW_VERSION_CHECK: '1' },
  stdio: ['ignore', 'ignore', 'inherit'],
});
execFileSync(process.execPath, [path.join(root, 'scripts/code-cache.js')], {
  cwd: root,
  stdio: ['ignore', 'ignore', 'inherit'],
});
