import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { collect, type Cost } from '../../src/collect/collect.js';
import { PERMISSIONS } from '../../src/collect/allow.js';
import type { CollectOptions, Plan } from '../../src/collect/plan.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { folderSink, memorySink } from '../../src/snapshot/write.js';
import { startDouble, type Double, type DoubleOptions } from './double.js';

const RECORDING = 'test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz';

let recorded: Snapshot;
let folder: string;
let double: Double | null = null;

beforeAll(async () => {
  recorded = await openSnapshot(RECORDING);
  folder = mkdtempSync(path.join(tmpdir(), 'meshpath-collect-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(async () => {
  await double?.close();
  double = null;
});

async function live(
  options: DoubleOptions = {},
  served = recorded,
): Promise<CollectOptions & { readonly notices: string[] }> {
  double = await startDouble(served, options);
  const kubeconfig = path.join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, double.kubeconfig);
  const notices: string[] = [];
  return {
    notices,
    kubeconfig,
    context: null,
    as: null,
    asGroups: [],
    requestTimeout: 2000,
    concurrency: 8,
    debugImage: null,
    meshpathVersion: '0.0.0',
    signal: new AbortController().signal,
    progress: (event) => {
      if (event.kind === 'notice') notices.push(event.message);
    },
  };
}

function question(from: string, to: string): Plan {
  return { kind: 'trace', from, to, namespace: null, ask: (snapshot) => answer(snapshot, { from, to }) };
}

async function trace(
  from: string,
  to: string,
  options: DoubleOptions = {},
): Promise<{ snapshot: Snapshot; cost: Cost; notices: string[] }> {
  const opened = await live(options);
  const sink = memorySink();
  const cost = await collect(sink, question(from, to), opened, []);
  return { snapshot: sink.snapshot('live'), cost, notices: opened.notices };
}

/** Shape of an answer without places in files: a narrowed list has other indices. */
function shape(trace: ReturnType<typeof answer>): unknown {
  return trace.paths.map(({ verdict, stops, links, encryption, probability }) => ({
    verdict,
    stops,
    links,
    encryption,
    probability,
  }));
}

describe('a trace on a live cluster', () => {
  it.each([
    ['foo/sleep', 'bar/httpbin:8000'],
    ['foo/sleep', 'bar-1/httpbin:8000'],
    ['foo/sleep', 'bar-2/helloworld:5000'],
    ['foo-sc/sleep', 'bar-1/httpbin:8000'],
    ['foo/sleep', 'strict/httpbin:8000'],
    ['baz/sleep-plain', 'strict/httpbin:8000'],
  ])('%s to %s goes the way of the recording', async (from, to) => {
    const { snapshot } = await trace(from, to);
    expect(shape(answer(snapshot, { from, to }))).toEqual(shape(answer(recorded, { from, to })));
  });

  it('is the answer on the capture of the same moment, byte for byte', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar-1/httpbin:8000');
    const target = path.join(folder, 'capture');
    await collect(folderSink(target), question('foo/sleep', 'bar-1/httpbin:8000'), await live(), []);
    const words = { from: 'foo/sleep', to: 'bar-1/httpbin:8000' };
    expect(JSON.stringify(answer(await openSnapshot(target), words))).toBe(JSON.stringify(answer(snapshot, words)));
  });

  it('asks for nothing that is not on the list of what may be asked', async () => {
    await trace('foo/sleep', 'bar-2/helloworld:5000');
    for (const line of double?.transcript ?? []) {
      const [method = '', url = ''] = line.split(' ');
      const [pathname = ''] = url.split('?');
      const allowed = PERMISSIONS.some((p) => p.grant === undefined && p.method === method && p.path.test(pathname));
      expect(allowed, line).toBe(true);
      expect(pathname).not.toMatch(/secrets/);
    }
  });

  it('reads the pods and nodes of the path and no others', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar/httpbin:8000');
    const read = snapshot.list('pods').flatMap((ns) => snapshot.list(`pods/${ns}`).map((pod) => `${ns}/${pod}`));
    // of the mesh itself, what runs on the two nodes: whose device a packet leaves by is found among these
    expect(read.filter((id) => !/^(?:istio-system|ingress)\//.test(id))).toEqual([
      'bar/httpbin-cd5c9f46b-xv2lf',
      'foo/sleep-56df5b9cc9-w667b',
    ]);
    const dumps = read.filter((id) => ['ztunnel', 'envoy'].some((d) => snapshot.list(`pods/${id}/${d}`).length > 0));
    expect(dumps).toEqual(['bar/httpbin-cd5c9f46b-xv2lf', 'istio-system/ztunnel-8f85h']);
    expect(snapshot.list('nodes')).toEqual(['node-a', 'node-b']);
    expect((double?.transcript ?? []).some((line) => /^GET \/api\/v1\/pods(?:\?(?!.*Selector)|$)/.test(line))).toBe(
      false,
    );
  });
});

it('a bare name is that of the context, whatever else of its name the question brings; so it is on the capture', async () => {
  const [from, to] = ['sleep', 'foo-sc/sleep:80'];
  const opened = await live();
  const config = JSON.parse(double?.kubeconfig ?? '') as { contexts: { context: { namespace: string } }[] };
  config.contexts[0]!.context.namespace = 'foo';
  writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(config));
  const target = mkdtempSync(path.join(folder, 'context-'));
  await collect(folderSink(target), question(from, to), opened, []);
  expect(answer(await openSnapshot(target), { from, to }).source).toMatchObject({ namespace: 'foo' });
});

describe('--concurrency', () => {
  it.each([1, 3])('%i: no more requests and streams are open at a time', async (concurrency) => {
    const opened = { ...(await live()), concurrency };
    const sink = memorySink();
    await collect(sink, question('foo/sleep', 'bar-1/httpbin:8000'), opened, []);
    expect(double?.most()).toBe(concurrency);
    expect(sink.snapshot('x').manifest?.problems).toEqual([]);
    await collect(memorySink(), { kind: 'scope', namespaces: 'all', ask: null }, opened, []);
    expect(double?.most()).toBe(concurrency);
  });

  it('is that of all clusters together', async () => {
    const opened = { ...(await live()), concurrency: 3 };
    const config = JSON.parse(double?.kubeconfig ?? '') as { contexts: { name: string }[] };
    config.contexts.push({ ...config.contexts[0], name: 'again' });
    writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(config));
    await collect(memorySink(), { kind: 'scope', namespaces: ['foo'], ask: null }, opened, ['double', 'again']);
    expect(double?.most()).toBe(3);
  });
});

describe('what is refused', () => {
  const refuse =
    (pattern: RegExp, message: string) =>
    (_method: string, pathname: string): { status: number; message: string } | null =>
      pattern.test(pathname) ? { status: 403, message } : null;

  it('exec: the rules are unknown, with the words of the server, and the trace goes on', async () => {
    const { snapshot, notices } = await trace('foo/sleep', 'bar/httpbin:8000', {
      fault: refuse(/\/exec$/, 'pods "x" is forbidden: User "viewer" cannot get resource "pods/exec"'),
    });
    const result = answer(snapshot, { from: 'foo/sleep', to: 'bar/httpbin:8000' });
    expect(JSON.stringify(result.unknowns)).toContain('cannot get resource \\"pods/exec\\"');
    expect(notices).toEqual([
      expect.stringContaining('no right to pods/exec in istio-system: '),
      'meshpath rbac prints a ClusterRole with these rights',
    ]);
    expect(snapshot.manifest?.problems.map((p) => p.file)).toContain('pods/foo/sleep-56df5b9cc9-w667b/netns');
  });

  it('port-forward: an Envoy is read by exec', async () => {
    const { snapshot } = await trace('foo-sc/sleep', 'bar-1/httpbin:8000', {
      fault: (_method, pathname) =>
        /portforward$/.test(pathname) ? { status: 403, message: 'no port-forward' } : null,
      exec: (pod, command) =>
        command[0] === 'pilot-agent'
          ? {
              stdout: textOf(
                `pods/${pod}/envoy/${command[3]?.startsWith('clusters') ? 'clusters' : 'config_dump'}.json`,
              ),
            }
          : null,
    });
    expect(snapshot.list('pods/foo-sc/sleep-56df5b9cc9-v5qvv/envoy')).toContain('config_dump.json');
  });

  it('lists of all namespaces: those of the question are read, and the answer knows that it is not all', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar/httpbin:8000', {
      fault: (_method, pathname) =>
        /^\/apis\/[^/]+\.istio\.io\/v1\/[a-z]+$/.test(pathname)
          ? { status: 403, message: 'cluster scope refused' }
          : null,
    });
    expect(snapshot.read('kubernetes/peerauthentications.security.istio.io.json').kind).toBe('text');
    expect(snapshot.manifest?.problems).toContainEqual({
      file: 'kubernetes/peerauthentications.security.istio.io.json',
      reason: 'only of the namespaces bar, foo, istio-system: cluster scope refused',
    });
  });

  /** As RoleBindings give it: some namespaces, and nothing of the cluster. */
  const only =
    (...namespaces: readonly string[]) =>
    (_method: string, pathname: string): { status: number; message: string } | null => {
      const [, namespace, rest] = /^\/apis?\/(?:[^/]+\/)?v1\/namespaces\/([^/]+)(\/.+)?$/.exec(pathname) ?? [];
      if (namespace !== undefined && namespaces.includes(namespace)) return null;
      if (/^\/(?:version|apis)$|^\/apis\/[^/]+\/v1$|selfsubject/.test(pathname)) return null;
      const where = namespace === undefined || rest === undefined ? 'at the cluster scope' : `in ${namespace}`;
      return { status: 403, message: `forbidden ${where}` };
    };
  const team = only('foo', 'bar');

  it('all but two namespaces: names in them are found, enrolment is known, the refusal is said once a fact', async () => {
    for (const [from, to] of [
      ['foo/sleep', 'bar/httpbin:8000'],
      ['sleep.foo', 'httpbin.bar:8000'],
      ['deploy/sleep.foo', 'http://httpbin.bar.svc.cluster.local:8000/'],
    ] as const) {
      const { snapshot } = await trace(from, to, { fault: team });
      const result = answer(snapshot, { from, to });
      expect(result.source).toMatchObject({ kind: 'Pod', namespace: 'foo', name: 'sleep-56df5b9cc9-w667b' });
      expect(result.destination).toMatchObject({ kind: 'Service', namespace: 'bar', name: 'httpbin' });
      const facts = result.unknowns.map(({ fact }) => fact);
      expect(new Set(facts).size).toBe(facts.length);
      expect(JSON.stringify(result.unknowns)).toContain('forbidden at the cluster scope');
      expect(JSON.stringify(result.unknowns)).not.toContain('labels of namespace foo');
      expect(snapshot.manifest?.partial).toContainEqual({ file: 'kubernetes/pods.json', namespaces: ['bar', 'foo'] });
      expect(textIn(snapshot, 'kubernetes/namespaces.json')).toContain('"name":"foo"');
    }
  });

  it('istiod is looked for where the mesh is installed, waypoints in the namespaces of the question', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar-1/httpbin:8000', {
      fault: only('foo', 'bar-1', 'istio-system'),
    });
    expect(snapshot.manifest?.cluster.istio).toEqual(['1.30.3']);
    const asked = (wanted: string): boolean => double?.transcript.some((line) => line.startsWith(wanted)) === true;
    for (const namespace of ['foo', 'bar-1']) {
      const gateways = 'labelSelector=gateway.networking.k8s.io/gateway-name';
      expect(double?.transcript.filter((line) => line.includes(`/${namespace}/pods?`)).join()).toContain(gateways);
      expect(double?.transcript.filter((line) => line.includes(`/${namespace}/services?`)).join()).toContain(gateways);
    }
    expect(asked('GET /apis/security.istio.io/v1/namespaces/istio-system/peerauthentications')).toBe(true);
    const selected = double?.transcript.filter((line) => line.includes('labelSelector=')) ?? [];
    expect([...new Set(selected)]).toEqual(selected);
  });

  it('a mesh whose istiod is elsewhere has its policies where its agents are', async () => {
    const { items } = JSON.parse(textOf('kubernetes/pods.json')) as { items: unknown[] };
    const without = items.filter((pod) => !JSON.stringify(pod).includes('"app":"istiod"'));
    const file = JSON.stringify({ items: without });
    const managed: Snapshot = {
      ...recorded,
      read: (p) => (p === 'kubernetes/pods.json' ? { kind: 'text', path: p, text: file } : recorded.read(p)),
    };
    const plans: readonly Plan[] = [
      question('foo/sleep', 'bar/httpbin:8000'),
      { kind: 'scope', namespaces: ['foo'], ask: null },
    ];
    for (const plan of plans) {
      const opened = await live({ fault: only('foo', 'bar', 'istio-system') }, managed);
      await collect(memorySink(), plan, opened, []);
      expect((double?.transcript ?? []).join('\n')).toContain(
        'GET /apis/security.istio.io/v1/namespaces/istio-system/peerauthentications',
      );
      await double?.close();
    }
  });

  it('a slip in such a namespace is said, with what is there', async () => {
    const slip = trace('foo/slep', 'bar/httpbin:8000', { fault: team });
    await expect(slip).rejects.toMatchObject({
      message: 'FROM: there is no pod, workload or Service with pods "foo/slep"',
      suggestions: ['Type one of:', expect.stringContaining('foo/deploy/sleep')],
    });
    await expect(trace('nowhere/sleep', 'bar/httpbin:8000')).rejects.toThrow(/there is no namespace nowhere/);
  });
});

describe('a cluster in trouble', () => {
  it('429 and 5xx are tried again, a page that expired starts its list again', async () => {
    const seen = new Map<string, number>();
    const { cost, snapshot } = await trace('foo/sleep', 'bar/httpbin:8000', {
      fault: (method, pathname) => {
        const times = (seen.get(method + pathname) ?? 0) + 1;
        seen.set(method + pathname, times);
        if (pathname.endsWith('/services') && times === 1) return { status: 429, headers: { 'Retry-After': '1' } };
        if (pathname.endsWith('/nodes') && times < 3) return { status: 503 };
        if (pathname.endsWith('/gateways') && times === 1) return 'cut';
        if (pathname.endsWith('/endpointslices') && times === 1) return { status: 410, message: 'expired' };
        return null;
      },
    });
    expect(cost.retries).toBeGreaterThanOrEqual(4);
    expect(snapshot.manifest?.problems ?? []).toEqual([]);
  });

  it('a pod that never answers costs its own deadline', async () => {
    const started = Date.now();
    const { snapshot } = await trace('foo/sleep', 'bar-1/httpbin:8000', {
      fault: (_method, pathname) => (/ztunnel-8f85h\/portforward$/.test(pathname) ? 'hang' : null),
    });
    expect(Date.now() - started).toBeLessThan(20_000);
    expect(snapshot.manifest?.problems).toContainEqual({
      file: 'pods/istio-system/ztunnel-8f85h/ztunnel/config_dump.json',
      reason: 'no answer within 2 s',
    });
  });

  it('a stream that is cut leaves no half file', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar/httpbin:8000', {
      fault: (_method, pathname) => (/portforward$/.test(pathname) ? 'cut' : null),
    });
    expect(snapshot.manifest?.problems.some((p) => p.file.endsWith('ztunnel/config_dump.json'))).toBe(true);
    for (const namespace of snapshot.list('pods')) {
      for (const pod of snapshot.list(`pods/${namespace}`))
        expect(snapshot.list(`pods/${namespace}/${pod}/ztunnel`)).toEqual([]);
    }
  });

  it('no shell in the image of istio-cni: the rules are unknown and say why', async () => {
    const { snapshot } = await trace('foo/sleep', 'bar/httpbin:8000', {
      exec: (_pod, command) => ({ error: `exec: "${command[0]}": executable file not found in $PATH` }),
    });
    const netns = 'pods/foo/sleep-56df5b9cc9-w667b/netns';
    expect(snapshot.manifest?.problems.find((p) => p.file === netns)?.reason).toMatch(
      /the image of istio-system\/istio-cni-node-\S+ has no shell/,
    );
  });
});

describe('an API server that was tampered with', () => {
  const evil = '../../../etc/\u001b[31m';
  const hostile = (change: (pods: Record<string, unknown>[]) => void): Snapshot => {
    const { items } = JSON.parse(textOf('kubernetes/pods.json')) as { items: Record<string, unknown>[] };
    change(items);
    const file = JSON.stringify({ items });
    return {
      ...recorded,
      read: (p) => (p === 'kubernetes/pods.json' ? { kind: 'text', path: p, text: file } : recorded.read(p)),
    };
  };
  async function captured(snapshot: Snapshot): Promise<Snapshot> {
    const opened = await live({}, snapshot);
    const target = mkdtempSync(path.join(folder, 'hostile-'));
    await collect(folderSink(target), { kind: 'scope', namespaces: ['foo'], ask: null }, opened, []);
    return openSnapshot(target);
  }

  it('names that are paths are left out, and said', async () => {
    const snapshot = await captured(
      hostile((pods) => {
        for (const name of [evil, '..', 'a/b', 'x\u0000']) {
          pods.push({ ...pods[0], metadata: { name, namespace: 'foo', labels: {} } });
        }
      }),
    );
    expect(snapshot.manifest?.problems).toContainEqual({
      file: 'kubernetes/pods.json',
      reason: '4 objects have names that Kubernetes does not allow: left out',
    });
    expect(snapshot.list('pods/foo')).toEqual(recorded.list('pods/foo'));
  });

  it('nodes and containers likewise', async () => {
    const snapshot = await captured(
      hostile((pods) => {
        const first = pods.find((pod) => JSON.stringify(pod).includes('"namespace":"foo"'));
        (first?.['spec'] as Record<string, unknown>)['nodeName'] = evil;
      }),
    );
    expect(snapshot.list('nodes').every((node) => recorded.list('nodes').includes(node))).toBe(true);
  });

  it('a list without end ends', async () => {
    const opened = await live();
    const server = http.createServer((_request, response) => {
      response.setHeader('Content-Type', 'application/json');
      response.end(JSON.stringify({ kind: 'PodList', metadata: { continue: 'again' }, items: [] }));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    writeFileSync(
      path.join(folder, 'kubeconfig'),
      (double?.kubeconfig ?? '').replaceAll(double?.url ?? '-', `http://127.0.0.1:${port}`),
    );
    const sink = memorySink();
    await collect(sink, { kind: 'scope', namespaces: ['bar'], ask: null }, opened, []);
    server.closeAllConnections();
    server.close();
    expect(sink.snapshot('x').manifest?.problems).toContainEqual({
      file: 'kubernetes/pods.json',
      reason: '/api/v1/namespaces/bar/pods: the list does not end',
    });
  });

  it('a dump without end ends', async () => {
    const garbage = '['.repeat(200_000);
    const { snapshot } = await trace('foo/sleep', 'bar/httpbin:8000', { dump: () => garbage });
    expect(snapshot.manifest?.problems.find((p) => p.file.endsWith('ztunnel/config_dump.json'))?.reason).toMatch(
      /no dump/,
    );
  });
});

describe('--allow-debug-container', () => {
  it('is announced, has NET_ADMIN only, and reads what nothing else does', async () => {
    const opened = {
      ...(await live({
        exec: (_pod, command, container) =>
          container.startsWith('meshpath-')
            ? null
            : { error: `exec: "${command[0]}": executable file not found in $PATH` },
      })),
      debugImage: 'nicolaka/netshoot',
    };
    const sink = memorySink();
    await collect(sink, question('foo/sleep', 'bar/httpbin:8000'), opened, []);
    expect(sink.snapshot('x').list('pods/foo/sleep-56df5b9cc9-w667b/netns')).toContain('iptables-save.txt');
    expect(opened.notices.join('\n')).toMatch(
      /starting the debug container meshpath-\w+ \(nicolaka\/netshoot, NET_ADMIN only\).*stays in the pod/,
    );
    expect(
      double?.transcript
        .filter((line) => line.startsWith('PATCH'))
        .every((line) => line.endsWith('/ephemeralcontainers')),
    ).toBe(true);
  });

  it('only what the path goes through gets one: pods and nodes near it are left alone', async () => {
    const opened = { ...(await live({ exec: noShell })), debugImage: 'nicolaka/netshoot' };
    const sink = memorySink();
    await collect(sink, question('foo/sleep', 'bar/httpbin:8000'), opened, []);
    const { paths } = answer(sink.snapshot('x'), { from: 'foo/sleep', to: 'bar/httpbin:8000' });
    expect(paths.map(({ verdict }) => verdict)).toEqual(['delivered']);
    const stops = new Set(paths.flatMap((path) => path.stops.map(({ namespace, name }) => `${namespace}/${name}`)));
    const patched = (double?.transcript ?? []).flatMap(
      (line) =>
        /^PATCH \/api\/v1\/namespaces\/(\S+)\/ephemeralcontainers$/.exec(line)?.[1]?.replace('/pods/', '/') ?? [],
    );
    expect(patched.sort()).toEqual([...new Set(patched)]);
    expect(patched).toContain('foo/sleep-56df5b9cc9-w667b');
    expect(patched.filter((pod) => !stops.has(pod))).toEqual([]);
    expect(madeAndRemoved()).toEqual({ made: 2, removed: 2 });
    expect(sink.snapshot('x').manifest?.problems.map(({ file }) => file)).not.toContain('nodes/node-a/netns');
  });

  it('a capture of a namespace has no path: nothing is started, and that is said', async () => {
    const opened = { ...(await live({ exec: noShell })), debugImage: 'nicolaka/netshoot' };
    await collect(memorySink(), { kind: 'scope', namespaces: ['foo'], ask: null }, opened, []);
    expect(double?.transcript.filter((line) => !/^GET |selfsubjectaccessreviews$/.test(line))).toEqual([]);
    expect(opened.notices.join('\n')).toContain('no debug container is started: only what a trace');
  });

  /** No image has a shell but that of the debug pods and containers. */
  const noShell = (_pod: string, command: readonly string[], container: string): { error: string } | null =>
    container === 'netns' || container.startsWith('meshpath-')
      ? null
      : { error: `exec: "${command[0]}": executable file not found in $PATH` };

  async function debugging(options: DoubleOptions, signal?: AbortSignal): Promise<readonly string[]> {
    const opened = await live({ exec: noShell, ...options });
    const allowed = { ...opened, debugImage: 'nicolaka/netshoot', ...(signal === undefined ? {} : { signal }) };
    const sink = memorySink();
    await collect(sink, question('foo/sleep', 'bar/httpbin:8000'), allowed, []).catch(() => null);
    nodes = sink.snapshot('x').list('nodes/node-a/netns');
    return opened.notices;
  }
  let nodes: readonly string[] = [];

  function madeAndRemoved(): { readonly made: number; readonly removed: number } {
    const lines = double?.transcript ?? [];
    return {
      made: lines.filter((line) => /^POST \/api\/v1\/namespaces\/istio-system\/pods$/.test(line)).length,
      removed: lines.filter((line) => /^DELETE \/api\/v1\/namespaces\/istio-system\/pods\/meshpath-\w{6}$/.test(line))
        .length,
    };
  }

  it('a node is read by a pod on it, which is announced and taken away again', async () => {
    const notices = (await debugging({})).join('\n');
    expect(nodes).toContain('iptables-save.txt');
    expect(notices).toMatch(
      /node node-a: starting the debug pod istio-system\/meshpath-\w{6} \(nicolaka\/netshoot, host network/,
    );
    expect(notices).toMatch(/the debug pod istio-system\/meshpath-\w{6} is removed/);
    expect(madeAndRemoved()).toEqual({ made: 2, removed: 2 });
  });

  it('a pod that does not start is taken away too', async () => {
    const waiting = { phase: 'Pending', containerStatuses: [{ state: { waiting: { reason: 'ErrImagePull' } } }] };
    const notices = (await debugging({ debugPod: waiting })).join('\n');
    expect(notices).toMatch(/node node-a: no debug pod: the debug pod does not start: ErrImagePull/);
    expect(nodes).toEqual([]);
    expect(madeAndRemoved()).toEqual({ made: 2, removed: 2 });
  });

  it('Ctrl-C while it starts takes it away too', async () => {
    const abort = new AbortController();
    await debugging(
      {
        debugPod: { phase: 'Pending' },
        fault: (method, pathname) => {
          if (method === 'GET' && /\/meshpath-\w{6}$/.test(pathname)) setTimeout(() => abort.abort(), 50);
          return null;
        },
      },
      abort.signal,
    );
    const { made, removed } = madeAndRemoved();
    expect(made).toBeGreaterThan(0);
    expect(removed).toBe(made);
  });

  it('a name that is taken is the pod of somebody else: it is not deleted', async () => {
    await debugging({
      fault: (method, pathname) => (method === 'POST' && pathname.endsWith('/pods') ? { status: 409 } : null),
    });
    expect(madeAndRemoved()).toEqual({ made: 2, removed: 0 });
  });

  it('one that appears after its request was given up is taken away all the same', async () => {
    const notices = (
      await debugging({
        fault: (method, pathname) => (method === 'POST' && pathname.endsWith('/pods') ? 'late' : null),
      })
    ).join('\n');
    expect(notices).toMatch(/no debug pod: no answer within 2 s/);
    expect(notices.match(/the debug pod istio-system\/meshpath-\w{6} is removed$/gm)).toHaveLength(2);
  }, 20_000);

  it('a server that is busy for a moment is asked again to take it away', async () => {
    let busy = 2;
    const notices = (
      await debugging({ fault: (method) => (method === 'DELETE' && busy-- > 0 ? { status: 503 } : null) })
    ).join('\n');
    expect(notices).not.toContain('could not be removed');
    expect(notices.match(/ is removed$/gm)).toHaveLength(2);
  });

  it('one that may not be made says so; one that cannot be removed says how', async () => {
    const refused = (
      await debugging({
        fault: (method, pathname) =>
          method === 'POST' && pathname.endsWith('/pods')
            ? { status: 403, message: 'cannot create resource "pods"' }
            : null,
      })
    ).join('\n');
    expect(refused).toMatch(/no debug pod: cannot create resource "pods"/);
    expect(refused).not.toMatch(/could not be removed|kubectl/);
    expect(madeAndRemoved().removed).toBe(0);
    const left = (
      await debugging({ fault: (method) => (method === 'DELETE' ? { status: 403, message: 'cannot delete' } : null) })
    ).join('\n');
    expect(left).toMatch(
      /could not be removed \(cannot delete\): its container ends after 5 minutes, but the pod stays in the list of pods until it is deleted: kubectl delete pod --namespace istio-system meshpath-/,
    );
  });

  it('nothing is changed without it', async () => {
    await trace('foo/sleep', 'bar/httpbin:8000', { exec: () => ({ error: 'no shell: not found' }) });
    expect(double?.transcript.filter((line) => !/^GET |selfsubjectaccessreviews$/.test(line))).toEqual([]);
  });
});

describe('several contexts', () => {
  /** The kubeconfig of the double with its context a second time, under the name `other`. */
  async function twice(other: string, server?: string): Promise<CollectOptions & { readonly notices: string[] }> {
    const opened = await live();
    const config = JSON.parse(double?.kubeconfig ?? '') as {
      contexts: { name: string; context: Record<string, string> }[];
      clusters: unknown[];
    };
    const context = { ...config.contexts[0]?.context, ...(server === undefined ? {} : { cluster: 'other' }) };
    config.contexts.push({ name: other, context });
    if (server !== undefined) config.clusters.push({ name: 'other', cluster: { server } });
    writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(config));
    return opened;
  }

  it('a trace in the second is as in the first, live and on its capture', async () => {
    const [from, to] = ['foo/sleep@west', 'bar-1/httpbin:8000'];
    const opened = await twice('west');
    const plan = question(from, to);
    const sink = memorySink();
    await collect(sink, plan, opened, ['double', 'west']);
    const answered = answer(sink.snapshot('x'), { from, to });
    expect(shape(answered)).toEqual(shape(answer(recorded, { from: 'foo/sleep', to })));
    expect(answered.source.cluster).toBe('west');
    const target = path.join(folder, 'capture-of-two');
    await collect(folderSink(target), plan, opened, ['double', 'west']);
    expect(JSON.stringify(answer(await openSnapshot(target), { from, to }))).toBe(JSON.stringify(answered));
    // nothing of the data plane of the first is needed
    expect(sink.snapshot('x').list('nodes')).toEqual([]);
  });

  it('one that cannot be reached is missing, and the others are read', async () => {
    const opened = await twice('west', 'http://127.0.0.1:1');
    const sink = memorySink();
    await collect(sink, question('foo/sleep', 'bar/httpbin:8000'), opened, ['double', 'west']);
    const snapshot = sink.snapshot('x');
    expect(opened.notices.join('\n')).toMatch(
      /a cluster cannot be read: connection refused .*\(context west, http:\/\/127\.0\.0\.1:1\)/,
    );
    const answered = answer(snapshot, { from: 'foo/sleep', to: 'bar/httpbin:8000' });
    expect(shape(answered)).toEqual(shape(answer(recorded, { from: 'foo/sleep', to: 'bar/httpbin:8000' })));
    expect(() => answer(snapshot, { from: 'nobody@west', to: 'bar/httpbin:8000' })).toThrow(/connection refused/);
  });

  it('lie in one snapshot, the first at its root', async () => {
    const opened = await live();
    const config = JSON.parse(double?.kubeconfig ?? '') as { contexts: { name: string }[] };
    config.contexts.push({ ...config.contexts[0], name: 'arn:aws:eks/b' });
    writeFileSync(path.join(folder, 'kubeconfig'), JSON.stringify(config));
    const sink = memorySink();
    await collect(sink, { kind: 'scope', namespaces: ['bar'], ask: null }, opened, ['double', 'arn:aws:eks/b']);
    const snapshot = sink.snapshot('x');
    expect(snapshot.list('clusters')).toEqual(['arn_aws_eks_b']);
    const read = snapshot.read('clusters/arn_aws_eks_b/kubernetes/pods.json');
    expect(read.kind === 'text' && read.text).toBe(textIn(snapshot, 'kubernetes/pods.json'));
    expect(textIn(snapshot, 'clusters/arn_aws_eks_b/snapshot.json')).toContain('"context": "arn:aws:eks/b"');
    expect(snapshot.list('clusters/arn_aws_eks_b/nodes')).toEqual(['node-b']);
  });
});

function textIn(snapshot: Snapshot, file: string): string {
  const read = snapshot.read(file);
  return read.kind === 'text' ? read.text : '';
}

function textOf(file: string): string {
  return textIn(recorded, file);
}
