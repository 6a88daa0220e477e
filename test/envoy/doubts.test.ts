import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, cluster, endpoint, listener, load, manager, ROUTER, tcpProxy, told, TO_C } from './dumps.js';

const C = cluster('c', [endpoint('10.1.0.1')]);

function behind(routes: readonly JsonObject[], more: JsonObject = {}): Parameters<typeof load>[0] {
  return { listeners: [listener({ filters: [manager(routes, more)] })], clusters: [C] };
}

function adding(value: string): JsonObject {
  return { ...TO_C, request_headers_to_add: [{ header: { key: 'X-V', value } }] };
}

const secure = any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
  common_tls_context: { tls_certificate_sds_secret_configs: [{ name: 'default' }] },
});

describe('what has not come yet', () => {
  it('without its secrets a cluster connects to nobody', () => {
    const parts = {
      ...behind([TO_C]),
      clusters: [{ ...C, transport_socket: { name: 'tls', typed_config: secure } }],
    };
    const secrets = any('envoy.admin.v3.SecretsConfigDump', { dynamic_warming_secrets: [{ name: 'default' }] });
    expect(told(ask(load(parts)))).toEqual(['to 10.1.0.1:8080']);
    expect(told(ask(load({ ...parts, others: [secrets] })))).toEqual([
      'unknown secret default has not come yet: without it there is no TLS if transport to 10.1.0.1:8080',
    ]);
  });

  it('nor does a socket inside a socket', () => {
    const inner = any('envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport', {
      transport_socket: { name: 'tls', typed_config: secure },
    });
    const there = {
      endpoint: { address: { envoy_internal_address: { server_listener_name: 'inside', endpoint_id: 'a' } } },
    };
    const inside = {
      name: 'inside',
      internal_listener: {},
      filter_chains: [{ filters: [tcpProxy({ cluster: 'c' })] }],
    };
    const through = cluster('through', [there], { transport_socket: { name: 'i', typed_config: inner } });
    const parts = {
      listeners: [listener({ filters: [tcpProxy({ cluster: 'through' })] }), inside],
      clusters: [C, through],
    };
    const secrets = any('envoy.admin.v3.SecretsConfigDump', { dynamic_warming_secrets: [{ name: 'default' }] });
    expect(told(ask(load(parts), { http: null }))).toEqual(['to 10.1.0.1:8080']);
    expect(told(ask(load({ ...parts, others: [secrets] }), { http: null }))).toEqual([
      'unknown secret default has not come yet: without it there is no TLS if transport to internal:inside/a',
    ]);
  });

  it('a listener that waits for the destination may have taken it by now', () => {
    const catchAll = listener({ filters: [manager([TO_C])] }, { use_original_dst: true });
    const waiting = {
      ...listener({ filters: [manager([TO_C])] }),
      name: 'late',
      address: { socket_address: { address: '0.0.0.0', port_value: 8000 } },
    };
    const others = [
      any('envoy.admin.v3.ListenersConfigDump', {
        dynamic_listeners: [{ name: 'late', warming_state: { listener: waiting } }],
      }),
    ];
    const envoy = load({ listeners: [catchAll], clusters: [C], others });
    expect(told(ask(envoy, { dst: '10.0.0.9:8000' }))).toEqual([
      'unknown listener late waits to take it if listener late',
    ]);
    expect(told(ask(envoy, { dst: '10.0.0.9:8001' }))).toEqual(['to 10.1.0.1:8080']);
  });
});

describe('a header whose value is not known', () => {
  const teapot = { match: { prefix: '/', headers: [{ name: 'x-v' }] }, direct_response: { status: 418 } };

  it('travels with the request, and the next Envoy does not take it for absent', () => {
    const [sent] = ask(load(behind([adding('%START_TIME%')])));
    const http = sent?.upstreamHttp ?? null;
    expect(http?.open?.map((part) => part.name)).toContain('x-v');
    const next = ask(load(behind([teapot, TO_C])), { http });
    expect(told(next)).toEqual([
      expect.stringMatching(/^respond 418 if request has header x-v/),
      expect.stringMatching(/^to 10.1.0.1:8080 if request has header x-v/),
    ]);
    // a third one as well
    const third = ask(load(behind([teapot])), { http: next[1]?.upstreamHttp ?? null });
    expect(third).toHaveLength(2);
  });

  it.each([
    ['ADD_IF_ABSENT', { 'x-v': 'sent' }, 'sent', false],
    ['ADD_IF_ABSENT', {}, undefined, true],
    ['OVERWRITE_IF_EXISTS', {}, undefined, false],
    ['OVERWRITE_IF_EXISTS', { 'x-v': 'sent' }, undefined, true],
  ])('that %s leaves alone is known: %j', (append_action, headers, value, open) => {
    const item = { header: { key: 'X-V', value: '%START_TIME%' }, append_action };
    const http = { method: 'GET', authority: 'a.test', path: '/x', headers };
    const [sent] = ask(load(behind([{ ...TO_C, request_headers_to_add: [item] }])), { http });
    expect(sent?.upstreamHttp?.headers['x-v']).toBe(value);
    expect(sent?.upstreamHttp?.open?.some((part) => part.name === 'x-v')).toBe(open);
  });

  it('is certain where it is fixed', () => {
    const [sent] = ask(load(behind([adding('a')])));
    expect(sent?.upstreamHttp?.open?.map((part) => part.name)).not.toContain('x-v');
    expect(told(ask(load(behind([teapot, TO_C])), { http: sent?.upstreamHttp ?? null }))).toEqual(['respond 418']);
  });
});

describe('ways of one cluster that differ in what they carry', () => {
  it('by a header that the weighted cluster adds', () => {
    const weighted = ['a', 'b'].map((value) => ({
      name: 'c',
      weight: 50,
      request_headers_to_add: [{ header: { key: 'x-v', value } }],
    }));
    const split = { match: { prefix: '/' }, route: { weighted_clusters: { clusters: weighted } } };
    const outcomes = ask(load(behind([split])));
    expect(outcomes.map((one) => [one.upstreamHttp?.headers['x-v'], one.probability])).toEqual([
      ['a', 0.5],
      ['b', 0.5],
    ]);
  });
});

describe('questions about one header are not one question', () => {
  it('each value is asked for', () => {
    const route = (exact: string, status: number): JsonObject => ({
      match: { prefix: '/', headers: [{ name: 'x-request-id', string_match: { exact } }] },
      direct_response: { status },
    });
    const outcomes = ask(load(behind([route('a', 201), route('b', 202), TO_C])));
    expect(outcomes.map((one) => one.status ?? one.to)).toEqual([201, 202, '10.1.0.1:8080']);
  });

  it('each mapper of local replies is asked for', () => {
    const mapper = (status_code: number): JsonObject => ({
      filter: { status_code_filter: { comparison: { value: { default_value: 404, runtime_key: 'a.b' } } } },
      status_code,
    });
    const config = { local_reply_config: { mappers: [mapper(501), mapper(502)] } };
    expect(ask(load(behind([], config))).map((one) => one.status)).toEqual([501, 502, 404]);
  });
});

describe('a header that Envoy itself writes or removes', () => {
  const byHeader = (name: string): JsonObject => ({ match: { prefix: '/' }, route: { cluster_header: name } });
  const asked = (headers: Record<string, string>): Parameters<typeof ask>[1] => ({
    http: { method: 'GET', authority: 'a.test', path: '/x', headers },
  });

  it('does not name a cluster', () => {
    const cert = asked({ 'x-forwarded-client-cert': 'c' });
    expect(told(ask(load(behind([byHeader('x-forwarded-client-cert')])), cert))).toEqual(['error 503']);
    expect(ask(load(behind([byHeader('x-request-id')])))[0]?.action).toBe('unknown');
    expect(told(ask(load(behind([byHeader('x-c')])), asked({ 'x-c': 'c' })))).toEqual(['to 10.1.0.1:8080']);
    const weighted = { clusters: [{ weight: 1, cluster_header: 'x-request-id' }] };
    expect(ask(load(behind([{ match: { prefix: '/' }, route: { weighted_clusters: weighted } }])))[0]?.action).toBe(
      'unknown',
    );
  });

  it('does not reach the upstream where it is removed', () => {
    const [sent] = ask(load(behind([TO_C])), asked({ 'x-forwarded-client-cert': 'c', 'x-other': 'd' }));
    expect(sent?.upstreamHttp?.headers).toEqual({ 'x-forwarded-proto': 'http', 'x-other': 'd' });
  });

  it('x-forwarded-proto is written where no proxy before did', () => {
    const config = { use_remote_address: true, xff_num_trusted_hops: 1 };
    const proto = (headers: Record<string, string>): string | undefined =>
      ask(load(behind([TO_C], config)), asked(headers))[0]?.upstreamHttp?.headers['x-forwarded-proto'];
    expect(proto({})).toBe('http');
    expect(proto({ 'x-forwarded-proto': 'https' })).toBe('https');
  });

  it('x-forwarded-proto is written by an Envoy inside as well, where there is none', () => {
    const proto = (headers: Record<string, string>): string | undefined =>
      ask(load(behind([TO_C])), asked(headers))[0]?.upstreamHttp?.headers['x-forwarded-proto'];
    expect(proto({})).toBe('http');
    expect(proto({ 'x-forwarded-proto': 'https' })).toBe('https');
  });
});

describe('what Envoy itself writes into the request', () => {
  const teapot = (name: string): JsonObject => ({
    match: { prefix: '/', headers: [{ name, string_match: { contains: 'a' } }] },
    direct_response: { status: 418 },
  });
  const mutual = any('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', { common_tls_context: {} });
  const tls = { sni: null, alpn: [], peer: 'spiffe://td/ns/a/sa/b' };
  const sent = (details: string) => {
    const chain = { filters: [manager([TO_C], { forward_client_cert_details: details })] };
    const secured = { ...chain, transport_socket: { name: 'tls', typed_config: mutual } };
    return ask(load({ listeners: [listener(secured)], clusters: [C] }), { tls })[0]?.upstreamHttp ?? null;
  };
  const CERT = 'x-forwarded-client-cert';

  it.each(['APPEND_FORWARD', 'SANITIZE_SET'])('%s: the next Envoy does not take it for absent', (details) => {
    const keeping = { forward_client_cert_details: 'ALWAYS_FORWARD_ONLY' };
    const next = ask(load(behind([teapot(CERT), TO_C], keeping)), { http: sent(details) });
    expect(told(next)).toEqual([
      expect.stringMatching(/^respond 418 if header x-forwarded-client-cert/),
      expect.stringMatching(/^to 10.1.0.1:8080 if header x-forwarded-client-cert/),
    ]);
  });

  it('is certainly gone where the next Envoy removes it, and behind that one', () => {
    const [next] = ask(load(behind([teapot(CERT), TO_C])), { http: sent('SANITIZE_SET') });
    expect(told(next === undefined ? [] : [next])).toEqual(['to 10.1.0.1:8080']);
    expect(next?.upstreamHttp?.open?.map((part) => part.name)).not.toContain(CERT);
  });

  it.each(['SANITIZE', 'FORWARD_ONLY'])('%s: there is none to take along', (details) => {
    const keeping = { forward_client_cert_details: 'ALWAYS_FORWARD_ONLY' };
    const next = ask(load(behind([teapot(CERT), TO_C], keeping)), { http: sent(details) });
    expect(told(next)).toEqual(['to 10.1.0.1:8080']);
  });

  it('a time-out of the router is there for the next one', () => {
    const next = ask(load(behind([teapot('x-envoy-expected-rq-timeout-ms'), TO_C])), { http: sent('SANITIZE') });
    expect(next).toHaveLength(2);
  });
});

describe('a route that is chosen again', () => {
  const jwt = (provider: JsonObject): JsonObject => ({
    name: 'jwt',
    typed_config: any('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: { p: { clear_route_cache: true, ...provider } },
      rules: [{ match: { prefix: '/' }, requires: { allow_missing_or_failed: {} } }],
    }),
  });
  const http = { method: 'GET', authority: 'a.test', path: '/x', headers: { authorization: 'Bearer x' } };
  const answers = (routes: readonly JsonObject[], filter: JsonObject, more: Partial<typeof http> = {}) =>
    told(ask(load(behind(routes, { http_filters: [filter, ROUTER] })), { http: { ...http, ...more } }));
  const byClaim: JsonObject = {
    match: {
      prefix: '/',
      dynamic_metadata: [
        { filter: 'envoy.filters.http.jwt_authn', path: [{ key: 'p' }], value: { present_match: true } },
      ],
    },
    direct_response: { status: 418 },
  };

  it('by claims is not certain, though both sides of another question end alike', () => {
    const open = {
      match: { prefix: '/', headers: [{ name: 'x-request-id', string_match: { exact: 'a' } }] },
      route: { cluster: 'c' },
    };
    for (const routes of [
      [byClaim, TO_C],
      [byClaim, open, TO_C],
    ]) {
      expect(answers(routes, jwt({})).some((text) => text.startsWith('unknown '))).toBe(true);
    }
  });

  it('is the same one where no route looks at what the filter writes', () => {
    expect(answers([TO_C], jwt({}))).toEqual(['to 10.1.0.1:8080']);
    expect(answers([byClaim, TO_C], jwt({}), { headers: {} } as Partial<typeof http>)).toEqual(['to 10.1.0.1:8080']);
    const byHeader = { match: { prefix: '/', headers: [{ name: 'x-claim' }] }, direct_response: { status: 418 } };
    expect(answers([byHeader, TO_C], jwt({}))).toEqual(['to 10.1.0.1:8080']);
    const writes = jwt({ claim_to_headers: [{ header_name: 'X-Claim', claim_name: 'sub' }] });
    expect(answers([byHeader, TO_C], writes).some((text) => text.startsWith('unknown '))).toBe(true);
  });

  it('with what ext_authz adds is not certain', () => {
    const authz = {
      name: 'authz',
      typed_config: any('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz', { clear_route_cache: true }),
    };
    expect(answers([TO_C], authz)).toEqual([
      expect.stringMatching(/^to 10.1.0.1:8080 if headers that authz adds/),
      expect.stringMatching(/^unknown .* if headers that authz adds/),
      'deny 403',
    ]);
  });

  it('each rule of a JWT filter that is not understood is a question of its own', () => {
    const rule = (name: string): JsonObject => ({
      match: { path_match_policy: { name } },
      requires: { requires_all: { requirements: [{ provider_name: 'p' }] } },
    });
    const filter = {
      name: 'jwt',
      typed_config: any('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
        providers: { p: {} },
        rules: [rule('a'), rule('b')],
      }),
    };
    const outcomes = ask(load(behind([TO_C], { http_filters: [filter, ROUTER] })));
    expect(outcomes.map((one) => [one.action, one.conditions.length])).toEqual([
      ['deny', 1],
      ['deny', 2],
      ['forward', 2],
    ]);
    expect(new Set(outcomes.flatMap((one) => one.unknowns.map((unknown) => unknown.fact))).size).toBe(2);
  });
});

describe('a header that Envoy writes chooses nothing in silence', () => {
  const named = { name: 'x-request-id' };

  it('no scope of scoped routes', () => {
    const scoped_routes = {
      name: 's',
      scope_key_builder: { fragments: [{ header_value_extractor: { ...named, index: 0 } }] },
    };
    const envoy = load(behind([], { route_config: null, scoped_routes }));
    expect(told(ask(envoy))).toEqual([expect.stringMatching(/^unknown .* if the value of header x-request-id/)]);
    const absent = {
      ...scoped_routes,
      scope_key_builder: { fragments: [{ header_value_extractor: { name: 'x-a' } }] },
    };
    expect(told(ask(load(behind([], { route_config: null, scoped_routes: absent }))))).toEqual(['respond 404']);
  });

  it('no virtual host', () => {
    const virtual_hosts = [{ name: 'v', domains: ['*'], routes: [TO_C] }];
    const by = (vhost_header: string) => told(ask(load(behind([], { route_config: { vhost_header, virtual_hosts } }))));
    expect(by('x-request-id')).toEqual([expect.stringMatching(/^unknown .* if the value of header x-request-id/)]);
    expect(by('host')).toEqual(['to 10.1.0.1:8080']);
  });

  it('no weighted cluster', () => {
    const clusters = [{ name: 'c', weight: 1 }];
    const by = (header_name: string): readonly string[] => {
      const route = { weighted_clusters: { clusters, header_name } };
      return told(ask(load(behind([{ match: { prefix: '/' }, route }]))));
    };
    expect(by('x-request-id')).toEqual([expect.stringMatching(/^unknown .* if the value of header x-request-id/)]);
    expect(by('x-a')).toEqual(['to 10.1.0.1:8080']);
  });

  it('no host of the rewritten request', () => {
    const route = (host_rewrite_header: string) => ({
      match: { prefix: '/' },
      route: { cluster: 'c', host_rewrite_header },
    });
    const opened = (name: string) =>
      ask(load(behind([route(name)])))[0]?.upstreamHttp?.open?.some((part) => part.name === ':authority');
    expect(opened('x-request-id')).toBe(true);
    expect(opened('x-a')).toBe(false);
  });

  it('no filter state, and no value that a route adds of metadata which a filter may have written', () => {
    const state = (text: string): JsonObject => ({
      name: 'state',
      typed_config: any('envoy.extensions.filters.http.set_filter_state.v3.Config', {
        on_request_headers: [{ object_key: 'k', format_string: { text_format_source: { inline_string: text } } }],
      }),
    });
    const adds = (value: string): JsonObject => ({
      ...TO_C,
      request_headers_to_add: [{ header: { key: 'x-v', value } }],
    });
    const sent = (filter: JsonObject, value: string) =>
      ask(load(behind([adds(value)], { http_filters: [filter, ROUTER] })))[0]?.upstreamHttp;
    const opened = (filter: JsonObject, value: string) =>
      sent(filter, value)?.open?.some((part) => part.name === 'x-v');
    expect(opened(state('%REQ(x-request-id)%'), '%FILTER_STATE(k:PLAIN)%')).toBe(true);
    expect(sent(state('%REQ(:path)%'), '%FILTER_STATE(k:PLAIN)%')?.headers['x-v']).toBe('/x');
    const authz = {
      name: 'authz',
      typed_config: any('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'),
    };
    expect(opened(authz, '%DYNAMIC_METADATA(authz:a)%')).toBe(true);
    expect(opened(authz, '%DYNAMIC_METADATA(other:a)%')).toBe(false);
  });
});

describe('no silent default', () => {
  const UNSEEN = { layered_runtime: { layers: [{ name: 'r', rtds_layer: {} }] } };

  it('outlier detection is no matter to a cluster without endpoints', () => {
    const empty = { ...cluster('c', []), outlier_detection: {} };
    expect(told(ask(load({ ...behind([TO_C]), clusters: [empty] })))).toEqual(['error 503']);
  });

  it('a runtime that is not seen may change the panic threshold where health is not whole', () => {
    const hosts = [endpoint('10.1.0.1'), endpoint('10.1.0.2', { health_status: 'UNHEALTHY' })];
    const first = (endpoints: readonly JsonObject[], bootstrap: JsonObject): string | undefined =>
      ask(load({ ...behind([TO_C]), clusters: [cluster('c', endpoints)], bootstrap }))[0]?.action;
    expect(first(hosts, {})).toBe('forward');
    expect(first(hosts, UNSEEN)).toBe('unknown');
    expect(first(hosts.slice(0, 1), UNSEEN)).toBe('forward');
  });

  it('and the status of a fault', () => {
    const fault = {
      name: 'fault',
      typed_config: any('envoy.extensions.filters.http.fault.v3.HTTPFault', {
        abort: { http_status: 418, percentage: { numerator: 100 } },
      }),
    };
    const router = {
      name: 'router',
      typed_config: any('envoy.extensions.filters.http.router.v3.Router'),
    };
    const parts = behind([TO_C], { http_filters: [fault, router] });
    expect(told(ask(load(parts)))).toEqual(['respond 418']);
    expect(ask(load({ ...parts, bootstrap: UNSEEN })).map((one) => one.action)).not.toContain('respond');
  });

  it('what counts as internal is not known', () => {
    const demanding = (require_tls: string): readonly string[] => {
      const virtual_hosts = [{ name: 'v', domains: ['*'], routes: [TO_C], require_tls }];
      return told(ask(load(behind([], { route_config: { virtual_hosts } }))));
    };
    expect(demanding('ALL')).toEqual(['respond 301']);
    expect(demanding('EXTERNAL_ONLY')).toEqual([
      expect.stringMatching(/^respond 301 if /),
      expect.stringMatching(/^to 10.1.0.1:8080 if /),
    ]);
  });
});

describe('a request that the codec refuses', () => {
  it('shows its headers to no mapper of local replies', () => {
    const config = {
      common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' },
      local_reply_config: { mappers: [{ filter: { header_filter: { header: { name: 'x-v' } } }, status_code: 418 }] },
    };
    const http = { method: 'GET', authority: 'a.test', path: '/x', headers: { 'x-v': 'a', x_under: 'b' } };
    expect(told(ask(load(behind([TO_C], config)), { http }))).toEqual(['error 400']);
  });
});

describe('the scheme of a request', () => {
  const by = (value: string, status: number): JsonObject => ({
    match: { prefix: '/', headers: [{ name: ':scheme', string_match: { exact: value } }] },
    direct_response: { status },
  });
  const routes = [by('https', 299), by('http', 298)];
  const http = { method: 'GET', authority: 'a.test', path: '/x', headers: {} };
  const statuses = (proto: string, more: JsonObject = {}, headers: Record<string, string> = {}) => {
    const sent = { ...http, headers: { ...headers, 'x-forwarded-proto': proto } };
    return ask(load(behind(routes, more)), { http: sent }).map((one) => one.status);
  };

  it('is that of x-forwarded-proto, where it says one', () => {
    expect(statuses('https')).toEqual([299]);
    expect(statuses('HTTPS')).toEqual([299]);
    expect(statuses('gopher')).toEqual([298]);
    expect(statuses('https', { use_remote_address: true })).toEqual([298]);
    expect(statuses('https', { use_remote_address: true, xff_num_trusted_hops: 1 })).toEqual([299]);
    expect(statuses('https', { scheme_header_transformation: { scheme_to_overwrite: 'http' } })).toEqual([298]);
  });

  it('is its own in HTTP/2', () => {
    const type = { 'content-type': 'application/grpc' };
    const chain = { filters: [manager([by('http', 418)])] };
    const sent = { ...http, headers: { ...type, 'x-forwarded-proto': 'https' } };
    const [answer] = ask(load({ listeners: [listener(chain)] }), { http: sent });
    expect(answer?.reason).toBe('direct_response');
  });

  it('is written into redirects', () => {
    const redirect = { match: { prefix: '/' }, redirect: { path_redirect: '/z' } };
    const summaries = (open: boolean): readonly string[] => {
      const part = { name: 'x-forwarded-proto', fact: 'f', reason: 'r' };
      const sent = { ...http, headers: { 'x-forwarded-proto': 'https' }, ...(open ? { open: [part] } : {}) };
      return ask(load(behind([redirect])), { http: sent }).flatMap((one) => one.steps.map((step) => step.summary));
    };
    expect(summaries(false)).toContain('redirect 301 to https://a.test/z');
    expect(summaries(true)).toContain('redirect 301');
  });

  it('is open where an Envoy before has left x-forwarded-proto open', () => {
    const open = [{ name: 'x-forwarded-proto', fact: 'f', reason: 'r' }];
    expect(ask(load(behind(routes)), { http: { ...http, open } }).map((one) => one.status)).toEqual([299, 298, 404]);
  });
});

describe('a client on the loopback', () => {
  const from = (src: string, more: JsonObject = {}) => {
    const match = { prefix: '/', headers: [{ name: 'x-forwarded-for', string_match: { exact: src } }] };
    const routes = [{ match, direct_response: { status: 299 } }, TO_C];
    return ask(load(behind(routes, { use_remote_address: true, ...more })), { src: `${src}:4000` });
  };

  it('is not what Envoy appends to x-forwarded-for', () => {
    const outcomes = from('127.0.0.1');
    expect(outcomes.map((one) => one.status)).toEqual([299, null]);
    expect(outcomes[1]?.upstreamHttp?.open?.map((part) => part.name)).toContain('x-forwarded-for');
    expect(told(from('127.0.0.2'))).toEqual(['respond 299']);
    expect(told(from('127.0.0.1', { skip_xff_append: true }))).toEqual(['to 10.1.0.1:8080']);
  });
});
