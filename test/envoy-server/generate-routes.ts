import type { JsonObject } from '../../src/formats/envoy-json.js';
import { fixedCluster, httpManager, inspector, listener, plainEndpoint, rbac, RAW, tcpProxy } from './building.js';
import type { Random } from './random.js';
import { rbacConfig } from './generate-rbac.js';
import { ENDPOINTS, type Ports, type Question, type Scenario } from './scenario.js';

const HOSTS = [
  'httpbin.bar',
  'httpbin.bar:8000',
  'a.example.com',
  'b.a.example.com',
  'example.com',
  'A.Example.com',
  'x.test',
];
const DOMAINS = [
  'httpbin.bar',
  'httpbin.bar:8000',
  '*.example.com',
  '*.a.example.com',
  '*example.com',
  'example.com',
  'x.*',
  'a.*',
  '*.com',
  'A.example.com',
];
const SEGMENTS = ['api', 'v1', 'v2', 'Status', 'get', 'a-b', 'img', '%41b', 'x.y', '..', '.', ''];
const REGEXES = [
  '/api/.*',
  '/v[0-9]+',
  '.*status.*',
  '/(get|img)(/.*)?',
  '/[^/]+/v1',
  '/api/v1|/get',
  '(?i)/status/.*',
  '/\\w+/?',
  '.+',
  '/api.*?',
];
const VALUES = ['v1', 'v2', 'canary', 'Canary-7', '', '12', '-5', '7.5', 'jason', '0x10'];
const HEADERS = [
  'x-user',
  'x-canary',
  ':method',
  ':authority',
  'x-num',
  'host',
  ':path',
  'x-forwarded-for',
  'x-forwarded-proto',
];
const TEXTS = ['v1', 'v', 'canary', 'Canary', '1', 'jason', 'GET', 'example', '/api', 'httpbin.bar'];

function pathOf(random: Random): string {
  const count = random.int(4);
  let path = '';
  for (let i = 0; i < count; i++) path += `/${random.pick(SEGMENTS)}`;
  if (path === '' || random.chance(0.15)) path += '/';
  if (random.chance(0.3)) path += random.pick(['?v=1', '?version=true&x=2', '?x', '?v=canary&v=2', '?a=%41&v=', '?']);
  return path;
}

function stringMatch(random: Random): JsonObject {
  const kind = random.pick(['exact', 'prefix', 'suffix', 'contains', 'safe_regex'] as const);
  if (kind === 'safe_regex')
    return {
      safe_regex: { regex: random.pick(['v.*', '[a-z]+', 'canary|jason', '.*', '\\d+', '(?i)CANARY.*', '.+-\\d']) },
    };
  const fold = random.chance(0.3) ? { ignore_case: true } : {};
  return { [kind]: random.pick(TEXTS), ...fold };
}

function headerMatch(random: Random): JsonObject {
  const kind = random.pick(['string_match', 'string_match', 'present_match', 'range_match'] as const);
  const body: JsonObject =
    kind === 'string_match'
      ? { string_match: stringMatch(random) }
      : kind === 'present_match'
        ? { present_match: random.chance(0.6) }
        : { range_match: { start: String(random.int(20) - 10), end: String(10 + random.int(20)) } };
  return {
    name: random.pick(HEADERS),
    ...body,
    ...(random.chance(0.25) ? { invert_match: true } : {}),
    ...(random.chance(0.2) ? { treat_missing_header_as_empty: true } : {}),
  };
}

function pathMatch(random: Random): JsonObject {
  const fold = random.chance(0.2) ? { case_sensitive: false } : {};
  const written = pathOf(random).split('?')[0] ?? '/';
  switch (random.int(7)) {
    case 0:
      return { path: written, ...fold };
    case 1:
      return { safe_regex: { regex: random.pick(REGEXES) } };
    case 2:
      return { path_separated_prefix: random.pick(['/api', '/v1', '/Status', '/api/v1', '/get']), ...fold };
    case 3: {
      const template = random.pick(['/{a}/v1', '/api/*', '/**', '/{x=*}/{y=**}', '/get', '/api/{v}/img']);
      return {
        path_match_policy: {
          name: 'envoy.path.match.uri_template.uri_template_matcher',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig',
            path_template: template,
          },
        },
      };
    }
    default:
      return { prefix: random.chance(0.4) ? '/' : written, ...fold };
  }
}

function match(random: Random): JsonObject {
  return {
    ...pathMatch(random),
    ...(random.chance(0.35) ? { headers: random.some([0, 1, 2], 1, 2).map(() => headerMatch(random)) } : {}),
    ...(random.chance(0.2)
      ? {
          query_parameters: [
            {
              name: random.pick(['v', 'x', 'version', 'a']),
              ...(random.chance(0.5) ? { present_match: random.chance(0.7) } : { string_match: stringMatch(random) }),
            },
          ],
        }
      : {}),
    ...(random.chance(0.12)
      ? { runtime_fraction: { default_value: { numerator: random.pick([0, 20, 50, 100]), denominator: 'HUNDRED' } } }
      : {}),
    ...(random.chance(0.06) ? { grpc: {} } : {}),
  };
}

function action(random: Random, prefix: string): JsonObject {
  const cluster = (): string => `${prefix}-${random.pick(['c0', 'c1', 'c2', 'empty'])}`;
  switch (random.int(12)) {
    case 0:
      return {
        redirect: {
          host_redirect: 'other.test',
          response_code: random.pick(['MOVED_PERMANENTLY', 'FOUND', 'SEE_OTHER']),
        },
      };
    case 1:
      return { direct_response: { status: random.pick([200, 204, 403, 429, 503]) } };
    case 2:
      return {
        route: {
          cluster: `${prefix}-missing`,
          ...(random.chance(0.5) ? { cluster_not_found_response_code: 'NOT_FOUND' } : {}),
        },
      };
    case 3:
      return { route: { cluster_header: 'x-cluster' } };
    case 4:
    case 5:
      return {
        route: {
          weighted_clusters: {
            clusters: [
              { name: cluster(), weight: random.pick([1, 20, 50]) },
              {
                name: cluster(),
                weight: random.pick([1, 80, 50]),
                ...(random.chance(0.3) ? { host_rewrite_literal: 'weighted.test' } : {}),
              },
            ],
          },
        },
      };
    default:
      return { route: { cluster: cluster(), ...rewrite(random) } };
  }
}

function rewrite(random: Random): JsonObject {
  switch (random.int(8)) {
    case 0:
      return { prefix_rewrite: random.pick(['/', '/new', '/new/']) };
    case 1:
      return { regex_rewrite: { pattern: { regex: '/([^/]+)/(v\\d)' }, substitution: '/\\2/\\1' } };
    case 2:
      return { host_rewrite_literal: 'rewritten.test' };
    case 3:
      return { host_rewrite_header: 'x-user' };
    case 4:
      return { host_rewrite_path_regex: { pattern: { regex: '^/(.+?)(/.*)?$' }, substitution: '\\1' } };
    default:
      return {};
  }
}

/** Prefix rewrites need a match that has a prefix: Envoy refuses the rest. */
function route(random: Random, name: string, prefix: string): JsonObject {
  const found = match(random);
  const doing = action(random, prefix);
  const target = doing['route'] as JsonObject | undefined;
  const templated = found['path_match_policy'] !== undefined || found['safe_regex'] !== undefined;
  const rewriting = target?.['prefix_rewrite'] !== undefined || target?.['regex_rewrite'] !== undefined;
  if (target !== undefined && templated && rewriting) return { name, match: { prefix: '/' }, ...doing };
  return { name, match: found, ...doing };
}

function virtualHosts(random: Random, prefix: string): readonly JsonObject[] {
  const count = 1 + random.int(4);
  const domains = random.some([...DOMAINS, '*'], count, count * 2);
  const unique = domains.filter(
    (domain, i) => domains.findIndex((item) => item.toLowerCase() === domain.toLowerCase()) === i,
  );
  const hosts: string[][] = Array.from({ length: count }, () => []);
  unique.forEach((domain, i) => hosts[i % count]?.push(domain));
  return hosts
    .filter((list) => list.length > 0)
    .map((list, i) => ({
      name: `host${i}`,
      domains: list,
      routes: Array.from({ length: 1 + random.int(5) }, (_, j) => route(random, `r${i}-${j}`, prefix)),
    }));
}

export function httpQuestion(random: Random, port: number): Question {
  const headers: Record<string, string> = {};
  for (const name of random.some(['x-user', 'x-canary', 'x-num'], 0, 2)) headers[name] = random.pick(VALUES);
  if (random.chance(0.25)) headers['x-cluster'] = `s${port}-${random.pick(['c0', 'c1', 'nope'])}`;
  if (random.chance(0.06))
    headers['content-type'] = random.pick(['application/grpc', 'application/grpc+proto', 'application/grpc-web']);
  if (random.chance(0.2))
    headers['x-forwarded-for'] = random.pick(['203.0.113.7', '10.9.9.9, 127.0.2.3', 'nonsense', '10.1.1.1,']);
  if (random.chance(0.1)) headers['x-forwarded-proto'] = random.pick(['http', 'https']);
  return {
    src: `127.0.${random.int(3)}.${1 + random.int(4)}:0`,
    dst: `127.0.${random.pick([0, 5, 6])}.${1 + random.int(3)}:${port}`,
    tls: null,
    connect: null,
    http: {
      method: random.pick(['GET', 'GET', 'GET', 'POST', 'DELETE', 'OPTIONS']),
      authority: random.pick(HOSTS),
      path: pathOf(random),
      headers,
    },
  };
}

/** Clusters `c0` to `c2` and an empty one, named after the scenario's port. */
export function plainClusters(random: Random, prefix: string, ports: Ports): readonly JsonObject[] {
  const clusters = ['c0', 'c1', 'c2'].map((name) =>
    fixedCluster(
      `${prefix}-${name}`,
      random.some(ENDPOINTS, 1, 2).map((host) => plainEndpoint(host, ports)),
    ),
  );
  return [...clusters, { ...fixedCluster(`${prefix}-empty`, []), transport_socket: RAW }];
}

/** Route tables in one listener: every kind of match, action and rewrite, now and then behind RBAC. */
export function routeScenario(random: Random, port: number, ports: Ports, questions: number): Scenario {
  const name = `routes-${port}`;
  const prefix = `s${port}`;
  const table = {
    name: 'table',
    ...(random.chance(0.3) ? { ignore_port_in_host_matching: true } : {}),
    virtual_hosts: virtualHosts(random, prefix),
  };
  const options = {
    ...(random.chance(0.6) ? { normalize_path: true } : {}),
    ...(random.chance(0.2) ? { merge_slashes: true } : {}),
    ...(random.chance(0.2) ? { strip_any_host_port: true } : {}),
    ...(random.chance(0.3) ? { use_remote_address: true } : {}),
    ...(random.chance(0.2) ? { xff_num_trusted_hops: random.int(2) } : {}),
  };
  const filters = random.chance(0.25) ? [rbac('http', rbacConfig(random, true))] : [];
  const chain = { filters: [httpManager(name, table, filters, options)] };
  const body = random.chance(0.5)
    ? { filter_chains: [chain] }
    : {
        listener_filters: [inspector('http')],
        filter_chains: [{ ...chain, name: 'http', filter_chain_match: { application_protocols: ['http/1.1', 'h2c'] } }],
        default_filter_chain: { name: 'other', filters: [tcpProxy(name, { cluster: `${prefix}-c0` })] },
      };
  const asked = Array.from({ length: questions }, () => {
    const question = httpQuestion(random, port);
    return random.chance(0.03) ? { ...question, http: null } : question;
  });
  return {
    name,
    family: 'routes',
    port,
    listeners: [listener(name, port, body)],
    clusters: plainClusters(random, prefix, ports),
    questions: asked,
  };
}
