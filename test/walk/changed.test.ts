import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { FileRead, Snapshot } from '../../src/snapshot/snapshot.js';

/** Recorded meshes with one thing changed: what the walk makes of it. */
const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');
const inPod = await openSnapshot(path.join(ROOT, 'coexistence-1.30.3/snapshot.tar.gz'));
const nodeRedirect = await openSnapshot(path.join(ROOT, 'coexistence-1.18.2/snapshot.tar.gz'));

function changed(inner: Snapshot, file: string, change: (text: string) => string): Snapshot {
  return {
    ...inner,
    read(name): FileRead {
      const found = inner.read(name);
      if (name !== file || found.kind !== 'text') return found;
      const text = change(found.text);
      if (text === found.text) throw new Error(`${file}: the change changes nothing`);
      return { ...found, text };
    },
  };
}

interface PodObject {
  metadata: { namespace: string; name: string; annotations?: Record<string, string> };
  spec: { serviceAccountName?: string; hostNetwork?: boolean };
}

function changedPods(inner: Snapshot, change: (pod: PodObject) => void): Snapshot {
  return changed(inner, 'kubernetes/pods.json', (text) => {
    const list = JSON.parse(text) as { items: PodObject[] };
    list.items.forEach(change);
    return JSON.stringify(list);
  });
}

function ways(snapshot: Snapshot, from: string, to: string): readonly string[] {
  return answer(snapshot, { from, to }).paths.map((p) => `${p.verdict}: ${p.stops.map((s) => s.role).join(' > ')}`);
}

describe('who answers is who was meant', () => {
  it('ztunnel refuses a server that runs as another service account than its configuration says', () => {
    const snapshot = changedPods(inPod, (pod) => {
      if (pod.metadata.namespace === 'strict') pod.spec.serviceAccountName = 'somebody-else';
    });
    const [path_] = answer(snapshot, { from: 'foo/sleep', to: 'strict/httpbin:8000' }).paths;
    expect(path_?.verdict).toBe('error');
    expect(path_?.reason).toMatch(/peer did not present the expected SAN .*\/ns\/strict\/sa\/somebody-else/);
    expect(path_?.stops.map((stop) => stop.role)).toEqual(['workload', 'ztunnel']);
  });
});

describe('the network between', () => {
  it('a pod that nobody has is no route to host', () => {
    const snapshot = changedPods(inPod, (pod) => {
      if (pod.metadata.namespace === 'baz' && pod.metadata.name.startsWith('httpbin-plain')) {
        pod.metadata.name = 'gone';
        (pod as unknown as { status: unknown }).status = {};
      }
    });
    expect(ways(snapshot, 'baz/sleep-plain', 'baz/httpbin-plain:8000')[0]).toMatch(/^error: workload$/);
  });

  it('a node that drops what it forwards lets the client hang', () => {
    const snapshot = changed(inPod, 'nodes/node-a/netns/iptables-save.txt', (text) =>
      text.replace(/^\[\d+:\d+\] -A FORWARD .*$/m, (line) => `[0:0] -A FORWARD -p tcp -j DROP\n${line}`),
    );
    const [path_] = answer(snapshot, { from: 'baz/sleep-plain', to: 'bar/httpbin:8000' }).paths;
    expect(path_?.verdict).toBe('dropped');
    expect(path_?.reason).toMatch(/node\/node-a by .*-j DROP \(nodes\/node-a\/netns\/iptables-save\.txt:\d+\)/);
  });

  it('a rule that rejects is refused at once', () => {
    const snapshot = changed(inPod, 'nodes/node-a/netns/iptables-save.txt', (text) =>
      text.replace(/^\[\d+:\d+\] -A FORWARD .*$/m, (line) => `[0:0] -A FORWARD -p tcp -j REJECT\n${line}`),
    );
    expect(ways(snapshot, 'baz/sleep-plain', 'bar/httpbin:8000')).toEqual(['refused: workload']);
  });

  it('a tunnel whose other end is gone swallows the packet', () => {
    const snapshot = changed(nodeRedirect, `pods/istio-system/${ztunnelOfNodeA()}/netns/ip-address.json`, (text) =>
      text.replaceAll('pistioout', 'other0').replaceAll('"id":1001', '"id":7').replaceAll('"id": 1001', '"id": 7'),
    );
    const [path_] = answer(snapshot, { from: 'foo/sleep', to: 'bar/httpbin:8000' }).paths;
    expect(path_?.verdict).toBe('dropped');
    expect(path_?.reason).toContain('geneve');
  });
});

function ztunnelOfNodeA(): string {
  const list = JSON.parse((nodeRedirect.read('kubernetes/pods.json') as { text: string }).text) as {
    items: { metadata: { name: string }; spec: { nodeName?: string } }[];
  };
  const pod = list.items.find((item) => item.metadata.name.startsWith('ztunnel') && item.spec.nodeName === 'node-a');
  return pod?.metadata.name ?? '';
}

describe('what is not known', () => {
  it('a DNS query that ztunnel takes is no delivery: the name decides what becomes of it', () => {
    const { paths, unknowns } = answer(inPod, { from: 'foo/sleep', to: '192.0.2.53:53', protocol: 'udp' });
    expect(paths.map((one) => [one.verdict, one.stops.map((stop) => stop.role)])).toEqual([
      ['unknown', ['workload', 'ztunnel']],
    ]);
    expect(unknowns.map((unknown) => unknown.fact).join()).toContain('which name is asked');
  });

  it('without the trust domain no verdict on mutual TLS is certain', () => {
    const snapshot: Snapshot = {
      ...inPod,
      read: (file) =>
        file === 'kubernetes/configmaps.json'
          ? { kind: 'missing', path: file, reason: 'not allowed' }
          : inPod.read(file),
    };
    const { paths, unknowns } = answer(snapshot, { from: 'foo/sleep', to: 'strict/httpbin:8000' });
    for (const one of paths) expect(['unknown', 'delivered']).toContain(one.verdict);
    if (paths.some((one) => one.verdict === 'unknown'))
      expect(unknowns.map((u) => u.fact).join()).toContain('trust domain');
  });

  it('a rule that no file decides leaves the way open where its two sides differ, and only there', () => {
    const undecided = (rule: string): Snapshot =>
      changed(inPod, 'nodes/node-a/netns/iptables-save.txt', (text) =>
        text.replace(/^\[\d+:\d+\] -A FORWARD .*$/m, (line) => `[0:0] -A FORWARD ${rule}\n${line}`),
      );
    const dropped = answer(undecided('-m limit --limit 5/min -j DROP'), {
      from: 'baz/sleep-plain',
      to: 'bar/httpbin:8000',
    });
    expect(new Set(dropped.paths.map((one) => one.verdict))).toEqual(new Set(['unknown']));
    expect(dropped.unknowns.length).toBeGreaterThan(0);
    const logged = answer(undecided('-m limit --limit 5/min -j LOG'), {
      from: 'baz/sleep-plain',
      to: 'bar/httpbin:8000',
    });
    expect(logged.paths.map((one) => [one.verdict, one.probability])).toEqual([['delivered', 1]]);
  });
});
