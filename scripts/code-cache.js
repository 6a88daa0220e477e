// Traces the shipped example once and keeps what V8 compiled for it beside the bundle (see src/code-cache.ts).
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadCompiled } from '../dist/code-cache.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bundle = new URL('../dist/fast-lane.cjs', import.meta.url);
const { exports, script } = loadCompiled(bundle);
const example = path.join(root, 'examples/istio-1.18-node-redirect');
const manifest = new URL('../oclif.manifest.json', import.meta.url);
for (const to of ['bar/httpbin:8000', 'bar-2/helloworld:5000']) {
  const taken = await exports.runFast(['trace', 'foo-sc/sleep', to, '--snapshot', example], manifest);
  if (!taken) throw new Error('the fast lane does not take its own example');
}
writeFileSync(`${fileURLToPath(bundle)}.cache`, script.createCachedData());
process.exitCode = 0;
