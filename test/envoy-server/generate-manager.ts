import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, fixedCluster, httpManager, listener, plainEndpoint } from './building.js';
import { httpQuestion } from './generate-routes.js';
import type { Random } from './random.js';
import { ENDPOINTS, type Ports, type Question, type Scenario } from './scenario.js';

const UPGRADES = ['websocket', 'foo'];

function upgrades(random: Random): JsonObject {
  const configs = random.some(UPGRADES, 1, 2).map((upgrade_type) => ({
    upgrade_type,
    ...(random.chance(0.3) ? { enabled: random.chance(0.5) } : {}),
  }));
  return random.chance(0.5) ? { upgrade_configs: configs } : {};
}

function mutations(random: Random): JsonObject {
  const actions = ['APPEND_IF_EXISTS_OR_ADD', 'ADD_IF_ABSENT', 'OVERWRITE_IF_EXISTS_OR_ADD', 'OVERWRITE_IF_EXISTS'];
  const values = ['one', 'two', '%REQ(x-user)%', '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%'];
  return {
    ...(random.chance(0.4)
      ? {
          request_headers_to_add: random.some(['x-made-a', 'x-made-b'], 1, 2).map((key) => ({
            header: { key, value: random.pick(values) },
            append_action: random.pick(actions),
          })),
        }
      : {}),
    ...(random.chance(0.25) ? { request_headers_to_remove: [random.pick(['x-made-a', 'x-made-b'])] } : {}),
  };
}

function headerMatch(random: Random): JsonObject {
  if (random.chance(0.2)) {
    const [name, exact] = random.pick([
      [':scheme', 'http'],
      [':scheme', 'https'],
      ['x-forwarded-proto', 'https'],
    ]);
    return { name, string_match: { exact } };
  }
  const name = random.pick([
    'x-forwarded-client-cert',
    'x-request-id',
    'connection',
    'upgrade',
    'te',
    'x_under',
    'via',
  ]);
  return {
    name,
    present_match: random.chance(0.7),
    ...(random.chance(0.2) ? { invert_match: true } : {}),
  };
}

function match(random: Random): JsonObject {
  return {
    ...random.pick<JsonObject>([
      { prefix: '/' },
      { prefix: '/a' },
      { path: '/a/b' },
      { safe_regex: { regex: '/a/[a-z]+' } },
    ]),
    ...(random.chance(0.4) ? { headers: [headerMatch(random)] } : {}),
    ...(random.chance(0.2)
      ? {
          runtime_fraction: {
            default_value: { numerator: random.pick([0, 100]), denominator: 'HUNDRED' },
            runtime_key: random.pick(['test.half', 'test.quarter', 'test.unset']),
          },
        }
      : {}),
  };
}

function action(random: Random, prefix: string): JsonObject {
  if (random.chance(0.15)) return { direct_response: { status: random.pick([200, 404, 503]) } };
  const cluster = `${prefix}-${random.pick(['c0', 'c1', 'dropping', 'empty', 'missing'])}`;
  const host = random.chance(0.2) ? { host_rewrite_literal: 'rewritten.test', append_x_forwarded_host: true } : {};
  return { route: { cluster, ...host, ...upgrades(random) } };
}

function hosts(random: Random, prefix: string): readonly JsonObject[] {
  return [['httpbin.bar', 'a.example.com'], ['*']].map((domains, i) => ({
    name: `host${i}`,
    domains,
    ...mutations(random),
    routes: Array.from({ length: 1 + random.int(4) }, (_, j) => ({
      name: `r${i}-${j}`,
      match: match(random),
      ...action(random, prefix),
      ...mutations(random),
    })),
  }));
}

function mapper(random: Random): JsonObject {
  const value = { default_value: random.pick([400, 403, 404, 503]), runtime_key: 'test.unset' };
  const status: JsonObject = {
    status_code_filter: {
      comparison: { op: random.pick(['EQ', 'GE', 'LE', 'NE']), value: { ...value, runtime_key: 'istio.io/unset' } },
    },
  };
  const other = random.pick<JsonObject>([
    { header_filter: { header: { name: 'x-user', present_match: true } } },
    { response_flag_filter: { flags: [random.pick(['NR', 'UH', 'NC', 'DO', 'FI'])] } },
  ]);
  const filter = random.pick<JsonObject>([
    status,
    other,
    { and_filter: { filters: [status, other] } },
    { or_filter: { filters: [status, other] } },
  ]);
  return { filter, ...(random.chance(0.8) ? { status_code: random.pick([418, 429, 502]) } : {}) };
}

function fault(random: Random): JsonObject {
  const percentage = { numerator: random.pick([0, 30, 100]), denominator: 'HUNDRED' };
  const abort = random.chance(0.6) ? { http_status: 418, percentage } : { header_abort: {}, percentage };
  return {
    name: 'envoy.filters.http.fault',
    typed_config: any('extensions.filters.http.fault.v3.HTTPFault', {
      abort,
      ...(random.chance(0.2) ? { abort_percent_runtime: 'test.half' } : {}),
    }),
  };
}

/** A JWT filter that asks for no token: what the client sent under the names of claims is removed. */
function claims(random: Random): JsonObject {
  const key = { kty: 'oct', alg: 'HS256', k: 'c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTEyMzQ' };
  const local_jwks = { inline_string: JSON.stringify({ keys: [key] }) };
  const header = random.pick(['x-made-a', 'x-user']);
  const optional = random.pick(['allow_missing', 'allow_missing_or_failed']);
  const writes = random.pick<JsonObject>([
    { claim_to_headers: [{ header_name: header, claim_name: 'sub' }] },
    { forward_payload_header: header },
  ]);
  const requirements = [{ provider_name: 'p' }, { [optional]: {} }];
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: any('extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: { p: { issuer: 'i', local_jwks, ...writes } },
      rules: [{ match: { prefix: random.pick(['/', '/a/b']) }, requires: { requires_any: { requirements } } }],
    }),
  };
}

function options(random: Random): JsonObject {
  const underscores = random.pick(['ALLOW', 'REJECT_REQUEST', 'DROP_HEADER']);
  return {
    ...upgrades(random),
    ...(random.chance(0.3) ? { normalize_path: true } : {}),
    ...(random.chance(0.3) ? { common_http_protocol_options: { headers_with_underscores_action: underscores } } : {}),
    ...(random.chance(0.3) ? { generate_request_id: random.chance(0.5) } : {}),
    ...(random.chance(0.4)
      ? { forward_client_cert_details: random.pick(['ALWAYS_FORWARD_ONLY', 'APPEND_FORWARD', 'FORWARD_ONLY']) }
      : {}),
    ...(random.chance(0.2) ? { via: 'test' } : {}),
    ...(random.chance(0.2) ? { use_remote_address: true, xff_num_trusted_hops: random.int(2) } : {}),
    ...(random.chance(0.5)
      ? { local_reply_config: { mappers: Array.from({ length: 1 + random.int(3) }, () => mapper(random)) } }
      : {}),
  };
}

function question(random: Random, port: number): Question {
  const { http, ...base } = httpQuestion(random, port);
  const headers: Record<string, string> = {};
  if (random.chance(0.3)) headers['x-user'] = random.pick(['v1', 'jason']);
  if (random.chance(0.2)) headers['x-made-a'] = 'sent';
  if (random.chance(0.2)) headers['x-made-b'] = 'sent';
  if (random.chance(0.15)) headers['x_under'] = '1';
  if (random.chance(0.15)) headers['x-forwarded-client-cert'] = 'Hash=abc';
  if (random.chance(0.15)) headers['x-request-id'] = 'mine';
  if (random.chance(0.3)) headers['x-forwarded-proto'] = random.pick(['http', 'https', 'HTTPS', 'gopher']);
  if (random.chance(0.1)) headers['te'] = random.pick(['trailers', 'gzip']);
  if (random.chance(0.15)) headers['x-envoy-fault-abort-request'] = random.pick(['503', '99', 'x']);
  if (random.chance(0.1)) headers['x-envoy-fault-abort-request-percentage'] = random.pick(['0', '20', '100']);
  if (random.chance(0.2)) headers['x-host'] = random.pick(['httpbin.bar', 'nowhere']);
  if (random.chance(0.25)) {
    headers['connection'] = random.pick(['Upgrade', 'keep-alive, upgrade', 'keep-alive']);
    headers['upgrade'] = random.pick([...UPGRADES, 'WebSocket', 'bar']);
  }
  const path = random.pick(['/a', '/a/b', '/a/b;v=1', '/a;x/b', '/', '/a/b?x=1', '/c#d', '/a//b']);
  return { ...base, http: { method: 'GET', authority: http?.authority ?? 'httpbin.bar', path, headers } };
}

/** What the HTTP connection manager does around the routes: headers, upgrades, local replies, faults, dropped load. */
export function managerScenario(random: Random, port: number, ports: Ports, questions: number): Scenario {
  const name = `manager-${port}`;
  const prefix = `s${port}`;
  const table = {
    name: 'table',
    ...(random.chance(0.3) ? { ignore_path_parameters_in_path_matching: true } : {}),
    ...(random.chance(0.3) ? { most_specific_header_mutations_wins: true } : {}),
    ...(random.chance(0.15) ? { vhost_header: 'x-host' } : {}),
    ...mutations(random),
    virtual_hosts: hosts(random, prefix),
  };
  const plain = (cluster: string, policy: JsonObject): JsonObject => {
    const made = fixedCluster(
      `${prefix}-${cluster}`,
      cluster === 'empty' ? [] : random.some(ENDPOINTS, 1, 2).map((host) => plainEndpoint(host, ports)),
    );
    return { ...made, load_assignment: { ...(made['load_assignment'] as JsonObject), ...policy } };
  };
  const drop_percentage = { numerator: random.pick([30, 100]), denominator: 'HUNDRED' };
  const filters = [...(random.chance(0.3) ? [claims(random)] : []), ...(random.chance(0.3) ? [fault(random)] : [])];
  return {
    name,
    family: 'manager',
    port,
    listeners: [
      listener(name, port, { filter_chains: [{ filters: [httpManager(name, table, filters, options(random))] }] }),
    ],
    clusters: [
      plain('c0', {}),
      plain('c1', {}),
      plain('empty', {}),
      plain('dropping', { policy: { drop_overloads: [{ category: 'load', drop_percentage }] } }),
    ],
    questions: Array.from({ length: questions }, () => question(random, port)),
  };
}
