import { string, type JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import { any, httpManager, listener, RAW, socketAddress, tcpProxy, upstreamTls } from './building.js';
import { httpQuestion } from './generate-routes.js';
import type { Random } from './random.js';
import { ENDPOINTS, type Ports, type Question, type Scenario } from './scenario.js';

function endpoint(random: Random, host: string, ports: Ports, tls: boolean): JsonObject {
  const secured = tls && random.chance(0.5);
  const filter_metadata: Record<string, JsonObject> = {};
  if (secured) filter_metadata['envoy.transport_socket_match'] = { tlsMode: 'istio' };
  if (random.chance(0.6))
    filter_metadata['envoy.lb'] = {
      version: random.pick(['v1', 'v2']),
      ...(random.chance(0.4) ? { stage: 'prod' } : {}),
    };
  return {
    endpoint: { address: socketAddress(host, secured ? ports.tls : ports.plain) },
    metadata: { filter_metadata },
    ...(random.chance(0.35)
      ? { health_status: random.pick(['UNHEALTHY', 'DEGRADED', 'DRAINING', 'TIMEOUT', 'HEALTHY']) }
      : {}),
    ...(random.chance(0.3) ? { load_balancing_weight: random.pick([1, 2, 5]) } : {}),
  };
}

function localities(random: Random, ports: Ports, tls: boolean, weighted: boolean): readonly JsonObject[] {
  const groups = 1 + random.int(3);
  const hosts = random.some(ENDPOINTS, groups, ENDPOINTS.length);
  const priorities = random.chance(0.35);
  return Array.from({ length: groups }, (_, i) => ({
    locality: { zone: `z${i}` },
    lb_endpoints: hosts.filter((_host, j) => j % groups === i).map((host) => endpoint(random, host, ports, tls)),
    ...(weighted ? { load_balancing_weight: random.pick([1, 1, 3, 9]) } : {}),
    ...(priorities ? { priority: i } : {}),
  }));
}

function subsets(random: Random): JsonObject {
  if (random.chance(0.6)) return {};
  return {
    lb_subset_config: {
      subset_selectors: random.some<JsonObject>(
        [{ keys: ['version'] }, { keys: ['version', 'stage'] }, { keys: ['stage'], fallback_policy: 'ANY_ENDPOINT' }],
        1,
        3,
      ),
      fallback_policy: random.pick(['NO_FALLBACK', 'ANY_ENDPOINT', 'DEFAULT_SUBSET']),
      default_subset: { version: 'v1' },
      ...(random.chance(0.3) ? { locality_weight_aware: true } : {}),
    },
  };
}

function cluster(random: Random, name: string, ports: Ports, certificates: Certificates): JsonObject {
  const tls = random.chance(0.4);
  const weighted = random.chance(0.4);
  const matches = [
    {
      name: 'tlsMode-istio',
      match: { tlsMode: 'istio' },
      transport_socket: upstreamTls(certificates, random.chance(0.7), ['istio', 'http/1.1']),
    },
    { name: 'tlsMode-disabled', match: {}, transport_socket: RAW },
  ];
  return {
    name,
    type: 'STATIC',
    connect_timeout: '2s',
    lb_policy: random.pick(['ROUND_ROBIN', 'LEAST_REQUEST', 'RANDOM', 'LEAST_REQUEST']),
    load_assignment: {
      cluster_name: name,
      endpoints: localities(random, ports, tls, weighted),
      policy: {
        ...(random.chance(0.2) ? { overprovisioning_factor: random.pick([100, 200]) } : {}),
        ...(random.chance(0.2) ? { weighted_priority_health: true } : {}),
      },
    },
    ...(tls ? { transport_socket_matches: matches } : {}),
    common_lb_config: {
      ...(weighted ? { locality_weighted_lb_config: {} } : {}),
      ...(random.chance(0.3) ? { healthy_panic_threshold: { value: random.pick([0, 25, 75]) } } : {}),
    },
    ...subsets(random),
  };
}

/** The priorities of several clusters in one line; the last name is of no cluster. */
function aggregate(random: Random, name: string, members: readonly string[]): JsonObject {
  const clusters = [...random.some(members, 1, members.length), 'nobody'];
  return {
    name,
    connect_timeout: '2s',
    lb_policy: 'CLUSTER_PROVIDED',
    cluster_type: {
      name: 'envoy.clusters.aggregate',
      typed_config: any('extensions.clusters.aggregate.v3.ClusterConfig', { clusters }),
    },
    common_lb_config: random.chance(0.4) ? { healthy_panic_threshold: { value: random.pick([0, 25, 75]) } } : {},
  };
}

/** Clusters without subsets, of which the engine says that it does not know, and without endpoints of one another. */
function members(clusters: readonly JsonObject[]): readonly string[] {
  const taken = new Set<string>();
  const names: string[] = [];
  for (const item of clusters) {
    const hosts = ENDPOINTS.filter((host) => JSON.stringify(item).includes(`"${host}"`));
    if (item['lb_subset_config'] !== undefined || hosts.some((host) => taken.has(host))) continue;
    hosts.forEach((host) => taken.add(host));
    names.push(string(item['name']) ?? '');
  }
  return names;
}

function criteria(random: Random): JsonObject {
  if (random.chance(0.4)) return {};
  const lb = random.pick<JsonObject>([
    { version: 'v1' },
    { version: 'v2' },
    { version: 'v1', stage: 'prod' },
    { stage: 'prod' },
    { other: 'x' },
  ]);
  return { metadata_match: { filter_metadata: { 'envoy.lb': lb } } };
}

/** Health, priorities, panic, localities, subsets, transports and aggregates, behind HTTP routes and behind tcp_proxy. */
export function clusterScenario(
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
): Scenario {
  const name = `clusters-${port}`;
  const plain = [0, 1, 2, 3].map((i) => cluster(random, `s${port}-c${i}`, ports, certificates));
  const names = members(plain);
  const clusters = [...plain, ...[4, 5].map((i) => aggregate(random, `s${port}-c${i}`, names))];
  const routes = clusters.map((_, i) => ({
    name: `to${i}`,
    match: { prefix: `/c${i}` },
    route: { cluster: `s${port}-c${i}`, ...criteria(random) },
  }));
  const http = random.chance(0.75);
  const filters = http
    ? [httpManager(name, { name: 'table', virtual_hosts: [{ name: 'all', domains: ['*'], routes }] })]
    : [tcpProxy(name, { cluster: `s${port}-c0`, ...criteria(random) })];
  const ask = (i: number): Question => {
    const question = httpQuestion(random, port);
    if (!http || question.http === null) return { ...question, http: null };
    return { ...question, http: { ...question.http, path: `/c${i % clusters.length}/x`, headers: {} } };
  };
  return {
    name,
    family: 'clusters',
    port,
    listeners: [listener(name, port, { filter_chains: [{ filters }] })],
    clusters,
    questions: Array.from({ length: http ? questions : Math.min(questions, 4) }, (_, i) => ask(i)),
  };
}
