// How fast a large config_dump is read and requests are decided. Run: node --expose-gc bench/envoy.js [megabytes]
import { best, importBundled, timed } from './engine.js';
import { generateDump, requests, SERVICES } from './envoy-dump.js';

const { loadEnvoy } = await importBundled("export { loadEnvoy } from './src/envoy/load.ts';");

const dump = generateDump(Number(process.argv[2] ?? 100));

const parse = [];
const load = [];
for (let run = 0; run < 4; run++) {
  globalThis.gc?.();
  parse.push(timed(() => JSON.parse(dump)).wall);
  globalThis.gc?.();
  load.push(timed(() => loadEnvoy('config_dump.json', dump, null)).wall);
}
console.log(`JSON.parse alone: ${best(parse).toFixed(0)} ms (best of ${parse.length})`);
console.log(`read and indexed: ${best(load).toFixed(0)} ms, ${(best(load) / best(parse)).toFixed(2)} × JSON.parse`);

/** What is read of each answer; the sum keeps the reading from being optimised away. */
function read(outcomes) {
  let sum = 0;
  for (const { action, listener, route, cluster, endpoint, to, tls, hbone, probability } of outcomes) {
    for (const value of [action, listener, route, cluster, endpoint, to, tls, hbone]) if (value !== null) sum++;
    sum += probability ?? 0;
  }
  return sum;
}

/** Asks all requests once; microseconds for each of them, and outcomes. */
function pass(envoy, asked, title) {
  const { cpu, wall, result } = timed(() => {
    let outcomes = 0;
    let sum = 0;
    for (const request of asked) {
      const answer = envoy.decide(request);
      outcomes += answer.length;
      sum += read(answer);
    }
    if (!(sum > 0)) throw new Error('nothing was read');
    return outcomes;
  });
  const each = (milliseconds) => ((1000 * milliseconds) / asked.length).toFixed(1);
  const outcomes = (result / asked.length).toFixed(1);
  console.log(`${title}: ${each(cpu)} µs CPU a request (${each(wall)} µs wall), ${outcomes} outcomes each`);
}

/** Requests of one kind to a fresh engine, which compiles of the dump what they touch, and again. */
function decide(text, kind) {
  const asked = requests(kind, 20_000);
  for (const engine of ['first engine', 'second engine']) {
    const envoy = loadEnvoy('config_dump.json', text, null);
    if (envoy.problems.length > 0) throw new Error(`problems: ${JSON.stringify(envoy.problems.slice(0, 3))}`);
    globalThis.gc?.();
    for (const round of ['first pass', 'second pass', 'third pass']) pass(envoy, asked, `${kind}, ${engine}, ${round}`);
  }
}

const few = generateDump(1);
// A second engine finds a warm program: what its first pass costs is the dump alone.
for (const text of [dump, few]) {
  console.log(`dump: ${(text.length / 1e6).toFixed(1)} MB, ${SERVICES} Services`);
  for (const kind of ['http', 'tcp']) decide(text, kind);
}
