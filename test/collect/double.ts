import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { WebSocketServer, type WebSocket } from 'ws';
import { KINDS, kindFile } from '../../src/collect/kinds.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { setClockOf } from '../recorded-clock.js';

/** What an odd API server does with a request: an HTTP status, a cut connection, no answer; null: as it should. */
export type Fault =
  | { readonly status: number; readonly message?: string; readonly headers?: Record<string, string> }
  | 'cut'
  | 'hang'
  /** No answer, but what was asked for is done after 3 seconds. */
  | 'late'
  | null;

export interface DoubleOptions {
  readonly fault?: (method: string, path: string, query: URLSearchParams) => Fault;
  /** What stands in the place of a dump (a file of the snapshot), for sizes that no fixture has. */
  readonly dump?: (file: string) => string | null;
  /** Answer of exec to anything, in the place of the files of the snapshot. */
  readonly exec?: (pod: string, command: readonly string[], container: string) => ExecAnswer | null;
  /** Status of a debug pod once it is made; Running where it is not said. */
  readonly debugPod?: Record<string, unknown>;
  readonly served?: (plural: string, group: string) => boolean;
  /** Shown the headers of every request. */
  readonly seen?: (headers: http.IncomingHttpHeaders) => void;
}

export interface ExecAnswer {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exit?: number;
  /** Message of a Status that is no exit code: the command could not be started. */
  readonly error?: string;
}

export interface Double {
  readonly url: string;
  /** `GET /api/v1/pods?labelSelector=…`, in the order of arrival. */
  readonly transcript: string[];
  readonly kubeconfig: string;
  /** Requests and streams that were open at the same time, at most. */
  readonly most: () => number;
  close(): Promise<void>;
}

type Doc = Record<string, unknown>;

/** An API server over HTTP that serves a snapshot: lists with selectors and pages, exec (v5, v4), port-forward, logs. */
export async function startDouble(snapshot: Snapshot, options: DoubleOptions = {}): Promise<Double> {
  setClockOf(snapshot);
  const transcript: string[] = [];
  const open = new Set<object>();
  let most = 0;
  const begin = (one: object): void => {
    open.add(one);
    most = Math.max(most, open.size);
  };
  const lists = new Map<string, Doc[]>();
  const itemsOf = (file: string): Doc[] => {
    const held = lists.get(file);
    if (held !== undefined) return held;
    const read = snapshot.read(file);
    const items = read.kind === 'text' ? (JSON.parse(read.text) as { items: Doc[] }).items : [];
    lists.set(file, items);
    return items;
  };
  const served = options.served ?? (() => true);
  const debugging = new Map<string, string>();
  const answer = (
    method: string,
    path: string,
    query: URLSearchParams,
    body: string,
  ): { status: number; body: unknown } | string => {
    if (path === '/version') return { status: 200, body: { gitVersion: 'v1.34.2' } };
    if (path === '/apis') return { status: 200, body: groupList(served) };
    if (path.endsWith('/selfsubjectaccessreviews')) return { status: 201, body: review(body, options) };
    const made = /^\/api\/v1\/namespaces\/([^/]+)\/pods(?:\/(meshpath-[a-z0-9]{6}))?$/.exec(path);
    if (made !== null && (method === 'POST' || made[2] !== undefined)) {
      const pods = itemsOf('kubernetes/pods.json');
      if (method === 'POST') {
        pods.push({ ...(JSON.parse(body) as Doc), status: options.debugPod ?? { phase: 'Running' } });
        return { status: 201, body: {} };
      }
      const at = pods.findIndex((pod) => text(pod, 'metadata', 'name') === made[2]);
      if (method === 'DELETE' && at >= 0) pods.splice(at, 1);
      if (at < 0) return status(404, 'not found');
      if (method === 'DELETE') return { status: 200, body: {} };
    }
    const debug = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/ephemeralcontainers$/.exec(path);
    if (debug !== null) {
      const patch = JSON.parse(body) as { spec: { ephemeralContainers: { name: string }[] } };
      debugging.set(`${debug[1]}/${debug[2]}`, patch.spec.ephemeralContainers[0]?.name ?? '');
      return { status: 200, body: {} };
    }
    const discovery = /^\/apis\/([^/]+)\/([^/]+)$/.exec(path);
    if (discovery !== null) return { status: 200, body: resourceList(discovery[1] ?? '', served) };
    const log = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/]+)\/log$/.exec(path);
    if (log !== null) {
      const file = snapshot.read(`pods/${log[1]}/${log[2]}/logs/${query.get('container') ?? ''}.log`);
      return file.kind === 'text' ? file.text : status(404, 'no such log');
    }
    const collection = /^(?:\/api\/v1|\/apis\/([^/]+)\/[^/]+)(?:\/namespaces\/([^/]+))?\/([a-z]+)(?:\/([^/]+))?$/.exec(
      path,
    );
    const kind = KINDS.find((k) => k.plural === collection?.[3] && k.group === (collection[1] ?? ''));
    if (collection === null || kind === undefined) return status(404, `the server has no ${path}`);
    const found = itemsOf(kindFile(kind)).filter(
      (item) =>
        (collection[2] === undefined || text(item, 'metadata', 'namespace') === collection[2]) &&
        labelsMatch(item, query.get('labelSelector')) &&
        fieldsMatch(item, query.get('fieldSelector')),
    );
    if (collection[4] !== undefined) {
      const one = found.find((item) => text(item, 'metadata', 'name') === collection[4]);
      if (one === undefined) return status(404, 'not found');
      const name = debugging.get(`${collection[2]}/${collection[4]}`);
      const ephemeral = name === undefined ? [] : [{ name, state: { running: {} } }];
      return {
        status: 200,
        body: { ...one, status: { ...(one['status'] as Doc), ephemeralContainerStatuses: ephemeral } },
      };
    }
    const limit = Number(query.get('limit') ?? '0') || found.length;
    const start = Number(query.get('continue') ?? '0');
    const more = start + limit < found.length ? String(start + limit) : '';
    const items = found
      .slice(start, start + limit)
      .map((item) => ({ ...item, apiVersion: undefined, kind: undefined }));
    const apiVersion = kind.group === '' ? 'v1' : `${kind.group}/v1`;
    return { status: 200, body: { apiVersion, kind: `${kind.kind}List`, metadata: { continue: more }, items } };
  };

  const server = http.createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://double');
    transcript.push(`${request.method} ${url.pathname}${decodeURIComponent(url.search)}`);
    options.seen?.(request.headers);
    begin(response);
    for (const end of ['finish', 'close']) response.on(end, () => open.delete(response));
    const fault = options.fault?.(request.method ?? '', url.pathname, url.searchParams) ?? null;
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (fault === 'hang') return;
      if (fault === 'late') {
        setTimeout(() => answer(request.method ?? '', url.pathname, url.searchParams, body), 3000);
        return;
      }
      if (fault === 'cut') {
        response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 1000 });
        response.write('{"items":[');
        setTimeout(() => request.socket.destroy(), 20);
        return;
      }
      const result =
        fault === null
          ? answer(request.method ?? '', url.pathname, url.searchParams, body)
          : status(fault.status, fault.message ?? 'fault');
      const payload = typeof result === 'string' ? result : JSON.stringify(result.body);
      const headers = { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip', ...(fault?.headers ?? {}) };
      response.writeHead(typeof result === 'string' ? 200 : result.status, headers);
      response.end(gzipSync(payload));
    });
  });
  const raw = new Set<Duplex>();
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false });
  server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    const url = new URL(request.url ?? '/', 'http://double');
    transcript.push(`${request.method} ${url.pathname}${decodeURIComponent(url.search)}`);
    const fault = options.fault?.('CONNECT', url.pathname, url.searchParams) ?? null;
    raw.add(socket);
    options.seen?.(request.headers);
    begin(socket);
    for (const end of ['finish', 'close']) socket.on(end, () => open.delete(socket));
    socket.on('error', () => undefined);
    if (fault === 'hang' || fault === 'late') return;
    if (fault === 'cut') return void socket.destroy();
    if (fault !== null) {
      const body = JSON.stringify(status(fault.status, fault.message ?? 'fault').body);
      socket.end(`HTTP/1.1 ${fault.status} No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const [, namespace = '', pod = '', what = ''] =
        /namespaces\/([^/]+)\/pods\/([^/]+)\/(exec|portforward)$/.exec(url.pathname) ?? [];
      const id = `${namespace}/${pod}`;
      if (what === 'exec') {
        const command = url.searchParams.getAll('command');
        exec(
          ws,
          options.exec?.(id, command, url.searchParams.get('container') ?? '') ??
            scripted(snapshot, itemsOf('kubernetes/pods.json'), id, command),
        );
      } else forward(ws, (path) => dumpOf(snapshot, options, id, path));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    transcript,
    most: () => most,
    kubeconfig: JSON.stringify({
      'current-context': 'double',
      contexts: [{ name: 'double', context: { cluster: 'double', user: 'u', namespace: 'default' } }],
      clusters: [{ name: 'double', cluster: { server: url } }],
      users: [{ name: 'u', user: { token: 'a-token-of-the-test' } }],
    }),
    close: () =>
      new Promise((resolve) => {
        for (const socket of raw) socket.destroy();
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

function status(code: number, message: string): { status: number; body: Doc } {
  return { status: code, body: { kind: 'Status', status: 'Failure', code, message } };
}

function text(value: unknown, ...keys: string[]): string {
  let here: unknown = value;
  for (const key of keys) here = (here as Doc | undefined)?.[key];
  return typeof here === 'string' ? here : '';
}

function groupList(served: (plural: string, group: string) => boolean): Doc {
  const names = [...new Set(KINDS.filter((k) => k.group !== '' && served(k.plural, k.group)).map((k) => k.group))];
  const groups = names.map((name) => ({
    name,
    versions: [{ version: 'v1' }],
    preferredVersion: { version: 'v1' },
  }));
  return { kind: 'APIGroupList', groups };
}

function resourceList(group: string, served: (plural: string, group: string) => boolean): Doc {
  const kinds = KINDS.filter((k) => k.group === group && served(k.plural, k.group));
  return { kind: 'APIResourceList', resources: kinds.map((k) => ({ name: k.plural, kind: k.kind })) };
}

/** Whatever the faults refuse of a sub-resource, the review refuses too. */
function review(body: string, options: DoubleOptions): Doc {
  const { spec } = JSON.parse(body) as { spec: { resourceAttributes: { namespace: string; subresource: string } } };
  const { namespace, subresource } = spec.resourceAttributes;
  const fault = options.fault?.(
    'CONNECT',
    `/api/v1/namespaces/${namespace}/pods/x/${subresource}`,
    new URLSearchParams(),
  );
  return { kind: 'SelfSubjectAccessReview', status: { allowed: fault === null || fault === undefined } };
}

function labelsMatch(item: Doc, selector: string | null): boolean {
  if (selector === null) return true;
  const labels = ((item['metadata'] as Doc)['labels'] ?? {}) as Record<string, string>;
  return (selector.match(/[^,(]+(?:\([^)]*\))?/g) ?? []).every((part) => {
    const set = /^(\S+) (in|notin) \((.*)\)$/.exec(part.trim());
    if (set !== null) return (set[3] ?? '').split(',').includes(labels[set[1] ?? ''] ?? '') === (set[2] === 'in');
    const [key = '', value] = part.trim().split('=');
    if (key.startsWith('!')) return labels[key.slice(1)] === undefined;
    return value === undefined ? labels[key] !== undefined : labels[key] === value;
  });
}

function fieldsMatch(item: Doc, selector: string | null): boolean {
  return (selector ?? '')
    .split(',')
    .filter((part) => part !== '')
    .every((part) => {
      const [path = '', value = ''] = part.split('=');
      return text(item, ...path.split('.')) === value;
    });
}

function dumpOf(snapshot: Snapshot, options: DoubleOptions, pod: string, path: string): string | null {
  const ztunnel = snapshot.list(`pods/${pod}/ztunnel`).length > 0;
  const name = path.startsWith('/clusters')
    ? 'clusters'
    : path.startsWith('/server_info')
      ? 'server_info'
      : 'config_dump';
  const file = `pods/${pod}/${ztunnel ? 'ztunnel' : 'envoy'}/${name}.json`;
  const given = options.dump?.(file) ?? null;
  if (given !== null) return given;
  const read = snapshot.read(file);
  return read.kind === 'text' ? read.text : null;
}

function channel(number: number, data: string | Buffer): Buffer {
  return Buffer.concat([Buffer.from([number]), Buffer.from(data)]);
}

function exec(ws: WebSocket, answer: ExecAnswer): void {
  const { stdout = '', stderr = '', exit = 0, error } = answer;
  for (let at = 0; at < stdout.length; at += 30_000) ws.send(channel(1, stdout.slice(at, at + 30_000)));
  if (stderr !== '') ws.send(channel(2, stderr));
  const end =
    error !== undefined
      ? { status: 'Failure', reason: 'InternalError', message: error }
      : exit === 0
        ? { status: 'Success' }
        : {
            status: 'Failure',
            reason: 'NonZeroExitCode',
            details: { causes: [{ reason: 'ExitCode', message: String(exit) }] },
          };
  ws.send(channel(3, JSON.stringify({ metadata: {}, ...end })));
  ws.close();
}

/** One forwarded port with an HTTP server behind it that answers each GET, chunked, and closes. */
function forward(ws: WebSocket, dump: (path: string) => string | null): void {
  const port = Buffer.alloc(2);
  port.writeUInt16LE(15000);
  ws.send(channel(0, port));
  ws.send(channel(1, port));
  let received = '';
  ws.on('message', (data: Buffer) => {
    if (data[0] !== 0) return;
    received += data.subarray(1).toString();
    const request = /^GET (\S+) HTTP\/1\.1\r\n[\s\S]*\r\n\r\n/.exec(received);
    if (request === null) return;
    received = '';
    const body = dump(request[1] ?? '');
    if (body === null) {
      ws.send(channel(1, 'error forwarding port 15000 to pod: connection refused'));
      return;
    }
    ws.send(channel(0, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'));
    const bytes = Buffer.from(body);
    for (let at = 0; at < bytes.length; at += 60_000) {
      const part = bytes.subarray(at, at + 60_000);
      ws.send(channel(0, Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from('\r\n')])));
    }
    ws.send(channel(0, '0\r\n\r\n'));
    ws.close();
  });
}

/** What the script of netns-script.ts would print on this node: the files of the snapshot between its marks. */
function scripted(snapshot: Snapshot, pods: readonly Doc[], agent: string, command: readonly string[]): ExecAnswer {
  const [shell, , script = ''] = command;
  if (shell !== 'sh') return { error: `exec: "${shell}": executable file not found in $PATH` };
  const mark = /^M=(\S+)$/m.exec(script)?.[1];
  const self = pods.find((p) => `${text(p, 'metadata', 'namespace')}/${text(p, 'metadata', 'name')}` === agent);
  const node = text(self, 'spec', 'nodeName');
  if (mark === undefined) return {};
  const folders = new Map<string, string>();
  if (/^nsenter .*sh \$M node\|\|/m.test(script) || /^sh -c "\$I" sh \$M node$/m.test(script))
    folders.set('node', `nodes/${node}`);
  if (/^sh -c "\$I" sh \$M own$/m.test(script)) {
    const host = (self?.['spec'] as Doc | undefined)?.['hostNetwork'] === true;
    folders.set('own', host ? `nodes/${node}` : `pods/${agent}`);
  }
  const missing: string[] = [];
  for (const pair of (/^W=" (.*) ";/m.exec(script)?.[1] ?? '').split(' ').filter((word) => word !== '')) {
    const [ip = '', id = ''] = pair.split('=');
    const pod = pods.find((p) => text(p, 'status', 'podIP') === ip && text(p, 'spec', 'nodeName') === node);
    if (pod === undefined) missing.push(`${mark} ? ${id} 404`);
    else folders.set(id, `pods/${text(pod, 'metadata', 'namespace')}/${text(pod, 'metadata', 'name')}`);
  }
  const names: Record<string, string> = { 'iptables-nft': 'iptables-save.txt', 'ip6tables-nft': 'ip6tables-save.txt' };
  const parts = [...script.matchAll(/^b (\S+?);\(/gm)].map((match) => match[1] ?? '');
  let stdout = '';
  let stderr = '';
  for (const [id, folder] of folders) {
    for (const part of parts) {
      const read = snapshot.read(`${folder}/netns/${names[part] ?? part}`);
      const optional = /-legacy$|^tc\.txt$|^conntrack\.txt$/.test(part);
      const failed = read.kind !== 'text' && !optional;
      stdout += `${mark} ${id} ${part}\n${read.kind === 'text' ? read.text : ''}\n${mark} = ${failed ? 127 : 0}\n`;
      stderr += `${mark} ${id} ${part}\n${failed ? `sh: ${part}: not found` : ''}\n${mark} = ${failed ? 127 : 0}\n`;
    }
  }
  return { stdout: `${stdout}${missing.join('\n')}\n`, stderr };
}
