// How fast a large config_dump is read and connections are decided. Run: node --expose-gc bench/ztunnel.js [megabytes] [connections]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { generateDump, NODE_PODS, questions } from './ztunnel-dump.js';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const outfile = path.join(folder, 'ztunnel.mjs');
await build({
  absWorkingDir: root,
  entryPoints: ['src/ztunnel/load.ts'],
  bundle: true,
  format: 'esm',
  platform: 'node',
  outfile,
  logLevel: 'warning',
});
const { loadZtunnel } = await import(outfile);

const megabytes = Number(process.argv[2] ?? 100);
const count = Number(process.argv[3] ?? 300_000);
const dump = generateDump(megabytes);
console.log(
  `dump: ${(dump.length / 1e6).toFixed(1)} MB, 20000 workloads, 3000 services, ${NODE_PODS} pods on the node`,
);

/** Milliseconds of CPU: other work on the machine does not count. */
function timed(work) {
  const cpu = process.cpuUsage();
  const result = work();
  const used = process.cpuUsage(cpu);
  return { result, cpu: (used.user + used.system) / 1000 };
}

const best = (runs) => Math.min(...runs);
const parse = [];
const load = [];
for (let run = 0; run < 3; run++) {
  globalThis.gc?.();
  parse.push(timed(() => JSON.parse(dump)).cpu);
  globalThis.gc?.();
  load.push(timed(() => loadZtunnel('config_dump.json', dump)).cpu);
}
console.log(`JSON.parse alone: ${best(parse).toFixed(0)} ms (best of ${parse.length})`);
console.log(`read and indexed: ${best(load).toFixed(0)} ms, ${(best(load) / best(parse)).toFixed(2)} × JSON.parse`);

const ztunnel = loadZtunnel('config_dump.json', dump);
if (ztunnel.problems.length > 0) throw new Error(`problems: ${JSON.stringify(ztunnel.problems.slice(0, 3))}`);
for (const kind of ['outbound to services', 'outbound to pods', 'inbound', 'inbound-plaintext', 'mixed']) {
  const connections = questions(kind, count);
  for (const round of ['first pass', 'second pass']) {
    const { cpu, result } = timed(() => {
      let outcomes = 0;
      for (const connection of connections) outcomes += ztunnel.decide(connection).length;
      return outcomes;
    });
    const rate = Math.round(connections.length / (cpu / 1000));
    console.log(`${kind}, ${round}: ${rate.toLocaleString('en')} connections/s (${result} outcomes)`);
  }
}
