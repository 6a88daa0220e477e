// What a trace costs on a real API server as the cluster grows, and how soon its first byte is on the wire.
// Run as root, after `npm run build`: node bench/collect.js [start|size]      (the cluster is that of test/cluster)
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
process.chdir(root);
const only = process.argv[2];

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Milliseconds from the start of a program to its first byte at a server that says nothing. */
function firstByte(command, args) {
  return new Promise((resolve, reject) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        const took = performance.now() - started;
        child.kill('SIGKILL');
        socket.destroy();
        server.close(() => resolve(took));
      });
    });
    let started = 0;
    let child;
    server.listen(0, '127.0.0.1', () => {
      const file = path.join(folder, 'kubeconfig');
      writeFileSync(
        file,
        // as kubectl writes it
        [
          'apiVersion: v1',
          'clusters:',
          '- cluster:',
          '    insecure-skip-tls-verify: true',
          `    server: https://127.0.0.1:${server.address().port}`,
          '  name: c',
          'contexts:',
          '- context:',
          '    cluster: c',
          '    user: u',
          '  name: c',
          'current-context: c',
          'kind: Config',
          'preferences: {}',
          'users:',
          '- name: u',
          '  user:',
          '    token: t',
          '',
        ].join('\n'),
      );
      started = performance.now();
      child = spawn(command, [...args, '--kubeconfig', file], { stdio: 'ignore' });
      child.on('error', reject);
    });
  });
}

async function start() {
  const programs = [
    ['kubectl get pod', 'kubectl', ['get', 'pod', '--cache-dir', path.join(folder, 'cache')]],
    ['meshpath trace a b', process.execPath, ['bin/run.js', 'trace', 'a', 'b']],
    ['meshpath ls', process.execPath, ['bin/run.js', 'ls']],
    [
      'meshpath capture',
      process.execPath,
      ['bin/run.js', 'capture', '-A', '--output-file', path.join(folder, 'captured')],
    ],
    ['node, nothing but a connection', process.execPath, [path.join(folder, 'bare.cjs')]],
  ];
  writeFileSync(
    path.join(folder, 'bare.cjs'),
    "const fs = require('fs'); const p = /127.0.0.1:(\\d+)/.exec(fs.readFileSync(process.argv.at(-1), 'utf8'))[1]; require('net').connect(Number(p)).end('x');",
  );
  const times = programs.map(() => []);
  // one after the other in turn, so that what else the machine does falls on all alike
  for (let i = 0; i < 15; i++) {
    for (const [index, [, command, args]] of programs.entries()) times[index].push(await firstByte(command, args));
  }
  const [base, leastBase] = [median(times[0]), Math.min(...times[0])];
  for (const [index, [name]] of programs.entries()) {
    const [middle, least] = [median(times[index]), Math.min(...times[index])];
    console.log(
      `${name}: median ${middle.toFixed(0)} ms, ${(middle / base).toFixed(2)} x kubectl; least ${least.toFixed(0)} ms, ${(least / leastBase).toFixed(2)} x`,
    );
  }
}

/** The harness of the tests, compiled: it is TypeScript. */
async function harness() {
  const outfile = path.join(root, 'node_modules', '.cache', 'meshpath-bench-collect.mjs');
  await build({
    absWorkingDir: root,
    stdin: {
      contents:
        "export { startCluster } from './test/cluster/cluster.ts'; export { liveTrace } from './test/cluster/live.ts';",
      resolveDir: root,
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    define: { 'import.meta.dirname': JSON.stringify(path.join(root, 'test', 'cluster')) },
    logLevel: 'error',
  });
  return import(pathToFileURL(outfile).href);
}

async function size() {
  const { startCluster, liveTrace } = await harness();
  const cluster = await startCluster();
  if (cluster === null) return;
  try {
    let made = 0;
    for (const target of [100, 1000, 5000]) {
      while (made < target) {
        const batch = Array.from({ length: Math.min(16, target - made) }, (_, i) => bystander(made + i));
        await Promise.all(batch.map(([url, body]) => cluster.plane.request('POST', url, body, [409])));
        made += batch.length;
      }
      const runs = [];
      for (let i = 0; i < 5; i++) {
        const started = performance.now();
        const { cost } = await liveTrace(cluster.kubeconfig, 'foo/sleep', 'bar-1/httpbin:8000');
        runs.push({ ...cost, ms: performance.now() - started });
      }
      const { requests, bytes } = runs[0];
      const ms = median(runs.map((run) => run.ms));
      const all = Number(
        execFileSync('sh', [
          '-c',
          `kubectl --kubeconfig ${cluster.kubeconfig} get --raw /api/v1/pods | wc -c`,
        ]).toString(),
      );
      console.log(
        `${target} more pods: ${requests} requests, ${(bytes / 1024).toFixed(0)} KiB on the wire, ${ms.toFixed(0)} ms; the list of all pods is ${(all / 1024).toFixed(0)} KiB`,
      );
    }
  } finally {
    await cluster.stop();
  }
}

/** A pod that the trace has nothing to do with: half of them in a namespace of the path, the rest elsewhere. */
function bystander(index) {
  const namespace = index % 2 === 0 ? 'bar-1' : 'default';
  return [
    `/api/v1/namespaces/${namespace}/pods`,
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `bystander-${index}`, labels: { app: `team-${index % 40}` } },
      spec: { nodeName: 'node-b', containers: [{ name: 'app', image: 'registry.example/app:1' }] },
    },
  ];
}

if (only !== 'size') await start();
if (only !== 'start') await size();
