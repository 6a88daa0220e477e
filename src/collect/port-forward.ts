import type { IncomingMessage } from 'node:http';
import { Duplex } from 'node:stream';
import { asCollectError, CollectError } from './errors.js';
import { podPath, type PodRef } from './exec.js';
import { seconds, watch, type Session } from './request.js';
import { openChannels, type Channels } from './socket.js';

/**
 * GET of a path of a pod's admin port, over pods/portforward: works where the image has no shell. Streams the body; throws
 * CollectError where the port is closed, the answer is not 200, or the stream is cut before its end.
 */
export async function* getThroughPod(
  session: Session,
  pod: PodRef,
  port: number,
  path: string,
): AsyncGenerator<Buffer> {
  const channels = await openChannels(session, podPath(pod, 'portforward'), { ports: port }, ['v4.channel.k8s.io']);
  const tunnel = new Tunnel(channels);
  try {
    const response = await respond(session, tunnel, path);
    if (response.statusCode !== 200) {
      throw new CollectError('refused', `127.0.0.1:${port}${path} answered HTTP ${response.statusCode ?? '?'}`);
    }
    for await (const chunk of response) yield chunk;
    if (!response.complete) throw tunnel.failure ?? new CollectError('unreachable', 'the stream was cut');
  } catch (error) {
    throw tunnel.failure ?? asCollectError(error);
  } finally {
    tunnel.destroy();
  }
}

async function respond(session: Session, tunnel: Tunnel, path: string): Promise<IncomingMessage> {
  const http = await import('node:http');
  return new Promise((resolve, reject) => {
    const request = http.request({
      createConnection: () => tunnel,
      path,
      method: 'GET',
      headers: { Host: 'localhost', Connection: 'close', Accept: '*/*' },
      signal: session.signal,
    });
    const late = watch(session.requestTimeout, () => {
      request.destroy(new CollectError('timeout', `no answer within ${seconds(session.requestTimeout)}`));
    });
    request.on('error', (error) => {
      late.stop();
      reject(tunnel.failure ?? asCollectError(error));
    });
    request.on('response', (response) => {
      late.stop();
      resolve(response);
    });
    request.end();
  });
}

/**
 * One forwarded connection: channel 0 carries its bytes, channel 1 the error of the kubelet; the first message on each
 * holds the port number (k8s.io/kubelet v0.34 pkg/cri/streaming/portforward/websocket.go).
 */
class Tunnel extends Duplex {
  failure: CollectError | null = null;
  private readonly channels: Channels;
  private started = false;
  private proceed: (() => void) | null = null;

  constructor(channels: Channels) {
    super({ allowHalfOpen: true });
    this.channels = channels;
  }

  override _read(): void {
    this.proceed?.();
    this.proceed = null;
    if (this.started) return;
    this.started = true;
    void this.pump();
  }

  private async pump(): Promise<void> {
    const seen = new Set<number>();
    try {
      for await (const { channel, data } of this.channels.frames()) {
        if (!seen.has(channel)) {
          seen.add(channel);
          continue;
        }
        if (channel === 1) {
          this.failure = new CollectError('refused', data.toString('utf8').trim());
          this.destroy(this.failure);
          return;
        }
        if (channel === 0 && data.length > 0 && !this.push(data)) {
          await new Promise<void>((resolve) => {
            this.proceed = resolve;
          });
        }
      }
      this.push(null);
    } catch (error) {
      this.failure = asCollectError(error);
      this.destroy(this.failure);
    }
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.channels.send(0, chunk);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.channels.close();
    this.proceed?.();
    done(error);
  }
}
