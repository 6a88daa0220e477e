import { createSecureServer } from 'node:http2';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import type { Certificates } from './certificates.js';
import { freePorts } from './envoy-process.js';
import type { Ports } from './scenario.js';

/** What a server tells of the connection that reached it. */
export interface Served {
  readonly to: string;
  readonly tls: 'none' | 'tls' | 'mtls';
  readonly hbone: { readonly to: string; readonly authority: string } | null;
  readonly path?: string;
  readonly host?: string;
  /** Headers `x-made-…`, which routes add and remove, and `x-forwarded-host`. */
  readonly made?: Readonly<Record<string, string>>;
}

/** Answers HTTP/1.1 requests in HTTP, and any other first bytes with one line. */
function serve(stream: Duplex, served: Served): void {
  let buffer = '';
  stream.on('error', () => stream.destroy());
  // A tunnel stays open, and unlogged, until both sides have ended it.
  stream.on('end', () => stream.end());
  stream.on('data', (chunk: Buffer) => {
    buffer += chunk.toString('latin1');
    for (;;) {
      const end = buffer.indexOf('\r\n\r\n');
      if (end >= 0 && /^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(buffer)) {
        const [start = '', ...lines] = buffer.slice(0, end).split('\r\n');
        const host =
          lines
            .find((line) => /^host:/i.test(line))
            ?.slice(5)
            .trim() ?? '';
        buffer = buffer.slice(end + 4);
        const made: Record<string, string> = {};
        for (const line of lines) {
          const [, name, value] = /^(x-made-\w+|x-forwarded-host): ?(.*)$/i.exec(line) ?? [];
          if (name === undefined || value === undefined) continue;
          const known = made[name.toLowerCase()];
          made[name.toLowerCase()] = known === undefined ? value : `${known},${value}`;
        }
        const body = JSON.stringify({ ...served, path: start.split(' ')[1], host, made });
        const head = `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
        stream.write(start.startsWith('HEAD ') ? head : head + body);
        continue;
      }
      if (buffer.includes('\n') && !/^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(buffer)) {
        buffer = '';
        stream.write(`${JSON.stringify(served)}\n`);
      }
      return;
    }
  });
}

function address(socket: Socket): string {
  return `${(socket.localAddress ?? '').replace('::ffff:', '')}:${socket.localPort ?? 0}`;
}

function listen(server: Server, port = 0): Promise<number> {
  return new Promise((resolve) =>
    server.listen(port, '0.0.0.0', () => resolve((server.address() as AddressInfo).port)),
  );
}

export interface Upstreams {
  readonly ports: Ports;
  stop(): void;
}

function transport(socket: TLSSocket): 'tls' | 'mtls' {
  return Object.keys(socket.getPeerCertificate()).length > 0 ? 'mtls' : 'tls';
}

/** Servers on all loopback addresses that tell which of them was reached, and how. */
export async function startUpstreams(certificates: Certificates): Promise<Upstreams> {
  const { cert, key } = certificates.peers.httpbin;
  const secure = { cert, key, ca: certificates.ca, requestCert: true, rejectUnauthorized: false };
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const plain = createServer((socket) => serve(socket, { to: address(socket), tls: 'none', hbone: null }));
  const tls = createTlsServer({ ...secure, ALPNProtocols: ['http/1.1'] }, (socket) =>
    serve(socket, { to: address(socket), tls: transport(socket), hbone: null }),
  );
  const hbone = createSecureServer({ ...secure, settings: { enableConnectProtocol: true } });
  hbone.on('stream', (stream, headers) => {
    const { socket } = stream.session ?? {};
    if (headers[':method'] !== 'CONNECT' || socket === undefined) {
      stream.close();
      return;
    }
    stream.respond({ ':status': 200 });
    const to = `${(socket.localAddress ?? '').replace('::ffff:', '')}:${socket.localPort ?? 0}`;
    serve(stream, { to, tls: 'none', hbone: { to, authority: String(headers[':authority']) } });
  });
  hbone.on('sessionError', () => undefined);
  for (const server of [plain, tls, hbone]) {
    server.on('connection', keep);
    server.on('tlsClientError', () => undefined);
  }
  const [closed = 0] = await freePorts(1);
  const ports = { plain: await listen(plain), tls: await listen(tls), hbone: await listen(hbone), closed };
  return {
    ports,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      for (const server of [plain, tls, hbone]) server.close();
    },
  };
}
