import { describe, expect, test } from 'vitest';
import { loadZtunnel } from '../../src/ztunnel/load.js';
import { ask, dumpOf, meshOf, policy, service, told, workload, type Mesh } from './dumps.js';

const client = workload('client', '10.0.0.1');
const server = workload('server', '10.0.0.2', { node: 'node-b' });
const plain = workload('plain', '10.0.0.3', { protocol: 'TCP', node: 'node-b' });
const waypoint = workload('wp', '10.0.0.9', { node: 'node-b' });
const waypointService = service('wp', '10.96.0.9', ['wp'], {
  ports: { 15008: 15008 },
  endpoints: {
    'Kubernetes//Pod/foo/wp': { workloadUid: 'Kubernetes//Pod/foo/wp', port: { 15008: 15008 }, status: 'Healthy' },
  },
});
const byHost = { destination: 'foo/wp.foo.svc.cluster.local', hboneMtlsPort: 15008 };
const byAddress = { destination: '/10.96.0.9', hboneMtlsPort: 15008 };
const web = service('web', '10.96.0.1', ['server']);

interface Rule {
  readonly name: string;
  /** Release and file of istio/ztunnel in which the rule was read. */
  readonly where: string;
  readonly mesh: Mesh;
  readonly dst: string;
  readonly want: readonly string[];
}

const outbound: readonly Rule[] = [
  {
    name: 'a Service is balanced to its endpoints, HBONE to port 15008 with the target port as authority',
    where: '1.30.3 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, server], services: [web] },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: 'an unknown address is passed through',
    where: '1.30.3 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client] },
    dst: '8.8.8.8:443',
    want: ['forward tcp 8.8.8.8:443'],
  },
  {
    name: 'protocol TCP is plain',
    where: '1.30.3 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, plain] },
    dst: '10.0.0.3:80',
    want: ['forward tcp 10.0.0.3:80'],
  },
  {
    name: 'a Service without endpoint for the port is an error',
    where: '1.22.2 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, server], services: [web] },
    dst: '10.96.0.1:81',
    want: ['error no healthy upstream: 10.96.0.1:81'],
  },
  {
    name: '… and was a passthrough before',
    where: '1.22.1 src/proxy/outbound.rs build_request',
    mesh: { version: '1.22.1', workloads: [client, server], services: [web] },
    dst: '10.96.0.1:81',
    want: ['forward tcp 10.96.0.1:81'],
  },
  {
    name: "a Service's waypoint takes every port, with the VIP as authority",
    where: '1.30.3 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, server, waypoint], services: [{ ...web, waypoint: byHost }, waypointService] },
    dst: '10.96.0.1:4711',
    want: ['forward hbone 10.0.0.9:15008 for 10.96.0.1:4711'],
  },
  {
    name: 'a waypoint by hostname was not supported before 1.23',
    where: '1.22.8 src/state.rs fetch_waypoint',
    mesh: {
      version: '1.22.8',
      workloads: [client, server, waypoint],
      services: [{ ...web, waypoint: byHost }, waypointService],
    },
    dst: '10.96.0.1:80',
    want: ['error unsupported feature: hostname lookup not supported yet'],
  },
  {
    name: 'an unknown waypoint is an error',
    where: '1.30.3 src/state.rs fetch_waypoint',
    mesh: { workloads: [client, server], services: [{ ...web, waypoint: byHost }] },
    dst: '10.96.0.1:80',
    want: ['error unknown waypoint: waypoint wp.foo.svc.cluster.local not found'],
  },
  {
    name: "a workload's waypoint is passed where the workload is addressed",
    where: '1.30.3 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, { ...server, waypoint: byAddress }, waypoint], services: [waypointService] },
    dst: '10.0.0.2:80',
    want: ['forward hbone 10.0.0.9:15008 for 10.0.0.2:80'],
  },
  {
    name: '… but not where its Service is',
    where: '1.22.0 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, { ...server, waypoint: byAddress }, waypoint], services: [web, waypointService] },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: '… which up to 1.21 made no difference',
    where: '1.21.6 src/proxy/outbound.rs build_request',
    mesh: {
      version: '1.21.6',
      workloads: [client, { ...server, waypoint: byAddress }, waypoint],
      services: [web, waypointService],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.9:15008 for 10.96.0.1:80'],
  },
  {
    name: 'on the same node 1.21 in node mode connects inside itself',
    where: '1.21.6 src/proxy/outbound.rs proxy_to',
    mesh: {
      version: '1.21.6',
      workloads: [client, workload('near', '10.0.0.4')],
      config: { inpodEnabled: false },
    },
    dst: '10.0.0.4:80',
    want: ['forward tcp 10.0.0.4:80 by fast path'],
  },
  {
    name: '… and later releases do not',
    where: '1.22.0 src/proxy/outbound.rs build_request',
    mesh: { workloads: [client, workload('near', '10.0.0.4')] },
    dst: '10.0.0.4:80',
    want: ['forward hbone 10.0.0.4:15008 for 10.0.0.4:80'],
  },
  {
    name: 'capacity 0 takes an endpoint out, other capacities are weights',
    where: '1.26.0 src/state.rs load_balance',
    mesh: {
      workloads: [
        client,
        { ...server, capacity: 3 },
        { ...plain, capacity: 1 },
        workload('off', '10.0.0.5', { capacity: 0 }),
      ],
      services: [service('web', '10.96.0.1', ['server', 'plain', 'off'])],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080', 'forward tcp 10.0.0.3:8080'],
  },
  {
    name: 'failover: leading preferences that match decide',
    where: '1.30.3 src/state.rs load_balance',
    mesh: {
      workloads: [client, { ...server, node: 'node-a' }, plain],
      services: [
        service('web', '10.96.0.1', ['server', 'plain'], {
          loadBalancer: { mode: 'Failover', routingPreferences: ['Node'], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: 'strict: nobody who does not match all',
    where: '1.30.3 src/state.rs load_balance',
    mesh: {
      workloads: [client, server],
      services: [
        service('web', '10.96.0.1', ['server'], {
          loadBalancer: { mode: 'Strict', routingPreferences: ['Node'], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['error no healthy upstream: 10.96.0.1:80'],
  },
  {
    name: 'strict with a first preference Network: whoever matches all, which from 1.31 on outweighs the others besides',
    where: '1.31.0-rc.0 src/state.rs load_balance',
    mesh: {
      version: '1.31.0-rc.0',
      workloads: [client, { ...server, node: 'node-a' }, plain],
      services: [
        service('web', '10.96.0.1', ['server', 'plain'], {
          loadBalancer: { mode: 'Strict', routingPreferences: ['Network', 'Node'], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: 'failover from 1.31 on: a first preference Network that matches outweighs all others',
    where: '1.31.0-rc.0 src/state.rs load_balance',
    mesh: {
      version: '1.31.0-rc.0',
      workloads: [
        client,
        server,
        workload('remote', '34.0.0.5', {
          network: 'far',
          networkGateway: { destination: '/34.1.1.1', hboneMtlsPort: 15008 },
        }),
      ],
      services: [
        service('web', '10.96.0.1', ['server', 'remote'], {
          loadBalancer: { mode: 'Failover', routingPreferences: ['Network', 'Node'], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: '… and where no endpoint is on the own network, the other preferences still rank',
    where: '1.31.0-rc.0 src/state.rs load_balance',
    mesh: {
      version: '1.31.0-rc.0',
      workloads: [
        client,
        ...['node-a', 'node-b'].map((node, index) =>
          workload(`remote-${index}`, `34.0.0.${index}`, {
            network: 'far',
            node,
            networkGateway: { destination: `/34.1.1.${index}`, hboneMtlsPort: 15008 },
          }),
        ),
        workload('gateway-0', '34.1.1.0'),
        workload('gateway-1', '34.1.1.1'),
      ],
      services: [
        service('web', '10.96.0.1', ['remote-0', 'remote-1'], {
          loadBalancer: { mode: 'Failover', routingPreferences: ['Network', 'Node'], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward double-hbone 34.1.1.0:15008 for web.foo.svc.cluster.local:80'],
  },
  {
    name: 'load balancing Passthrough keeps the destination',
    where: '1.28.0 src/state.rs find_upstream',
    mesh: {
      workloads: [client, server],
      services: [
        service('web', '10.96.0.1', ['server'], {
          loadBalancer: { mode: 'Passthrough', routingPreferences: [], healthPolicy: 'OnlyHealthy' },
        }),
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward tcp 10.96.0.1:80'],
  },
  {
    name: 'CIDR VIPs: the longest prefix',
    where: '1.30.0 src/state/service.rs get_best_by_cidr_vip',
    mesh: {
      workloads: [client, server, plain],
      services: [
        service('wide', '10.96.0.1', ['plain'], { cidrVips: [{ network: '', cidr: '240.0.0.0/8' }] }),
        service('narrow', '10.96.0.2', ['server'], { cidrVips: [{ network: '', cidr: '240.1.0.0/16' }] }),
      ],
    },
    dst: '240.1.2.3:80',
    want: ['forward hbone 10.0.0.2:15008 for 10.0.0.2:8080'],
  },
  {
    name: 'weighted waypoints share the connections, weight 0 gets none',
    where: '1.31.0-rc.0 src/state.rs sample_weighted_waypoint',
    mesh: {
      version: '1.31.0-rc.0',
      workloads: [client, server, waypoint, workload('wp2', '10.0.0.8')],
      services: [
        {
          ...web,
          weightedWaypoints: [
            { destination: { destination: '/10.0.0.9', hboneMtlsPort: 15008 }, weight: 75 },
            { destination: { destination: '/10.0.0.8', hboneMtlsPort: 15008 }, weight: 25 },
            { destination: { destination: '/10.0.0.7', hboneMtlsPort: 15008 }, weight: 0 },
          ],
        },
      ],
    },
    dst: '10.96.0.1:80',
    want: ['forward hbone 10.0.0.9:15008 for 10.96.0.1:80', 'forward hbone 10.0.0.8:15008 for 10.96.0.1:80'],
  },
  {
    name: 'another network is reached by double HBONE through its gateway',
    where: '1.27.0 src/proxy/outbound.rs build_request_through_gateway',
    mesh: {
      workloads: [
        client,
        {
          ...server,
          network: 'far',
          networkGateway: { destination: '/34.1.1.1', hboneMtlsPort: 15008 },
        },
        workload('gateway', '34.1.1.1', { uid: 'NetworkGateway/far/34.1.1.1/15008' }),
      ],
      services: [web],
    },
    dst: '10.96.0.1:80',
    want: ['forward double-hbone 34.1.1.1:15008 for web.foo.svc.cluster.local:80'],
  },
  {
    name: 'calls of its own ports on localhost are refused',
    where: '1.24.1 src/proxy/outbound.rs proxy_to',
    mesh: { workloads: [client] },
    dst: '127.0.0.1:15001',
    want: ['error attempted recursive call to ourselves'],
  },
];

test.each(outbound)('outbound: $name ($where)', ({ mesh, dst, want }) => {
  const ztunnel = meshOf(mesh);
  expect(ztunnel.problems).toEqual([]);
  expect(told(ask(ztunnel, 'outbound', '10.0.0.1', dst))).toEqual(want);
});

const identity = 'spiffe://cluster.local/ns/bar/sa/caller';
const principal = 'cluster.local/ns/bar/sa/caller';
const local = workload('server', '10.0.0.2', { node: 'node-a' });
const forward = ['forward tcp 10.0.0.2:8080'];

/** Rules of policies: Z@1.30.3:src/rbac.rs, src/state.rs assert_rbac, unless the name says otherwise. */
const rbac: readonly (readonly [string, readonly object[], readonly string[], readonly string[]])[] = [
  ['no policy allows', [], forward, forward],
  ['rules: [] of ALLOW denies all', [policy('p', 'Allow', [])], ['deny none allowed'], ['deny none allowed']],
  ['rules: [] of DENY does nothing', [policy('p', 'Deny', [])], forward, forward],
  ['an empty rule matches everything', [policy('p', 'Deny', [[]])], ['deny foo/p'], ['deny foo/p']],
  ['an empty clause matches everything', [policy('p', 'Deny', [[[]]])], ['deny foo/p'], ['deny foo/p']],
  ['an empty match matches nothing', [policy('p', 'Deny', [[[{}]]])], forward, forward],
  [
    'principals without spiffe://',
    [policy('p', 'Deny', [[[{ principals: [{ Exact: principal }] }]]])],
    ['deny foo/p'],
    forward,
  ],
  [
    'a principal with spiffe:// never matches',
    [policy('p', 'Deny', [[[{ principals: [{ Exact: identity }] }]]])],
    forward,
    forward,
  ],
  [
    'STRICT: notPrincipals presence',
    [policy('p', 'Deny', [[[{ notPrincipals: [{ Presence: [] }] }]]])],
    forward,
    ['deny foo/p'],
  ],
  [
    'namespace prefix',
    [policy('p', 'Allow', [[[{ namespaces: [{ Prefix: 'ba' }] }]]])],
    forward,
    ['deny none allowed'],
  ],
  [
    'namespace suffix',
    [policy('p', 'Allow', [[[{ namespaces: [{ Suffix: 'ar' }] }]]])],
    forward,
    ['deny none allowed'],
  ],
  [
    'notNamespaces matches plaintext',
    [policy('p', 'Deny', [[[{ notNamespaces: [{ Exact: 'bar' }] }]]])],
    forward,
    ['deny foo/p'],
  ],
  [
    'serviceAccounts ignore the trust domain',
    [policy('p', 'Deny', [[[{ serviceAccounts: [{ namespace: 'bar', serviceAccount: 'caller' }] }]]])],
    ['deny foo/p'],
    forward,
  ],
  ['sourceIps', [policy('p', 'Deny', [[[{ sourceIps: ['10.9.0.0/16'] }]]])], ['deny foo/p'], ['deny foo/p']],
  ['notSourceIps', [policy('p', 'Deny', [[[{ notSourceIps: ['10.9.0.0/16'] }]]])], forward, forward],
  ['destinationIps', [policy('p', 'Deny', [[[{ destinationIps: ['10.0.0.2/32'] }]]])], ['deny foo/p'], ['deny foo/p']],
  [
    'the port is the target port',
    [policy('p', 'Deny', [[[{ destinationPorts: [8080] }]]])],
    ['deny foo/p'],
    ['deny foo/p'],
  ],
  ['notDestinationPorts', [policy('p', 'Deny', [[[{ notDestinationPorts: [8080] }]]])], forward, forward],
  [
    'clauses are joined by AND, matches by OR',
    [
      policy('p', 'Deny', [
        [[{ namespaces: [{ Exact: 'x' }] }, { namespaces: [{ Exact: 'bar' }] }], [{ destinationPorts: [8080] }]],
      ]),
    ],
    ['deny foo/p'],
    forward,
  ],
  ['DENY goes before ALLOW', [policy('a', 'Allow', [[]]), policy('d', 'Deny', [[]])], ['deny foo/d'], ['deny foo/d']],
  ['a dry-run DENY is not enforced', [policy('p', 'Deny', [[]], { dryRun: true })], forward, forward],
  ['a dry-run ALLOW alone allows', [policy('p', 'Allow', [], { dryRun: true })], forward, forward],
  ['other namespaces do not matter', [policy('p', 'Deny', [[]], { namespace: 'bar' })], forward, forward],
  [
    'Global applies everywhere',
    [policy('p', 'Deny', [[]], { namespace: 'istio-system', scope: 'Global' })],
    ['deny istio-system/p'],
    ['deny istio-system/p'],
  ],
  [
    'a selector policy applies only where it is listed',
    [policy('p', 'Deny', [[]], { scope: 'WorkloadSelector' })],
    forward,
    forward,
  ],
  [
    'an unknown field of a match: cannot be told',
    [policy('p', 'Deny', [[[{ ja4: ['x'] }]]])],
    ['unknown'],
    ['unknown'],
  ],
  [
    '… unless a known one already misses',
    [policy('p', 'Deny', [[[{ ja4: ['x'], destinationPorts: [1] }]]])],
    forward,
    forward,
  ],
  ['an unknown action: cannot be told', [policy('p', 'Deny', [[]], { action: 'Audit' })], ['unknown'], ['unknown']],
  [
    '… nor where it does not match: an ALLOW would deny all others',
    [policy('p', 'Allow', [], { action: 'Permit' })],
    ['unknown'],
    ['unknown'],
  ],
  [
    '… unless another ALLOW policy decides it either way',
    [policy('p', 'Allow', [], { action: 'Permit' }), policy('q', 'Allow', [[]])],
    forward,
    forward,
  ],
  [
    'an unknown scope: it may be the one that is named',
    [policy('p', 'Deny', [[]], { scope: 'Cluster' }), policy('q', 'Deny', [[]])],
    ['unknown'],
    ['unknown'],
  ],
];

test.each(rbac)('policies: %s', (_name, policies, mtls, plaintext) => {
  const ztunnel = meshOf({ workloads: [local], policies: policies.map((item) => ({ ...item })) });
  expect(told(ask(ztunnel, 'inbound', '10.9.0.1', '10.0.0.2:8080', { identity }))).toEqual(mtls);
  expect(told(ask(ztunnel, 'inbound-plaintext', '10.9.0.1', '10.0.0.2:8080'))).toEqual(plaintext);
});

describe('inbound', () => {
  test('which of several matching DENY policies is named is drawn per process (1.30.3 src/state/policy.rs)', () => {
    const ztunnel = meshOf({ workloads: [local], policies: [policy('a', 'Deny', [[]]), policy('b', 'Deny', [[]])] });
    const outcomes = ask(ztunnel, 'inbound', '10.9.0.1', '10.0.0.2:8080', { identity });
    expect(told(outcomes)).toEqual(['deny foo/a', 'deny foo/b']);
    expect(outcomes.map((item) => [item.probability, item.perProcess])).toEqual([
      [0.5, true],
      [0.5, true],
    ]);
  });

  test('dry-run policies are enforced by releases that do not know them (1.28.0 src/state.rs)', () => {
    const mesh = { version: '1.28.0', workloads: [local], policies: [policy('p', 'Deny', [[]], { dryRun: true })] };
    expect(told(ask(meshOf(mesh), 'inbound', '10.9.0.1', '10.0.0.2:8080', { identity }))).toEqual(['deny foo/p']);
  });

  test('what a rejection says changed in 1.22 and 1.24 (src/proxy.rs)', () => {
    const words = ['1.21.6', '1.23.0', '1.24.0'].map((version) => {
      const mesh = { version, workloads: [local], policies: [policy('p', 'Deny', [[]])] };
      return ask(meshOf(mesh), 'inbound', '10.9.0.1', '10.0.0.2:8080', { identity })[0]?.error;
    });
    expect(words).toEqual([
      'http status: 401 Unauthorized',
      'connection closed due to policy rejection',
      'connection closed due to policy rejection: explicitly denied by: foo/p',
    ]);
  });

  test('another trust domain fails in TLS, before any policy (1.30.3 src/tls/workload.rs)', () => {
    const [only] = ask(meshOf({ workloads: [local] }), 'inbound', '10.9.0.1', '10.0.0.2:80', {
      identity: 'spiffe://other/ns/bar/sa/caller',
    });
    expect(only?.error).toContain('SanTrustDomainError("cluster.local", [Spiffe { trust_domain: "other"');
  });

  test('an authority that is not the pod is a mismatch, unless the pod is its waypoint (1.30.3 src/proxy/inbound.rs)', () => {
    const mesh = {
      workloads: [workload('wp', '10.0.0.9')],
      services: [waypointService, { ...web, waypoint: byHost, endpoints: {} }],
    };
    const arrivedAt = '10.0.0.9:15008';
    const of = (dst: string) => told(ask(meshOf(mesh), 'inbound', '10.9.0.1', dst, { identity, arrivedAt }));
    expect(of('10.96.0.1:80')).toEqual(['forward tcp 10.0.0.9:80']);
    expect(of('10.96.0.77:80')).toEqual(['error ip mismatch: 10.0.0.9 != 10.96.0.77']);
  });

  test('up to 1.21 only the waypoint may call a workload behind it (1.21.6 src/proxy/inbound.rs)', () => {
    const mesh = {
      version: '1.21.6',
      workloads: [{ ...local, waypoint: byAddress }, waypoint],
      services: [waypointService],
      policies: [policy('p', 'Allow', [[]])],
    };
    const from = (peer: string) => told(ask(meshOf(mesh), 'inbound', '10.9.0.1', '10.0.0.2:80', { identity: peer }));
    expect(from(identity)).toEqual(['deny bypassed waypoint']);
    expect(from('spiffe://cluster.local/ns/foo/sa/wp')).toEqual(['forward tcp 10.0.0.2:80']);
  });

  test('ports of ztunnel are refused (1.24.1 src/proxy/inbound_passthrough.rs)', () => {
    const ztunnel = meshOf({ workloads: [local] });
    const self = ['error attempted recursive call to ourselves'];
    expect(told(ask(ztunnel, 'inbound', '10.9.0.1', '10.0.0.2:15006', { identity }))).toEqual(self);
    expect(told(ask(ztunnel, 'inbound-plaintext', '10.9.0.1', '10.0.0.2:15001'))).toEqual(self);
  });
});

describe('what the dump does not say', () => {
  test('a truncated file answers unknown and names itself', () => {
    const whole = dumpOf({ workloads: [client, server], services: [web] });
    const ztunnel = loadZtunnel('pods/x/ztunnel/config_dump.json', whole.slice(0, -20));
    const [only] = ask(ztunnel, 'outbound', '10.0.0.1', '10.96.0.1:80');
    expect(only?.action).toBe('unknown');
    expect(only?.unknowns[0]?.fact).toContain('pods/x/ztunnel/config_dump.json');
  });

  test('a missing section leaves open what would be in it, and nothing else', () => {
    const whole: Record<string, unknown> = JSON.parse(dumpOf({ workloads: [client, local], services: [web] }));
    delete whole['services'];
    const ztunnel = loadZtunnel('config_dump.json', JSON.stringify(whole));
    expect(told(ask(ztunnel, 'outbound', '10.0.0.1', '8.8.8.8:53'))).toEqual(['unknown']);
    expect(told(ask(ztunnel, 'inbound-plaintext', '10.9.0.1', '10.0.0.2:80'))).toEqual(['forward tcp 10.0.0.2:80']);
    delete whole['policies'];
    const open = loadZtunnel('config_dump.json', JSON.stringify(whole));
    expect(told(ask(open, 'inbound-plaintext', '10.9.0.1', '10.0.0.2:80'))).toEqual(['unknown']);
  });

  test('an address that two workloads share equally: unknown, as the order of insertion decides', () => {
    const twin = workload('twin', '10.0.0.2', { node: 'node-b', waypoint: byAddress });
    const ztunnel = meshOf({ workloads: [client, server, twin, waypoint], services: [waypointService] });
    expect(told(ask(ztunnel, 'outbound', '10.0.0.1', '10.0.0.2:80'))).toEqual(['unknown']);
  });

  test('a release that is not named is no guess: only what all releases with the layout say is certain', () => {
    const mesh = { version: null, workloads: [client, server], services: [web] };
    const ztunnel = meshOf(mesh);
    expect(told(ask(ztunnel, 'outbound', '10.0.0.1', '10.96.0.1:80'))).toEqual([
      'forward hbone 10.0.0.2:15008 for 10.0.0.2:8080',
    ]);
    expect(told(ask(ztunnel, 'outbound', '10.0.0.1', '127.0.0.1:15001'))).toEqual(['unknown']);
  });

  test('unknown fields are reported and do not stop the reader', () => {
    const ztunnel = meshOf({ workloads: [client, { ...server, colour: 'red' }], services: [web] });
    expect(ztunnel.problems).toEqual([
      { fact: 'config_dump.json/workloads/1/colour', reason: 'unknown field colour of a workload' },
    ]);
    expect(told(ask(ztunnel, 'outbound', '10.0.0.1', '10.0.0.2:80'))).toEqual([
      'forward hbone 10.0.0.2:15008 for 10.0.0.2:80',
    ]);
  });
});
