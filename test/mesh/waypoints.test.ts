import { describe, expect, it } from 'vitest';
import type { Mesh, WaypointBinding } from '../../src/mesh/model.js';
import { waypointOfPod, waypointOfService } from '../../src/mesh/waypoints.js';
import {
  controlPlane,
  list,
  meshOf,
  namespace,
  object,
  pod,
  proxyContainer,
  service,
  slice,
  type Json,
} from './cluster.js';

interface Setting {
  readonly version?: string;
  readonly namespace?: Readonly<Record<string, string>>;
  readonly service?: Readonly<Record<string, string>>;
  readonly pod?: Readonly<Record<string, string>>;
  readonly gateways?: readonly Json[];
  readonly classes?: readonly Json[];
  readonly waypointReady?: boolean;
}

function gateway(
  ns: string,
  name: string,
  more: {
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly ready?: boolean;
    readonly from?: string;
  } = {},
): Json {
  const namespaces =
    more.from === undefined
      ? {}
      : { allowedRoutes: { namespaces: { from: more.from, selector: { matchLabels: { team: 'x' } } } } };
  return object(
    'Gateway',
    ns,
    name,
    {
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE', ...namespaces }],
      },
      status: { addresses: (more.ready ?? true) ? [{ type: 'IPAddress', value: '10.96.0.9' }] : [] },
    },
    more,
  );
}

function meshFor(setting: Setting): Mesh {
  const version = setting.version ?? '1.30.3';
  const wp = pod('a', 'wp-1', {
    labels: {
      'gateway.networking.k8s.io/gateway-name': 'wp',
      'istio.io/gateway-name': 'wp',
      'gateway.istio.io/managed': 'istio.io-mesh-controller',
    },
    ready: setting.waypointReady ?? true,
    containers: [proxyContainer('waypoint', version)],
  });
  return meshOf({
    pods: list(
      pod('a', 'x', { ip: '10.0.0.1', serviceAccount: 'web', labels: { app: 's', ...setting.pod } }),
      wp,
      ...controlPlane(version),
    ),
    namespaces: list(namespace('a', setting.namespace), namespace('b', { team: 'x' })),
    services: list(
      service('a', 's', { labels: setting.service }),
      service('a', 'wp', {
        labels: { 'gateway.istio.io/managed': 'istio.io-mesh-controller' },
        selector: { 'gateway.networking.k8s.io/gateway-name': 'wp' },
      }),
    ),
    'endpointslices.discovery.k8s.io': list(slice('a', 's', 80, ['10.0.0.1', 'x'])),
    'gateways.gateway.networking.k8s.io': list(...(setting.gateways ?? [gateway('a', 'wp')])),
    'gatewayclasses.gateway.networking.k8s.io': list(...(setting.classes ?? [])),
  });
}

function serviceBinding(setting: Setting): WaypointBinding {
  const mesh = meshFor(setting);
  const found = mesh.service('a', 's');
  if (found === null) throw new Error('no service');
  return waypointOfService(mesh, found);
}

function podBinding(setting: Setting): WaypointBinding {
  const mesh = meshFor(setting);
  const found = mesh.podByName('a', 'x');
  if (found === null) throw new Error('no pod');
  return waypointOfPod(mesh, found);
}

const USE = { 'istio.io/use-waypoint': 'wp' };
const all = [gateway('a', 'wp', { labels: { 'istio.io/waypoint-for': 'all' } })];

describe('the waypoint of a Service, by label (1.22+)', () => {
  const CASES: readonly (readonly [string, Setting, WaypointBinding['state']])[] = [
    ['nothing asks', {}, 'none'],
    ['the namespace asks', { namespace: USE }, 'ready'],
    ['the Service asks', { service: USE }, 'ready'],
    ['the pod asks: it does not count for a Service', { pod: USE }, 'none'],
    ['the Service opts out', { namespace: USE, service: { 'istio.io/use-waypoint': 'none' } }, 'none'],
    ['the namespace says none', { namespace: { 'istio.io/use-waypoint': 'none' } }, 'none'],
    ['a name that does not exist', { namespace: { 'istio.io/use-waypoint': 'wpp' } }, 'missing'],
    [
      'the Service names a dead one before the namespace',
      { namespace: USE, service: { 'istio.io/use-waypoint': 'dead' } },
      'missing',
    ],
    ['the Gateway has no address', { namespace: USE, gateways: [gateway('a', 'wp', { ready: false })] }, 'not-ready'],
    ['its pods are gone, it was ready once', { namespace: USE, waypointReady: false }, 'ready'],
    [
      'the Gateway is for workloads',
      { namespace: USE, gateways: [gateway('a', 'wp', { labels: { 'istio.io/waypoint-for': 'workload' } })] },
      'wrong-type',
    ],
    ['the Gateway is for all', { namespace: USE, gateways: all }, 'ready'],
    [
      'the Gateway is for none',
      { namespace: USE, gateways: [gateway('a', 'wp', { labels: { 'istio.io/waypoint-for': 'none' } })] },
      'wrong-type',
    ],
    [
      'its class is for workloads',
      {
        namespace: USE,
        classes: [
          object('GatewayClass', null, 'istio-waypoint', {}, { labels: { 'istio.io/waypoint-for': 'workload' } }),
        ],
      },
      'wrong-type',
    ],
    [
      'before 1.24 the class does not count',
      {
        version: '1.23.1',
        namespace: USE,
        classes: [
          object('GatewayClass', null, 'istio-waypoint', {}, { labels: { 'istio.io/waypoint-for': 'workload' } }),
        ],
      },
      'ready',
    ],
    [
      'another namespace, which admits its own only',
      { service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' }, gateways: [gateway('b', 'wp')] },
      'denied',
    ],
    [
      'another namespace, which admits all',
      { service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' }, gateways: [gateway('b', 'wp', { from: 'All' })] },
      'ready',
    ],
    [
      'another namespace, which admits none',
      { service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' }, gateways: [gateway('b', 'wp', { from: 'None' })] },
      'denied',
    ],
    [
      'another namespace, which selects others',
      {
        service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' },
        gateways: [gateway('b', 'wp', { from: 'Selector' })],
      },
      'denied',
    ],
    [
      'another namespace, which selects this one',
      {
        namespace: { team: 'x' },
        service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' },
        gateways: [gateway('b', 'wp', { from: 'Selector' })],
      },
      'ready',
    ],
    [
      'the namespace label of 1.22 is not read',
      { version: '1.22.0', service: { ...USE, 'istio.io/use-waypoint-namespace': 'b' } },
      'ready',
    ],
  ];
  it.each(CASES)('%s', (_, setting, state) => {
    const binding = serviceBinding(setting);
    expect(binding.state).toBe(state);
    expect(binding.reason).not.toBe('');
    expect(binding.evidence.length > 0 || state === 'none').toBe(true);
  });

  it('names its pods and its Service', () => {
    const binding = serviceBinding({ namespace: USE });
    expect(binding.pods.map((one) => one.name)).toEqual(['wp-1']);
    expect(binding.service?.name).toBe('wp');
  });

  it('a waypoint has none itself', () => {
    const mesh = meshFor({ namespace: USE });
    const own = mesh.service('a', 'wp');
    expect(own === null ? null : waypointOfService(mesh, own).state).toBe('none');
    const itself = mesh.podByName('a', 'wp-1');
    expect(itself === null ? null : waypointOfPod(mesh, itself).state).toBe('none');
  });

  it('is unknown without the Gateways, the namespaces or the release', () => {
    const mesh = (files: Readonly<Record<string, string>>): string => {
      const one = meshOf({ services: list(service('a', 's')), pods: list(...controlPlane('1.30.3')), ...files });
      const found = one.service('a', 's');
      return found === null ? '' : waypointOfService(one, found).state;
    };
    expect(mesh({})).toBe('unknown');
    expect(mesh({ namespaces: list(namespace('a', USE)) })).toBe('unknown');
    expect(mesh({ namespaces: list(namespace('a')) })).toBe('none');
    expect(mesh({ namespaces: list(namespace('a')), pods: list() })).toBe('unknown');
  });
});

describe('the waypoint of a pod, by label (1.22+)', () => {
  const CASES: readonly (readonly [string, Setting, WaypointBinding['state']])[] = [
    ['the default waypoint is for Services only', { namespace: USE }, 'wrong-type'],
    ['one for all', { namespace: USE, gateways: all }, 'ready'],
    ['the pod asks', { pod: USE, gateways: all }, 'ready'],
    ['the Service asks: it does not count for a pod', { service: USE, gateways: all }, 'none'],
    ['the pod opts out', { namespace: USE, pod: { 'istio.io/use-waypoint': 'none' }, gateways: all }, 'none'],
  ];
  it.each(CASES)('%s', (_, setting, state) => {
    expect(podBinding(setting).state).toBe(state);
  });
});

describe('waypoints until 1.21, by Gateway and service account', () => {
  const forAccount = (account: string, name = 'wp'): Json =>
    gateway('a', name, { annotations: { 'istio.io/for-service-account': account } });
  const CASES: readonly (readonly [string, Setting, WaypointBinding['state']])[] = [
    ['no Gateway', { version: '1.18.2', gateways: [] }, 'none'],
    ['one for the namespace', { version: '1.18.2' }, 'ready'],
    ['one for its account', { version: '1.18.2', gateways: [forAccount('web')] }, 'ready'],
    ['one for another account', { version: '1.18.2', gateways: [forAccount('other')] }, 'none'],
    ['labels mean nothing', { version: '1.18.2', gateways: [], namespace: USE }, 'none'],
    ['no pod of it is ready', { version: '1.18.2', waypointReady: false }, 'not-ready'],
    [
      '1.20: no address',
      { version: '1.20.0', waypointReady: false, gateways: [gateway('a', 'wp', { ready: false })] },
      'not-ready',
    ],
    ['1.20: an address, but no ready pod', { version: '1.20.0', waypointReady: false }, 'unknown'],
  ];
  it.each(CASES)('%s', (_, setting, state) => {
    expect(podBinding(setting).state).toBe(state);
    expect(serviceBinding(setting).state).toBe(state);
  });

  it('that of its account goes before that of the namespace', () => {
    const binding = podBinding({ version: '1.18.2', gateways: [gateway('a', 'other'), forAccount('web')] });
    expect(binding.requested?.name).toBe('wp');
  });
});
