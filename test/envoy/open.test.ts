import { describe, expect, it } from 'vitest';
import { loadEnvoy } from '../../src/envoy/load.js';
import { object, type JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, cluster, endpoint, listener, load, manager, tcpProxy, told, TO_C } from './dumps.js';

const C = cluster('c', [endpoint('10.1.0.1')]);
const plain = { listeners: [listener({ filters: [manager([TO_C])] })], clusters: [C] };

function certain(parts: Parameters<typeof load>[0], more: Parameters<typeof ask>[1] = {}): boolean {
  return ask(load(parts), more).every((item) => item.action !== 'unknown' && item.unknowns.length === 0);
}

/** A field that no release has yet, in each message. */
const NEW: JsonObject = { field_of_the_future: { x: 1 } };

describe('a field that is not understood leaves the answer open', () => {
  it('is certain without one', () => {
    expect(told(ask(load(plain)))).toEqual(['to 10.1.0.1:8080']);
  });

  it.each<[string, Parameters<typeof load>[0]]>([
    ['listener', { ...plain, listeners: [listener({ filters: [manager([TO_C])] }, NEW)] }],
    ['filter chain', { ...plain, listeners: [listener({ filters: [manager([TO_C])], ...NEW })] }],
    [
      'filter chain match',
      { ...plain, listeners: [listener({ filters: [manager([TO_C])], filter_chain_match: NEW })] },
    ],
    ['HTTP connection manager', { ...plain, listeners: [listener({ filters: [manager([TO_C], NEW)] })] }],
    [
      'route configuration',
      {
        ...plain,
        listeners: [
          listener({
            filters: [
              manager([], { route_config: { virtual_hosts: [{ name: 'v', domains: ['*'], routes: [TO_C] }], ...NEW } }),
            ],
          }),
        ],
      },
    ],
    [
      'virtual host',
      {
        ...plain,
        listeners: [
          listener({
            filters: [
              manager([], { route_config: { virtual_hosts: [{ name: 'v', domains: ['*'], routes: [TO_C], ...NEW }] } }),
            ],
          }),
        ],
      },
    ],
    ['route', { ...plain, listeners: [listener({ filters: [manager([{ ...TO_C, ...NEW }])] })] }],
    [
      'route match',
      { ...plain, listeners: [listener({ filters: [manager([{ ...TO_C, match: { prefix: '/', ...NEW } }])] })] },
    ],
    [
      'route action',
      { ...plain, listeners: [listener({ filters: [manager([{ ...TO_C, route: { cluster: 'c', ...NEW } }])] })] },
    ],
    ['cluster', { ...plain, clusters: [{ ...C, ...NEW }] }],
    [
      'load assignment',
      {
        ...plain,
        clusters: [{ ...C, load_assignment: { endpoints: [{ lb_endpoints: [endpoint('10.1.0.1')] }], ...NEW } }],
      },
    ],
    [
      'locality',
      {
        ...plain,
        clusters: [{ ...C, load_assignment: { endpoints: [{ lb_endpoints: [endpoint('10.1.0.1')], ...NEW }] } }],
      },
    ],
    ['endpoint entry', { ...plain, clusters: [cluster('c', [endpoint('10.1.0.1', NEW)])] }],
    [
      'endpoint',
      {
        ...plain,
        clusters: [cluster('c', [{ endpoint: { ...object(endpoint('10.1.0.1')['endpoint']), ...NEW } }])],
      },
    ],
    ['tcp_proxy', { ...plain, listeners: [listener({ filters: [tcpProxy({ cluster: 'c', ...NEW })] })] }],
    ['subset', { ...plain, clusters: [{ ...C, lb_subset_config: { subset_selectors: [{ keys: ['v'] }], ...NEW } }] }],
  ])('%s', (_what, parts) => {
    expect(certain(parts)).toBe(false);
  });

  it.each([
    ['HTTP', { filters: [manager([TO_C], { http_filters: [{ name: 'x', typed_config: any('some.Filter') }] })] }],
    ['network', { filters: [{ name: 'x', typed_config: any('some.Filter') }, tcpProxy({ cluster: 'c' })] }],
  ])('an unknown %s filter may end it', (_what, chain) => {
    expect(certain({ ...plain, listeners: [listener(chain)] })).toBe(false);
  });
});

describe('what is not in the dump', () => {
  it('a dump without clusters does not say that there is none', () => {
    const static_listeners = plain.listeners.map((item) => ({ listener: item }));
    const text = JSON.stringify({ configs: [any('envoy.admin.v3.ListenersConfigDump', { static_listeners })] });
    expect(told(ask(loadEnvoy('dump.json', text, null)))).toEqual([expect.stringMatching(/^unknown .* if cluster c$/)]);
  });

  it('a dump without listeners does not say that there is none', () => {
    const clusters = any('envoy.admin.v3.ClustersConfigDump', { static_clusters: [{ cluster: C }] });
    const text = JSON.stringify({ configs: [clusters] });
    expect(told(ask(loadEnvoy('dump.json', text, null)))).toEqual([
      expect.stringMatching(/^unknown .* if listeners of dump.json$/),
    ]);
  });

  it.each([
    [
      'a warming cluster',
      {
        ...plain,
        clusters: [],
        others: [any('envoy.admin.v3.ClustersConfigDump', { dynamic_warming_clusters: [{ cluster: C }] })],
      },
      ['unknown it is warming: its endpoints or secrets have not come yet if cluster c'],
    ],
    ['a cluster that does not exist', { ...plain, clusters: [] }, ['error 503']],
    [
      'a warming listener',
      {
        clusters: [C],
        others: [
          any('envoy.admin.v3.ListenersConfigDump', {
            dynamic_listeners: [{ name: 'in', warming_state: { listener: plain.listeners[0] ?? {} } }],
          }),
        ],
      },
      ['unknown no listener is bound to 0.0.0.0:80 if listener in'],
    ],
    [
      'EDS without its endpoints',
      { ...plain, clusters: [{ name: 'c', type: 'EDS' }] },
      [expect.stringMatching(/^unknown .* if endpoints of cluster c$/)],
    ],
    [
      'EDS that is not listed',
      { ...plain, clusters: [{ name: 'c', type: 'EDS' }], others: [any('envoy.admin.v3.EndpointsConfigDump')] },
      ['unknown the dump does not list them if endpoints of cluster c'],
    ],
    [
      'an endpoint whose address is not understood',
      { ...plain, clusters: [cluster('c', [{ endpoint_name: 'elsewhere' }])] },
      [expect.stringMatching(/^unknown .* if the address of .* is not understood$/)],
    ],
    [
      'a route table that RDS did not bring',
      {
        ...plain,
        listeners: [listener({ filters: [manager([], { route_config: null, rds: { route_config_name: '80' } })] })],
      },
      [expect.stringMatching(/^unknown .* if route configuration 80$/)],
    ],
    [
      'on demand',
      { listeners: [listener({ filters: [tcpProxy({ cluster: 'later', on_demand: {} })] })] },
      ['unknown it is asked for when it is needed (on_demand) if cluster later'],
    ],
  ] as const)('%s', (_what, parts, want) => {
    expect(told(ask(load(parts as Parameters<typeof load>[0])))).toEqual(want);
  });
});

describe('load balancing that depends on more than the dump', () => {
  const two = [endpoint('10.1.0.1'), endpoint('10.1.0.2')];
  const open = (more: JsonObject, bootstrap: JsonObject = {}, health: string | null = null): readonly string[] =>
    told(ask(load({ ...plain, clusters: [cluster('c', two, more)], bootstrap }, health)));
  const HEALTH = JSON.stringify({ cluster_statuses: [] });

  it.each<[string, JsonObject, string]>([
    [
      'outlier detection',
      { outlier_detection: {} },
      'outlier detection: /clusters?format=json tells which endpoints are ejected',
    ],
    ['health checks', { health_checks: [{}] }, 'active health checks: /clusters?format=json tells their result'],
    [
      'slow start',
      { least_request_lb_config: { slow_start_config: {} } },
      'which endpoints are in their slow start: they get less than their share',
    ],
  ])('%s', (_what, more, fact) => {
    expect(open(more)).toEqual([`to 10.1.0.1:8080 if ${fact}`, `to 10.1.0.2:8080 if ${fact}`]);
  });

  it('/clusters settles health', () => {
    expect(open({ outlier_detection: {} }, {}, HEALTH)).toEqual(['to 10.1.0.1:8080 0.5', 'to 10.1.0.2:8080 0.5']);
  });

  it('zone-aware routing needs a local cluster, several zones and enough hosts', () => {
    const zones = ['a', 'b'].map((zone, z) => ({
      locality: { zone },
      lb_endpoints: [1, 2, 3].map((i) => endpoint(`10.1.${z}.${i}`)),
    }));
    const made = { ...C, load_assignment: { endpoints: zones } };
    const shares = (bootstrap: JsonObject, more: JsonObject = {}): readonly (number | null)[] =>
      ask(load({ ...plain, clusters: [{ ...made, ...more }], bootstrap })).map((item) => item.probability);
    const local = { cluster_manager: { local_cluster_name: 'me' } };
    expect(shares({})).toEqual(Array(6).fill(1 / 6));
    expect(shares(local)).toEqual(Array(6).fill(null));
    const lb = (zone: JsonObject): JsonObject => ({ common_lb_config: { zone_aware_lb_config: zone } });
    expect(shares(local, lb({ min_cluster_size: '7' }))).toEqual(Array(6).fill(1 / 6));
    expect(shares(local, lb({ routing_enabled: { value: 0 } }))).toEqual(Array(6).fill(1 / 6));
  });

  it('drops what drop_overloads says', () => {
    const policy = { drop_overloads: [{ category: 'load', drop_percentage: { numerator: 25 } }] };
    const made = { ...C, load_assignment: { endpoints: [{ lb_endpoints: [endpoint('10.1.0.1')] }], policy } };
    expect(told(ask(load({ ...plain, clusters: [made] })))).toEqual(['error 503 0.25', 'to 10.1.0.1:8080 0.75']);
  });

  it('filters of the upstream may refuse', () => {
    const options = (type: string): JsonObject => ({
      typed_extension_protocol_options: {
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
          http_filters: [{ name: 'f', typed_config: any(type) }],
        },
      },
    });
    const parts = (type: string): Parameters<typeof load>[0] => ({ ...plain, clusters: [{ ...C, ...options(type) }] });
    expect(certain(parts('envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec'))).toBe(true);
    expect(certain(parts('envoy.extensions.filters.http.lua.v3.Lua'))).toBe(false);
  });
});

describe('runtime', () => {
  const fraction = { runtime_fraction: { runtime_key: 'a.b', default_value: { numerator: 100 } } };
  const parts = (layers: readonly JsonObject[]): Parameters<typeof load>[0] => ({
    ...plain,
    bootstrap: { layered_runtime: { layers } },
    listeners: [listener({ filters: [manager([{ ...TO_C, match: { prefix: '/', ...fraction } }])] })],
  });

  it('a static layer overrides the configured share', () => {
    const layer = (value: JsonObject): JsonObject => ({ name: 's', static_layer: value });
    expect(told(ask(load(parts([]))))).toEqual(['to 10.1.0.1:8080']);
    expect(told(ask(load(parts([layer({ a: { b: 40 } })]))))).toEqual(['to 10.1.0.1:8080 0.4', 'respond 404 0.6']);
    expect(told(ask(load(parts([layer({ 'a.b': 40 }), layer({ a: { b: 0 } })]))))).toEqual(['respond 404']);
  });

  it('a layer that is not in the dump leaves it open', () => {
    expect(
      told(ask(load(parts([{ name: 'r', rtds_layer: {} }])))).every((text) => text.includes('if runtime value a.b')),
    ).toBe(true);
  });

  it('istiod switches the refusal of fragments off', () => {
    const http = { method: 'GET', authority: 'a', path: '/x#y', headers: {} };
    const off = {
      name: 'global config',
      static_layer: { 'envoy.reloadable_features.http_reject_path_with_fragment': false },
    };
    expect(told(ask(load(plain), { http }))).toEqual(['error 400']);
    expect(told(ask(load({ ...plain, bootstrap: { layered_runtime: { layers: [off] } } }), { http }))).toEqual([
      'to 10.1.0.1:8080',
    ]);
  });
});
