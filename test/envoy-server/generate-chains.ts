import type { JsonObject } from '../../src/formats/envoy-json.js';
import type { Certificates } from './certificates.js';
import { any, downstreamTls, httpManager, inspector, listener, tcpProxy } from './building.js';
import { tlsQuestion } from './generate-rbac.js';
import { httpQuestion, plainClusters } from './generate-routes.js';
import type { Random } from './random.js';
import type { Ports, Question, Scenario } from './scenario.js';

function ranges(random: Random, bases: readonly string[]): readonly JsonObject[] {
  return random
    .some(bases, 1, 2)
    .map((base) => ({ address_prefix: base, prefix_len: base.endsWith('.0') ? random.pick([8, 16, 24]) : 32 }));
}

const LOCALS = ['127.0.0.0', '127.0.5.0', '127.0.5.1', '127.0.6.2', '0.0.0.0'];
const REMOTES = ['127.0.0.0', '127.0.1.0', '127.0.2.1', '127.0.1.3'];

function chainMatch(random: Random, port: number): JsonObject {
  return {
    ...(random.chance(0.2) ? { destination_port: random.chance(0.7) ? port : 80 } : {}),
    ...(random.chance(0.35) ? { prefix_ranges: ranges(random, LOCALS) } : {}),
    ...(random.chance(0.3)
      ? { server_names: random.some(['a.example.com', '*.example.com', '*.com', 'httpbin.bar'], 1, 2) }
      : {}),
    ...(random.chance(0.35) ? { transport_protocol: random.pick(['tls', 'raw_buffer']) } : {}),
    ...(random.chance(0.35)
      ? {
          application_protocols: random.some(
            ['istio', 'istio-http/1.1', 'http/1.1', 'h2c', 'istio-peer-exchange'],
            1,
            3,
          ),
        }
      : {}),
    ...(random.chance(0.2) ? { direct_source_prefix_ranges: ranges(random, REMOTES) } : {}),
    ...(random.chance(0.2) ? { source_type: random.pick(['SAME_IP_OR_LOOPBACK', 'EXTERNAL', 'ANY']) } : {}),
    ...(random.chance(0.25) ? { source_prefix_ranges: ranges(random, REMOTES) } : {}),
  };
}

function chain(random: Random, name: string, index: number, prefix: string, certificates: Certificates): JsonObject {
  const table = {
    name: 'table',
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [{ name: `in${index}`, match: { prefix: '/' }, route: { cluster: `${prefix}-c0` } }],
      },
    ],
  };
  const filters = random.chance(0.35) ? [httpManager(name, table)] : [tcpProxy(name, tcpTarget(random, prefix))];
  const tls = random.chance(0.4)
    ? { transport_socket: downstreamTls(certificates, random.chance(0.4), ['http/1.1'], []) }
    : {};
  return { name: `chain${index}`, filters, ...tls };
}

function tcpTarget(random: Random, prefix: string): JsonObject {
  if (random.chance(0.8)) return { cluster: `${prefix}-${random.pick(['c0', 'c1', 'empty', 'missing'])}` };
  return {
    weighted_clusters: {
      clusters: [
        { name: `${prefix}-c1`, weight: 1 },
        { name: `${prefix}-c2`, weight: 3 },
      ],
    },
  };
}

const INPUT = 'extensions.matching.common_inputs.network.v3';

function input(kind: string): JsonObject {
  return { name: kind, typed_config: any(`${INPUT}.${kind}`) };
}

function action(name: string): JsonObject {
  return {
    action: { name, typed_config: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: name } },
  };
}

function onMatch(random: Random, port: number, depth: number): JsonObject {
  if (depth < 3 && random.chance(0.45)) return { matcher: tree(random, port, depth + 1) };
  return action(random.pick(['chain0', 'chain1', 'chain2', 'chain3', 'nowhere']));
}

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  TransportProtocolInput: ['tls', 'raw_buffer'],
  ApplicationProtocolInput: ["'http/1.1'", "'istio'", "'istio-http/1.1','istio','http/1.1'", "'h2c'"],
  ServerNameInput: ['a.example.com', 'httpbin.bar', 'com'],
};

function tree(random: Random, port: number, depth = 0): JsonObject {
  const next = (): JsonObject => onMatch(random, port, depth);
  const otherwise = random.chance(0.4) ? { on_no_match: next() } : {};
  switch (random.int(6)) {
    case 0:
    case 1: {
      const range_matchers = Array.from({ length: 1 + random.int(3) }, () => ({
        ranges: ranges(random, LOCALS),
        on_match: next(),
        ...(random.chance(0.2) ? { exclusive: true } : {}),
      }));
      const kind = random.pick(['DestinationIPInput', 'SourceIPInput', 'DirectSourceIPInput']);
      const typed_config = { '@type': 'type.googleapis.com/xds.type.matcher.v3.IPMatcher', range_matchers };
      return { matcher_tree: { input: input(kind), custom_match: { name: 'ip', typed_config } }, ...otherwise };
    }
    case 2: {
      const map = { [String(random.chance(0.7) ? port : 81)]: next(), '80': next() };
      return { matcher_tree: { input: input('DestinationPortInput'), exact_match_map: { map } }, ...otherwise };
    }
    case 3: {
      const predicate = (): JsonObject => ({
        single_predicate: {
          input: input(random.pick(['TransportProtocolInput', 'ServerNameInput'])),
          value_match: random.pick<JsonObject>([
            { exact: 'tls' },
            { prefix: 'a' },
            { suffix: '.com' },
            { contains: 'raw' },
            { exact: 'httpbin.bar' },
          ]),
        },
      });
      const combined = random.pick<JsonObject>([
        predicate(),
        { not_matcher: predicate() },
        { or_matcher: { predicate: [predicate(), predicate()] } },
        { and_matcher: { predicate: [predicate(), predicate()] } },
      ]);
      return { matcher_list: { matchers: [{ predicate: combined, on_match: next() }] }, ...otherwise };
    }
    default: {
      const kind = random.pick(Object.keys(CHOICES));
      const map: Record<string, JsonObject> = {};
      for (const value of random.some(CHOICES[kind] ?? [], 1, 2)) map[value] = next();
      const field = random.chance(0.85) ? 'exact_match_map' : 'prefix_match_map';
      return { matcher_tree: { input: input(kind), [field]: { map } }, ...otherwise };
    }
  }
}

/** Filter chains chosen by FilterChainMatch or by a matcher tree. */
export function chainScenario(
  random: Random,
  port: number,
  ports: Ports,
  questions: number,
  certificates: Certificates,
): Scenario {
  const byTree = random.chance(0.45);
  const name = `${byTree ? 'tree' : 'chains'}-${port}`;
  const prefix = `s${port}`;
  const count = byTree ? 4 : 2 + random.int(6);
  const seen = new Set<string>();
  const chains: JsonObject[] = [];
  for (let i = 0; i < count; i++) {
    const made = chain(random, name, i, prefix, certificates);
    const matching = chainMatch(random, port);
    const key = JSON.stringify(matching);
    if (byTree) chains.push(made);
    else if (!seen.has(key)) chains.push({ ...made, filter_chain_match: matching });
    seen.add(key);
  }
  const body = {
    listener_filters: random.some([inspector('tls'), inspector('http')], 1, 2),
    filter_chains: chains,
    ...(byTree ? { filter_chain_matcher: tree(random, port) } : {}),
    ...(random.chance(0.4)
      ? { default_filter_chain: { ...chain(random, name, 9, prefix, certificates), name: 'default' } }
      : {}),
  };
  const ask = (): Question => {
    const question = httpQuestion(random, port);
    return tlsQuestion(random, random.chance(0.5) ? question : { ...question, http: null });
  };
  return {
    name,
    family: byTree ? 'tree' : 'chains',
    port,
    listeners: [listener(name, port, body)],
    clusters: plainClusters(random, prefix, ports),
    questions: Array.from({ length: questions }, ask),
  };
}
