import type { ClientRequest, IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gunzip } from 'node:zlib';
import pLimit from 'p-limit';
import { assertAllowed, type Grants } from './allow.js';
import { asCollectError, CollectError, failureOf, KubeconfigError } from './errors.js';
import type { Connection } from './kubeconfig.js';

/** Limits and counters of one run, shared by everything that talks to one cluster. */
export interface Session {
  readonly connection: Connection;
  readonly grants: Grants;
  /** Milliseconds without an answer, or without a byte of it, after which a request is given up. */
  readonly requestTimeout: number;
  readonly signal: AbortSignal;
  readonly count: Counters;
  readonly slots: Slots;
}

/** How many requests and streams may be open at a time: each takes a slot, and gives it back when it has ended. */
export interface Slots {
  take(): Promise<() => void>;
}

/** `--concurrency`, for all clusters of a run. */
export function slotsOf(concurrency: number): Slots {
  const limit = pLimit(concurrency);
  return {
    take: () =>
      new Promise((resolve) => {
        void limit(() => new Promise<void>((release) => resolve(release)));
      }),
  };
}

/** A slot, unless the run has ended by the time that one is free. Throws CollectError. */
export async function slotFor({ slots, signal }: Session): Promise<() => void> {
  const release = await slots.take();
  if (!signal.aborted) return release;
  release();
  throw new CollectError('cancelled', 'interrupted');
}

export interface Counters {
  requests: number;
  bytes: number;
  retries: number;
}

export interface Query {
  readonly [name: string]: string | number | readonly string[] | undefined;
}

function queryString(query: Query): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const item of typeof value === 'object' ? value : [value]) out.append(name, String(item));
  }
  const text = out.toString();
  return text === '' ? '' : `?${text}`;
}

/** Path of a request on this server: a kubeconfig may put the API below a path (`https://rancher/k8s/clusters/c-1`). */
export function fullPath(session: Session, path: string, query: Query): string {
  return `${session.connection.server.pathname.replace(/\/$/, '')}${path}${queryString(query)}`;
}

const ATTEMPTS = 4;

/** What is longer is no page of a list. */
const MAX_BODY = 512 * 1024 * 1024;

/** A stream that is given up where it is longer than `bytes`. */
export async function* limited(chunks: AsyncIterable<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    if (size > bytes) throw new CollectError('refused', `it is longer than ${Math.round(bytes / 1024 / 1024)} MB`);
    yield chunk;
  }
}

/**
 * GET of a whole body. Retries what a busy or restarting API server answers (429, 5xx, cut connections) with back-off;
 * refusals and what is gone are not asked again. Throws CollectError.
 */
export async function getBody(session: Session, path: string, query: Query = {}, accept?: string): Promise<Buffer> {
  return retried(session, async () => {
    const chunks: Buffer[] = [];
    for await (const chunk of limited(await getStream(session, path, query, accept), MAX_BODY)) chunks.push(chunk);
    return Buffer.concat(chunks);
  });
}

/** One try of a GET, as a stream of the (unpacked) body. */
export async function getStream(
  session: Session,
  path: string,
  query: Query = {},
  accept = 'application/json',
): Promise<AsyncIterable<Buffer>> {
  const { response, alive } = await send(session, 'GET', path, query, accept, null);
  if (response.statusCode !== 200) {
    const body = await smallBody(response, alive);
    throw withRetryAfter(failureOf(response.statusCode ?? 0, body, `GET ${path}`), response);
  }
  return bodyOf(session, response, alive);
}

/** POST of a small JSON document, for the access reviews; gives the body of the answer. */
export async function postJson(session: Session, path: string, body: unknown): Promise<string> {
  return retried(session, async () => {
    const { response, alive } = await send(session, 'POST', path, {}, 'application/json', JSON.stringify(body));
    const text = await smallBody(response, alive);
    const status = response.statusCode ?? 0;
    if (status < 200 || status > 299) throw withRetryAfter(failureOf(status, text, `POST ${path}`), response);
    return text;
  });
}

/** PATCH, for ephemeral containers only (allow.ts). */
export async function patchJson(session: Session, path: string, body: unknown): Promise<string> {
  const { response, alive } = await send(session, 'PATCH', path, {}, 'application/json', JSON.stringify(body));
  const text = await smallBody(response, alive);
  if (response.statusCode !== 200) throw failureOf(response.statusCode ?? 0, text, `PATCH ${path}`);
  return text;
}

/** POST that makes an object, tried once: a second try would not know what the first has done. */
export async function createOnce(session: Session, path: string, body: unknown): Promise<void> {
  await once(session, 'POST', path, body);
}

/** DELETE, for the debug pods that this run has made (allow.ts). */
export async function deleteOnce(session: Session, path: string, options: unknown): Promise<void> {
  await once(session, 'DELETE', path, options);
}

async function once(session: Session, method: 'POST' | 'DELETE', path: string, body: unknown): Promise<void> {
  const { response, alive } = await send(session, method, path, {}, 'application/json', JSON.stringify(body));
  const text = await smallBody(response, alive);
  const status = response.statusCode ?? 0;
  if (status < 200 || status > 299) throw failureOf(status, text, `${method} ${path}`);
}

/** Runs `attempt` again where waiting may help; `Retry-After` is honoured up to ten seconds. */
export async function retried<T>(session: Session, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof KubeconfigError) throw error;
      const failure = asCollectError(error);
      if (session.signal.aborted) throw new CollectError('cancelled', 'interrupted');
      if (tries === ATTEMPTS || !worthRetrying(failure)) throw failure;
      session.count.retries++;
      const after = failure instanceof Busy ? failure.after : null;
      await sleep(after ?? 150 * 2 ** tries * (0.75 + Math.random() / 2), undefined, { signal: session.signal });
    }
  }
}

function worthRetrying(failure: CollectError): boolean {
  return failure.kind === 'unreachable' && !/connection refused|does not resolve|certificate/.test(failure.message);
}

class Busy extends CollectError {
  readonly after: number;
  constructor(failure: CollectError, after: number) {
    super(failure.kind, failure.message, failure.status);
    this.after = after;
  }
}

function withRetryAfter(failure: CollectError, response: IncomingMessage): CollectError {
  const seconds = Number(response.headers['retry-after']);
  if (failure.kind !== 'unreachable' || !Number.isFinite(seconds) || seconds <= 0) return failure;
  return new Busy(failure, Math.min(seconds, 10) * 1000);
}

interface Answer {
  readonly response: IncomingMessage;
  /**
   * To be called at every sign of life; the request is given up where it is not for `requestTimeout`. Its end gives the slot
   * back.
   */
  readonly alive: Watch;
}

interface Watch {
  tick(): void;
  stop(): void;
}

async function send(
  session: Session,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  query: Query,
  accept: string,
  body: string | null,
): Promise<Answer> {
  assertAllowed(method, path, session.grants);
  const { agent, headers } = await session.connection.options(session.signal);
  const { server } = session.connection;
  // loaded while the first connection is on its way (kube-auth.ts)
  const module = await (server.protocol === 'http:' ? import('node:http') : import('node:https'));
  const contentType = method === 'PATCH' ? 'application/strategic-merge-patch+json' : 'application/json';
  const release = await slotFor(session);
  session.count.requests++;
  let request: ClientRequest;
  try {
    request = module.request({
      agent,
      method,
      hostname: server.hostname.replace(/^\[|\]$/g, ''),
      port: server.port === '' ? undefined : server.port,
      path: fullPath(session, path, query),
      headers: {
        ...headers,
        Accept: accept,
        'Accept-Encoding': 'gzip',
        'User-Agent': 'meshpath',
        ...(body === null ? {} : { 'Content-Type': contentType, 'Content-Length': Buffer.byteLength(body) }),
      },
      signal: session.signal,
    });
  } catch (error) {
    release();
    throw unsendable(error);
  }
  return new Promise((resolve, reject) => {
    const silence = watch(session.requestTimeout, () => {
      request.destroy(new CollectError('timeout', `no answer within ${seconds(session.requestTimeout)}`));
    });
    const alive: Watch = {
      tick: silence.tick,
      stop: () => {
        silence.stop();
        release();
      },
    };
    const fail = (error: unknown): void => {
      alive.stop();
      reject(asCollectError(error));
    };
    request.on('error', fail);
    request.on('response', (response) => {
      request.off('close', closed);
      alive.tick();
      // whoever reads it, and however that ends
      response.once('close', alive.stop);
      resolve({ response, alive });
    });
    // what changes the protocol unasked (101) is neither a response nor an error
    const closed = (): void => fail(new CollectError('refused', 'the server ended the connection without an answer'));
    request.on('close', closed);
    request.end(body ?? undefined);
  });
}

/** What Node refuses to write at all (a header with a line break): no second try would write it. */
export function unsendable(error: unknown): CollectError {
  return new CollectError('refused', `the request cannot be sent: ${asCollectError(error).message}`);
}

export function seconds(milliseconds: number): string {
  return `${Math.round(milliseconds / 100) / 10} s`;
}

/** Calls `late` where neither tick nor stop comes for that long. */
export function watch(milliseconds: number, late: () => void): Watch {
  let timer = setTimeout(late, milliseconds);
  return {
    tick: () => {
      clearTimeout(timer);
      timer = setTimeout(late, milliseconds);
    },
    stop: () => clearTimeout(timer),
  };
}

/** Loaded with the first answer: the first request does not wait for it. */
function gunzip(): Gunzip {
  return process.getBuiltinModule('node:zlib').createGunzip();
}

/** The body as it was before it was packed. A connection that is cut in its midst ends it with the error, packed or not. */
function unpacked(response: IncomingMessage): Readable {
  if (response.headers['content-encoding'] !== 'gzip') return response;
  // who reads the end of it hears of the error
  return pipeline(response, gunzip(), () => undefined);
}

async function* bodyOf(session: Session, response: IncomingMessage, alive: Watch): AsyncGenerator<Buffer> {
  response.on('data', (chunk: Buffer) => {
    session.count.bytes += chunk.length;
    alive.tick();
  });
  response.pause();
  const source: AsyncIterable<Buffer> = unpacked(response);
  try {
    for await (const chunk of source) {
      // a consumer that is slower than the network is no reason to give up
      alive.tick();
      yield chunk;
    }
    if (!response.complete) throw new CollectError('unreachable', 'the answer was cut off');
  } catch (error) {
    throw asCollectError(error);
  } finally {
    alive.stop();
    response.destroy();
  }
}

async function smallBody(response: IncomingMessage, alive: Watch): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  const source: AsyncIterable<Buffer> = unpacked(response);
  try {
    for await (const chunk of source) {
      size += chunk.length;
      if (size > 1024 * 1024) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw asCollectError(error);
  } finally {
    alive.stop();
  }
  return Buffer.concat(chunks).toString('utf8');
}
