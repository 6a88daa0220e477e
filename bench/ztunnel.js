// How fast a large config_dump is read and connections are decided. Run: node --expose-gc bench/ztunnel.js [megabytes] [connections]
import { best, importBundled, timed } from './engine.js';
import { eachService, generateDump, NODE_PODS, questions } from './ztunnel-dump.js';

const { loadZtunnel } = await importBundled("export { loadZtunnel } from './src/ztunnel/load.ts';");

const megabytes = Number(process.argv[2] ?? 100);
const count = Number(process.argv[3] ?? 300_000);
const dump = generateDump(megabytes);
console.log(
  `dump: ${(dump.length / 1e6).toFixed(1)} MB, 20000 workloads, 3000 services, ${NODE_PODS} pods on the node`,
);

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

/** What a reader of the lean answer reads; the sum keeps the reading from being left out. */
function read(outcomes) {
  const { action, protocol, to, target, waypoint, workload, identity, probability } = outcomes[0];
  const texts = [action, protocol, to, target, waypoint, workload, identity];
  let sum = outcomes.length + (probability ?? 0);
  for (const text of texts) sum += text === null ? 0 : text.length;
  return sum;
}

const INDEXED = 'outbound to services, each called once before';
for (const kind of ['outbound to services', INDEXED, 'outbound to pods', 'inbound', 'inbound-plaintext', 'mixed']) {
  // a ztunnel that has decided nothing yet
  const ztunnel = loadZtunnel('config_dump.json', dump);
  if (ztunnel.problems.length > 0) throw new Error(`problems: ${JSON.stringify(ztunnel.problems.slice(0, 3))}`);
  // as eval reads them: from lines of JSON
  const connections = questions(kind === INDEXED ? 'outbound to services' : kind, count).map((question) =>
    JSON.parse(JSON.stringify(question)),
  );
  const distinct = new Set(connections.map((question) => JSON.stringify(question))).size;
  if (kind === INDEXED) {
    const { cpu } = timed(() => eachService().forEach((question) => ztunnel.decide(question)));
    console.log(`endpoints of all Services put together: ${cpu.toFixed(0)} ms`);
  }
  globalThis.gc?.();
  for (const round of ['first pass', 'asked again']) {
    const { cpu, result } = timed(() => {
      let outcomes = 0;
      let sum = 0;
      for (const connection of connections) {
        const answer = ztunnel.decide(connection);
        outcomes += answer.length;
        sum += read(answer);
      }
      if (sum <= 0) throw new Error('nothing was read');
      return outcomes;
    });
    const rate = Math.round(connections.length / (cpu / 1000));
    const each = (result / connections.length).toFixed(1);
    console.log(
      `${kind}, ${round}: ${rate.toLocaleString('en')} connections/s (${distinct} distinct ones, ${each} outcomes each)`,
    );
  }
}
