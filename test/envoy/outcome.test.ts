import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, cluster, endpoint, listener, load, manager, tcpProxy, TO_C } from './dumps.js';

const DESTINATION = 'envoy.filters.listener.original_dst';
const INTERNAL = any('envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport', {
  passthrough_metadata: [{ kind: { host: {} }, name: DESTINATION }],
  transport_socket: { typed_config: any('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer') },
});

function tunnelled(local: string, waypoint: string | null): JsonObject {
  return {
    endpoint: {
      address: { envoy_internal_address: { server_listener_name: 'connect_originate', endpoint_id: local } },
    },
    metadata: { filter_metadata: { [DESTINATION]: { local, ...(waypoint === null ? {} : { waypoint }) } } },
  };
}

/** A sidecar of ambient endpoints, with `change` of its tunnel's listener, and fields of the two clusters. */
function ambient(
  change: JsonObject,
  hosts: readonly JsonObject[],
  of: JsonObject = {},
  ofTunnel: JsonObject = {},
): ReturnType<typeof load> {
  const proxy = tcpProxy({
    cluster: 'connect_originate',
    tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' },
  });
  const originate = {
    name: 'connect_originate',
    internal_listener: {},
    filter_chains: [{ filters: [proxy] }],
    listener_filters: [
      { name: 'o', typed_config: any('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
    ],
    ...change,
  };
  const through = {
    name: 'connect_originate',
    type: 'ORIGINAL_DST',
    original_dst_lb_config: {
      upstream_port_override: 15008,
      metadata_key: { key: DESTINATION, path: [{ key: 'waypoint' }] },
    },
    ...ofTunnel,
  };
  return load({
    listeners: [listener({ filters: [manager([TO_C])] }), originate],
    clusters: [cluster('c', hosts, { transport_socket: { typed_config: INTERNAL }, ...of }), through],
  });
}

describe('an outcome is plain data', () => {
  const [outcome, other] = ask(
    load({
      listeners: [listener({ filters: [manager([TO_C])] })],
      clusters: [cluster('c', [endpoint('10.1.0.1'), endpoint('10.1.0.2')])],
    }),
  );
  if (outcome === undefined || other === undefined) throw new Error('two hosts make two outcomes');
  const summaries = [
    'listener in',
    'filter chain',
    'virtual host',
    'route',
    'cluster c',
    'endpoint 10.1.0.1:8080',
    'transport',
  ];

  it('with its steps in order, those of the choice before those of the host', () => {
    expect(outcome.steps).toHaveLength(summaries.length);
    summaries.forEach((start, i) => expect(outcome.steps[i]?.summary).toMatch(new RegExp(`^${start}`)));
    expect(outcome.steps.slice(0, 5)).toEqual(other.steps.slice(0, 5));
    expect(other.steps[5]?.summary).toBe('endpoint 10.1.0.2:8080');
  });

  it('for spreads, JSON, keys and comparisons', () => {
    const copy = { ...outcome };
    expect(Object.keys(copy)).toContain('steps');
    expect(copy.steps).toEqual(outcome.steps);
    expect(Object.getOwnPropertyDescriptor(copy, 'steps')?.value).toBe(outcome.steps);
    expect(JSON.parse(JSON.stringify(outcome))).toMatchObject({ to: '10.1.0.1:8080', steps: outcome.steps });
    expect(outcome).toEqual(copy);
    expect(structuredClone(copy)).toEqual(outcome);
    expect(outcome).not.toEqual(other);
  });
});

describe('the way through a tunnel', () => {
  const hosts = [tunnelled('10.2.0.1:80', null), tunnelled('10.2.0.2:80', '10.9.0.1:15008')];

  it.each<[string, JsonObject]>([
    ['as istiod writes it', {}],
    [
      'with a chain that names itself',
      {
        filter_chains: [
          {
            name: 'x',
            filters: [
              tcpProxy({ cluster: 'connect_originate', tunneling_config: { hostname: '%DOWNSTREAM_LOCAL_ADDRESS%' } }),
            ],
          },
        ],
      },
    ],
    [
      'with a second listener filter',
      {
        listener_filters: [
          { name: 'o', typed_config: any('envoy.extensions.filters.listener.original_dst.v3.OriginalDst') },
          { name: 'h', typed_config: any('envoy.extensions.filters.listener.http_inspector.v3.HttpInspector') },
        ],
      },
    ],
  ])('%s, is what its steps tell', (_what, change) => {
    const outcomes = ask(ambient(change, hosts));
    expect(outcomes.map((item) => item.hbone)).toEqual([
      { to: '10.2.0.1:15008', authority: '10.2.0.1:80' },
      { to: '10.9.0.1:15008', authority: '10.2.0.2:80' },
    ]);
    for (const { hbone, steps, endpoint: chosen } of outcomes) {
      const told = steps.map((step) => step.summary);
      expect(told).toContain(`endpoint ${chosen ?? ''}`);
      expect(told.at(-1)).toBe(`tunnels by CONNECT ${hbone?.authority ?? ''}`);
      expect(told.some((text) => text.startsWith('connects to ') && text.endsWith(`: ${hbone?.to ?? ''}`))).toBe(true);
    }
  });

  it('leaves from the address that the tunnel binds, not from that of the cluster before it', () => {
    const from = (address: string): JsonObject => ({ upstream_bind_config: { source_address: { address } } });
    const bound = ask(ambient({}, hosts, from('127.0.0.6'), {})).map((item) => item.sourceBind);
    expect(bound).toEqual([null, null]);
    expect(ask(ambient({}, hosts, from('127.0.0.6'), from('127.0.0.7')))[0]?.sourceBind).toBe('127.0.0.7');
  });

  it('is not certain where the tunnel has a field that is not understood', () => {
    expect(ask(ambient({ field_of_the_future: {} }, hosts)).some((item) => item.unknowns.length > 0)).toBe(true);
  });
});
