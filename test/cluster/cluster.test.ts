import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PERMISSIONS } from '../../src/collect/allow.js';
import { collect } from '../../src/collect/collect.js';
import { rulesOf } from '../../src/collect/rbac.js';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { folderSink, memorySink } from '../../src/snapshot/write.js';
import { startCluster, type TestCluster } from './cluster.js';
import { startFaultProxy, type Fault, type FaultProxy } from './fault-proxy.js';
import { liveTrace, optionsFor, shape, tracePlan, type Live } from './live.js';

const started = process.env['MESHPATH_TEST_KUBECONFIG'] === undefined ? await startCluster() : null;
let proxy: FaultProxy | null = null;
afterEach(async () => {
  await proxy?.close();
  proxy = null;
});
afterAll(async () => {
  await started?.stop();
});

const FROM = 'foo/sleep';
const TO = 'bar/httpbin:8000';
const SLEEP = 'foo/sleep-56df5b9cc9-w667b';
const HTTPBIN = 'bar/httpbin-cd5c9f46b-xv2lf';

function textOf(snapshot: Snapshot, file: string): string {
  const read = snapshot.read(file);
  return read.kind === 'text' ? read.text : `(${file}: ${read.kind})`;
}

describe.skipIf(started === null)('a real API server, pods that are network namespaces', () => {
  // what is skipped runs none of this
  const cluster = started as TestCluster;
  const expected = (from: string, to: string): unknown => shape(answer(cluster.recorded, { from, to }));

  async function through(
    fault: (path: string, times: number, isStream: boolean) => Fault | Promise<Fault>,
  ): Promise<Live> {
    proxy = await startFaultProxy(cluster.plane, fault);
    return liveTrace(cluster.adminAt(proxy.url), FROM, TO);
  }

  it.each([
    [FROM, TO],
    [FROM, 'bar-1/httpbin:8000'],
    [FROM, 'bar-2/helloworld:5000'],
    ['foo-sc/sleep', 'bar-1/httpbin:8000'],
    ['baz/sleep-plain', 'strict/httpbin:8000'],
  ])('trace %s %s: as in the recording that the cluster is made of', async (from, to) => {
    const { snapshot } = await liveTrace(cluster.kubeconfig, from, to);
    const result = answer(snapshot, { from, to });
    expect(shape(result)).toEqual(expected(from, to));
    expect(result.findings.map((f) => `${f.code} ${f.message}`)).toEqual(
      answer(cluster.recorded, { from, to }).findings.map((f) => `${f.code} ${f.message}`),
    );
    expect(snapshot.manifest?.problems).toEqual([]);
  });

  it('the live answer is the answer on the capture of the same moment, byte for byte', async () => {
    const { snapshot } = await liveTrace(cluster.kubeconfig, FROM, TO);
    const folder = path.join(cluster.folder, 'same');
    await collect(folderSink(folder), tracePlan(FROM, TO), optionsFor(cluster.kubeconfig), []);
    const words = { from: FROM, to: TO };
    expect(JSON.stringify(answer(await openSnapshot(folder), words))).toBe(JSON.stringify(answer(snapshot, words)));
  });

  it('capture of all: three nodes, every pod, the rules as the kernel holds them, no secret', async () => {
    const folder = path.join(cluster.folder, 'all');
    await collect(
      folderSink(folder),
      { kind: 'scope', namespaces: 'all', ask: null },
      optionsFor(cluster.kubeconfig),
      [],
    );
    const snapshot = await openSnapshot(folder);
    expect(snapshot.list('nodes')).toEqual(['node-a', 'node-b', 'node-c']);
    const rules = (text: string): string[] =>
      text.split('\n').flatMap((line) => /-A .*/.exec(line)?.[0].trimEnd() ?? []);
    for (const of of ['nodes/node-a', 'nodes/node-c', `pods/${SLEEP}`, `pods/${HTTPBIN}`]) {
      const file = `${of}/netns/iptables-save.txt`;
      expect(rules(textOf(snapshot, file)), file).toEqual(rules(textOf(cluster.recorded, file)));
    }
    const captured = snapshot.list('pods').flatMap((ns) => snapshot.list(`pods/${ns}`).map((pod) => `${ns}/${pod}`));
    const pods = cluster.recorded
      .list('pods')
      .flatMap((ns) => cluster.recorded.list(`pods/${ns}`).map((p) => `${ns}/${p}`));
    expect(captured).toEqual(pods);
    expect(snapshot.list('nodes/node-a/cni')).toEqual(['10-kindnet.conflist']);
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      const full = path.join(folder, file);
      if (statSync(full).isFile()) expect(readFileSync(full, 'utf8').includes('swordfish'), file).toBe(false);
    }
    expect(shape(answer(snapshot, { from: FROM, to: TO }))).toEqual(expected(FROM, TO));
  });

  it('asks for nothing but what is on the list, by the audit log of a whole run', async () => {
    const kubeconfig = await cluster.userWith('transcript', rulesOf('exec'));
    await liveTrace(kubeconfig, FROM, 'bar-2/helloworld:5000');
    const lines = cluster.audit().filter((event) => event.user === 'system:serviceaccount:default:transcript');
    expect(lines.length).toBeGreaterThan(20);
    for (const { verb, uri } of lines) {
      const method = verb === 'create' ? 'POST' : ['get', 'list'].includes(verb) ? 'GET' : verb;
      const [pathname = ''] = uri.split('?');
      const allowed = PERMISSIONS.some((p) => p.grant === undefined && p.method === method && p.path.test(pathname));
      expect(allowed, `${verb} ${uri}`).toBe(true);
    }
  });

  it('rights of tier view: the path as it should be, and what is not known says why', async () => {
    const kubeconfig = await cluster.userWith('viewer', rulesOf('view'));
    const { snapshot, notices } = await liveTrace(kubeconfig, FROM, TO);
    const result = answer(snapshot, { from: FROM, to: TO });
    expect(result.paths.map((p) => p.verdict)).toEqual(['unknown']);
    expect(JSON.stringify(result.unknowns)).toContain('pods/exec');
    expect(notices.join('\n')).toMatch(/no right to pods\/exec in istio-system/);
    expect(notices.join('\n')).toMatch(/no right to pods\/portforward in istio-system/);
  });

  it('rights of tier portforward: what the proxies hold is read', async () => {
    const kubeconfig = await cluster.userWith('forwarder', rulesOf('portforward'));
    const sink = memorySink();
    await collect(sink, { kind: 'scope', namespaces: ['bar'], ask: null }, optionsFor(kubeconfig), []);
    const snapshot = sink.snapshot('x');
    expect(snapshot.list(`pods/${HTTPBIN}/envoy`)).toEqual(['clusters.json', 'config_dump.json', 'server_info.json']);
    expect(snapshot.list(`pods/${HTTPBIN}/netns`)).toEqual([]);
    expect(snapshot.read(`pods/${HTTPBIN}/netns/iptables-save.txt`)).toMatchObject({ kind: 'missing' });
    expect(JSON.stringify(snapshot.read(`pods/${HTTPBIN}/netns/iptables-save.txt`))).toContain('pods/exec');
  });

  it('rights of tier exec are enough for the whole answer', async () => {
    const kubeconfig = await cluster.userWith('executor', rulesOf('exec'));
    const { snapshot, notices } = await liveTrace(kubeconfig, FROM, TO);
    expect(shape(answer(snapshot, { from: FROM, to: TO }))).toEqual(expected(FROM, TO));
    expect(notices).toEqual([]);
  });

  it('rights in two namespaces only: names and labels in them are known, and what the mesh does is not', async () => {
    const kubeconfig = await cluster.teamWith('team', rulesOf('exec'), ['foo', 'bar']);
    const { snapshot } = await liveTrace(kubeconfig, FROM, TO);
    const result = answer(snapshot, { from: FROM, to: TO });
    expect(result.source).toMatchObject({ namespace: 'foo', name: SLEEP.slice(4), mode: 'ambient' });
    expect(result.destination).toMatchObject({ namespace: 'bar', name: 'httpbin' });
    expect(result.paths.map((p) => p.verdict)).toEqual(['unknown']);
    expect(JSON.stringify(result.unknowns)).not.toContain('labels of namespace');
    expect(snapshot.manifest?.partial).toContainEqual({ file: 'kubernetes/pods.json', namespaces: ['bar', 'foo'] });
    await expect(liveTrace(kubeconfig, 'foo/slep', TO)).rejects.toThrow(
      'there is no pod, workload or Service with pods "foo/slep"',
    );
    await expect(liveTrace(kubeconfig, 'baz/sleep-plain', TO)).rejects.toThrow(/forbidden/);
  });

  it('no rights at all: a refusal, not an answer', async () => {
    const { snapshot } = await liveTrace(await cluster.userWith('nobody', []), FROM, TO).catch((error: Error) => {
      expect(error.message).toMatch(/FROM|forbidden/);
      return { snapshot: null };
    });
    expect(snapshot).toBeNull();
  });

  it('429, 500 and cut answers are tried again', async () => {
    const { snapshot, cost } = await through((pathname, times, isStream) => {
      if (isStream || times > 1) return null;
      if (pathname.endsWith('/services')) return { status: 429, headers: { 'Retry-After': '1' } };
      if (pathname.endsWith('/nodes')) return { status: 500 };
      return pathname.endsWith('/namespaces') ? 'cut' : null;
    });
    expect(cost.retries).toBeGreaterThanOrEqual(3);
    expect(shape(answer(snapshot, { from: FROM, to: TO }))).toEqual(expected(FROM, TO));
  });

  it('403, silence and cut streams of single pods become unknowns with their reason', async () => {
    for (const [fault, reason] of [
      [{ status: 403 }, /the proxy says 403/],
      ['hang', /no answer within 10 s/],
      ['cut', /cut/],
    ] as const) {
      const { snapshot } = await through((pathname) => (pathname.endsWith('/exec') ? fault : null));
      const found = snapshot.manifest?.problems.find((p) => p.file === `pods/${SLEEP}/netns`);
      expect(found?.reason).toMatch(reason);
      const result = answer(snapshot, { from: FROM, to: TO });
      expect(result.paths.map((p) => p.verdict)).toEqual(['unknown']);
      await proxy?.close();
    }
  });

  it('an image without a shell: the rules of that node are unknown, the others known', async () => {
    const file = cluster.podFile('istio-system/istio-cni-node-m5m4r', 'no-shell');
    writeFileSync(file, '');
    try {
      const { snapshot } = await liveTrace(cluster.kubeconfig, FROM, TO);
      expect(snapshot.list('nodes/node-a/netns')).toContain('iptables-save.txt');
      expect(snapshot.manifest?.problems.find((p) => p.file === 'nodes/node-b/netns')?.reason).toMatch(/has no shell/);
    } finally {
      rmSync(file);
    }
  });

  it('such a node is read by a debug pod where that is allowed, and the pod is gone afterwards', async () => {
    const file = cluster.podFile('istio-system/istio-cni-node-m5m4r', 'no-shell');
    const debugPods = '/api/v1/namespaces/istio-system/pods?labelSelector=app.kubernetes.io/managed-by=meshpath';
    const found = async (): Promise<{ readonly metadata: { readonly name: string } }[]> =>
      ((await cluster.plane.request('GET', debugPods)) as { items: { metadata: { name: string } }[] }).items;
    // what the kubelet would say of it
    const kubelet = setInterval(() => {
      void found().then(async (pods) => {
        for (const { metadata } of pods) {
          const status = `/api/v1/namespaces/istio-system/pods/${metadata.name}/status`;
          await cluster.plane.request('PATCH', status, { status: { phase: 'Running' } }, [404]);
        }
      });
    }, 200);
    writeFileSync(file, '');
    try {
      const sink = memorySink();
      const options = { ...optionsFor(cluster.kubeconfig), debugImage: 'nicolaka/netshoot' };
      await collect(sink, tracePlan(FROM, TO), options, []);
      const rules = (text: string): string[] =>
        text.split('\n').flatMap((line) => /-A .*/.exec(line)?.[0].trimEnd() ?? []);
      const read = 'nodes/node-b/netns/iptables-save.txt';
      expect(rules(textOf(sink.snapshot('x'), read))).toEqual(rules(textOf(cluster.recorded, read)));
      expect(await found()).toEqual([]);
      const made = cluster.audit().filter(({ uri }) => /\/pods\/meshpath-/.test(uri));
      expect(made.map(({ verb }) => verb)).toContain('delete');
    } finally {
      clearInterval(kubelet);
      rmSync(file);
    }
  });

  it('a dump of 90 MB is streamed to its place', async () => {
    const file = cluster.podFile('istio-system/ztunnel-8f85h', 'ztunnel-config_dump.json');
    const before = readFileSync(file, 'utf8');
    const padding = `"padding":[${`"${'x'.repeat(1000)}",`.repeat(90 * 1024)}""],`;
    writeFileSync(file, `{${padding}${before.trimStart().slice(1)}`);
    try {
      const folder = path.join(cluster.folder, 'large');
      await collect(folderSink(folder), tracePlan(FROM, 'bar-1/httpbin:8000'), optionsFor(cluster.kubeconfig), []);
      expect(statSync(path.join(folder, 'pods/istio-system/ztunnel-8f85h/ztunnel/config_dump.json')).size).toBe(
        statSync(file).size,
      );
    } finally {
      writeFileSync(file, before);
    }
  });

  it('Ctrl-C leaves a valid, smaller capture that says so', async () => {
    const folder = path.join(cluster.folder, 'interrupted');
    const abort = new AbortController();
    const options = { ...optionsFor(cluster.kubeconfig), signal: abort.signal };
    options.progress = (event) => {
      if (event.kind === 'step' && event.what.startsWith('network namespaces')) abort.abort();
    };
    await collect(folderSink(folder), { kind: 'scope', namespaces: 'all', ask: null }, options, []).catch(() => null);
    const snapshot = await openSnapshot(folder);
    expect(snapshot.manifest?.problems.some((p) => /interrupted/.test(p.reason))).toBe(true);
    expect(textOf(snapshot, 'kubernetes/pods.json')).toContain(SLEEP.split('/')[1]);
    for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      expect(path.basename(file).startsWith('.'), file).toBe(false);
    }
  });

  describe('the program itself', () => {
    const meshpath = (...args: string[]): { status: number | null; stdout: string; stderr: string } => {
      const run = spawnSync(process.execPath, ['bin/run.js', ...args], {
        encoding: 'utf8',
        maxBuffer: 256 * 1024 * 1024,
        env: { ...process.env, KUBECONFIG: cluster.kubeconfig, NO_COLOR: '1' },
      });
      return { status: run.status, stdout: run.stdout, stderr: run.stderr };
    };
    beforeAll(() => {
      execFileSync(process.execPath, ['scripts/build.js'], { stdio: ['ignore', 'ignore', 'inherit'] });
    });

    it('trace, live and on its capture: the same bytes', () => {
      const file = path.join(cluster.folder, 'cli.tar.gz');
      const captured = meshpath('capture', '--for', `${FROM} ${TO}`, '--output-file', file, '--timings');
      expect(captured, captured.stderr).toMatchObject({ status: 0, stdout: `${file}\n` });
      expect(captured.stderr).toMatch(/\d+ requests, [\d.]+ MB/);
      const live = meshpath('trace', FROM, TO, '--output', 'json');
      expect(live, live.stderr).toMatchObject({ status: 0, stderr: '' });
      expect(meshpath('trace', FROM, TO, '--output', 'json', '--snapshot', file).stdout).toBe(live.stdout);
      expect(meshpath('capture', '--for', `${FROM} ${TO}`, '--output-file', file)).toMatchObject({
        status: 2,
        stdout: '',
      });
    });

    it('ls, live: what is in the mesh, and is it really', () => {
      const list = meshpath('ls', '--namespace', 'foo', '--output', 'json');
      expect(list, list.stderr).toMatchObject({ status: 0 });
      expect(list.stdout).toContain(SLEEP.split('/')[1]);
    });

    it('pseudonyms: no name of the cluster is left', () => {
      const folder = path.join(cluster.folder, 'renamed');
      const run = meshpath('capture', '--namespace', 'bar', '--output-file', folder, '--pseudonymize');
      expect(run, run.stderr).toMatchObject({ status: 0 });
      for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
        const full = path.join(folder, file);
        const text = statSync(full).isFile() ? readFileSync(full, 'utf8') : '';
        expect(/httpbin|node-a|10\.244\.2\.6(?!\d)/.exec(`${file}\n${text}`)?.[0], file).toBeUndefined();
      }
    });

    it('no rights, an expired token, Ctrl-C: what is missing, before and after, and 3, 3, 130', async () => {
      const nobody = await cluster.userWith('nobody-at-all', []);
      const traced = meshpath('trace', FROM, TO, '--kubeconfig', nobody);
      expect(traced, traced.stderr).toMatchObject({ status: 3, stdout: '' });
      expect(traced.stderr).toMatch(
        /no right to pods\/exec in istio-system.*\n[^]*Error: FROM: .*forbidden.*\n.*meshpath rbac/,
      );
      const captured = meshpath(
        'capture',
        '--namespace',
        'bar',
        '--output-file',
        path.join(cluster.folder, 'none'),
        '--kubeconfig',
        nobody,
      );
      expect(captured, captured.stderr).toMatchObject({ status: 3, stdout: '' });
      const expired = path.join(cluster.folder, 'expired');
      writeFileSync(expired, cluster.plane.kubeconfig('an-old-token'));
      const refused = meshpath('trace', FROM, TO, '--kubeconfig', expired);
      expect(refused, refused.stderr).toMatchObject({ status: 3, stdout: '' });
      expect(refused.stderr).toMatch(/does not accept the credentials .*401.*they may have expired/);
      proxy = await startFaultProxy(cluster.plane, (pathname) => (pathname.endsWith('/exec') ? 'hang' : null));
      const child = spawn(
        process.execPath,
        ['bin/run.js', 'trace', FROM, TO, '--kubeconfig', cluster.adminAt(proxy.url)],
        {
          stdio: ['ignore', 'ignore', 'pipe'],
        },
      );
      setTimeout(() => child.kill('SIGINT'), 5000);
      let said = '';
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
      expect(await new Promise((resolve) => child.on('close', resolve)), said).toBe(130);
      expect(said).toMatch(/interrupted before all was read: no answer/);
    });

    it('a server that is not there is 3, a kubeconfig that is not there is 2', () => {
      const nowhere = path.join(cluster.folder, 'nowhere');
      writeFileSync(nowhere, cluster.plane.kubeconfig('x', 'https://127.0.0.1:1'));
      const refused = meshpath('trace', FROM, TO, '--kubeconfig', nowhere);
      expect(refused, refused.stderr).toMatchObject({ status: 3, stdout: '' });
      expect(refused.stderr).toMatch(/connection refused/);
      expect(meshpath('trace', FROM, TO, '--kubeconfig', '/does/not/exist')).toMatchObject({ status: 2, stdout: '' });
    });
  });

  it('a pod that is deleted meanwhile is one unknown, and the rest is read', async () => {
    const [namespace, name] = HTTPBIN.split('/');
    const { snapshot } = await through(async (pathname) => {
      if (pathname.endsWith(`${name}/portforward`)) {
        await cluster.plane.request(
          'DELETE',
          `/api/v1/namespaces/${namespace}/pods/${name}?gracePeriodSeconds=0`,
          undefined,
          [404],
        );
      }
      return null;
    });
    expect(snapshot.manifest?.problems.find((p) => p.file.startsWith(`pods/${HTTPBIN}/envoy`))?.reason).toMatch(
      /not found/,
    );
    expect(existsSync(cluster.folder)).toBe(true);
    expect(() => answer(snapshot, { from: FROM, to: TO })).not.toThrow();
  });
});

const other = process.env['MESHPATH_TEST_KUBECONFIG'];
describe.skipIf(other === undefined)('the cluster of MESHPATH_TEST_KUBECONFIG', () => {
  it('can be captured, and says what could not be read', async () => {
    const sink = memorySink();
    await collect(sink, { kind: 'scope', namespaces: 'all', ask: null }, optionsFor(other ?? ''), []);
    const snapshot = sink.snapshot('other');
    expect(snapshot.manifest?.redacted).toBe(true);
    expect(snapshot.list('kubernetes')).toContain('pods.json');
  });

  it('answers live as on the capture, for a pod and a Service that it has', async () => {
    const [from, to] = (process.env['MESHPATH_TEST_TRACE'] ?? 'foo/sleep bar/httpbin').split(' ');
    const { snapshot } = await liveTrace(other ?? '', from ?? '', to ?? '');
    const sink = memorySink();
    await collect(sink, tracePlan(from ?? '', to ?? ''), optionsFor(other ?? ''), []);
    const words = { from: from ?? '', to: to ?? '' };
    expect(JSON.stringify(answer(sink.snapshot('x'), words))).toBe(JSON.stringify(answer(snapshot, words)));
  });
});
