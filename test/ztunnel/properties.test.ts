import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ask, meshOf, policy, service, told, workload } from './dumps.js';

const text = fc.constantFrom('foo', 'bar', 'fo', 'ar', '');
const string = fc.oneof(
  text.map((value) => ({ Exact: value })),
  text.map((value) => ({ Prefix: value })),
  text.map((value) => ({ Suffix: value })),
  fc.constant({ Presence: [] }),
);
const net = fc.constantFrom('10.0.0.0/8', '10.9.0.1/32', '10.0.0.2', '::/0', '0.0.0.0/0');
const match = fc.record(
  {
    namespaces: fc.array(string, { maxLength: 2 }),
    notNamespaces: fc.array(string, { maxLength: 2 }),
    principals: fc.array(string, { maxLength: 2 }),
    notPrincipals: fc.array(string, { maxLength: 2 }),
    sourceIps: fc.array(net, { maxLength: 2 }),
    notSourceIps: fc.array(net, { maxLength: 1 }),
    destinationIps: fc.array(net, { maxLength: 1 }),
    destinationPorts: fc.array(fc.constantFrom(80, 8080), { maxLength: 2 }),
    notDestinationPorts: fc.array(fc.constantFrom(80, 8080), { maxLength: 1 }),
  },
  { requiredKeys: [] },
);
const rules = fc.array(fc.array(fc.array(match, { maxLength: 2 }), { maxLength: 2 }), { maxLength: 2 });
const policies = fc
  .array(fc.tuple(fc.constantFrom<'Allow' | 'Deny'>('Allow', 'Deny'), rules), { maxLength: 4 })
  .map((list) => list.map(([action, written], index) => policy(`p${index}`, action, written)));
const peer = fc.constantFrom('spiffe://cluster.local/ns/foo/sa/a', 'spiffe://cluster.local/ns/bar/sa/b');
const local = workload('server', '10.0.0.2');

const inbound = (list: readonly object[], identity: string) =>
  ask(
    meshOf({ workloads: [local], policies: list.map((item) => ({ ...item })) }),
    'inbound',
    '10.9.0.1',
    '10.0.0.2:80',
    {
      identity,
    },
  );

test('one more DENY never turns deny into allow', () => {
  fc.assert(
    fc.property(policies, rules, peer, (list, more, identity) => {
      const before = inbound(list, identity);
      const after = inbound([...list, policy('more', 'Deny', more)], identity);
      if (before.every((item) => item.action === 'deny'))
        expect(after.every((item) => item.action === 'deny')).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('one more ALLOW that matches everything, beside another ALLOW, never turns allow into deny', () => {
  fc.assert(
    fc.property(policies, peer, (list, identity) => {
      const before = inbound(list, identity);
      const after = inbound([...list, policy('all', 'Allow', [[]])], identity);
      if (before[0]?.action === 'forward') expect(after[0]?.action).toBe('forward');
    }),
    { numRuns: 300 },
  );
});

test('no caller gets the verdict of another one that policies tell apart', () => {
  const callers = fc.array(
    fc.record({
      src: fc.constantFrom('10.9.0.1', '10.9.0.2', '10.0.0.2', '11.0.0.1', 'fd00::1', '::ffff:10.9.0.1'),
      identity: fc.constantFrom(
        ...['foo/sa/a', 'bar/sa/b', 'fo/sa/foo', 'ar/sa/a', 'other/sa/ar'].map(
          (end) => `spiffe://cluster.local/ns/${end}`,
        ),
        'spiffe://elsewhere/ns/foo/sa/a',
      ),
      dst: fc.constantFrom('10.0.0.2:80', '10.0.0.2:8080', '10.0.0.2:9'),
      direction: fc.constantFrom<'inbound' | 'inbound-plaintext'>('inbound', 'inbound-plaintext'),
    }),
    { minLength: 4, maxLength: 12 },
  );
  fc.assert(
    fc.property(policies, callers, (list, all) => {
      const mesh = () => meshOf({ workloads: [local], policies: list.map((item) => ({ ...item })) });
      const shared = mesh();
      for (const { direction, src, dst, identity } of all) {
        const alone = ask(mesh(), direction, src, dst, { identity });
        expect(ask(shared, direction, src, dst, { identity })).toEqual(alone);
      }
    }),
    { numRuns: 150 },
  );
});

const endpoint = fc.record({
  protocol: fc.constantFrom('TCP', 'HBONE'),
  capacity: fc.nat({ max: 3 }),
  node: fc.constantFrom('node-a', 'node-b'),
  locality: fc.record({
    region: fc.constantFrom('r1', 'r2'),
    zone: fc.constantFrom('z1', 'z2'),
    subzone: fc.constant(''),
  }),
});
const balancing = fc.option(
  fc.record({
    mode: fc.constantFrom('Standard', 'Strict', 'Failover', 'Passthrough'),
    routingPreferences: fc.array(fc.constantFrom('Region', 'Zone', 'Node', 'Network'), { maxLength: 3 }),
    healthPolicy: fc.constant('OnlyHealthy'),
  }),
  { nil: undefined },
);
const version = fc.constantFrom('1.23.0', '1.24.0', '1.26.0', '1.28.0', '1.30.3', '1.31.0-rc.0');

function meshWith(release: string, pods: readonly object[], loadBalancer: object | undefined, more: readonly object[]) {
  const named = pods.map((fields, index) => workload(`pod-${index}`, `10.1.0.${index}`, { ...fields }));
  return meshOf({
    version: release,
    workloads: [workload('client', '10.0.0.1'), ...named, ...more.map((item) => ({ ...item }))],
    services: [
      service(
        'web',
        '10.96.0.1',
        named.map((_, index) => `pod-${index}`),
        loadBalancer === undefined ? {} : { loadBalancer },
      ),
    ],
  });
}

test('probabilities add up to 1, and an unrelated workload changes nothing', () => {
  fc.assert(
    fc.property(version, fc.array(endpoint, { maxLength: 6 }), balancing, (release, pods, loadBalancer) => {
      const outcomes = ask(meshWith(release, pods, loadBalancer, []), 'outbound', '10.0.0.1', '10.96.0.1:80');
      const total = outcomes.reduce((sum, item) => sum + (item.probability ?? 0), 0);
      expect(total).toBeCloseTo(1, 9);
      const stranger = workload('stranger', '10.2.0.1', { protocol: 'TCP', node: 'node-c', namespace: 'elsewhere' });
      const again = ask(meshWith(release, pods, loadBalancer, [stranger]), 'outbound', '10.0.0.1', '10.96.0.1:80');
      expect(told(again)).toEqual(told(outcomes));
      expect(again.map((item) => item.probability)).toEqual(outcomes.map((item) => item.probability));
    }),
    { numRuns: 300 },
  );
});

test('a source never gets the answer of another one from what is kept', () => {
  fc.assert(
    fc.property(fc.array(endpoint, { minLength: 1, maxLength: 6 }), balancing, (pods, loadBalancer) => {
      const others = [
        workload('b', '10.0.0.5', { node: 'node-a', locality: { region: 'r2', zone: 'z1', subzone: '' } }),
        workload('c', '10.0.0.6', { node: 'node-a', namespace: 'bar' }),
      ];
      const shared = meshWith('1.30.3', pods, loadBalancer, others);
      for (const src of ['10.0.0.1', '10.0.0.5', '10.0.0.6', '10.0.0.1']) {
        const alone = ask(meshWith('1.30.3', pods, loadBalancer, others), 'outbound', src, '10.96.0.1:80');
        const kept = ask(shared, 'outbound', src, '10.96.0.1:80');
        expect(told(kept)).toEqual(told(alone));
      }
    }),
    { numRuns: 150 },
  );
});

test('no text makes the reader throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
      const ztunnel = meshOf({ more: { odd: body } });
      expect(ask(ztunnel, 'outbound', body, body)[0]?.action).toBe('unknown');
    }),
    { numRuns: 200 },
  );
});
