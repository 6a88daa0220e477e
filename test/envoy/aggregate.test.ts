import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, endpoint, listener, load, manager, told, TO_C } from './dumps.js';

/** What a real Envoy 1.40 does with such clusters is asked in test/envoy-server (generate-clusters). */
function member(name: string, levels: readonly (readonly JsonObject[])[], more: JsonObject = {}): JsonObject {
  const endpoints = levels.map((lb_endpoints, priority) => ({ lb_endpoints, priority }));
  return { name, type: 'STATIC', load_assignment: { cluster_name: name, endpoints, ...more } };
}

function of(names: readonly string[], more: JsonObject = {}): JsonObject {
  const typed_config = any('envoy.extensions.clusters.aggregate.v3.ClusterConfig', { clusters: [...names] });
  return { name: 'c', lb_policy: 'CLUSTER_PROVIDED', cluster_type: { name: 'aggregate', typed_config }, ...more };
}

const well = (host: string): JsonObject => endpoint(host);
const ill = (host: string): JsonObject => endpoint(host, { health_status: 'TIMEOUT' });

/** Without DRAINING in the dump an ill endpoint is one that /clusters tells of. */
const HEALTH = (hosts: readonly string[]): string =>
  JSON.stringify({
    cluster_statuses: ['a', 'b'].map((name) => ({
      name,
      host_statuses: hosts.map((address) => ({
        address: { socket_address: { address, port_value: 8080 } },
        health_status: { eds_health_status: 'UNHEALTHY' },
      })),
    })),
  });

function answers(clusters: readonly JsonObject[], sick: readonly string[] = []): readonly string[] {
  return told(ask(load({ listeners: [listener({ filters: [manager([TO_C])] })], clusters }, HEALTH(sick))));
}

describe('an aggregate cluster', () => {
  it('uses the first one, as long as it is well', () => {
    expect(answers([of(['a', 'b']), member('a', [[well('10.0.0.1')]]), member('b', [[well('10.0.0.2')]])])).toEqual([
      'to 10.0.0.1:8080',
    ]);
  });

  it('is named by the outcome, its member by a step', () => {
    const clusters = [of(['a']), member('a', [[well('10.0.0.1')]])];
    const [outcome] = ask(load({ listeners: [listener({ filters: [manager([TO_C])] })], clusters }));
    expect(outcome?.cluster).toBe('c');
    expect(outcome?.steps.map((step) => step.summary)).toContain('cluster a');
  });

  it('spills what the first one is too ill for, by the over-provisioning of 1.4', () => {
    const half = [well('10.0.0.1'), ill('10.0.0.3')];
    expect(answers([of(['a', 'b']), member('a', [half]), member('b', [[well('10.0.0.2')]])], ['10.0.0.3'])).toEqual([
      'to 10.0.0.1:8080 0.7',
      'to 10.0.0.2:8080 0.3',
    ]);
  });

  it('goes through the priorities of the first one before the next one', () => {
    const levels = [[ill('10.0.0.1')], [well('10.0.0.2')]];
    expect(answers([of(['a', 'b']), member('a', levels), member('b', [[well('10.0.0.3')]])], ['10.0.0.1'])).toEqual([
      'to 10.0.0.2:8080',
    ]);
  });

  it('leaves out a cluster that does not exist, and has no host without any', () => {
    expect(answers([of(['z', 'a']), member('a', [[well('10.0.0.1')]])])).toEqual(['to 10.0.0.1:8080']);
    expect(answers([of(['z'])])).toEqual(['error 503']);
  });

  it('is not known where a member has no list of hosts', () => {
    const other = { name: 'a', type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED' };
    expect(answers([of(['a', 'b']), other, member('b', [[well('10.0.0.2')]])])).toEqual([
      expect.stringMatching(/^unknown .*cluster a has no list of hosts/),
    ]);
  });

  it('keeps of the policy what the list of endpoints does not tell', () => {
    const hosts = [well('10.0.0.1'), endpoint('10.0.0.3', { health_status: 'UNHEALTHY', load_balancing_weight: 3 })];
    const inline = member('a', [hosts], { policy: { weighted_priority_health: true } });
    const printed = member('a', [hosts], { policy: { overprovisioning_factor: 140 } })['load_assignment'];
    const listed = any('envoy.admin.v3.EndpointsConfigDump', {
      static_endpoint_configs: [{ endpoint_config: printed }],
    });
    const envoy = load(
      {
        listeners: [listener({ filters: [manager([TO_C])] })],
        clusters: [of(['a', 'b']), inline, member('b', [[well('10.0.0.2')]])],
        others: [listed],
      },
      HEALTH(['10.0.0.3']),
    );
    expect(ask(envoy).map((one) => one.probability?.toFixed(2))).toEqual(['0.35', '0.65']);
  });

  it('where health is weighted, that is what counts', () => {
    const heavy = endpoint('10.0.0.3', { health_status: 'TIMEOUT', load_balancing_weight: 3 });
    const clusters = (policy: JsonObject): readonly JsonObject[] => [
      of(['a', 'b']),
      member('a', [[well('10.0.0.1'), heavy]], { policy }),
      member('b', [[well('10.0.0.2')]]),
    ];
    expect(answers(clusters({}), ['10.0.0.3'])).toEqual(['to 10.0.0.1:8080 0.7', 'to 10.0.0.2:8080 0.3']);
    const weighted = answers(clusters({ weighted_priority_health: true }), ['10.0.0.3']);
    expect(weighted.map((text) => text.replace(/ 0\.(\d\d).*/, ' $1'))).toEqual([
      'to 10.0.0.1:8080 35',
      'to 10.0.0.2:8080 65',
    ]);
  });
});
