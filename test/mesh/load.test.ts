import { describe, expect, it } from 'vitest';
import { netnsFolder, nodeFolder, podFolder } from '../../src/mesh/folders.js';
import { KINDS } from '../../src/mesh/kinds.js';
import type { Kind } from '../../src/mesh/model.js';
import { memorySnapshot } from '../../src/snapshot/memory.js';
import { loadMesh } from '../../src/mesh/load.js';
import {
  controlPlane,
  deployed,
  list,
  MESH_CONFIG,
  meshOf,
  namespace,
  object,
  pod,
  service,
  slice,
} from './cluster.js';

describe('lists', () => {
  it('are read when they are asked for, once, and no others', () => {
    const asked: string[] = [];
    const inner = memorySnapshot(new Map([['kubernetes/pods.json', list(pod('a', 'x', { ip: '10.0.0.1' }))]]));
    const mesh = loadMesh({
      ...inner,
      read: (file) => {
        asked.push(file);
        return inner.read(file);
      },
    });
    expect(asked).toEqual([]);
    expect(mesh.podsByIp('10.0.0.1')).toHaveLength(1);
    expect(mesh.podByName('a', 'x')?.name).toBe('x');
    expect(asked).toEqual(['kubernetes/pods.json']);
    mesh.list('services');
    mesh.servicesByIp('10.0.0.1');
    expect(asked).toEqual(['kubernetes/pods.json', 'kubernetes/services.json']);
  });

  it('tell "there are none" from "not known"', () => {
    const mesh = meshOf({ services: list(), pods: 'garbage', nodes: '{"items":[{"metadata":{"name":"n1"}},{"met' });
    expect(mesh.list('services')).toMatchObject({ state: 'read', items: [] });
    expect(mesh.unknownOf('services', 'x')).toBeNull();
    expect(mesh.list('endpoints')).toMatchObject({ state: 'missing', reason: 'not in the snapshot' });
    expect(mesh.list('pods').state).toBe('unusable');
    expect(mesh.list('nodes')).toMatchObject({ state: 'partial', items: [{ name: 'n1' }] });
    expect(mesh.nodeByName('n1')).not.toBeNull();
    expect(mesh.unknownOf('nodes', 'node n2')).toMatchObject({ fact: 'node n2 (kubernetes/nodes.json)' });
  });

  it('give one problem a damaged file, with its place and what was expected, none for what is missing', () => {
    const mesh = meshOf({
      pods: 'garbage',
      nodes: '{\n"items":[{"metadata":{"name":"n1"}},\n{"met',
      services: '{"items":[{"metadata":{}},{"metadata":{"name":"s","namespace":"a"}},7]}',
    });
    for (const kind of ['pods', 'nodes', 'services', 'endpoints', 'pods'] as const) mesh.list(kind);
    expect(mesh.problems()).toEqual([
      {
        file: 'kubernetes/nodes.json',
        line: 3,
        pointer: '/items/1',
        message: expect.stringContaining('expected') as string,
      },
      {
        file: 'kubernetes/pods.json',
        line: 1,
        pointer: '/items/0',
        message: expect.stringContaining('expected "{"') as string,
      },
      { file: 'kubernetes/services.json', line: 1, pointer: '/items/2', message: 'expected an object' },
    ]);
    expect(mesh.service('a', 's')).not.toBeNull();
  });

  it('say that a mesh configuration is not understood', () => {
    const config = object('ConfigMap', 'istio-system', 'istio', { data: { mesh: 'a: 1\nb: &x 2\n' } });
    const mesh = meshOf({ configmaps: list(config), pods: list() });
    expect(mesh.config()).toBeNull();
    expect(mesh.trustDomain()).toBeNull();
    expect(mesh.problems()[0]?.message).toMatch(/line 2 of the mesh configuration/);
  });

  it.each(Object.keys(KINDS) as Kind[])('%s: take objects of any shape without falling over', (kind) => {
    const odd = ['null', '7', '"x"', '[]', '{}', '[null,{}]', '{"x":{"y":[[1]]}}'].map(
      (text) => JSON.parse(text) as unknown,
    );
    const items = odd.flatMap((value) => [
      {
        metadata: { name: 'x', namespace: 'a', labels: value, annotations: value, ownerReferences: value },
        spec: value,
        status: value,
        data: value,
        ports: [value],
        endpoints: value,
        subsets: [value],
      },
      {
        metadata: { name: 'y' },
        spec: {
          containers: [value],
          rules: [value],
          ports: [value],
          listeners: [value],
          http: value,
          selector: value,
          portLevelMtls: value,
          mtls: value,
          endpoints: [value],
          template: value,
          podSelector: value,
          ingress: [value],
          parentRefs: [value],
          addresses: value,
          podIPs: value,
        },
        status: { podIPs: [value], addresses: [value], conditions: [value], loadBalancer: value },
      },
    ]);
    const mesh = meshOf({ [KINDS[kind].resource]: JSON.stringify({ kind: 'List', items }) });
    expect(mesh.list(kind)).toMatchObject({ state: 'read', items: { length: items.length } });
  });
});

describe('look-ups', () => {
  const mesh = meshOf({
    pods: list(
      deployed('a', 'web', 'old', { ip: '10.0.0.1', phase: 'Succeeded' }),
      deployed('a', 'web', 'new', { ip: '10.0.0.1' }),
      pod('a', 'twin', { ips: ['10.0.0.2', 'fd00::2'], ready: false }),
      pod('a', 'host', { ip: '172.18.0.2', hostNetwork: true, node: 'n2' }),
      ...controlPlane('1.30.3'),
    ),
    services: list(
      service('a', 'web', { ip: '10.96.0.1', spec: { externalIPs: ['192.0.2.1'] } }),
      object('Service', 'a', 'lb', {
        spec: { clusterIP: '10.96.0.2', ports: [] },
        status: { loadBalancer: { ingress: [{ ip: '192.0.2.2' }] } },
      }),
    ),
    'endpointslices.discovery.k8s.io': list(
      slice('a', 'web', 80, ['10.0.0.9', 'q'], ['10.0.0.1', 'web-7d9f-new']),
      slice('a', 'web', 80, ['10.0.0.1', 'web-7d9f-new']),
    ),
    nodes: list({
      metadata: { name: 'n1' },
      spec: { podCIDRs: ['10.0.0.0/24'] },
      status: {
        addresses: [
          { type: 'InternalIP', address: '172.18.0.1' },
          { type: 'ExternalIP', address: '192.0.2.9' },
        ],
      },
    }),
    namespaces: list(namespace('a', { x: 'y' })),
    configmaps: list(MESH_CONFIG),
    'serviceentries.networking.istio.io': list(
      object('ServiceEntry', 'e', 'range', {
        spec: { hosts: ['*.x.org', 'a.b'], addresses: ['192.0.2.128/25', '198.51.100.1'] },
        status: { addresses: [{ value: '240.240.0.1' }] },
      }),
    ),
  });

  it('by address: not terminated, in one spelling, hostNetwork apart', () => {
    expect(mesh.podsByIp('10.0.0.1').map((one) => one.name)).toEqual(['web-7d9f-new']);
    expect(mesh.podsByIp('FD00:0:0::2').map((one) => one.name)).toEqual(['twin']);
    expect(mesh.podsByIp('172.18.0.2')).toEqual([]);
    expect(mesh.hostNetworkPodsByIp('172.18.0.2').map((one) => one.name)).toEqual(['host']);
    expect(mesh.nodeByIp('172.18.0.1')?.name).toBe('n1');
    expect(mesh.nodeByIp('192.0.2.9')).toBeNull();
    expect(mesh.nodeByPodCidr('10.0.0.77')?.name).toBe('n1');
    expect(mesh.nodeByPodCidr('10.0.1.77')).toBeNull();
  });

  it('Services by any of their addresses, ServiceEntries by address, range and allocation', () => {
    expect(mesh.servicesByIp('10.96.0.1').map((one) => one.name)).toEqual(['web']);
    expect(mesh.servicesByIp('192.0.2.1').map((one) => one.name)).toEqual(['web']);
    expect(mesh.servicesByIp('192.0.2.2').map((one) => one.name)).toEqual(['lb']);
    expect(mesh.serviceEntriesByIp('192.0.2.200')).toHaveLength(1);
    expect(mesh.serviceEntriesByIp('192.0.2.7')).toHaveLength(0);
    expect(mesh.serviceEntriesByIp('240.240.0.1')).toHaveLength(1);
    expect(mesh.serviceEntriesByHost('q.x.org')).toHaveLength(1);
    expect(mesh.serviceEntriesByHost('x.org')).toHaveLength(0);
    expect(mesh.serviceEntriesByHost('A.b')).toHaveLength(1);
  });

  it('endpoints of all slices, once each; the legacy list where there are no slices', () => {
    const found = mesh.service('a', 'web');
    if (found === null) throw new Error('no service');
    expect(mesh.endpointsOf(found).map((endpoint) => endpoint.ip)).toEqual(['10.0.0.1', '10.0.0.9']);
    const legacy = meshOf({
      services: list(service('a', 'web')),
      endpoints: list(
        object('Endpoints', 'a', 'web', {
          subsets: [
            { addresses: [{ ip: '10.0.0.1' }], notReadyAddresses: [{ ip: '10.0.0.2' }], ports: [{ port: 80 }] },
          ],
        }),
      ),
    });
    expect(
      legacy.endpointsOf(found).map((endpoint) => [endpoint.ip, endpoint.ready, endpoint.evidence.pointer]),
    ).toEqual([
      ['10.0.0.1', true, '/items/0/subsets/0/addresses/0'],
      ['10.0.0.2', false, '/items/0/subsets/0/notReadyAddresses/0'],
    ]);
  });

  it('what the mesh is', () => {
    expect(mesh.istioNamespace()).toBe('istio-system');
    expect(mesh.trustDomain()).toBe('cluster.local');
    expect(mesh.rootNamespace()).toBe('istio-system');
    expect(mesh.release('ztunnel')).toMatchObject({
      text: '1.30.3',
      minor: 30,
      patch: 3,
      evidence: { file: 'kubernetes/pods.json' },
    });
    expect(mesh.ztunnelsOn('n1').map((one) => one.name)).toEqual(['ztunnel-1']);
    expect(mesh.ztunnelsOn('n2')).toEqual([]);
  });

  it('owners through the ReplicaSet, by its object or its hash', () => {
    const found = mesh.podByName('a', 'web-7d9f-new');
    expect(found === null ? null : mesh.ownerOf(found)).toEqual({ kind: 'Deployment', name: 'web' });
  });
});

describe('folders', () => {
  it('are made of names that stay inside', () => {
    expect(podFolder({ namespace: 'a', name: 'x-1.y' })).toBe('pods/a/x-1.y');
    expect(nodeFolder('ip-10-0-0-1.ec2.internal')).toBe('nodes/ip-10-0-0-1.ec2.internal');
    for (const name of ['..', '.', '', '/etc', 'a/b', 'a..b', 'A', 'a\0', 'a\n', 'é', '-a', 'a-', 'a'.repeat(254)]) {
      expect(podFolder({ namespace: 'a', name })).toBeNull();
      expect(podFolder({ namespace: name, name: 'a' })).toBeNull();
      expect(nodeFolder(name)).toBeNull();
    }
  });

  it("of the network namespace: the node's for hostNetwork", () => {
    const one = { namespace: 'a', name: 'x', node: 'n1', hostNetwork: false };
    expect(netnsFolder(one)).toBe('pods/a/x/netns');
    expect(netnsFolder({ ...one, hostNetwork: true })).toBe('nodes/n1/netns');
    expect(netnsFolder({ ...one, hostNetwork: true, node: null })).toBeNull();
  });
});
