import { describe, expect, it } from 'vitest';
import { memorySnapshot } from '../../src/snapshot/memory.js';
import { namespaceFiles, type NamespaceFile } from '../../src/snapshot/namespace-files.js';

const NODE = 'nodes/a/netns/nft-ruleset.json';
const POD = 'pods/foo/sleep-1/netns';
const manifest = (file: string, reason: string): string =>
  JSON.stringify({ apiVersion: 'meshpath.dev/v1', kind: 'Snapshot', problems: [{ file, reason }] });

function read(
  path: string,
  files: Readonly<Record<string, string>>,
  problems: readonly { readonly file: string; readonly message: string }[] = [],
): NamespaceFile {
  return namespaceFiles(memorySnapshot(new Map(Object.entries(files)), { name: 'x.tgz', problems }))(path);
}

describe('a file of a namespace that is not there', () => {
  const nft = `${POD}/nft-ruleset.json`;

  it('is missing where nobody has it', () => {
    expect(read(nft, { [`${POD}/sysctl.txt`]: '' })).toMatchObject({ kind: 'missing', reason: 'not in the snapshot' });
  });

  it('was not read where another namespace has it', () => {
    expect(read(nft, { [NODE]: '{}' })).toMatchObject({
      kind: 'unread',
      reason: expect.stringContaining(NODE) as string,
    });
    const pod = 'pods/bar/httpbin-1/netns/nft-ruleset.json';
    expect(read(nft, { [pod]: '{}' })).toMatchObject({
      kind: 'unread',
      reason: expect.stringContaining(pod) as string,
    });
  });

  it('is missing all the same where its tool prints it in some namespaces only', () => {
    const legacy = 'iptables-legacy-save.txt';
    expect(read(`${POD}/${legacy}`, { [`nodes/a/netns/${legacy}`]: '' })).toMatchObject({
      kind: 'missing',
      elsewhere: `nodes/a/netns/${legacy}`,
    });
  });

  it.each([nft, POD, '.', `${POD}/`])('was not read where the manifest names %s', (file) => {
    expect(read(nft, { 'snapshot.json': manifest(file, 'pods/exec is forbidden') })).toMatchObject({
      kind: 'unread',
      reason: 'pods/exec is forbidden',
    });
  });

  it('is missing where the tool is not installed, which tells of nothing that it would print', () => {
    const text = manifest(nft, 'not in the image of istio-system/istio-cni-node-x: nft: not found');
    expect(read(nft, { 'snapshot.json': text })).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('not in the image') as string,
    });
  });

  it('may have stood behind the damage of an archive, where the folder lacks what every namespace has', () => {
    const problems = [{ file: 'x.tgz', message: 'the archive is damaged' }];
    expect(read(nft, { [`${POD}/ip-rule.json`]: '[]' }, problems)).toMatchObject({ kind: 'unread' });
    const whole = [
      'ip-address.json',
      'ip-route.json',
      'ip-rule.json',
      'iptables-save.txt',
      'sockets.txt',
      'sysctl.txt',
    ];
    const files = Object.fromEntries(whole.map((name) => [`${POD}/${name}`, '']));
    expect(read(nft, files, problems)).toMatchObject({ kind: 'missing' });
  });

  it('and one that is there is handed out', () => {
    expect(read(NODE, { [NODE]: '{}' })).toMatchObject({ kind: 'text', text: '{}' });
  });
});
