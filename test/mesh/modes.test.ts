import { describe, expect, it } from 'vitest';
import type { Mesh } from '../../src/mesh/model.js';
import { modeOf } from '../../src/mesh/modes.js';
import {
  controlPlane,
  list,
  meshOf,
  namespace,
  object,
  pod,
  proxyContainer,
  type Json,
  type PodOptions,
} from './cluster.js';

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const NONE = { 'istio.io/dataplane-mode': 'none' };
const STATUS = { 'sidecar.istio.io/status': '{"containers":["istio-proxy"]}' };
const ENABLED = { 'ambient.istio.io/redirection': 'enabled' };

function clusterOf(
  version: string | null,
  labels: Readonly<Record<string, string>>,
  options: PodOptions,
  more: Readonly<Record<string, string>> = {},
): Mesh {
  const control: readonly Json[] = version === null ? [] : controlPlane(version);
  return meshOf({
    pods: list(pod('a', 'x', options), ...control),
    namespaces: list(namespace('a', labels), namespace('kube-system', AMBIENT)),
    configmaps: list(),
    ...more,
  });
}

function of(mesh: Mesh, name = 'x', ns = 'a'): ReturnType<typeof modeOf> {
  const found = mesh.podByName(ns, name);
  if (found === null) throw new Error('no such pod');
  return modeOf(mesh, found);
}

/** Release · labels of the namespace · the pod · enrolled. Rows of facts: who istio-cni enrols, by version. */
const ENROLMENT: readonly (readonly [
  version: string,
  ns: Readonly<Record<string, string>>,
  pod: PodOptions,
  enrolled: boolean | null,
])[] = [
  ...['1.18.2', '1.21.6', '1.22.0', '1.23.1', '1.26.4', '1.27.0', '1.30.3', '1.31.0-rc.0'].flatMap(
    (version): (typeof ENROLMENT)[number][] => [
      [version, AMBIENT, {}, true],
      [version, {}, {}, false],
      [version, { 'istio.io/dataplane-mode': 'other' }, {}, false],
      [version, AMBIENT, { annotations: STATUS }, false],
      [version, AMBIENT, { phase: 'Succeeded' }, false],
      [version, AMBIENT, { labels: { app: 'ztunnel' } }, false],
      // istio-injection beside the label: the annotation alone decides
      [version, { ...AMBIENT, 'istio-injection': 'enabled' }, {}, true],
      // no sidecar annotation: istio-cni does not look at containers
      [version, AMBIENT, { containers: [proxyContainer('sidecar')] }, true],
    ],
  ),
  // the pod's own label counts since 1.22
  ['1.18.2', {}, { labels: AMBIENT }, false],
  ['1.21.6', {}, { labels: AMBIENT }, false],
  ['1.22.0', {}, { labels: AMBIENT }, true],
  ['1.30.3', {}, { labels: AMBIENT }, true],
  ['1.18.2', AMBIENT, { labels: NONE }, true],
  ['1.21.6', AMBIENT, { labels: NONE }, true],
  ['1.22.0', AMBIENT, { labels: NONE }, false],
  ['1.30.3', AMBIENT, { labels: NONE }, false],
  // the annotation opts out until 1.21
  ['1.18.2', AMBIENT, { annotations: { 'ambient.istio.io/redirection': 'disabled' } }, false],
  ['1.21.6', AMBIENT, { annotations: { 'ambient.istio.io/redirection': 'disabled' } }, false],
  ['1.22.0', AMBIENT, { annotations: { 'ambient.istio.io/redirection': 'disabled' } }, true],
  // hostNetwork: by rule, or because there is nothing to redirect
  ['1.22.0', AMBIENT, { hostNetwork: true }, false],
  ['1.23.1', AMBIENT, { hostNetwork: true }, false],
  ['1.27.0', AMBIENT, { hostNetwork: true }, false],
  ['1.31.0-rc.0', AMBIENT, { hostNetwork: true }, false],
];

describe('who is to be enrolled in ambient', () => {
  it.each(ENROLMENT)('%s, namespace %j, pod %j: %s', (version, labels, options, enrolled) => {
    const { expected } = of(clusterOf(version, labels, options));
    expect(expected.enrolled).toBe(enrolled);
    expect(expected.reason).not.toBe('');
  });

  it('excluded namespaces: certain since 1.30, before that only new pods are left out', () => {
    const pods = (version: string): string => list(pod('kube-system', 'x'), ...controlPlane(version));
    const files = { namespaces: list(namespace('kube-system', AMBIENT)), configmaps: list() };
    expect(of(meshOf({ ...files, pods: pods('1.30.3') }), 'x', 'kube-system').expected.enrolled).toBe(false);
    const older = of(meshOf({ ...files, pods: pods('1.29.6') }), 'x', 'kube-system');
    expect(older.expected.enrolled).toBeNull();
    expect(older.unknowns).not.toEqual([]);
    const config = object('ConfigMap', 'istio-system', 'istio-cni-config', { data: { EXCLUDE_NAMESPACES: 'a,b' } });
    const other = meshOf({ ...files, pods: pods('1.30.3'), configmaps: list(config) });
    expect(of(other, 'x', 'kube-system').expected.enrolled).toBe(true);
  });

  it('1.27+: the selectors of istio-cni decide', () => {
    const selectors = (text: string): Readonly<Record<string, string>> => ({
      configmaps: list(
        object('ConfigMap', 'istio-system', 'istio-cni-config', { data: { AMBIENT_ENABLEMENT_SELECTOR: text } }),
      ),
    });
    const own = selectors('- podSelector:\n    matchLabels:\n      mesh: "yes"\n');
    expect(of(clusterOf('1.30.3', AMBIENT, {}, own)).expected.enrolled).toBe(false);
    expect(of(clusterOf('1.30.3', {}, { labels: { mesh: 'yes' } }, own)).expected.enrolled).toBe(true);
    const odd = of(clusterOf('1.30.3', AMBIENT, {}, selectors('- podSelector: &x {}\n')));
    expect(odd.expected.enrolled).toBeNull();
    expect(odd.unknowns[0]?.reason).toMatch(/line 1/);
    const operator = selectors('- podSelector:\n    matchExpressions:\n    - {key: a, operator: Gt, values: ["1"]}\n');
    expect(of(clusterOf('1.30.3', AMBIENT, {}, operator)).expected.enrolled).toBeNull();
  });

  it('without a release: certain where all releases agree, unknown where they do not', () => {
    expect(of(clusterOf(null, AMBIENT, {})).expected.enrolled).toBe(true);
    const open = of(clusterOf(null, {}, { labels: AMBIENT }));
    expect(open.expected.enrolled).toBeNull();
    expect(open.unknowns[0]?.fact).toBe('release of istio-cni');
    const manifest = JSON.stringify({
      apiVersion: 'meshpath.dev/v1',
      kind: 'Snapshot',
      cluster: { istio: ['1.30.3'] },
    });
    expect(of(clusterOf(null, {}, { labels: AMBIENT }, { 'snapshot.json': manifest })).expected.enrolled).toBe(true);
  });

  it('without the namespaces: unknown unless the pod itself decides', () => {
    const mesh = (options: PodOptions): Mesh =>
      meshOf({ pods: list(pod('a', 'x', options), ...controlPlane('1.30.3')), configmaps: list() });
    expect(of(mesh({})).expected.enrolled).toBeNull();
    expect(of(mesh({})).unknowns[0]?.fact).toContain('kubernetes/namespaces.json');
    expect(of(mesh({ labels: AMBIENT })).expected.enrolled).toBe(true);
    expect(of(mesh({ annotations: STATUS })).expected.enrolled).toBe(false);
  });
});

/** The pod · mode · pointer of what decides · conflicts. */
const MODES: readonly (readonly [string, PodOptions, string, string, readonly string[]])[] = [
  ['plain', {}, 'plain', '/items/0/metadata', ['not-redirected']],
  ['enrolled', { annotations: ENABLED }, 'ambient', '/items/0/metadata/annotations/ambient.istio.io~1redirection', []],
  [
    'pending',
    { annotations: { 'ambient.istio.io/redirection': 'pending' } },
    'ambient',
    '/items/0/metadata/annotations/ambient.istio.io~1redirection',
    ['pending'],
  ],
  [
    'a sidecar',
    { annotations: STATUS, containers: [proxyContainer('sidecar')] },
    'sidecar',
    '/items/0/metadata/annotations/sidecar.istio.io~1status',
    ['sidecar-hides-label'],
  ],
  [
    'both',
    { annotations: { ...STATUS, ...ENABLED }, containers: [proxyContainer('sidecar')] },
    'sidecar',
    '/items/0/metadata/annotations/sidecar.istio.io~1status',
    ['sidecar-and-ambient', 'sidecar-hides-label'],
  ],
  [
    'a status without a proxy',
    { annotations: STATUS },
    'sidecar',
    '/items/0/metadata/annotations/sidecar.istio.io~1status',
    ['sidecar-hides-label', 'status-without-sidecar'],
  ],
  [
    'a proxy without a status',
    { containers: [proxyContainer('sidecar')] },
    'sidecar',
    '/items/0/spec',
    ['sidecar-without-status', 'not-redirected'],
  ],
  [
    'a proxy without a status, enrolled',
    { annotations: ENABLED, containers: [proxyContainer('sidecar')] },
    'ambient',
    '/items/0/metadata/annotations/ambient.istio.io~1redirection',
    ['sidecar-without-status'],
  ],
  [
    'opted out, but redirected',
    { labels: NONE, annotations: ENABLED },
    'ambient',
    '/items/0/metadata/annotations/ambient.istio.io~1redirection',
    ['redirected-unasked'],
  ],
  [
    'an injected gateway',
    { labels: NONE, annotations: STATUS, containers: [proxyContainer('router')] },
    'gateway',
    '/items/0/spec',
    [],
  ],
  [
    'a gateway by label',
    { labels: { ...NONE, 'gateway.istio.io/managed': 'istio.io-gateway-controller' } },
    'gateway',
    '/items/0/metadata/labels/gateway.istio.io~1managed',
    [],
  ],
  [
    'an east-west gateway',
    { labels: { ...NONE, 'gateway.istio.io/managed': 'istio.io-eastwest-controller' } },
    'gateway',
    '/items/0/metadata/labels/gateway.istio.io~1managed',
    [],
  ],
  ['a waypoint', { labels: NONE, containers: [proxyContainer('waypoint')] }, 'waypoint', '/items/0/spec', []],
  [
    'a waypoint by label',
    { labels: { ...NONE, 'gateway.istio.io/managed': 'istio.io-mesh-controller' } },
    'waypoint',
    '/items/0/metadata/labels/gateway.istio.io~1managed',
    [],
  ],
  [
    'a ztunnel',
    {
      labels: { app: 'ztunnel' },
      containers: [{ name: 'istio-proxy', image: 'x/ztunnel:1.30.3', args: ['proxy', 'ztunnel'] }],
    },
    'ztunnel',
    '/items/0/spec',
    [],
  ],
  ['a ztunnel by label', { labels: { app: 'ztunnel' } }, 'ztunnel', '/items/0/metadata/labels/app', []],
  ['hostNetwork', { hostNetwork: true }, 'hostNetwork', '/items/0', []],
];

describe('what the mesh treats a pod as', () => {
  it.each(MODES)('%s', (_, options, mode, pointer, conflicts) => {
    const found = of(clusterOf('1.30.3', AMBIENT, options));
    expect(found.mode).toBe(mode);
    expect(found.decidedBy).toMatchObject({ file: 'kubernetes/pods.json', pointer });
    expect(found.conflicts.map((conflict) => conflict.kind)).toEqual(conflicts);
  });

  it('on no node yet: nobody could have enrolled it', () => {
    const waiting = pod('a', 'x', { labels: AMBIENT, phase: 'Pending' });
    const raw = { ...waiting, spec: { ...(waiting['spec'] as Json), nodeName: undefined } };
    const found = of(meshOf({ pods: list(raw, ...controlPlane('1.30.3')), namespaces: list(namespace('a')) }));
    expect(found).toMatchObject({ mode: 'plain', expected: { enrolled: true }, conflicts: [] });
  });

  it('a native sidecar is an init container that goes on', () => {
    const raw: Json = {
      kind: 'Pod',
      metadata: { namespace: 'a', name: 'x', annotations: STATUS },
      spec: {
        initContainers: [{ ...proxyContainer('sidecar'), restartPolicy: 'Always' }],
        containers: [{ name: 'app' }],
      },
    };
    const found = of(meshOf({ pods: list(raw, ...controlPlane('1.30.3')), namespaces: list(namespace('a')) }));
    expect(found).toMatchObject({ mode: 'sidecar', conflicts: [] });
  });
});
