import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, endpoint, listener, load, manager, TO_C } from './dumps.js';

/** `transport_socket_matches`: the endpoint's metadata against all of them, then that of its locality. */
const named = (sni: string, match: JsonObject): JsonObject => ({
  name: sni,
  match,
  transport_socket: {
    name: 'tls',
    typed_config: any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', { sni, common_tls_context: {} }),
  },
});
const metadata = (value: JsonObject): JsonObject => ({
  metadata: { filter_metadata: { 'envoy.transport_socket_match': value } },
});

interface Given {
  readonly matches: readonly JsonObject[];
  readonly groups: readonly JsonObject[];
  readonly cluster?: JsonObject;
  readonly listed?: readonly JsonObject[];
}

function snis({ matches, groups, cluster = {}, listed }: Given): readonly (string | null)[] {
  const c = {
    name: 'c',
    type: 'STATIC',
    transport_socket_matches: matches,
    load_assignment: { cluster_name: 'c', endpoints: groups },
    ...cluster,
  };
  const endpoint_config = { cluster_name: 'c', endpoints: listed ?? [] };
  const others =
    listed === undefined
      ? []
      : [any('envoy.admin.v3.EndpointsConfigDump', { static_endpoint_configs: [{ endpoint_config }] })];
  const outcomes = ask(load({ listeners: [listener({ filters: [manager([TO_C])] })], clusters: [c], others }));
  return outcomes.map((one) =>
    one.action === 'unknown' ? `unknown: ${one.reason ?? ''}` : (one.upstreamTls?.sni ?? one.tls),
  );
}

const A = named('a', { tls: 'a' });
const B = named('b', { tls: 'b' });
const ANY = named('any', {});
const at = (zone: string, more: JsonObject, own: JsonObject = {}): JsonObject => ({
  locality: { zone },
  lb_endpoints: [endpoint('10.1.0.1', own)],
  ...more,
});

describe('the socket of an endpoint', () => {
  it('is found by the metadata of its locality, where its own fits none', () => {
    expect(snis({ matches: [A, B], groups: [at('z', metadata({ tls: 'b' }))] })).toEqual(['b']);
    expect(snis({ matches: [A, B], groups: [at('z', metadata({ tls: 'a' }), metadata({ tls: 'b' }))] })).toEqual(['b']);
    expect(snis({ matches: [A, B], groups: [at('z', metadata({ tls: 'c' }))] })).toEqual(['none']);
    // no match at all fits an endpoint before any fits the locality
    expect(snis({ matches: [A, ANY], groups: [at('z', metadata({ tls: 'a' }))] })).toEqual(['any']);
  });

  it('is that of the cluster’s own assignment, for Envoy lists endpoints without metadata of localities', () => {
    const groups = [at('y', metadata({ tls: 'b' })), at('z', metadata({ tls: 'a' }))];
    expect(snis({ matches: [A, B], groups, listed: [at('z', {})] })).toEqual(['a']);
    expect(snis({ matches: [A, B], groups, listed: [at('y', {})] })).toEqual(['b']);
    const mixed = [at('z', metadata({ tls: 'b' })), at('z', metadata({ tls: 'a' }))];
    expect(snis({ matches: [A, B], groups: mixed, listed: [at('z', {})] })).toEqual([
      expect.stringMatching(/^unknown: metadata of its locality/),
    ]);
  });

  it('is the cluster’s own where EDS brought a locality that is listed without metadata', () => {
    const eds = { type: 'EDS', load_assignment: null };
    const listed = [at('z', {})];
    expect(snis({ matches: [A], groups: [], cluster: eds, listed })).toEqual(['none']);
    expect(snis({ matches: [A, ANY], groups: [], cluster: eds, listed })).toEqual(['any']);
    expect(snis({ matches: [A], groups: [], cluster: eds, listed: [at('z', metadata({ tls: 'a' }))] })).toEqual(['a']);
  });
});
