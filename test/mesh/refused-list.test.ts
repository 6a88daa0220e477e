import { expect, it } from 'vitest';
import { loadMesh } from '../../src/mesh/load.js';
import { memorySnapshot } from '../../src/snapshot/memory.js';

it('a list that was allowed to be read only in part is no whole list', () => {
  const manifest = {
    apiVersion: 'meshpath.dev/v1',
    kind: 'Snapshot',
    problems: [{ file: 'kubernetes/services.json', reason: 'services is forbidden in all namespaces but foo' }],
  };
  const files = new Map([
    ['snapshot.json', JSON.stringify(manifest)],
    ['kubernetes/services.json', JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [] })],
    ['kubernetes/pods.json', JSON.stringify({ kind: 'List', apiVersion: 'v1', items: [] })],
  ]);
  const mesh = loadMesh(memorySnapshot(files));
  expect(mesh.list('services').state).toBe('partial');
  expect(mesh.unknownOf('services', 'Service x')?.reason).toContain('forbidden');
  expect(mesh.list('pods').state).toBe('read');
  expect(mesh.problems()).toEqual([]);
});
