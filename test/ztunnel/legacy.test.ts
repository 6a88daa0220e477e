import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { loadZtunnel } from '../../src/ztunnel/load.js';
import { ask, told } from './dumps.js';

/** The ztunnels of a real 1.18.2 mesh, by node (fixtures/README.md). What is expected was seen there. */
const dumps: Readonly<Record<string, object>> = JSON.parse(
  gunzipSync(readFileSync(new URL('fixtures/1.18.2.json.gz', import.meta.url))).toString('utf8'),
);

function ztunnelOf(node: string, change: (dump: string) => string = (dump) => dump) {
  return loadZtunnel('config_dump.json', change(JSON.stringify(dumps[node])));
}

const sleep = 'spiffe://cluster.local/ns/foo/sa/sleep';

test('the layout is read whole', () => {
  const ztunnel = ztunnelOf('node-b');
  expect([ztunnel.version, ztunnel.era, ztunnel.localNode, ztunnel.problems]).toEqual([
    '1.18.2',
    'ip-maps',
    'node-b',
    [],
  ]);
});

test('another node: HBONE to the pod; a waypoint: HBONE to it with the VIP as authority (1.18.2 src/proxy/outbound.rs)', () => {
  const ztunnel = ztunnelOf('node-a');
  expect(told(ask(ztunnel, 'outbound', '10.244.1.5', '10.96.10.1:8000'))).toEqual([
    'forward hbone 10.244.2.6:15008 for 10.244.2.6:80',
  ]);
  expect(told(ask(ztunnel, 'outbound', '10.244.1.5', '10.96.10.3:5000'))).toEqual([
    'forward hbone 10.244.3.5:15008 for 10.96.10.3:5000',
  ]);
});

test('the same node: the fast path, with the policies of the destination', () => {
  const ztunnel = ztunnelOf('node-a');
  expect(told(ask(ztunnel, 'outbound', '10.244.1.5', '10.96.10.6:80'))).toEqual([
    'forward tcp 10.244.1.6:80 by fast path',
  ]);
});

test('inbound: the policy of the workload, everyone but the waypoint refused behind one (1.18.2 src/proxy/inbound.rs)', () => {
  const denied = 'spiffe://cluster.local/ns/foo-sc/sa/sleep';
  const httpbin = ztunnelOf('node-b');
  expect(told(ask(httpbin, 'inbound', '10.244.1.7', '10.244.2.6:80', { identity: denied }))).toEqual([
    'deny bar-1/deny-foo-sc-sleep',
  ]);
  expect(told(ask(httpbin, 'inbound', '10.244.1.5', '10.244.2.6:80', { identity: sleep }))).toEqual([
    'forward tcp 10.244.2.6:80',
  ]);
  const hello = ztunnelOf('node-d');
  const waypoint = 'spiffe://cluster.local/ns/bar-2/sa/helloworld-istio-waypoint';
  expect(told(ask(hello, 'inbound', '10.244.1.5', '10.244.4.5:5000', { identity: sleep }))).toEqual([
    'deny bypassed waypoint',
  ]);
  expect(told(ask(hello, 'inbound', '10.244.3.5', '10.244.4.5:5000', { identity: waypoint }))).toEqual([
    'forward tcp 10.244.4.5:5000',
  ]);
});

test('plaintext for a workload with a waypoint: istiod refuses the certificate of the client (1.18.2 src/proxy/inbound_passthrough.rs)', () => {
  const [only] = ask(ztunnelOf('node-d'), 'inbound-plaintext', '10.244.1.8', '10.244.4.5:5000');
  expect(only?.action).toBe('error');
  expect(only?.error).toContain('request impersonation authentication failure');
});

test('plaintext for another workload goes on', () => {
  expect(told(ask(ztunnelOf('node-b'), 'inbound-plaintext', '10.244.1.8', '10.244.2.6:80'))).toEqual([
    'forward tcp 10.244.2.6:80',
  ]);
});

test("unknown source, ztunnel's own address, unknown waypoint", () => {
  const ztunnel = ztunnelOf('node-a');
  expect(told(ask(ztunnel, 'outbound', '10.9.9.9', '10.96.10.1:8000'))).toEqual(['error unknown source: 10.9.9.9']);
  expect(told(ask(ztunnel, 'outbound', '10.244.1.5', '10.244.1.2:80'))).toEqual([
    'error attempted recursive call to ourselves',
  ]);
  const lost = ztunnelOf('node-a', (dump) =>
    dump.replaceAll('"waypointAddresses":["10.244.3.5"]', '"waypointAddresses":["10.7.7.7"]'),
  );
  expect(told(ask(lost, 'outbound', '10.244.1.5', '10.96.10.3:5000'))).toEqual([
    'error unknown waypoint 10.7.7.7 for 10.7.7.7',
  ]);
});
