import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, cluster, endpoint, listener, load, manager, ROUTER, told, TO_C } from './dumps.js';

/** What HTTP filters do to the headers of a request that goes on. */
const CLUSTERS = [cluster('c', [endpoint('10.1.0.1')]), cluster('b', [endpoint('10.1.0.2')])];

const P: JsonObject = { claim_to_headers: [{ header_name: 'X-Tenant', claim_name: 'tenant' }] };
const OR_NONE: JsonObject = { requires_any: { requirements: [{ provider_name: 'p' }, { allow_missing: {} }] } };

function jwt(provider: JsonObject, requires: JsonObject, more: JsonObject = {}): JsonObject {
  return {
    name: 'envoy.filters.http.jwt_authn',
    typed_config: any('envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication', {
      providers: { p: provider },
      rules: [{ match: { prefix: '/' }, requires }],
      ...more,
    }),
  };
}

function allows(name: string, exact: string): JsonObject {
  const policy = { permissions: [{ any: true }], principals: [{ header: { name, string_match: { exact } } }] };
  return {
    name: 'envoy.filters.http.rbac',
    typed_config: any('envoy.extensions.filters.http.rbac.v3.RBAC', {
      rules: { action: 'ALLOW', policies: { x: policy } },
    }),
  };
}

function asked(
  filters: readonly JsonObject[],
  headers: Record<string, string>,
  more: { route?: JsonObject; path?: string; method?: string } = {},
) {
  const chain = { filters: [manager([more.route ?? TO_C], { http_filters: [...filters, ROUTER] })] };
  const http = { method: more.method ?? 'GET', authority: 'a.test', path: more.path ?? '/x', headers };
  return ask(load({ listeners: [listener(chain)], clusters: CLUSTERS }), { http });
}

const TOKEN = { authorization: 'Bearer t' };
const openNames = (outcome: ReturnType<typeof asked>[number] | undefined) =>
  outcome?.upstreamHttp?.open?.map((part) => part.name) ?? [];

describe('headers that a JWT filter writes', () => {
  it('count for nothing where the client sent them', () => {
    const filters = [jwt(P, OR_NONE), allows('x-tenant', 'b')];
    expect(told(asked(filters, { 'x-tenant': 'b' }))).toEqual(['deny 403']);
    expect(told(asked([jwt(P, OR_NONE)], { 'x-tenant': 'b' }))).toEqual(['to 10.1.0.1:8080']);
    expect(asked([jwt(P, OR_NONE)], { 'X-Tenant': 'b' })[0]?.upstreamHttp?.headers).not.toHaveProperty('x-tenant');
    const payload = jwt({ forward_payload_header: 'x-tenant' }, OR_NONE);
    expect(told(asked([payload, allows('x-tenant', 'b')], { 'x-tenant': 'b' }))).toEqual(['deny 403']);
  });

  it('are not known with a token', () => {
    const outcomes = asked([jwt(P, OR_NONE), allows('x-tenant', 'b')], TOKEN);
    expect(outcomes.map((one) => [one.action, one.status])).toEqual([
      ['forward', null],
      ['deny', 403],
      ['deny', 401],
    ]);
    expect(openNames(outcomes[0])).toContain('x-tenant');
    const absent = { name: 'x-tenant', present_match: true, invert_match: true };
    const next = ask(
      load({
        listeners: [
          listener({
            filters: [manager([{ match: { prefix: '/', headers: [absent] }, route: { cluster: 'b' } }, TO_C])],
          }),
        ],
        clusters: CLUSTERS,
      }),
      { http: outcomes[0]?.upstreamHttp ?? null },
    );
    expect(next).toHaveLength(2);
  });

  it('may be removed for providers that the rule does not ask', () => {
    const two = { providers: { p: P, q: { claim_to_headers: [{ header_name: 'x-q' }] } } };
    const filters = [jwt({}, OR_NONE, two), allows('x-q', 'b')];
    expect(asked(filters, { 'x-q': 'b' }).map((one) => one.action)).toEqual(['forward', 'deny']);
    expect(told(asked(filters, {}))).toEqual(['deny 403']);
    const unasked = [jwt(P, OR_NONE, { rules: [] }), allows('x-tenant', 'b')];
    expect(asked(unasked, { 'x-tenant': 'b' }).map((one) => one.action)).toEqual(['forward', 'deny']);
  });

  it('rewrite the host', () => {
    const route = { match: { prefix: '/' }, route: { cluster: 'c', host_rewrite_header: 'x-tenant' } };
    const [sent] = asked([jwt(P, { provider_name: 'p' })], TOKEN, { route });
    expect(openNames(sent)).toContain(':authority');
  });

  it('are not what a local reply looks at, once they are removed', () => {
    const mapper = { filter: { header_filter: { header: { name: 'x-tenant' } } }, status_code: 418 };
    const config = { local_reply_config: { mappers: [mapper] } };
    const answer = (filters: readonly JsonObject[]) => {
      const chain = { filters: [manager([], { ...config, http_filters: [...filters, ROUTER] })] };
      const http = { method: 'GET', authority: 'a.test', path: '/x', headers: { 'x-tenant': 'b' } };
      return told(ask(load({ listeners: [listener(chain)], clusters: CLUSTERS }), { http }));
    };
    expect(answer([])).toEqual(['respond 418']);
    expect(answer([jwt(P, OR_NONE)])).toEqual(['respond 404']);
  });

  it('choose no cluster: the route was chosen before', () => {
    const route = { match: { prefix: '/' }, route: { cluster_header: 'x-tenant' } };
    expect(told(asked([jwt(P, OR_NONE)], { 'x-tenant': 'b' }, { route }))).toEqual(['to 10.1.0.2:8080']);
  });
});

describe('the token itself', () => {
  const filter = (provider: JsonObject): readonly JsonObject[] => [jwt(provider, { provider_name: 'p' })];

  it('goes no further unless it is to be forwarded', () => {
    const [gone] = asked(filter({}), TOKEN);
    expect(gone?.upstreamHttp?.headers).not.toHaveProperty('authorization');
    expect(openNames(gone)).toContain('authorization');
    const [kept] = asked(filter({ forward: true }), TOKEN);
    expect(kept?.upstreamHttp?.headers['authorization']).toBe('Bearer t');
    expect(openNames(kept)).not.toContain('authorization');
  });

  it('is taken out of the query', () => {
    expect(openNames(asked(filter({}), {}, { path: '/x?access_token=t' })[0])).toContain(':path');
    expect(openNames(asked(filter({ forward: true }), {}, { path: '/x?access_token=t' })[0])).not.toContain(':path');
    expect(openNames(asked(filter({}), TOKEN)[0])).not.toContain(':path');
  });

  it('may be there where an Envoy before has left the header open', () => {
    const open = [{ name: 'authorization', fact: 'f', reason: 'r' }];
    const chain = { filters: [manager([TO_C], { http_filters: [jwt({}, { provider_name: 'p' }), ROUTER] })] };
    const http = { method: 'GET', authority: 'a.test', path: '/x', headers: {}, open };
    const outcomes = ask(load({ listeners: [listener(chain)], clusters: CLUSTERS }), { http });
    expect(outcomes.map((one) => one.action)).toEqual(['forward', 'deny']);
  });
});

describe('a route that is chosen again by a claim', () => {
  const filters = [jwt({ ...P, clear_route_cache: true }, { provider_name: 'p' })];
  const weighted = (more: JsonObject, of: JsonObject = {}): JsonObject => ({
    match: { prefix: '/' },
    route: { weighted_clusters: { clusters: [{ name: 'c', weight: 1, ...of }], ...more } },
  });

  it.each<[string, JsonObject]>([
    ['cluster_header', { match: { prefix: '/' }, route: { cluster_header: 'X-Tenant' } }],
    ['header_name of weighted clusters', weighted({ header_name: 'x-tenant' })],
    ['cluster_header of a weighted cluster', weighted({}, { name: '', cluster_header: 'x-tenant' })],
    ['cluster_specifier_plugin', { match: { prefix: '/' }, route: { cluster_specifier_plugin: 'lua' } }],
  ])('%s', (_what, route) => {
    const outcomes = asked(filters, { ...TOKEN, 'x-tenant': '1' }, { route });
    expect(outcomes.some((one) => one.reason === 'the route is chosen again by them')).toBe(true);
  });

  it('is the same where nothing looks at the claim', () => {
    expect(asked(filters, TOKEN).map((one) => one.action)).toEqual(['forward', 'deny']);
    const forwarded = [jwt({ ...P, forward: true, clear_route_cache: true }, { provider_name: 'p' })];
    const route = { match: { prefix: '/', headers: [{ name: 'authorization' }] }, route: { cluster: 'c' } };
    expect(asked(forwarded, TOKEN, { route }).map((one) => one.action)).toEqual(['forward', 'deny']);
  });
});

describe('headers that external authorization writes', () => {
  const authz = (config: JsonObject): JsonObject => ({
    name: 'envoy.filters.http.ext_authz',
    typed_config: any('envoy.extensions.filters.http.ext_authz.v3.ExtAuthz', config),
  });
  const grpc = authz({ grpc_service: { envoy_grpc: { cluster_name: 'z' } } });
  const http = (...patterns: JsonObject[]): JsonObject =>
    authz({ http_service: { authorization_response: { allowed_upstream_headers: { patterns } } } });
  const verdicts = (filters: readonly JsonObject[], headers: Record<string, string> = {}) =>
    asked(filters, headers).map((one) => `${one.action} ${one.unknowns.length}`);

  it('are not known behind a gRPC service', () => {
    expect(verdicts([grpc, allows('x-user', 'b')])).toEqual(['forward 1', 'deny 1', 'deny 0']);
    expect(verdicts([grpc, allows(':method', 'GET')])).toEqual(['forward 0', 'deny 0']);
    const route = { match: { prefix: '/' }, route: { cluster: 'c', host_rewrite_header: 'x-user' } };
    expect(openNames(asked([grpc], {}, { route })[0])).toContain(':authority');
  });

  it('are those that the HTTP service is allowed, and those that were sent', () => {
    const exact = http({ exact: 'X-User' });
    expect(verdicts([exact, allows('x-user', 'b')])).toEqual(['forward 1', 'deny 1', 'deny 0']);
    expect(verdicts([exact, allows('x-other', 'b')])).toEqual(['deny 0', 'deny 0']);
    expect(verdicts([exact, allows('x-other', 'b')], { 'x-other': 'b' })).toEqual(['forward 1', 'deny 1', 'deny 0']);
    expect(verdicts([http({ prefix: 'x-' }), allows('x-other', 'b')])).toEqual(['forward 1', 'deny 1', 'deny 0']);
  });

  it('may be what a later filter asks for', () => {
    expect(verdicts([grpc, jwt({}, { provider_name: 'p' })])).toEqual(['forward 0', 'deny 0', 'deny 0']);
    const fault = {
      name: 'envoy.filters.http.fault',
      typed_config: any('envoy.extensions.filters.http.fault.v3.HTTPFault', {
        abort: { header_abort: {}, percentage: { numerator: 100 } },
      }),
    };
    expect(asked([fault], {}).map((one) => one.action)).toEqual(['forward']);
    const edge = { use_remote_address: true, http_filters: [fault, ROUTER] };
    const http = { method: 'GET', authority: 'a', path: '/', headers: { 'x-envoy-fault-abort-request': '418' } };
    const parts = { listeners: [listener({ filters: [manager([TO_C], edge)] })], clusters: CLUSTERS };
    expect(told(ask(load(parts), { http }))).toEqual(['respond 418']);
    expect(asked([grpc, fault], {}).map((one) => one.action)).toEqual(['forward', 'unknown', 'deny']);
    const cors = { name: 'envoy.filters.http.cors', typed_config: any('envoy.extensions.filters.http.cors.v3.Cors') };
    const route = { match: { prefix: '/' }, route: { cluster: 'c', cors: {} } };
    const preflight = { origin: 'a', 'access-control-request-method': 'GET' };
    const actions = (method: string): readonly string[] =>
      asked([grpc, cors], preflight, { route, method }).map((one) => one.action);
    expect(actions('GET')).toEqual(['forward', 'deny']);
    expect(actions('OPTIONS')).toEqual(['forward', 'unknown', 'deny']);
  });

  it('reach the next Envoy', () => {
    const [sent] = asked([grpc], {});
    const route = { match: { prefix: '/', headers: [{ name: 'x-user' }] }, route: { cluster: 'b' } };
    const chain = { filters: [manager([route, TO_C])] };
    const next = ask(load({ listeners: [listener(chain)], clusters: CLUSTERS }), { http: sent?.upstreamHttp ?? null });
    expect(told(next)).toEqual([
      expect.stringMatching(/^to 10.1.0.2:8080 if request has header x-user/),
      expect.stringMatching(/^to 10.1.0.1:8080 if request has header x-user/),
    ]);
  });
});
