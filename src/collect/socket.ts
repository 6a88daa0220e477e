import type WebSocket from 'ws';
import { assertAllowed } from './allow.js';
import { asCollectError, CollectError, failureOf } from './errors.js';
import { fullPath, seconds, slotFor, unsendable, watch, type Query, type Session } from './request.js';

/** A message on one channel of a streaming sub-resource. */
export interface Frame {
  readonly channel: number;
  readonly data: Buffer;
}

/** exec and port-forward as channels over one WebSocket (the API server's own streaming protocol). */
export interface Channels {
  readonly protocol: string;
  send(channel: number, data: Buffer): void;
  /** Messages in their order; ends with the connection. Reading slowly slows the sender down. */
  frames(): AsyncGenerator<Frame>;
  close(): void;
}

/** Bytes that may wait unread before the socket is paused. */
const HIGH_WATER = 1024 * 1024;

/** Opens `path` as a WebSocket. Throws CollectError with the server's own words where it refuses. */
export async function openChannels(
  session: Session,
  path: string,
  query: Query,
  protocols: readonly string[],
): Promise<Channels> {
  assertAllowed('GET', path, session.grants);
  const { agent, headers } = await session.connection.options(session.signal);
  const { server } = session.connection;
  const { WebSocket: Client } = await import('./web-socket.js');
  const url = `${server.protocol === 'http:' ? 'ws' : 'wss'}://${server.host}${fullPath(session, path, query)}`;
  const release = await slotFor(session);
  session.count.requests++;
  let socket: WebSocket;
  try {
    socket = new Client(url, [...protocols], {
      agent,
      headers,
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: 64 * 1024 * 1024,
    });
  } catch (error) {
    release();
    throw unsendable(error);
  }
  socket.once('close', release);
  // listening from the start: messages may come in the same packet as the answer to the handshake
  const channels = channelsOf(session, socket);
  await opened(session, socket, path);
  return channels;
}

function opened(session: Session, socket: WebSocket, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = watch(session.requestTimeout, () => {
      fail(new CollectError('timeout', `no answer within ${seconds(session.requestTimeout)}`));
    });
    const onAbort = (): void => fail(new CollectError('cancelled', 'interrupted'));
    const done = (): void => {
      late.stop();
      session.signal.removeEventListener('abort', onAbort);
    };
    const fail = (error: CollectError): void => {
      done();
      socket.on('error', () => undefined);
      socket.terminate();
      reject(error);
    };
    session.signal.addEventListener('abort', onAbort);
    socket.once('open', () => {
      done();
      resolve();
    });
    socket.once('error', (error) => fail(asCollectError(error)));
    socket.once('unexpected-response', (_request, response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        if (body.length < 65_536) body += text;
      });
      response.on('close', () => fail(failureOf(response.statusCode ?? 0, body, `GET ${path}`)));
    });
  });
}

function channelsOf(session: Session, socket: WebSocket): Channels {
  const queue: Frame[] = [];
  let waiting = 0;
  let ended = false;
  let error: CollectError | null = null;
  let wake: (() => void) | null = null;
  const notify = (): void => {
    wake?.();
    wake = null;
  };
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    const buffer = Buffer.isBuffer(data) ? data : Buffer.alloc(0);
    session.count.bytes += buffer.length;
    // v5 announces the end of a stream in a message of its own (channel 255); the text form is older servers' noise
    if (!isBinary || buffer.length === 0) return;
    queue.push({ channel: buffer[0] ?? 0, data: buffer.subarray(1) });
    waiting += buffer.length;
    if (waiting > HIGH_WATER) socket.pause();
    notify();
  });
  socket.on('close', () => {
    ended = true;
    notify();
  });
  socket.on('error', (cause) => {
    error = asCollectError(cause);
    ended = true;
    notify();
  });
  const onAbort = (): void => {
    error = new CollectError('cancelled', 'interrupted');
    ended = true;
    socket.terminate();
    notify();
  };
  session.signal.addEventListener('abort', onAbort);
  const close = (): void => {
    session.signal.removeEventListener('abort', onAbort);
    socket.close();
    // a peer that does not answer the closing handshake must not hold the process
    setTimeout(() => socket.terminate(), 500).unref();
  };
  return {
    get protocol() {
      return socket.protocol;
    },
    send: (channel, data) => {
      socket.send(Buffer.concat([Buffer.from([channel]), data]));
    },
    frames: async function* () {
      // only while nothing is there: a slow reader is not a silent sender
      const late = (): void => {
        error = new CollectError('timeout', `nothing came for ${seconds(session.requestTimeout)}`);
        ended = true;
        socket.terminate();
        notify();
      };
      try {
        for (;;) {
          const frame = queue.shift();
          if (frame !== undefined) {
            waiting -= frame.data.length + 1;
            if (waiting <= HIGH_WATER / 2 && socket.isPaused) socket.resume();
            yield frame;
          } else if (ended) {
            if (error !== null) throw error;
            return;
          } else {
            const waitingFor = watch(session.requestTimeout, late);
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            waitingFor.stop();
          }
        }
      } finally {
        close();
      }
    },
    close,
  };
}
