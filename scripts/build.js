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
    'src/framework.ts',
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
/**
 * `trace` once more, as bundles that can carry V8's compiled code (src/code-cache.ts): what starts and asks the cluster,
 * and beside it what answers, which is loaded by the first when it is needed. Packages that few runs need stay outside.
 */
const compiled = {
  absWorkingDir: root,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20.19',
  minify: true,
  logLevel: 'warning',
  // 3.5 MB for the few kubeconfigs that need it
  external: ['@kubernetes/client-node'],
  // a script that is not the loader's own cannot import()
  supported: { 'dynamic-import': false },
};
/** What the first request does not need, each a bundle of its own. */
const apart = {
  engines: 'src/commands/_engines',
  spinner: 'src/commands/_spinner',
  yaml: 'src/collect/yaml',
  'web-socket': 'src/collect/web-socket',
  'kube-library': 'src/collect/kube-library',
  'read-archive': 'src/snapshot/read-archive',
};
for (const [name, source] of Object.entries(apart)) {
  await build({
    ...compiled,
    entryPoints: [`${source}.ts`],
    outfile: path.join(made, `${name}.cjs`),
    define: { 'import.meta.url': '__fileUrl' },
    banner: { js: "const __fileUrl = require('node:url').pathToFileURL(__filename).href;" },
  });
}
await build({
  ...compiled,
  entryPoints: ['src/commands/_fast-lane.ts'],
  outfile: path.join(made, 'fast-lane.cjs'),
  plugins: [
    {
      name: 'apart',
      setup: (setup) => {
        setup.onResolve({ filter: /\.js$/ }, ({ path: wanted, resolveDir }) => {
          const source = path.relative(root, path.join(resolveDir, wanted.replace(/\.js$/, '')));
          const name = Object.keys(apart).find((key) => apart[key] === source);
          return name === undefined ? null : { path: name, namespace: 'apart' };
        });
        setup.onLoad({ filter: /.*/, namespace: 'apart' }, ({ path: name }) => ({
          contents: `module.exports = require('./src/code-cache.ts').loadCompiled(__dirname + '/${name}.cjs');`,
          resolveDir: root,
        }));
      },
    },
  ],
});
await build({
  ...compiled,
  entryPoints: ['src/main.ts'],
  outfile: path.join(made, 'main.cjs'),
  supported: {},
  external: ['./framework.js'],
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
