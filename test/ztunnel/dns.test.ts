import { expect, test } from 'vitest';
import { meshOf, service, workload, type Mesh } from './dumps.js';

const config = { dnsProxy: true, clusterDomain: 'cluster.local' };
const mesh: Mesh = {
  config,
  workloads: [
    workload('client', '10.0.0.1'),
    workload('a', '10.1.0.1', { workloadIps: ['10.1.0.1', 'fd00::1'] }),
    workload('b', '10.1.0.2'),
  ],
  services: [
    service('web', '10.96.0.1', ['a']),
    service('headless', '10.96.0.2', ['a', 'b'], { vips: [] }),
    service('other', '10.96.0.3', ['a'], { namespace: 'bar', hostname: 'other.bar.svc.cluster.local' }),
    service('wild', '240.240.0.1', [], { hostname: '*.example.com' }),
    service('external', '240.240.0.2', [], { hostname: 'api.corp.internal', vips: [] }),
  ],
};

const ask = (name: string, type = 'A', more: Mesh = {}) =>
  meshOf({ ...mesh, ...more }).resolve({ src: '10.0.0.1', pod: null, name, type });

/** Z@1.30.3:src/dns/server.rs. */
test.each([
  ['a bare name is a Service of the own namespace', 'web', 'A', ['10.96.0.1'], null],
  ['name and namespace', 'other.bar', 'A', ['10.96.0.3'], null],
  ['name.namespace.svc', 'other.bar.svc', 'A', ['10.96.0.3'], null],
  ['the full name, with a dot', 'web.foo.svc.cluster.local.', 'A', ['10.96.0.1'], null],
  ['a search domain is stripped, with a CNAME', 'other.bar.foo.svc.cluster.local', 'A', ['10.96.0.3'], 'other.bar'],
  ['a headless Service: one address of each endpoint', 'headless.foo', 'A', ['10.1.0.1', '10.1.0.2'], null],
  ['… of the family asked for', 'headless.foo', 'AAAA', ['fd00::1'], null],
  ['a wildcard', 'www.example.com', 'A', ['240.240.0.1'], null],
  ['no record of this type is no error', 'web', 'AAAA', [], null],
])('%s', (_what, name, type, addresses, canonicalName) => {
  const answer = ask(name, type);
  expect([answer.kind, [...answer.addresses].sort(), answer.canonicalName]).toEqual([
    'answer',
    addresses,
    canonicalName,
  ]);
});

test('what is not in the state, has no VIP, or is no address record is forwarded', () => {
  expect(ask('www.google.de').kind).toBe('forward');
  expect(ask('api.corp.internal').kind).toBe('forward');
  expect(ask('web', 'SRV').kind).toBe('forward');
});

test('no server, an unknown pod, an old release', () => {
  expect(ask('web', 'A', { config: {} }).kind).toBe('off');
  expect(ask('web', 'A', { version: '1.21.0' }).kind).toBe('unknown');
  const stranger = { namespace: 'foo', name: 'gone', serviceAccount: 'gone' };
  expect(meshOf(mesh).resolve({ src: '10.0.0.77', pod: stranger, name: 'web', type: 'A' }).kind).toBe('failure');
});

test('several Services with one name: own namespace, canonical, first (1.29.0)', () => {
  const of = (namespace: string, vip: string, canonical: boolean) =>
    service('x', vip, [], { namespace, hostname: 'x.example.org', canonical });
  const ask2 = (services: readonly Readonly<Record<string, unknown>>[], version: string) =>
    ask('x.example.org', 'A', { services, version }).addresses;
  const others = [of('b1', '240.0.0.1', false), of('b2', '240.0.0.2', true)];
  expect(ask2([...others, of('foo', '240.0.0.3', false)], '1.30.3')).toEqual(['240.0.0.3']);
  expect(ask2(others, '1.30.3')).toEqual(['240.0.0.2']);
  expect(ask2(others, '1.26.0')).toEqual(['240.0.0.1']);
});
