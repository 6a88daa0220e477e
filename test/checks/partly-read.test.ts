import { expect, it } from 'vitest';
import type { CheckContext } from '../../src/checks/context.js';
import { check as readyEndpoints } from '../../src/checks/mp6009.js';
import { tunnelExpected } from '../../src/checks/tunnel.js';
import { headlessTargets, targetsOfService } from '../../src/intent/targets.js';
import type { Mesh } from '../../src/mesh/model.js';
import { answer } from '../../src/commands/_answer.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { controlPlane, deployed, list, meshOf, service } from '../mesh/cluster.js';

import { recording } from './story.js';

const LISTS = ['endpointslices.discovery.k8s.io', 'pods', 'networkpolicies.networking.k8s.io'];

/** A Service without endpoints; the lists were read of the given namespaces only. */
function meshReadIn(...namespaces: readonly string[]): Mesh {
  const refused = LISTS.map((name) => `kubernetes/${name}.json`);
  return meshOf({
    pods: list(deployed('foo', 'web', 'aaaaa', { ip: '10.0.0.1' }), ...controlPlane('1.30.3')),
    services: list(service('foo', 'web', { ip: '10.96.0.1', ports: [{ port: 80 }] })),
    'endpointslices.discovery.k8s.io': list(),
    'networkpolicies.networking.k8s.io': list(),
    'snapshot.json': JSON.stringify({
      apiVersion: 'meshpath.dev/v1',
      kind: 'Snapshot',
      problems: refused.map((file) => ({ file, reason: 'forbidden' })),
      partial: refused.map((file) => ({ file, namespaces })),
    }),
  });
}

/** What is said to be unknown of the lists of the namespace foo. */
function unknownsOf(mesh: Mesh): readonly string[] {
  const web = mesh.service('foo', 'web');
  const [port] = web?.ports ?? [];
  const pod = mesh.list('pods').items.find((one) => one.namespace === 'foo');
  if (web === null || port === undefined || pod === undefined) throw new Error('the cluster is not as it was written');
  const targets = [targetsOfService(mesh, web, port), headlessTargets(mesh, web, 80)];
  const asked = {
    mesh,
    question: { service: web, port: 80 },
    paths: [{ verdict: 'refused', stops: [] }],
  } as unknown as CheckContext;
  const tunnel = tunnelExpected(
    asked,
    {} as Parameters<typeof tunnelExpected>[1],
    { pod, cluster: '' } as Parameters<typeof tunnelExpected>[2],
  );
  const found = [
    ...targets.flatMap((one) => ('unknown' in one ? [one.unknown] : [])),
    ...readyEndpoints.run(asked).unknowns,
    ...(tunnel.kind === 'unknown' ? [tunnel.unknown] : []),
  ];
  return found.map(({ fact }) => fact).filter((fact) => fact.includes('kubernetes/'));
}

it('a list that was read of the namespace concerned hides nothing there', () => {
  expect(unknownsOf(meshReadIn('bar'))).toEqual([
    'endpoints of Service foo/web (kubernetes/endpointslices.discovery.k8s.io.json)',
    'endpoints of Service foo/web (kubernetes/endpointslices.discovery.k8s.io.json)',
    'endpoints of Service foo/web (kubernetes/endpointslices.discovery.k8s.io.json)',
    'labels and annotations of pod foo/web-7d9f-aaaaa (kubernetes/pods.json)',
  ]);
  expect(unknownsOf(meshReadIn('foo'))).toEqual([]);
});

it('NetworkPolicies of a pod are those of its namespace', async () => {
  const file = 'kubernetes/networkpolicies.networking.k8s.io.json';
  const recorded = await recording('coexistence-1.30.3');
  const { manifest } = recorded;
  const pods = recorded.read('kubernetes/pods.json');
  if (pods.kind !== 'text' || manifest === null) throw new Error('the recording has no pods');
  const probed = JSON.parse(pods.text) as { items: { spec: { containers: Record<string, unknown>[] } }[] };
  for (const { spec } of probed.items) spec.containers[0]!['readinessProbe'] = { httpGet: { path: '/', port: 80 } };
  const unknownWith = (namespace: string): boolean => {
    const snapshot: Snapshot = {
      ...recorded,
      name: recorded.name,
      manifest: {
        ...manifest,
        problems: [{ file, reason: 'forbidden' }],
        partial: [{ file, namespaces: [namespace] }],
      },
      list: (folder) => recorded.list(folder),
      read: (path) => (path === pods.path ? { kind: 'text', path, text: JSON.stringify(probed) } : recorded.read(path)),
    };
    const { unknowns } = answer(snapshot, { from: 'foo/sleep', to: 'strict/httpbin:8000' });
    return unknowns.some(({ fact }) => fact.startsWith('NetworkPolicies of pod strict/httpbin'));
  };
  expect(unknownWith('foo')).toBe(true);
  expect(unknownWith('strict')).toBe(false);
});
