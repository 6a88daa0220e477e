import { expect, test } from 'vitest';
import type { Ztunnel, ZtunnelConnection } from '../../src/ztunnel/face.js';
import { loadZtunnel } from '../../src/ztunnel/load.js';
import { dumpOf, policy, service, workload } from './dumps.js';

const uid = (name: string): string => `Kubernetes//Pod/foo/${name}`;
const endpoint = (name: string, port: object): object => ({
  [uid(name)]: { workloadUid: uid(name), port, status: 'Healthy' },
});

/** Something of everything that decides. */
const dump: Record<string, unknown> = JSON.parse(
  dumpOf({
    version: '1.31.0',
    config: {
      dnsProxy: true,
      clusterDomain: 'cluster.local',
      illegalPorts: [15001, 15006, 15008],
      inboundAddr: '[::]:15008',
      localhostAppTunnel: true,
      xdsOnDemand: false,
      ipv6Enabled: true,
    },
    workloads: [
      workload('client', '10.0.0.1', {
        networkMode: 'Standard',
        locality: { region: 'r', zone: 'z', subzone: '' },
        authorizationPolicies: ['foo/selected'],
      }),
      workload('near', '10.0.0.2', { locality: { region: 'r', zone: 'z', subzone: '' }, capacity: 2 }),
      workload('far', '10.0.0.3', { locality: { region: 'q', zone: 'y', subzone: '' }, protocol: 'TCP' }),
      workload('behind', '10.0.0.4', { waypoint: { destination: '/10.0.0.9', hboneMtlsPort: 15008 } }),
      workload('host', '10.9.9.9', { networkMode: 'HostNetwork', protocol: 'TCP' }),
      workload('wp', '10.0.0.9', { applicationTunnel: { protocol: 'PROXY', port: 15088 } }),
      workload('away', '10.0.0.2', {
        network: 'net2',
        networkGateway: { destination: '/10.0.0.9', hboneMtlsPort: 15008 },
      }),
    ],
    services: [
      service('web', '10.96.0.1', ['near', 'far'], {
        loadBalancer: { mode: 'Failover', routingPreferences: ['Region', 'Zone'], healthPolicy: 'OnlyHealthy' },
        subjectAltNames: ['spiffe://cluster.local/ns/foo/sa/extra'],
        canonical: true,
        visibility: 'Public',
      }),
      service('plain', '10.96.0.2', ['near', 'far', 'away'], { ipFamilies: 'IPv4', ports: { 80: 0 } }),
      service('through', '10.96.0.3', ['near'], {
        waypoint: { destination: 'foo/wp.foo.svc.cluster.local', hboneMtlsPort: 15008 },
      }),
      service('weighted', '10.96.0.4', ['near'], {
        weightedWaypoints: [{ destination: { destination: '/10.0.0.9', hboneMtlsPort: 15008 }, weight: 1 }],
      }),
      service('wp', '10.96.0.9', [], { ports: { 15008: 15008 }, endpoints: endpoint('wp', { 15008: 15008 }) }),
      service('wide', '10.96.0.5', ['far'], { cidrVips: [{ network: '', cidr: '240.0.0.0/8' }] }),
      service('headless', '10.96.0.6', ['near'], { vips: [] }),
    ],
    policies: [
      policy('deny', 'Deny', [
        [[{ namespaces: [{ Exact: 'bad' }], notPrincipals: [{ Prefix: 'x' }] }], [{ destinationPorts: [80] }]],
      ]),
      policy('allow', 'Allow', [
        [[{ sourceIps: ['10.0.0.0/8'], serviceAccounts: [{ namespace: 'foo', serviceAccount: 'near' }] }]],
        [[{ notDestinationPorts: [80], notSourceIps: ['10.7.0.0/16'], principals: [{ Suffix: '/sa/far' }] }]],
      ]),
      policy('all', 'Deny', [[[{ namespaces: [{ Exact: 'banned' }] }]]], {
        scope: 'Global',
        namespace: 'istio-system',
      }),
      policy('selected', 'Deny', [[[{ notNamespaces: [{ Presence: [] }] }]]], { scope: 'WorkloadSelector' }),
      policy('trial', 'Deny', [[]], { dryRun: true }),
    ],
    more: {
      certificates: [{ identity: 'spiffe://cluster.local/ns/foo/sa/client', state: 'Available' }],
      workloadState: {
        'uid-1': { state: 'Up', info: { name: 'client', namespace: 'foo', serviceAccount: 'client' } },
        'uid-2': { state: 'Up', info: { name: 'wp', namespace: 'foo', serviceAccount: 'wp' } },
      },
    },
  }),
);

const identity = (namespace: string, account: string): string => `spiffe://cluster.local/ns/${namespace}/sa/${account}`;
const pod = { namespace: 'foo', name: 'client', serviceAccount: 'client' };
const base = { src: '10.0.0.1', identity: null, arrivedAt: null, pod: null };
const toClient = { ...base, direction: 'inbound', src: '10.0.0.2', dst: '10.0.0.1:80' } as const;

const questions: readonly ZtunnelConnection[] = [
  ...['10.96.0.1:80', '10.96.0.1:81', '10.96.0.2:80', '10.96.0.3:99', '10.96.0.4:80', '240.1.1.1:80'],
  ...['10.0.0.2:8080', '10.0.0.4:80', '10.9.9.9:80', '8.8.8.8:53', '127.0.0.1:15001'],
]
  .map((dst): ZtunnelConnection => ({ ...base, direction: 'outbound', dst }))
  .concat([
    { ...base, direction: 'outbound', dst: '10.96.0.1:80', pod },
    { ...toClient, identity: identity('foo', 'near') },
    { ...toClient, identity: identity('foo', 'other') },
    { ...toClient, identity: identity('bad', 'x') },
    { ...toClient, identity: identity('banned', 'x') },
    { ...toClient, dst: '10.0.0.1:90', identity: identity('foo', 'far') },
    { ...toClient, dst: '10.0.0.1:15006', identity: identity('foo', 'near') },
    { ...toClient, dst: 'wp.foo.svc.cluster.local:15008', identity: identity('foo', 'near'), arrivedAt: '10.0.0.9' },
    { ...toClient, dst: '10.96.0.3:80', identity: identity('foo', 'near'), arrivedAt: '10.0.0.9' },
    { ...toClient, direction: 'inbound-plaintext' },
    { ...toClient, direction: 'inbound-plaintext', dst: '10.0.0.9:80' },
  ]);
const names = ['web', 'headless.foo', 'www.example.com', 'through.foo.svc.cluster.local'];

type Answer = { readonly certain: boolean; readonly text: string };

function answers(ztunnel: Ztunnel): readonly Answer[] {
  const connections = questions.map((question): Answer => {
    const outcomes = ztunnel.decide(question);
    const told = outcomes.map((item) => [
      ...[item.probability, item.action, item.protocol, item.to, item.target, item.waypoint, item.workload],
      ...[item.identity, item.identities, item.policy, item.error, item.keepsSource],
    ]);
    return { certain: outcomes.every((item) => item.action !== 'unknown'), text: JSON.stringify(told) };
  });
  const dns = names.map((name): Answer => {
    const answer = ztunnel.resolve({ src: '10.0.0.1', pod: null, name, type: 'A' });
    return { certain: answer.kind !== 'unknown', text: JSON.stringify([answer.kind, answer.addresses]) };
  });
  return [...connections, ...dns];
}

const whole = answers(loadZtunnel('config_dump.json', JSON.stringify(dump)));

/** Every place of the dump with the value that stands there. */
function* places(value: unknown, at: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  if (at.length > 0) yield at;
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) yield* places(Reflect.get(value, key), [...at, key]);
}

function valueAt(root: unknown, at: readonly (string | number)[]): unknown {
  return at.reduce<unknown>((value, key) => Object(value)[key], root);
}

function replaced(at: readonly (string | number)[], value: unknown): string {
  const copy: unknown = structuredClone(dump);
  const parent = valueAt(copy, at.slice(0, -1));
  Reflect.set(Object(parent), at[at.length - 1] ?? '', value);
  return JSON.stringify(copy);
}

/** Values of another kind than the one that stands there, and words that no release knows. */
function wrongValues(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return [null, 'text', 7, {}, { key: 1 }, [...value, null], [...value, { odd: [] }]];
  switch (typeof value) {
    case 'object':
      return ['text', 7, [], true];
    case 'number':
      return ['text', -1, 1.5, {}, true];
    case 'boolean':
      return ['text', 7, []];
    default:
      return [7, {}, [], true];
  }
}

test('the questions are decided by the sound dump', () => {
  expect(whole.filter((answer) => !answer.certain)).toEqual([]);
});

test('a value of the wrong kind, anywhere, never leads to another certain answer', () => {
  const wrong: string[] = [];
  let unknown = 0;
  for (const at of places(dump)) {
    for (const value of wrongValues(valueAt(dump, at))) {
      const damaged = answers(loadZtunnel('config_dump.json', replaced(at, value)));
      damaged.forEach((answer, index) => {
        if (!answer.certain) unknown++;
        else if (answer.text !== whole[index]?.text) {
          wrong.push(`/${at.join('/')} = ${JSON.stringify(value)}: question ${index}: ${answer.text}`);
        }
      });
    }
  }
  expect(wrong).toEqual([]);
  expect(unknown).toBeGreaterThan(1000);
});

test.each([
  ['/services/0/loadBalancer/mode', 0],
  ['/services/0/loadBalancer/routingPreferences/0', 0],
  ['/services/0/visibility', 0],
  ['/services/1/ipFamilies', 2],
  ['/workloads/0/networkMode', 0],
  ['/workloads/1/protocol', 0],
  ['/workloads/5/applicationTunnel/protocol', 18],
  ['/policies/0/action', 14],
  ['/policies/0/scope', 14],
])('a word that no release knows in %s is reported and leaves open what hangs on it', (pointer, index) => {
  const ztunnel = loadZtunnel('config_dump.json', replaced(pointer.slice(1).split('/'), 'FromTheFuture'));
  expect(ztunnel.problems.some(({ fact }) => fact.includes(pointer.replace(/\/\d+$/, '')))).toBe(true);
  expect(answers(ztunnel)[index]?.certain).toBe(false);
});

test('an unknown field of a policy may change what it does, of a match what it matches', () => {
  for (const pointer of ['/policies/0/excludes', '/policies/0/rules/0/0/0/headers']) {
    const ztunnel = loadZtunnel('config_dump.json', replaced(pointer.slice(1).split('/'), ['x']));
    expect(ztunnel.problems[0]?.fact).toContain(pointer);
    expect(answers(ztunnel)[14]?.certain).toBe(false);
  }
});

test('a dump cut off anywhere answers nothing with certainty', () => {
  const text = JSON.stringify(dump);
  for (let length = 0; length < text.length; length += 97) {
    const ztunnel = loadZtunnel('config_dump.json', text.slice(0, length));
    expect(ztunnel.problems).not.toEqual([]);
    expect(answers(ztunnel).filter((answer) => answer.certain)).toEqual([]);
  }
});
