import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { ask, cluster, endpoint, listener, load, manager, tcpProxy, told, TO_C } from './dumps.js';

const inside = (name: string, id = 'x'): JsonObject => ({
  endpoint: { address: { envoy_internal_address: { server_listener_name: name, endpoint_id: id } } },
});
const internal = (name: string, to: JsonObject): JsonObject => ({
  name,
  internal_listener: {},
  filter_chains: [{ filters: [tcpProxy(to)] }],
});
const LOOP = [expect.stringMatching(/^unknown .*more than 8 in a row.* if end of a chain of internal listeners$/)];

describe('internal listeners in a loop', () => {
  it('end as unknown: one that leads to its own cluster', () => {
    const front = listener({ filters: [manager([TO_C])] });
    const parts = { listeners: [front, internal('L', { cluster: 'c' })], clusters: [cluster('c', [inside('L')])] };
    const envoy = load(parts);
    expect(told(ask(envoy))).toEqual(LOOP);
    expect(told(ask(envoy))).toEqual(LOOP);
  });

  it('end as unknown: over two clusters', () => {
    const envoy = load({
      listeners: [
        listener({ filters: [tcpProxy({ cluster: 'a' })] }),
        internal('A', { cluster: 'b' }),
        internal('B', { cluster: 'a' }),
      ],
      clusters: [cluster('a', [inside('A')]), cluster('b', [inside('B')])],
    });
    expect(told(ask(envoy, { http: null }))).toEqual(LOOP);
  });

  it('are left with a share at each turn', () => {
    const weighted_clusters = {
      clusters: [
        { name: 'a', weight: 1 },
        { name: 'out', weight: 1 },
      ],
    };
    const envoy = load({
      listeners: [listener({ filters: [tcpProxy({ cluster: 'a' })] }), internal('A', { weighted_clusters })],
      clusters: [cluster('a', [inside('A')]), cluster('out', [endpoint('10.1.0.1')])],
    });
    const outcomes = ask(envoy, { http: null });
    const share = (action: string): number =>
      outcomes.filter((one) => one.action === action).reduce((sum, one) => sum + (one.probability ?? 0), 0);
    expect(share('forward')).toBeCloseTo(1 - 2 ** -8, 6);
    expect(share('unknown')).toBeCloseTo(2 ** -8, 6);
  });
});
