import { describe, expect, it } from 'vitest';
import { findDestination, findSource, type DestinationOptions } from '../../src/mesh/find.js';
import type { FindResult } from '../../src/mesh/find-result.js';
import type { Mesh } from '../../src/mesh/model.js';
import type { Destination, Source } from '../../src/mesh/question.js';
import { controlPlane, deployed, list, meshOf, namespace, object, pod, service, slice, type Json } from './cluster.js';

const WEB_PORTS = [
  { name: 'http', port: 8000, protocol: 'TCP', targetPort: 80 },
  { name: 'metrics', port: 9090, protocol: 'TCP', targetPort: 9090 },
  { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
];

function replicaSet(ns: string, deployment: string): Json {
  return object(
    'ReplicaSet',
    ns,
    `${deployment}-7d9f`,
    { spec: {} },
    { owner: { kind: 'Deployment', name: deployment } },
  );
}

const FILES: Readonly<Record<string, string>> = {
  pods: list(
    deployed('foo', 'sleep', 'aaaaa', { ip: '10.0.0.1' }),
    deployed('foo', 'web', 'bbbbb', { ip: '10.0.0.2', ready: false }),
    deployed('foo', 'web', 'ccccc', { ip: '10.0.0.3' }),
    deployed('foo', 'web', 'ddddd', { ip: '10.0.0.4', phase: 'Failed' }),
    deployed('bar', 'web', 'eeeee', { ip: '10.0.0.5' }),
    deployed('bar', 'httpbin', 'fffff', {
      ip: '10.0.0.6',
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 80 }] }],
    }),
    deployed('baz', 'api', 'ggggg', {
      ip: '10.0.0.7',
      containers: [{ name: 'app', ports: [{ containerPort: 80 }, { name: 'admin', containerPort: 81 }] }],
    }),
    pod('foo', 'db-0', { ips: ['10.0.0.8', 'fd00::8'], owner: { kind: 'StatefulSet', name: 'db' } }),
    pod('kube-system', 'agent-1', { ip: '172.18.0.2', hostNetwork: true, owner: { kind: 'DaemonSet', name: 'agent' } }),
    ...controlPlane('1.30.3'),
  ),
  'replicasets.apps': list(
    replicaSet('foo', 'sleep'),
    replicaSet('foo', 'web'),
    replicaSet('bar', 'web'),
    replicaSet('bar', 'httpbin'),
    replicaSet('baz', 'api'),
  ),
  'deployments.apps': list(object('Deployment', 'foo', 'idle', { spec: {} })),
  'statefulsets.apps': list(),
  services: list(
    service('bar', 'httpbin', { ip: '10.96.0.1', ports: WEB_PORTS }),
    service('foo', 'web', { ip: '10.96.0.2' }),
    service('bar', 'web', { ip: '10.96.0.3' }),
    service('foo', 'db', { selector: { app: 'db' }, spec: { clusterIP: 'None', clusterIPs: ['None'] } }),
    service('bar', 'only', { ip: '10.96.0.4', selector: { app: 'httpbin' } }),
    service('bar', 'many', { ip: '10.96.0.5', ports: [{ port: 1 }, { port: 2 }] }),
  ),
  'endpointslices.discovery.k8s.io': list(slice('bar', 'httpbin', 80, ['10.0.0.6', 'httpbin-7d9f-fffff'])),
  'serviceentries.networking.istio.io': list(
    object('ServiceEntry', 'ext', 'api', {
      spec: {
        hosts: ['api.example.net'],
        addresses: ['240.0.0.1'],
        ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
        resolution: 'DNS',
      },
    }),
    object('ServiceEntry', 'ext', 'wild', {
      spec: { hosts: ['*.example.org'], ports: [{ number: 80, name: 'http' }], resolution: 'NONE' },
    }),
  ),
  nodes: list({
    kind: 'Node',
    metadata: { name: 'n1' },
    spec: { podCIDR: '10.0.0.0/24' },
    status: { addresses: [{ type: 'InternalIP', address: '172.18.0.2' }] },
  }),
  namespaces: list(namespace('foo'), namespace('bar'), namespace('baz')),
  'gateways.gateway.networking.k8s.io': list(),
};

const MESH = meshOf(FILES);

function without(...names: readonly string[]): Mesh {
  return meshOf(Object.fromEntries(Object.entries(FILES).filter(([name]) => !names.includes(name))));
}

function show(value: Source | Destination): string {
  switch (value.kind) {
    case 'pod': {
      const also = value.also.length === 0 ? '' : ` also ${value.also.map((one) => one.name).join(' ')}`;
      return `pod ${value.pod.namespace}/${value.pod.name}${'port' in value ? ` ${value.ip}:${value.port}` : ''}${also}`;
    }
    case 'node':
      return `node ${'name' in value ? value.name : `${value.node.name} ${value.ip}:${value.port}`}`;
    case 'external':
      return `external ${value.name}`;
    case 'service':
      return `service ${value.host} ${value.ip ?? '-'}:${value.port}${value.servicePort === null ? ' (no such port)' : ''}`;
    case 'serviceEntry':
      return `serviceEntry ${value.entry.name} ${value.host} ${value.ip ?? '-'}:${value.port}`;
    case 'address':
      return `address ${value.ip}:${value.port}`;
    case 'host':
      return `host ${value.host}:${value.port}`;
  }
}

function said(result: FindResult<Source | Destination>): string {
  if (result.kind === 'found') return show(result.value);
  const candidates = result.candidates.map((candidate) => candidate.type).join(' ');
  return `${result.problem}${candidates === '' ? '' : `: ${candidates}`}`;
}

function source(text: string, ns: string | null = null, mesh = MESH): string {
  return said(findSource(mesh, text, { namespace: ns }));
}

const TO: DestinationOptions = {
  namespace: null,
  sourceNamespace: null,
  port: null,
  direct: false,
  protocol: 'http',
};

function destination(text: string, options: Partial<DestinationOptions> = {}, mesh = MESH): string {
  return said(findDestination(mesh, text, { ...TO, ...options }));
}

const WEB_FOO = 'pod foo/web-7d9f-ccccc also web-7d9f-bbbbb';

describe('a source', () => {
  it.each([
    ['sleep', 'pod foo/sleep-7d9f-aaaaa'],
    ['deploy/sleep', 'pod foo/sleep-7d9f-aaaaa'],
    ['pod/sleep-7d9f-aaaaa', 'pod foo/sleep-7d9f-aaaaa'],
    ['pod/sleep-7', 'pod foo/sleep-7d9f-aaaaa'],
    ['sleep-7d9', 'pod foo/sleep-7d9f-aaaaa'],
    ['sleep.foo', 'pod foo/sleep-7d9f-aaaaa'],
    ['foo/sleep', 'pod foo/sleep-7d9f-aaaaa'],
    ['foo/deploy/sleep', 'pod foo/sleep-7d9f-aaaaa'],
    ['deploy/sleep.foo', 'pod foo/sleep-7d9f-aaaaa'],
    ['foo/web', WEB_FOO],
    ['web.foo', WEB_FOO],
    ['rs/web-7d9f.foo', WEB_FOO],
    ['svc/only', 'pod bar/httpbin-7d9f-fffff'],
    ['only.bar.svc.cluster.local', 'pod bar/httpbin-7d9f-fffff'],
    ['sts/db', 'pod foo/db-0'],
    ['ds/agent', 'pod kube-system/agent-1'],
    ['10.0.0.1', 'pod foo/sleep-7d9f-aaaaa'],
    ['fd00:0::8', 'pod foo/db-0'],
    ['172.18.0.2', 'node n1'],
    ['node/n1', 'node n1'],
    ['external', 'external external'],
    ['external/outside', 'external outside'],
  ])('%s', (text, expected) => {
    expect(source(text)).toBe(expected);
  });

  it.each([
    ['web', 'foo', WEB_FOO],
    ['web', 'bar', 'pod bar/web-7d9f-eeeee'],
    ['foo/web', 'bar', WEB_FOO],
    ['sleep', 'bar', 'not-found: foo/deploy/sleep'],
  ])('%s with -n %s', (text, ns, expected) => {
    expect(source(text, ns)).toBe(expected);
  });

  it.each([
    ['web', 'ambiguous: bar/deploy/web foo/deploy/web'],
    ['pod/web-', 'ambiguous: foo/pod/web-7d9f-ccccc bar/pod/web-7d9f-eeeee'],
    ['nothing', 'not-found'],
    ['bar/sleep', 'not-found: foo/deploy/sleep'],
    ['idle', 'not-found'],
    ['10.9.9.9', 'not-found'],
    ['node/n2', 'not-found: node/n1'],
    ['api.example.net', 'not-found'],
    ['a b', 'invalid'],
  ])('%s is an error that says what to type', (text, expected) => {
    const result = source(text);
    expect(result.split(' ').sort()).toEqual(expected.split(' ').sort());
  });

  it('what fits a source in one namespace only is taken: a Service without pods sends nothing', () => {
    const mesh = meshOf({ ...FILES, services: list(service('bar', 'sleep', { selector: { app: 'none' } })) });
    expect(source('sleep', null, mesh)).toBe('pod foo/sleep-7d9f-aaaaa');
  });

  it('is found by the pod template hash where the ReplicaSets are missing', () => {
    expect(source('deploy/sleep', null, without('replicasets.apps'))).toBe('pod foo/sleep-7d9f-aaaaa');
  });

  it('is unknown where the pods are missing, never something else', () => {
    const mesh = without('pods');
    expect(source('foo/sleep', null, mesh)).toBe('unknown');
    expect(source('10.0.0.1', null, mesh)).toBe('unknown');
    expect(source('node/n1', null, without('nodes'))).toBe('unknown');
  });
});

describe('a destination', () => {
  it.each([
    ['httpbin', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['httpbin:9090', 'service httpbin.bar.svc.cluster.local 10.96.0.1:9090'],
    ['svc/httpbin:metrics', 'service httpbin.bar.svc.cluster.local 10.96.0.1:9090'],
    ['httpbin.bar', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['httpbin.bar.svc', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['httpbin.bar.svc.cluster.local:8000', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['httpbin.bar.svc.cluster.local.:8000', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['bar/httpbin:7', 'service httpbin.bar.svc.cluster.local 10.96.0.1:7 (no such port)'],
    ['10.96.0.1:8000', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['http://httpbin:8000/get', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['http://10.96.0.1:8000/get', 'service httpbin.bar.svc.cluster.local 10.96.0.1:8000'],
    ['foo/db:5432', 'service db.foo.svc.cluster.local -:5432 (no such port)'],
    ['db-0.db.foo.svc.cluster.local:5432', 'pod foo/db-0 10.0.0.8:5432'],
    ['deploy/httpbin', 'pod bar/httpbin-7d9f-fffff 10.0.0.6:80'],
    ['bar/deploy/httpbin:http', 'pod bar/httpbin-7d9f-fffff 10.0.0.6:80'],
    ['pod/httpbin:8080', 'pod bar/httpbin-7d9f-fffff 10.0.0.6:8080'],
    ['baz/api:81', 'pod baz/api-7d9f-ggggg 10.0.0.7:81'],
    ['10.0.0.6:80', 'pod bar/httpbin-7d9f-fffff 10.0.0.6:80'],
    ['[fd00::8]:5432', 'pod foo/db-0 fd00::8:5432'],
    ['ext/api', 'serviceEntry api api.example.net 240.0.0.1:443'],
    ['se/api', 'serviceEntry api api.example.net 240.0.0.1:443'],
    ['api.example.net:8443', 'serviceEntry api api.example.net 240.0.0.1:8443'],
    ['https://api.example.net/x', 'serviceEntry api api.example.net 240.0.0.1:443'],
    ['a.b.example.org', 'serviceEntry wild a.b.example.org -:80'],
    ['240.0.0.1:443', 'serviceEntry api api.example.net 240.0.0.1:443'],
    ['172.18.0.2:10250', 'node n1 172.18.0.2:10250'],
    ['node/n1:10250', 'node n1 172.18.0.2:10250'],
    ['203.0.113.1:80', 'address 203.0.113.1:80'],
    ['https://example.com', 'host example.com:443'],
  ])('%s', (text, expected) => {
    expect(destination(text)).toBe(expected);
  });

  it('a bare name is looked up in -n, then where the source is, then everywhere', () => {
    expect(destination('web')).toBe('ambiguous: bar/svc/web foo/svc/web');
    expect(destination('web', { sourceNamespace: 'foo' })).toContain('web.foo');
    expect(destination('web', { namespace: 'bar', sourceNamespace: 'foo' })).toContain('web.bar');
    expect(destination('httpbin', { namespace: 'foo', sourceNamespace: 'foo' })).toContain('httpbin.bar');
  });

  it('--direct means the pod instead of the Service', () => {
    expect(destination('bar/httpbin:80', { direct: true })).toBe('pod bar/httpbin-7d9f-fffff 10.0.0.6:80');
    expect(destination('bar/only:80', { direct: true })).toBe('pod bar/httpbin-7d9f-fffff 10.0.0.6:80');
    expect(destination('foo/web:80', { direct: true })).toBe('pod foo/web-7d9f-ccccc 10.0.0.3:80 also web-7d9f-bbbbb');
  });

  it.each([
    ['bar/many', {}, 'port: bar/svc/many:1 bar/svc/many:2'],
    ['bar/httpbin:nope', {}, 'port: bar/svc/httpbin:8000 bar/svc/httpbin:9090'],
    ['bar/httpbin', { protocol: 'tcp' as const }, 'port: bar/svc/httpbin:8000 bar/svc/httpbin:9090'],
    ['bar/httpbin', { protocol: 'udp' as const }, 'service httpbin.bar.svc.cluster.local 10.96.0.1:53'],
    ['baz/api', {}, 'port: baz/deploy/api:80 baz/deploy/api:81'],
    ['sleep', {}, 'port'],
    ['10.0.0.1', {}, 'port'],
    ['203.0.113.1', {}, 'port'],
    ['example.com', {}, 'port'],
    ['bar/httpbin:8000', { port: 9090 }, 'invalid'],
    ['bar/httpbin', { port: 9090 }, 'service httpbin.bar.svc.cluster.local 10.96.0.1:9090'],
    ['external', {}, 'invalid'],
    ['httpbin.bra', {}, 'not-found: bar/svc/httpbin'],
    ['nope.bar.svc.cluster.local', {}, 'not-found'],
  ])('%s %j: %s', (text, options, expected) => {
    expect(destination(text, options)).toBe(expected);
  });

  it('gives the path of a URL', () => {
    const options = { namespace: null, sourceNamespace: null, direct: false, protocol: 'http' as const };
    const found = { kind: 'found', path: '/status/418?x', scheme: 'http', value: { port: 8000 } };
    expect(findDestination(MESH, 'http://httpbin:8000/status/418?x', { ...options, port: null })).toMatchObject(found);
    expect(findDestination(MESH, 'http://httpbin/status/418?x', { ...options, port: 8000 })).toMatchObject(found);
    expect(findDestination(MESH, 'http://httpbin/', { ...options, port: null })).toMatchObject({ value: { port: 80 } });
  });

  it('is unknown, never a lesser thing of that name, where the list that goes first is missing', () => {
    expect(destination('bar/httpbin:8000', {}, without('services'))).toBe('unknown');
    expect(destination('bar/httpbin:80', { direct: true }, without('pods'))).toBe('unknown');
    expect(destination('bar/httpbin:8000', {}, without('pods'))).toContain('service httpbin.bar');
    expect(destination('ext/api', {}, without('serviceentries.networking.istio.io'))).toBe('unknown');
    expect(destination('httpbin.bar.svc.cluster.local', {}, without('services'))).toBe('unknown');
  });

  it('an address is told with what could not be read', () => {
    const result = findDestination(without('services'), '10.96.0.1:80', {
      namespace: null,
      sourceNamespace: null,
      port: null,
      direct: false,
      protocol: 'http',
    });
    expect(result).toMatchObject({ kind: 'found', value: { kind: 'address' } });
    expect(result.kind === 'found' && result.unknowns[0]?.fact).toContain('services.json');
  });
});

describe('the namespace of the context', () => {
  const of = (ns: string): Mesh =>
    meshOf({
      ...FILES,
      'snapshot.json': JSON.stringify({
        apiVersion: 'meshpath.dev/v1',
        kind: 'Snapshot',
        cluster: { context: 'c', namespace: ns },
      }),
    });

  it('goes before others for names that carry none, and binds nobody', () => {
    expect(source('web')).toContain('ambiguous');
    expect(source('web', null, of('bar'))).toBe('pod bar/web-7d9f-eeeee');
    expect(source('sleep', null, of('bar'))).toBe('pod foo/sleep-7d9f-aaaaa');
    expect(source('foo/web', null, of('bar'))).toBe(WEB_FOO);
    expect(source('web', 'foo', of('bar'))).toBe(WEB_FOO);
    expect(destination('web:80', {}, of('bar'))).toContain('service web.bar.svc.cluster.local');
    expect(destination('web:80', { sourceNamespace: 'foo' }, of('bar'))).toContain('service web.foo.svc.cluster.local');
  });
});

describe('lists that may be read of some namespaces only', () => {
  const refused = ['pods', 'services'].map((plural) => `kubernetes/${plural}.json`);
  const PARTLY = meshOf({
    ...FILES,
    'snapshot.json': JSON.stringify({
      apiVersion: 'meshpath.dev/v1',
      kind: 'Snapshot',
      problems: refused.map((file) => ({ file, reason: 'only of the namespaces bar, foo: forbidden' })),
      partial: refused.map((file) => ({ file, namespaces: ['bar', 'foo'] })),
    }),
  });

  it('hide nothing in these namespaces', () => {
    expect(source('foo/sleep', null, PARTLY)).toBe('pod foo/sleep-7d9f-aaaaa');
    expect(source('sleep.foo', null, PARTLY)).toBe('pod foo/sleep-7d9f-aaaaa');
    expect(source('sleep', 'foo', PARTLY)).toBe('pod foo/sleep-7d9f-aaaaa');
    const called = findDestination(PARTLY, 'bar/httpbin:8000', TO);
    expect(said(called)).toBe('service httpbin.bar.svc.cluster.local 10.96.0.1:8000');
    expect(called.unknowns).toEqual([]);
  });

  it('may hold another thing of a name that is looked for everywhere: that is one unknown', () => {
    const found = findSource(PARTLY, 'sleep-7d9f-aaaaa', { namespace: null });
    expect(said(found)).toBe('pod foo/sleep-7d9f-aaaaa');
    expect(found.unknowns).toHaveLength(1);
  });

  it('say that a name is not there where they are whole, and that it is not known elsewhere', () => {
    expect(source('foo/slep', null, PARTLY)).toBe('not-found: foo/deploy/sleep');
    expect(source('slep.foo', null, PARTLY)).toBe('not-found: foo/deploy/sleep');
    expect(source('baz/slep', null, PARTLY)).toBe('unknown');
    expect(source('slep', null, PARTLY)).toBe('unknown');
  });

  it('say of a namespace that was not read only where else such a thing is', () => {
    expect(findSource(PARTLY, 'sleep', { namespace: 'baz' })).toMatchObject({
      problem: 'unknown',
      message: expect.stringMatching(
        /^"sleep" is in no list of namespace baz that could be read \(.*forbidden/,
      ) as string,
      candidates: [{ type: 'foo/deploy/sleep' }],
      unknowns: [{ fact: expect.stringContaining('pods.json') as string }, {}],
    });
    expect(findSource(PARTLY, 'sleep', { namespace: 'bar' })).toMatchObject({
      problem: 'not-found',
      message: 'no "sleep" in namespace bar',
    });
    // found elsewhere as a workload: here it may be a Service
    const problem = { file: 'kubernetes/services.json', reason: 'forbidden' };
    const manifest = { apiVersion: 'meshpath.dev/v1', kind: 'Snapshot', problems: [problem] };
    const mesh = meshOf({ ...FILES, 'snapshot.json': JSON.stringify(manifest) });
    expect(findSource(mesh, 'sleep', { namespace: 'baz' })).toMatchObject({ problem: 'unknown' });
    expect(findSource(mesh, 'sleep', { namespace: 'qux' })).toMatchObject({
      problem: 'not-found',
      message: 'there is no namespace qux',
    });
  });
});

describe('pods that send nothing', () => {
  it('have ended, or are on no node yet', () => {
    const waiting = pod('foo', 'waiting', { ip: null, phase: 'Pending' });
    const spec = { ...(waiting['spec'] as Json), nodeName: undefined };
    const mesh = meshOf({ ...FILES, pods: list(pod('foo', 'done', { phase: 'Succeeded' }), { ...waiting, spec }) });
    expect(findSource(mesh, 'foo/done', { namespace: null })).toMatchObject({
      problem: 'not-found',
      message: 'Pod foo/done has ended (Succeeded)',
    });
    expect(findSource(mesh, 'foo/waiting', { namespace: null })).toMatchObject({
      problem: 'not-found',
      message: 'Pod foo/waiting is on no node yet (Pending): it sends nothing',
    });
  });
});

describe('slips', () => {
  const message = (result: FindResult<Source | Destination>): string =>
    result.kind === 'failed' ? result.message : '';

  it('are answered with what is of nearly that name', () => {
    expect(source('foo/slep')).toBe('not-found: foo/deploy/sleep');
    expect(source('selep', 'foo')).toBe('not-found: foo/deploy/sleep');
    expect(said(findDestination(MESH, 'bar/htpbin:8000', TO))).toBe(
      'not-found: bar/svc/httpbin:8000 bar/deploy/httpbin:8000',
    );
    // what no slip explains stays a host
    expect(said(findDestination(MESH, 'htpbin.bar:8000', TO))).toContain('bar/svc/httpbin:8000');
    expect(said(findDestination(MESH, 'example.com:80', TO))).toBe('host example.com:80');
  });

  it('list no more than a person reads', () => {
    const many = Array.from({ length: 300 }, (_, at) => at);
    const mesh = meshOf({
      ...FILES,
      nodes: list(...many.map((at) => ({ kind: 'Node', metadata: { name: `worker-${at}` }, spec: {}, status: {} }))),
      pods: list(...many.map((at) => deployed(`team-${at}`, 'web', 'aaaaa'))),
    });
    const node = findSource(mesh, 'node/worker-17x', { namespace: null });
    expect(said(node)).toMatch(/^not-found: node\/worker-17 /);
    const web = findSource(mesh, 'deploy/web', { namespace: null });
    expect(message(web)).toBe('"deploy/web" can be 300 things');
    for (const one of [node, web]) expect(one.kind === 'failed' && one.candidates.length).toBe(20);
  });

  it('in a namespace say that there is none, and which there are', () => {
    const failure = findSource(MESH, 'fooo/slep', { namespace: null });
    expect(message(failure)).toContain('there is no namespace fooo');
    expect(said(failure)).toBe('not-found: foo/deploy/sleep');
    expect(message(findSource(MESH, 'sleep', { namespace: 'fooo' }))).toBe('there is no namespace fooo');
    expect(message(findSource(without('namespaces'), 'fooo/slep', { namespace: null }))).not.toContain('no namespace');
  });
});
