// Traces the shipped example and starts a live trace, and keeps what V8 compiled for it beside the bundles (src/code-cache.ts).
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';

const scripts = new Map();
vm.Script = class extends vm.Script {
  constructor(code, options) {
    super(code, options);
    scripts.set(options.filename, this);
  }
};
const { loadCompiled } = await import('../dist/code-cache.js');

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const { runFast } = loadCompiled(path.join(root, 'dist/fast-lane.cjs'));
const example = path.join(root, 'examples/istio-1.18-node-redirect');
const manifest = path.join(root, 'oclif.manifest.json');

async function trace(from, to, ...args) {
  if (!(await runFast(['trace', from, to, ...args], manifest))) throw new Error('the fast lane does not take this');
}

await trace('foo-sc/sleep', 'bar/httpbin:8000', '--snapshot', example);
await trace('foo-sc/sleep', 'bar-2/helloworld:5000', '--snapshot', example);

// A cluster that says nothing: what comes before the first byte is what a person waits for.
const folder = mkdtempSync(path.join(os.tmpdir(), 'meshpath-build-'));
const server = net.createServer((socket) => {
  socket.on('error', () => undefined);
  socket.once('data', () => {
    for (const [file, script] of scripts) writeFileSync(`${file}.cache`, script.createCachedData());
    rmSync(folder, { recursive: true });
    process.exit(0);
  });
});
server.listen(0, '127.0.0.1', () => {
  const [kubeconfig, other] = ['config', 'other'].map((name) => path.join(folder, name));
  process.env.KUBECONFIG = [kubeconfig, other].join(path.delimiter);
  // the one form is read without the library, the other with it
  writeFileSync(other, '{users: [{name: other, user: {token: "none"}}]}');
  writeFileSync(
    kubeconfig,
    [
      'apiVersion: v1',
      'kind: Config',
      'current-context: build',
      'clusters:',
      '- cluster:',
      `    server: https://127.0.0.1:${server.address().port}`,
      '    insecure-skip-tls-verify: true',
      '  name: build',
      'contexts:',
      '- context:',
      '    cluster: build',
      '    user: build',
      '  name: build',
      'users:',
      '- name: build',
      '  user:',
      '    token: none',
      '',
    ].join('\n'),
  );
  void trace('sleep', 'httpbin');
});
