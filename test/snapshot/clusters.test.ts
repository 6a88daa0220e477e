import { expect, it } from 'vitest';
import { fileNameOf, prefixesOf } from '../../src/snapshot/clusters.js';

const LONG = `arn:aws:eks:eu-central-1:123456789012:cluster/${'x'.repeat(300)}`;

it('contexts lie in folders of their own, whatever they are called and whatever the disk', () => {
  const contexts = ['a', 'A', 'a-2', 'gke_p/z', 'gke_p_z', '..', '', LONG, `${LONG}y`, 'Ä', 'Ö'];
  const prefixes = prefixesOf(contexts);
  expect(prefixes.map(([context]) => context)).toEqual(contexts);
  const folders = prefixes.map(([, prefix]) => /^clusters\/([A-Za-z0-9_-][A-Za-z0-9._-]*)\/$/.exec(prefix)?.[1] ?? '');
  expect(new Set(folders.map((folder) => folder.toLowerCase())).size).toBe(contexts.length);
  for (const folder of folders) expect(Buffer.byteLength(folder)).toBeLessThan(128);
  expect(folders.slice(0, 3)).toEqual(['a', 'A-2', 'a-2-2']);
});

it('a context that is no file name is none of a file either', () => {
  expect(fileNameOf('arn:aws:eks/b')).toBe('arn_aws_eks_b');
  expect(fileNameOf('../..')).toBe('__..');
  expect(fileNameOf(LONG)).toHaveLength(100);
});
