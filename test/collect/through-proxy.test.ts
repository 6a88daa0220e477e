import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { collect } from '../../src/collect/collect.js';
import { answer } from '../../src/commands/_answer.js';
import type { CollectOptions } from '../../src/collect/plan.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import { memorySink } from '../../src/snapshot/write.js';
import { startDouble, type Double } from './double.js';

const WORDS = { from: 'foo/sleep', to: 'bar/httpbin:8000' };

let folder: string;
let double: Double;
let proxy: http.Server;
const asked: string[] = [];
const authorized = new Set<string>();

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'meshpath-proxy-'));
  const recorded = await openSnapshot('test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz');
  double = await startDouble(recorded, { seen: (headers) => authorized.add(headers.authorization ?? 'nobody') });
  proxy = http.createServer().on('connect', (request: http.IncomingMessage, socket: net.Socket) => {
    asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`);
    const [host = '', port = ''] = (request.url ?? '').split(':');
    const onward = net.connect(Number(port), host, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
    socket.pipe(onward).pipe(socket);
    for (const one of [socket, onward]) one.on('error', () => one.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  await double.close();
  proxy.closeAllConnections();
  proxy.close();
  rmSync(folder, { recursive: true, force: true });
});

function optionsFor(kubeconfig: string): CollectOptions {
  return {
    kubeconfig,
    context: null,
    as: null,
    asGroups: [],
    requestTimeout: 5000,
    concurrency: 8,
    debugImage: null,
    meshpathVersion: '0.0.0',
    signal: new AbortController().signal,
    progress: () => undefined,
  };
}

it('through a proxy, with a credential plugin: lists, dumps and rules come the one way', async () => {
  const plugin = path.join(folder, 'plugin.sh');
  writeFileSync(
    plugin,
    `#!/bin/sh\necho "$KUBERNETES_EXEC_INFO" >> ${folder}/info\nprintf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"of-the-plugin"}}'\n`,
  );
  chmodSync(plugin, 0o755);
  const config = JSON.parse(double.kubeconfig) as {
    clusters: { cluster: Record<string, unknown> }[];
    users: Record<string, unknown>[];
  };
  const { port } = proxy.address() as AddressInfo;
  config.clusters[0]!.cluster['proxy-url'] = `http://me:secret@127.0.0.1:${port}`;
  const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: './plugin.sh', provideClusterInfo: true };
  config.users = [{ name: 'u', user: { exec } }];
  const kubeconfig = path.join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(config));
  const sink = memorySink();
  await collect(
    sink,
    { kind: 'trace', ...WORDS, namespace: null, ask: (snapshot) => answer(snapshot, WORDS) },
    optionsFor(kubeconfig),
    [],
  );
  expect(sink.snapshot('x').manifest?.problems).toEqual([]);
  expect(answer(sink.snapshot('x'), WORDS).paths.map(({ verdict }) => verdict)).toEqual(['delivered']);
  expect([...authorized]).toEqual(['Bearer of-the-plugin']);
  const server = new URL(double.url).host;
  expect(new Set(asked)).toEqual(new Set([`${server} Basic ${Buffer.from('me:secret').toString('base64')}`]));
  // connections are used again; a stream has one of its own
  const streams = double.transcript.filter((line) => /\/(?:exec|portforward)\?/.test(line)).length;
  expect(asked.length).toBeGreaterThanOrEqual(streams);
  expect(asked.length).toBeLessThanOrEqual(streams + 8);
  // asked once, and told of the cluster as where there is no proxy
  const info = readFileSync(path.join(folder, 'info'), 'utf8').trim().split('\n');
  expect(info).toHaveLength(1);
  expect(JSON.parse(info[0] ?? '')).toMatchObject({ spec: { interactive: false, cluster: { server: double.url } } });
});

it('a proxy that is not there is named, without its password', async () => {
  const config = JSON.parse(double.kubeconfig) as { clusters: { cluster: Record<string, unknown> }[] };
  config.clusters[0]!.cluster['proxy-url'] = 'http://me:secret@127.0.0.1:1';
  const kubeconfig = path.join(folder, 'dead');
  writeFileSync(kubeconfig, JSON.stringify(config));
  const run = collect(memorySink(), { kind: 'scope', namespaces: ['foo'], ask: null }, optionsFor(kubeconfig), []);
  await expect(run).rejects.toMatchObject({
    kind: 'unreachable',
    message: expect.stringMatching(/^connection refused .*through the proxy 127\.0\.0\.1:1\)$/) as string,
  });
  await expect(run).rejects.not.toThrow('secret');
});

/** A SOCKS server (RFC 1928, no authentication) that leads every name to this machine. */
async function socksServer(names: string[]): Promise<net.Server> {
  const made = net.createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]));
      socket.once('data', (request: Buffer) => {
        const isName = request[3] === 3;
        const end = 5 + (request[4] ?? 0);
        names.push(isName ? request.subarray(5, end).toString() : 'an address');
        const onward = net.connect(request.readUInt16BE(isName ? end : 8), '127.0.0.1', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          socket.pipe(onward).pipe(socket);
        });
        onward.on('error', () => socket.destroy());
      });
    });
  });
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  return made;
}

it('SOCKS5, however it is written: the proxy resolves the name of the server', async () => {
  const names: string[] = [];
  const socks = await socksServer(names);
  const config = JSON.parse(double.kubeconfig) as { clusters: { cluster: Record<string, unknown> }[] };
  const server = double.url.replace('127.0.0.1', 'api.invalid');
  const proxyUrl = `SOCKS5://127.0.0.1:${(socks.address() as AddressInfo).port}`;
  config.clusters[0]!.cluster = { server, 'proxy-url': proxyUrl };
  const kubeconfig = path.join(folder, 'socks');
  writeFileSync(kubeconfig, JSON.stringify(config));
  const sink = memorySink();
  await collect(sink, { kind: 'scope', namespaces: ['foo'], ask: null }, optionsFor(kubeconfig), []);
  socks.close();
  expect(sink.snapshot('x').manifest?.problems).toEqual([]);
  expect(new Set(names)).toEqual(new Set(['api.invalid']));
});

it('a proxy of the environment is named by its variable', async () => {
  const config = JSON.parse(double.kubeconfig) as { clusters: { cluster: Record<string, unknown> }[] };
  config.clusters[0]!.cluster['server'] = 'http://api.invalid';
  const kubeconfig = path.join(folder, 'environment');
  writeFileSync(kubeconfig, JSON.stringify(config));
  vi.stubEnv('HTTP_PROXY', 'http://me:secret@127.0.0.1:1');
  vi.stubEnv('NO_PROXY', '');
  const run = collect(memorySink(), { kind: 'scope', namespaces: ['foo'], ask: null }, optionsFor(kubeconfig), []);
  await expect(run).rejects.toThrow(/^connection refused .*through the proxy 127\.0\.0\.1:1 of HTTP_PROXY\)$/);
  await expect(run).rejects.not.toThrow('secret');
  vi.unstubAllEnvs();
});
