import { connect as connectHttp2, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import type { Certificates } from './certificates.js';
import { PEERS, type Peer, type Question } from './scenario.js';
import type { Served } from './upstreams.js';

/** What the client got: one answer a sample, or null where the connection gave none. */
export interface Reply {
  readonly status: number | null;
  readonly served: Served | null;
}

interface Asked {
  /** Source address `ip:port` of the connection. */
  readonly src: string;
  readonly replies: readonly Reply[];
}

const PATIENCE = 2_000;
/** A handshake that is not answered (TLS bytes to a plain server) never ends by itself. */
const HANDSHAKE = 700;

interface Dialled {
  readonly port: number;
  /** Null where the handshake failed. */
  readonly socket: Socket | null;
}

function peerOf(identity: string | null): Peer | null {
  const found = Object.entries(PEERS).find(([, value]) => value === identity);
  return (found?.[0] as Peer | undefined) ?? null;
}

function dial(question: Question, certificates: Certificates): Promise<Dialled | null> {
  const [host = '', port = ''] = question.dst.split(':');
  const from = { host, port: Number(port), localAddress: question.src.split(':')[0] ?? '' };
  return new Promise((resolve) => {
    const failed = (): void => resolve(null);
    if (question.tls === null) {
      const socket = connectTcp(from, () => resolve({ port: socket.localPort ?? 0, socket }));
      socket.once('error', failed);
      return;
    }
    const peer = peerOf(question.tls.peer);
    const own = peer === null ? {} : certificates.peers[peer];
    const options = { ...from, ...own, ALPNProtocols: [...question.tls.alpn], rejectUnauthorized: false };
    const plain = connectTcp(from);
    const socket = connectTls(
      { ...options, socket: plain, ...(question.tls.sni === null ? {} : { servername: question.tls.sni }) },
      () => resolve({ port: plain.localPort ?? 0, socket }),
    );
    // A refused handshake still has a source address, by which the log knows it.
    let port: number | undefined;
    plain.once('connect', () => (port = plain.localPort));
    const refused = (): void => {
      plain.destroy();
      resolve(port === undefined ? null : { port, socket: null });
    };
    socket.once('error', refused);
    plain.once('close', refused);
    setTimeout(refused, HANDSHAKE).unref();
  });
}

function requestText(http: NonNullable<Question['http']>): string {
  const lines = [`${http.method} ${http.path} HTTP/1.1`, `host: ${http.authority}`];
  for (const [name, value] of Object.entries(http.headers)) lines.push(`${name}: ${value}`);
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function parsed(text: string): Served | null {
  try {
    return JSON.parse(text) as Served;
  } catch {
    return null;
  }
}

/** One message after the other on one stream; ends early where the stream does. */
function converse(stream: Duplex, message: string, http: boolean, samples: number): Promise<readonly Reply[]> {
  return new Promise((resolve) => {
    const replies: Reply[] = [];
    let buffer = Buffer.alloc(0);
    let done = false;
    const finish = (): void => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      stream.destroy();
      resolve(replies);
    };
    const timer = setTimeout(finish, PATIENCE);
    const next = (): void => {
      if (replies.length >= samples) finish();
      else stream.write(message);
    };
    const take = (): void => {
      const text = buffer.toString('latin1');
      if (!http || !text.startsWith('HTTP/')) {
        const end = text.indexOf('\n');
        if (end < 0) return;
        replies.push({ status: null, served: parsed(text.slice(0, end)) });
        finish();
        return;
      }
      const head = text.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
      if (text.length < head + 4 + length) return;
      const body = text.slice(head + 4, head + 4 + length);
      replies.push({ status: Number(text.slice(9, 12)), served: parsed(body) });
      buffer = buffer.subarray(head + 4 + length);
      if (/\r\nconnection: close/i.test(text.slice(0, head))) finish();
      else next();
    };
    stream.on('data', (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      take();
    });
    stream.on('error', finish);
    stream.on('close', finish);
    stream.on('end', finish);
    next();
  });
}

function tunnel(
  socket: Socket,
  authority: string,
): Promise<{ readonly stream: ClientHttp2Stream | null; readonly status: number | null; close(): void }> {
  return new Promise((resolve) => {
    const session = connectHttp2('https://tunnel', { createConnection: () => socket });
    const close = (): void => session.destroy();
    const failed = (): void => resolve({ stream: null, status: null, close });
    session.on('error', failed);
    session.on('close', failed);
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority }, { endStream: false });
    stream.on('error', failed);
    stream.on('response', (headers) => {
      const status = Number(headers[':status']);
      resolve({ stream: status === 200 ? stream : null, status, close });
    });
    setTimeout(failed, PATIENCE).unref();
  });
}

/** Sends a question `samples` times over one connection. */
export async function ask(question: Question, certificates: Certificates, samples: number): Promise<Asked | null> {
  const dialled = await dial(question, certificates);
  if (dialled === null) return null;
  const { port, socket } = dialled;
  const src = `${question.src.split(':')[0] ?? ''}:${port}`;
  const message = question.http === null ? 'PING hello world\r\n' : requestText(question.http);
  const http = question.http !== null;
  if (socket === null) return { src, replies: [] };
  if (question.connect === null) return { src, replies: await converse(socket, message, http, samples) };
  const { stream, status, close } = await tunnel(socket, question.connect.authority);
  const replies = stream === null ? [{ status, served: null }] : await converse(stream, message, http, samples);
  close();
  socket.destroy();
  return { src, replies };
}
