import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import { pseudonymizingSink } from '../../src/snapshot/redact-names.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { memorySink, type WrittenManifest } from '../../src/snapshot/write.js';

function copy(snapshot: Snapshot, folder: string, put: (file: string, text: string) => void): void {
  for (const name of snapshot.list(folder)) {
    const file = folder === '' ? name : `${folder}/${name}`;
    const read = snapshot.read(file);
    if (read.kind === 'text') put(file, read.text);
    else copy(snapshot, file, put);
  }
}

function around(text: string, word: string): string | null {
  const at = text.indexOf(word);
  return at < 0 ? null : text.slice(Math.max(0, at - 60), at + 60);
}

const MANIFEST: WrittenManifest = {
  capturedAt: '2026-11-21T05:19:12Z',
  meshpathVersion: '0.0.0',
  cluster: { context: 'customer-prod', server: 'v1.34.2', istio: ['1.30.3'] },
  scope: { kind: 'all', note: null },
  redacted: true,
  problems: [],
  sources: [],
};

describe('--pseudonymize', () => {
  it('leaves nobody in the manifest: users, namespaces without an object, addresses of servers', () => {
    const target = memorySink();
    const sink = pseudonymizingSink(target);
    sink.put('kubernetes/pods.json', '{"items":[]}');
    const forbidden =
      'only of the namespaces acme: pods "ledger" is forbidden: User "jane@acme.example" cannot list resource "httproutes" in API group "gateway.networking.k8s.io" in the namespace "treasury"';
    const unreachable =
      'the name of the server does not resolve (getaddrinfo ENOTFOUND api.acme.example) (context acme-prod, https://api.acme.example:6443)';
    sink.manifest({
      ...MANIFEST,
      cluster: { ...MANIFEST.cluster, namespace: 'acme' },
      problems: [
        { file: '.', reason: unreachable },
        { file: 'kubernetes/pods.json', reason: forbidden },
      ],
      partial: [{ file: 'kubernetes/pods.json', namespaces: ['acme'] }],
    });
    sink.end();
    const manifest = target.snapshot('x').manifest;
    expect(JSON.stringify(manifest)).not.toMatch(/acme|jane|treasury|ledger|customer/);
    expect(manifest?.problems[0]?.reason).toBe('the name of the server does not resolve');
    // the same name in both places, and the words of the server otherwise
    const [other = ''] = manifest?.partial?.[0]?.namespaces ?? [];
    expect(manifest?.problems[1]?.reason).toMatch(
      new RegExp(
        `^only of the namespaces ${other}: pods "n\\w+" is forbidden: User "\\*\\*\\*" cannot list resource "httproutes" in API group "gateway\\.networking\\.k8s\\.io" in the namespace "n\\w+"$`,
      ),
    );
  });

  it.each(['coexistence-1.30.3', 'coexistence-1.18.2'])(
    '%s: other names and addresses, the same way',
    async (recording) => {
      const real = await openSnapshot(`test/fixtures/recordings/${recording}/snapshot.tar.gz`);
      const target = memorySink();
      const sink = pseudonymizingSink(target);
      copy(real, '', (file, text) => {
        if (file !== 'snapshot.json') sink.put(file, text);
      });
      sink.manifest(MANIFEST);
      sink.end();
      const renamed = target.snapshot('renamed');
      let all = '';
      copy(renamed, '', (file, text) => (all += `${file}\n${text}`));
      for (const name of ['helloworld', 'httpbin', 'foo-sc', 'customer', 'node-a'])
        expect(around(all, name), name).toBeNull();
      expect(all).not.toMatch(/(?<![\d.])10\.244\.2\.6(?![\d.])/);

      // the same pair of workloads, found again by what cannot be renamed: their uid
      const before = answer(real, { from: 'foo/sleep', to: 'bar/httpbin:8000' });
      const uidOf = (snapshot: Snapshot, kind: string): Map<string, string> => {
        const read = snapshot.read(`kubernetes/${kind}.json`);
        const items =
          read.kind === 'text'
            ? (JSON.parse(read.text) as { items: { metadata: Record<string, string> }[] }).items
            : [];
        return new Map(
          items.map(({ metadata }) => [
            metadata['uid'] ?? '',
            `${metadata['namespace'] ?? ''}/${metadata['name'] ?? ''}`,
          ]),
        );
      };
      const pairs = (kind: string): Map<string, string> => {
        const after = uidOf(renamed, kind);
        return new Map([...uidOf(real, kind)].map(([uid, name]) => [name, after.get(uid) ?? '']));
      };
      const pods = pairs('pods');
      const services = pairs('services');
      const from = pods.get(`${before.source.namespace}/${before.source.name}`) ?? '';
      const to = services.get('bar/httpbin') ?? '';
      const after = answer(renamed, { from, to: `${to}:8000` });
      expect(after.paths.map(({ verdict, encryption, probability }) => ({ verdict, encryption, probability }))).toEqual(
        before.paths.map(({ verdict, encryption, probability }) => ({ verdict, encryption, probability })),
      );
      expect(after.paths.map((p) => p.stops.map((s) => s.role))).toEqual(
        before.paths.map((p) => p.stops.map((s) => s.role)),
      );
      expect(after.paths.map((p) => p.hops.length)).toEqual(before.paths.map((p) => p.hops.length));
    },
  );
});
