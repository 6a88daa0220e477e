import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ControlPlane } from './control-plane.js';

export type Fault = { readonly status: number; readonly headers?: Record<string, string> } | 'hang' | 'cut' | null;

export interface FaultProxy {
  readonly url: string;
  readonly transcript: readonly string[];
  close(): Promise<void>;
}

/**
 * Stands between meshpath and the real API server, and spoils what `fault` says. `times` counts the requests for the same
 * path, from 1. "cut" lets the answer begin and drops the connection.
 */
export async function startFaultProxy(
  plane: ControlPlane,
  fault: (path: string, times: number, isStream: boolean) => Fault | Promise<Fault>,
): Promise<FaultProxy> {
  const target = new URL(plane.server);
  const transcript: string[] = [];
  const seen = new Map<string, number>();
  const held = new Set<Duplex>();
  const decide = async (request: http.IncomingMessage, isStream: boolean): Promise<Fault> => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    transcript.push(`${request.method} ${request.url}`);
    const times = (seen.get(path) ?? 0) + 1;
    seen.set(path, times);
    return fault(path, times, isStream);
  };
  const upstream = (request: http.IncomingMessage): http.ClientRequest =>
    https.request({
      host: target.hostname,
      port: target.port,
      ca: plane.ca,
      method: request.method,
      path: request.url,
      headers: { ...request.headers, host: target.host },
      agent: false,
    });
  const status = (code: number): string =>
    JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: `the proxy says ${code}` });

  const server = http.createServer((request, response) => {
    void decide(request, false).then((what) => {
      if (what === 'hang') return;
      if (what !== null && what !== 'cut') {
        response.writeHead(what.status, { 'Content-Type': 'application/json', ...what.headers });
        response.end(status(what.status));
        return;
      }
      const call = upstream(request);
      call.on('error', () => response.destroy());
      call.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        if (what === 'cut') {
          answer.once('data', (chunk: Buffer) => {
            response.write(chunk.subarray(0, Math.ceil(chunk.length / 2)));
            setTimeout(() => request.socket.destroy(), 20);
          });
        } else answer.pipe(response);
      });
      request.pipe(call);
    });
  });
  server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
    held.add(socket);
    socket.on('error', () => undefined);
    void decide(request, true).then((what) => {
      if (what === 'hang') return;
      if (what !== null && what !== 'cut') {
        const body = status(what.status);
        socket.end(`HTTP/1.1 ${what.status} No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        return;
      }
      const call = upstream(request);
      const refuse = (answer: http.IncomingMessage): void => {
        let body = '';
        answer.setEncoding('utf8').on('data', (text: string) => (body += text));
        answer.on('end', () => {
          const length = Buffer.byteLength(body);
          socket.end(
            `HTTP/1.1 ${answer.statusCode} No\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`,
          );
        });
      };
      call.on('response', refuse);
      call.on('error', () => socket.destroy());
      call.on('upgrade', (answer, other: Duplex, rest: Buffer) => {
        held.add(other);
        other.on('error', () => socket.destroy());
        const lines = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}`);
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
        socket.write(rest);
        other.write(head);
        let passed = 0;
        other.on('data', (chunk: Buffer) => {
          passed += chunk.length;
          if (what === 'cut' && passed > 2000) socket.destroy();
          else socket.write(chunk);
        });
        other.on('close', () => socket.end());
        socket.on('data', (chunk: Buffer) => other.write(chunk));
        socket.on('close', () => other.destroy());
      });
      call.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    transcript,
    close: () =>
      new Promise((resolve) => {
        for (const socket of held) socket.destroy();
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
