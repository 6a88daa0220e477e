import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCertificates, type Certificates } from './certificates.js';
import { envoyBinary, ENVOY_VERSION, freePorts } from './envoy-process.js';
import { chainScenario } from './generate-chains.js';
import { clusterScenario } from './generate-clusters.js';
import { inboundHbone, outboundHbone } from './generate-hbone.js';
import { managerScenario } from './generate-manager.js';
import { rbacScenario } from './generate-rbac.js';
import { routeScenario } from './generate-routes.js';
import { seeded, type Random } from './random.js';
import { newTally, runBatch, type Mismatch } from './run.js';
import type { Ports, Scenario } from './scenario.js';
import { shrink } from './shrink.js';
import { startUpstreams, type Upstreams } from './upstreams.js';

/** Pairs of a configuration and a request; the full size is 5000. */
const PAIRS = Number(process.env['MESHPATH_ENVOY_PAIRS'] ?? 1000);
const SEED = Number(process.env['MESHPATH_ENVOY_SEED'] ?? 1);
const SAMPLES = 100;
const PER_SCENARIO = 6;
const PER_ENVOY = 24;

const envoy = envoyBinary();
const missing = 'missing' in envoy ? envoy.missing : null;
if (missing !== null) {
  if (process.env['CI'] === 'true') throw new Error(`no Envoy ${ENVOY_VERSION} to test against: ${missing}`);
  process.stderr.write(`SKIPPED: the engine was not held against a real Envoy ${ENVOY_VERSION}: ${missing}\n`);
}

type Generator = (
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
) => Scenario;

const GENERATORS: readonly Generator[] = [
  routeScenario,
  routeScenario,
  chainScenario,
  chainScenario,
  managerScenario,
  managerScenario,
  rbacScenario,
  clusterScenario,
  outboundHbone,
  inboundHbone,
];

function report(mismatch: Mismatch): string {
  const { scenario, question, differences, seen, lines } = mismatch;
  return [
    `${scenario.name}: ${JSON.stringify(question)}`,
    ...differences.map((item) => `  ${item}`),
    `  seen ${JSON.stringify(seen)}`,
    `  log ${JSON.stringify(lines.slice(0, 4))}`,
    `  listeners ${JSON.stringify(scenario.listeners)}`,
    `  clusters ${JSON.stringify(scenario.clusters)}`,
  ].join('\n');
}

describe.skipIf(missing !== null)(`a real Envoy ${ENVOY_VERSION}`, () => {
  const path = 'path' in envoy ? envoy.path : '';
  let certificates: Certificates;
  let upstreams: Upstreams;
  beforeAll(async () => {
    certificates = makeCertificates();
    upstreams = await startUpstreams(certificates);
  });
  afterAll(() => upstreams.stop());

  it(`decides ${PAIRS} generated pairs as the engine does (seed ${SEED})`, async () => {
    const random = seeded(SEED);
    const tally = newTally();
    while (tally.pairs < PAIRS && tally.mismatches.length < 20) {
      const ports = await freePorts(PER_ENVOY);
      const scenarios = ports.map((port, i) => {
        const generate = GENERATORS[i % GENERATORS.length] ?? routeScenario;
        return generate(random, port, upstreams.ports, PER_SCENARIO, certificates);
      });
      await runBatch(path, scenarios, certificates, SAMPLES, tally);
    }
    const families = [...tally.families].map(([family, count]) => `${family} ${count}`).join(', ');
    const { pairs, refused, dropped, unknown, mismatches } = tally;
    process.stderr.write(
      `${pairs} pairs (${families}), ${refused} configurations refused by Envoy, ${dropped} dropped, ${unknown} answers unknown, ${mismatches.length} mismatches\n`,
    );
    const first = mismatches[0];
    if (first === undefined) return;
    for (const mismatch of mismatches.slice(0, 20)) {
      const { scenario, question, differences } = mismatch;
      process.stderr.write(`${scenario.name} ${JSON.stringify(question)}: ${differences.join(' | ')}\n`);
    }
    if (process.env['MESHPATH_ENVOY_VERBOSE'] !== undefined) {
      for (const mismatch of mismatches) process.stderr.write(`${report(mismatch)}\n`);
    }
    expect.fail(report(await shrink(path, first, certificates, SAMPLES, 40)));
  });
});
