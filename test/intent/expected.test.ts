import { describe, expect, it } from 'vitest';
import { expectedPaths } from '../../src/intent/expected.js';
import { findDestination, findSource } from '../../src/mesh/find.js';
import type { Question } from '../../src/mesh/question.js';
import type { Path } from '../../src/walk/trace.js';
import {
  controlPlane,
  deployed,
  list,
  meshOf,
  namespace,
  object,
  pod,
  proxyContainer,
  service,
  slice,
  type Json,
} from '../mesh/cluster.js';

const STATUS = { 'sidecar.istio.io/status': '{}' };
const ENABLED = { 'ambient.istio.io/redirection': 'enabled' };
const SIDECAR = {
  annotations: STATUS,
  containers: [proxyContainer('sidecar')],
  labels: { 'security.istio.io/tlsMode': 'istio' },
};

function config(mesh = ''): Json {
  return object('ConfigMap', 'istio-system', 'istio', { data: { mesh: `rootNamespace: istio-system\n${mesh}` } });
}

const LISTS = [
  'authorizationpolicies.security.istio.io', 'peerauthentications.security.istio.io', 'destinationrules.networking.istio.io',
  'virtualservices.networking.istio.io', 'serviceentries.networking.istio.io', 'gateways.networking.istio.io',
  'gateways.gateway.networking.k8s.io', 'gatewayclasses.gateway.networking.k8s.io', 'httproutes.gateway.networking.k8s.io',
  'referencegrants.gateway.networking.k8s.io', 'replicasets.apps', 'endpoints',
]; // prettier-ignore

function clusterWith(
  more: Readonly<Record<string, readonly Json[]>> = {},
  version = '1.30.3',
): Readonly<Record<string, string>> {
  const base: Record<string, readonly Json[]> = {
    pods: [
      deployed('amb', 'client', 'a', { ip: '10.0.0.1', annotations: ENABLED, serviceAccount: 'client' }),
      deployed('side', 'client', 'a', { ip: '10.0.0.2', ...SIDECAR, serviceAccount: 'client' }),
      deployed('out', 'client', 'a', { ip: '10.0.0.3' }),
      pod('out', 'host', { ip: '172.18.0.1', hostNetwork: true }),
      deployed('amb', 'one', 'a', { ip: '10.0.1.1', annotations: ENABLED, labels: { v: '1' } }),
      deployed('amb', 'two', 'a', { ip: '10.0.1.2', annotations: ENABLED, labels: { v: '2' }, node: 'n2' }),
      deployed('gw', 'gate', 'a', {
        ip: '10.0.2.1',
        labels: {
          'gateway.networking.k8s.io/gateway-name': 'main',
          'gateway.istio.io/managed': 'istio.io-gateway-controller',
          istio: 'gate',
        },
        containers: [proxyContainer('router')],
      }),
      pod('amb', 'wp-1', {
        ip: '10.0.3.1',
        labels: {
          'gateway.networking.k8s.io/gateway-name': 'wp',
          'gateway.istio.io/managed': 'istio.io-mesh-controller',
        },
        containers: [proxyContainer('waypoint')],
        serviceAccount: 'wp',
      }),
      ...controlPlane(version),
    ],
    namespaces: [
      namespace('amb', { 'istio.io/dataplane-mode': 'ambient' }),
      namespace('side'),
      namespace('out'),
      namespace('gw'),
    ],
    nodes: [{ metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '172.18.0.1' }] } }],
    configmaps: [config()],
    services: [
      service('amb', 'web', { ip: '10.96.0.1', selector: {} }),
      service('amb', 'one', { ip: '10.96.0.2' }),
      service('amb', 'two', { ip: '10.96.0.3' }),
      service('amb', 'flat', { spec: { clusterIP: 'None', clusterIPs: ['None'] }, selector: {} }),
      service('gw', 'gate', { ip: '10.96.0.5', ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }] }),
    ],
    'endpointslices.discovery.k8s.io': [
      slice('amb', 'web', 80, ['10.0.1.1', 'one-7d9f-a'], ['10.0.1.2', 'two-7d9f-a']),
      slice('amb', 'one', 80, ['10.0.1.1', 'one-7d9f-a']),
      slice('amb', 'two', 80, ['10.0.1.2', 'two-7d9f-a']),
      slice('amb', 'flat', 80, ['10.0.1.1', 'one-7d9f-a']),
      slice('gw', 'gate', 80, ['10.0.2.1', 'gate-7d9f-a']),
    ],
    ...Object.fromEntries(LISTS.map((name) => [name, []])),
  };
  return Object.fromEntries(Object.entries({ ...base, ...more }).map(([name, items]) => [name, list(...items)]));
}

interface Asked {
  readonly direct?: boolean;
  readonly protocol?: 'http' | 'tcp' | 'udp';
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

function ask(files: Readonly<Record<string, string>>, from: string, to: string, asked: Asked = {}): readonly Path[] {
  const mesh = meshOf(files);
  const source = findSource(mesh, from, { namespace: null });
  const protocol = asked.protocol ?? 'http';
  const destination = findDestination(mesh, to, {
    namespace: null,
    sourceNamespace: null,
    port: null,
    direct: asked.direct ?? false,
    protocol,
  });
  if (source.kind === 'failed') throw new Error(source.message);
  if (destination.kind === 'failed') throw new Error(destination.message);
  const question: Question = {
    source: source.value,
    destination: destination.value,
    protocol,
    method: 'GET',
    path: asked.path ?? '/',
    headers: asked.headers ?? {},
  };
  return expectedPaths(mesh, question);
}

/** `0.5 delivered: client > ztunnel > one  tcp hbone tcp`. */
function show(paths: readonly Path[]): readonly string[] {
  const shown = paths.map((one) => {
    const stops = one.stops.map((stop) => (stop.role === 'workload' ? stop.name.split('-')[0] : stop.role)).join(' > ');
    return `${one.probability === null ? '?' : Number(one.probability.toFixed(3))} ${one.verdict}: ${stops}`;
  });
  return shown.sort((a, b) => Number.parseFloat(b) - Number.parseFloat(a) || (a < b ? -1 : 1));
}

const vs = (name: string, spec: Json, ns = 'amb'): Json => object('VirtualService', ns, name, { spec });
const route = (name: string, spec: Json, ns = 'amb'): Json => object('HTTPRoute', ns, name, { spec });
const toService = { parentRefs: [{ group: '', kind: 'Service', name: 'web' }] };
const WAYPOINT = object('Gateway', 'amb', 'wp', {
  spec: { gatewayClassName: 'istio-waypoint', listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }] },
  status: { addresses: [{ value: '10.96.0.9' }] },
});

describe('routes', () => {
  it('a sidecar follows an HTTPRoute of the Service by its weights; ztunnel does not', () => {
    const weights = {
      ...toService,
      rules: [
        {
          backendRefs: [
            { name: 'one', port: 8000, weight: 3 },
            { name: 'two', port: 8000, weight: 1 },
          ],
        },
      ],
    };
    const files = clusterWith({ 'httproutes.gateway.networking.k8s.io': [route('r', weights)] });
    expect(show(ask(files, 'side/client', 'amb/web'))).toEqual([
      '0.75 delivered: client > sidecar > ztunnel > one',
      '0.25 delivered: client > sidecar > ztunnel > two',
    ]);
    expect(show(ask(files, 'amb/client', 'amb/web'))).toEqual([
      '0.5 delivered: client > ztunnel > ztunnel > one',
      '0.5 delivered: client > ztunnel > ztunnel > two',
    ]);
    expect(show(ask(files, 'side/client', 'amb/web', { protocol: 'tcp' }))[0]).toContain('0.5');
  });

  it('the best match wins; none is a 404; a regular expression leaves it open', () => {
    const match = (type: string, value: string, to: string): Json => ({
      matches: [{ path: { type, value } }],
      backendRefs: [{ name: to, port: 8000 }],
    });
    const files = clusterWith({
      'httproutes.gateway.networking.k8s.io': [
        route('r', { ...toService, rules: [match('PathPrefix', '/a', 'one'), match('Exact', '/a/b', 'two')] }),
      ],
    });
    expect(show(ask(files, 'side/client', 'amb/web', { path: '/a/b?q' }))).toEqual([
      '1 delivered: client > sidecar > ztunnel > two',
    ]);
    expect(show(ask(files, 'side/client', 'amb/web', { path: '/a/c' }))).toEqual([
      '1 delivered: client > sidecar > ztunnel > one',
    ]);
    expect(show(ask(files, 'side/client', 'amb/web', { path: '/ab' }))).toEqual(['1 error: client > sidecar']);
    const open = clusterWith({
      'httproutes.gateway.networking.k8s.io': [
        route('r', {
          ...toService,
          rules: [match('RegularExpression', '/.*', 'two'), match('PathPrefix', '/', 'one')],
        }),
      ],
    });
    expect(show(ask(open, 'side/client', 'amb/web'))).toEqual(['1 unknown: client > sidecar']);
  });

  it('a VirtualService with subsets, first match first', () => {
    const spec = {
      hosts: ['web'],
      http: [
        {
          match: [{ headers: { 'x-user': { exact: 'beta' } } }],
          route: [{ destination: { host: 'web', subset: 'v2' } }],
        },
        { route: [{ destination: { host: 'web', subset: 'v1' } }] },
      ],
    };
    const rule = object('DestinationRule', 'amb', 'web', {
      spec: {
        host: 'web',
        subsets: [
          { name: 'v1', labels: { v: '1' } },
          { name: 'v2', labels: { v: '2' } },
        ],
      },
    });
    const files = clusterWith({
      'virtualservices.networking.istio.io': [vs('web', spec)],
      'destinationrules.networking.istio.io': [rule],
    });
    expect(show(ask(files, 'side/client', 'amb/web'))).toEqual(['1 delivered: client > sidecar > ztunnel > one']);
    expect(show(ask(files, 'side/client', 'amb/web', { headers: { 'X-User': 'beta' } }))).toEqual([
      '1 delivered: client > sidecar > ztunnel > two',
    ]);
  });

  it('exportTo "." is for its own namespace', () => {
    const spec = {
      hosts: ['web.amb.svc.cluster.local'],
      exportTo: ['.'],
      http: [{ route: [{ destination: { host: 'one' } }] }],
    };
    const files = clusterWith({ 'virtualservices.networking.istio.io': [vs('web', spec)] });
    expect(ask(files, 'side/client', 'amb/web')).toHaveLength(2);
  });

  it('a backend in another namespace needs a grant', () => {
    const spec = {
      parentRefs: [{ name: 'main' }],
      rules: [{ backendRefs: [{ name: 'one', namespace: 'amb', port: 8000 }] }],
    };
    const gateway = object('Gateway', 'gw', 'main', {
      spec: { gatewayClassName: 'istio', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
      status: { addresses: [{ value: 'x' }] },
    });
    const more = {
      'gateways.gateway.networking.k8s.io': [gateway],
      'httproutes.gateway.networking.k8s.io': [route('r', spec, 'gw')],
    };
    expect(show(ask(clusterWith(more), 'out/client', 'gw/gate'))).toEqual(['1 error: client > gateway']);
    const grant = object('ReferenceGrant', 'amb', 'g', {
      spec: {
        from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'gw' }],
        to: [{ group: '', kind: 'Service' }],
      },
    });
    const granted = clusterWith({ ...more, 'referencegrants.gateway.networking.k8s.io': [grant] });
    expect(show(ask(granted, 'out/client', 'gw/gate'))).toEqual(['1 delivered: client > gateway > ztunnel > one']);
    expect(ask(granted, 'out/client', 'gw/gate')[0]?.encryption).toBe('mixed');
    expect(show(ask(granted, 'out/client', 'gw/gate', { headers: { Host: 'other.example.com' } }))).toHaveLength(1);
  });

  it('a gateway of the Istio API', () => {
    const gateway = object('Gateway', 'gw', 'main', {
      spec: { selector: { istio: 'gate' }, servers: [{ port: { number: 80, protocol: 'HTTP' }, hosts: ['*'] }] },
    });
    const spec = {
      hosts: ['shop.example.com'],
      gateways: ['gw/main'],
      http: [
        {
          match: [{ uri: { prefix: '/one' } }],
          route: [{ destination: { host: 'one.amb.svc.cluster.local', port: { number: 8000 } } }],
        },
      ],
    };
    const files = clusterWith({
      'gateways.networking.istio.io': [gateway],
      'virtualservices.networking.istio.io': [vs('shop', spec)],
    });
    const asked = { headers: { host: 'shop.example.com' }, path: '/one/x' };
    expect(show(ask(files, 'out/client', 'gw/gate', asked))).toEqual(['1 delivered: client > gateway > ztunnel > one']);
    expect(show(ask(files, 'out/client', 'gw/gate', { ...asked, path: '/two' }))).toEqual([
      '1 error: client > gateway',
    ]);
    expect(show(ask(files, 'out/client', 'gw/gate'))).toEqual(['1 error: client > gateway']);
  });
});

describe('waypoints', () => {
  const bound = (
    more: Readonly<Record<string, readonly Json[]>> = {},
    labels: Readonly<Record<string, string>> = {},
  ): Readonly<Record<string, string>> =>
    clusterWith({
      namespaces: [
        namespace('amb', { 'istio.io/dataplane-mode': 'ambient', 'istio.io/use-waypoint': 'wp', ...labels }),
        namespace('side'),
        namespace('out'),
        namespace('gw'),
      ],
      'gateways.gateway.networking.k8s.io': [WAYPOINT],
      ...more,
    });

  it('ztunnel goes through, sidecars and plain clients do not', () => {
    expect(show(ask(bound(), 'amb/client', 'amb/one'))).toEqual([
      '1 delivered: client > ztunnel > waypoint > ztunnel > one',
    ]);
    expect(show(ask(bound(), 'side/client', 'amb/one'))).toEqual(['1 delivered: client > sidecar > ztunnel > one']);
    expect(show(ask(bound(), 'out/client', 'amb/one'))).toEqual(['1 delivered: client > ztunnel > one']);
    expect(show(ask(bound(), 'amb/client', 'amb/one:80', { direct: true }))).toEqual([
      '1 delivered: client > ztunnel > ztunnel > one',
    ]);
  });

  it('the server sees the name of the waypoint: a policy for the client alone refuses it', () => {
    const policy = object('AuthorizationPolicy', 'amb', 'p', {
      spec: {
        selector: { matchLabels: { app: 'one' } },
        rules: [{ from: [{ source: { principals: ['cluster.local/ns/amb/sa/client'] } }] }],
      },
    });
    const files = bound({ 'authorizationpolicies.security.istio.io': [policy] });
    expect(show(ask(files, 'amb/client', 'amb/one'))).toEqual(['1 denied: client > ztunnel > waypoint > ztunnel']);
    expect(show(ask(files, 'amb/client', 'amb/one:80', { direct: true }))[0]).toContain('delivered');
  });

  it('its own policies see the client and the request', () => {
    const policy = object('AuthorizationPolicy', 'amb', 'p', {
      spec: {
        targetRefs: [{ kind: 'Service', name: 'one' }],
        rules: [{ from: [{ source: { namespaces: ['amb'] } }], to: [{ operation: { paths: ['/ok'] } }] }],
      },
    });
    const files = bound({ 'authorizationpolicies.security.istio.io': [policy] });
    expect(show(ask(files, 'amb/client', 'amb/one', { path: '/ok' }))[0]).toContain('delivered');
    expect(show(ask(files, 'amb/client', 'amb/one', { path: '/no' }))).toEqual([
      '1 denied: client > ztunnel > waypoint',
    ]);
    expect(show(ask(files, 'side/client', 'amb/one', { path: '/no' }))[0]).toContain('delivered');
  });

  it('a gateway goes through where the label says so', () => {
    const gate = object('Gateway', 'gw', 'main', {
      spec: { gatewayClassName: 'istio', listeners: [{ name: 'http', port: 80, protocol: 'HTTP' }] },
      status: {},
    });
    const more = {
      'gateways.gateway.networking.k8s.io': [WAYPOINT, gate],
      'httproutes.gateway.networking.k8s.io': [
        route(
          'r',
          { parentRefs: [{ name: 'main' }], rules: [{ backendRefs: [{ name: 'one', namespace: 'amb', port: 8000 }] }] },
          'gw',
        ),
      ],
      'referencegrants.gateway.networking.k8s.io': [
        object('ReferenceGrant', 'amb', 'g', {
          spec: { from: [{ kind: 'HTTPRoute', namespace: 'gw' }], to: [{ kind: 'Service' }] },
        }),
      ],
    };
    expect(show(ask(bound(more), 'out/client', 'gw/gate'))).toEqual(['1 delivered: client > gateway > ztunnel > one']);
    const labelled = bound(more, { 'istio.io/ingress-use-waypoint': 'true' });
    expect(show(ask(labelled, 'out/client', 'gw/gate'))).toEqual([
      '1 delivered: client > gateway > waypoint > ztunnel > one',
    ]);
  });
});

describe('other sources and destinations', () => {
  it("processes of the server's own node pass ztunnel by", () => {
    expect(show(ask(clusterWith(), 'node/n1', 'amb/one:80', { direct: true }))).toEqual(['1 delivered: node/n1 > one']);
    expect(show(ask(clusterWith(), 'out/host', 'amb/one'))).toEqual(['1 delivered: host > one']);
    expect(show(ask(clusterWith(), 'node/n1', 'amb/two:80', { direct: true }))).toEqual([
      '1 delivered: node/n1 > ztunnel > two',
    ]);
  });

  it('UDP meets no proxy; a pod meets none on the way to itself', () => {
    const udp = { direct: true, protocol: 'udp' as const };
    expect(show(ask(clusterWith(), 'amb/client', 'amb/one:80', udp))).toEqual(['1 delivered: client > one']);
    expect(show(ask(clusterWith(), 'amb/client', 'amb/one:53', udp))).toEqual(['1 unknown: client']);
    expect(show(ask(clusterWith(), 'out/client', 'amb/one:53', udp))).toEqual(['1 delivered: client > one']);
    expect(show(ask(clusterWith(), 'amb/one', 'amb/one:80', { direct: true }))).toEqual(['1 delivered: one > one']);
  });

  it('a headless Service: HBONE from ztunnel, plain text from a sidecar', () => {
    expect(ask(clusterWith(), 'amb/client', 'amb/flat:80')[0]?.encryption).toBe('mtls');
    expect(ask(clusterWith(), 'side/client', 'amb/flat:80')[0]?.encryption).toBe('plaintext');
  });

  it('outside: passed through, or refused with REGISTRY_ONLY', () => {
    expect(show(ask(clusterWith(), 'amb/client', '203.0.113.9:443'))).toEqual([
      '1 delivered: client > ztunnel > external',
    ]);
    expect(show(ask(clusterWith(), 'side/client', '203.0.113.9:443'))).toEqual([
      '1 delivered: client > sidecar > external',
    ]);
    const closed = clusterWith({ configmaps: [config('outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n')] });
    expect(show(ask(closed, 'side/client', '203.0.113.9:443'))).toEqual(['1 error: client > sidecar']);
    expect(show(ask(clusterWith(), 'out/client', 'https://example.com'))).toEqual(['1 unknown: client']);
  });

  it('a ServiceEntry: its endpoints, the pods it selects, or whatever DNS says', () => {
    const entry = (spec: Json): Readonly<Record<string, string>> =>
      clusterWith({
        'serviceentries.networking.istio.io': [
          object('ServiceEntry', 'amb', 'ext', {
            spec: {
              hosts: ['api.example.net'],
              addresses: ['240.0.0.1'],
              ports: [{ number: 80, name: 'http', targetPort: 8080 }],
              ...spec,
            },
          }),
        ],
      });
    const fixed = ask(
      entry({ resolution: 'STATIC', endpoints: [{ address: '203.0.113.1' }] }),
      'amb/client',
      'api.example.net',
    );
    expect(show(fixed)).toEqual(['1 delivered: client > ztunnel > external']);
    expect(fixed[0]?.links.at(-1)).toMatchObject({ to: '203.0.113.1:8080', encrypted: false });
    const selected = entry({ resolution: 'STATIC', workloadSelector: { labels: { app: 'one' } } });
    expect(show(ask(selected, 'side/client', 'api.example.net'))).toEqual([
      '1 delivered: client > sidecar > ztunnel > one',
    ]);
    const dns = ask(entry({ resolution: 'DNS' }), 'side/client', 'api.example.net');
    expect(dns[0]?.links.at(-1)?.to).toBe('api.example.net:8080');
    expect(
      show(ask(entry({ resolution: 'STATIC', endpoints: [{ address: '203.0.113.1' }] }), 'out/client', '240.0.0.1:80')),
    ).toEqual(['1 error: client']);
  });

  it('no endpoint, no such port', () => {
    const files = clusterWith({ 'endpointslices.discovery.k8s.io': [] });
    expect(show(ask(files, 'amb/client', 'amb/one'))).toEqual(['1 error: client > ztunnel']);
    expect(show(ask(files, 'out/client', 'amb/one'))).toEqual(['1 refused: client']);
    expect(show(ask(clusterWith(), 'amb/client', 'amb/one:9'))).toEqual(['1 error: client > ztunnel']);
  });
});
