import http from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { gzipSync } from 'node:zlib';
import { getBody, postJson, slotsOf, type Session } from '../../src/collect/request.js';
import { openChannels } from '../../src/collect/socket.js';

let server: http.Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = null;
});

/** One slot: what does not give it back holds the next request up for ever. */
async function sessionWith(
  answer: (response: http.ServerResponse, socket: Socket) => void,
  authorization = 'Bearer t',
): Promise<Session> {
  const made = http.createServer((request, response) => answer(response, request.socket));
  server = made;
  await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
  const agent = new http.Agent();
  return {
    connection: {
      context: 'prod',
      server: new URL(`http://127.0.0.1:${(made.address() as AddressInfo).port}`),
      proxy: null,
      namespace: null,
      options: () => Promise.resolve({ agent, headers: { Authorization: authorization } }),
      close: () => agent.destroy(),
    },
    grants: { debugContainer: false },
    requestTimeout: 60_000,
    signal: new AbortController().signal,
    count: { requests: 0, bytes: 0, retries: 0 },
    slots: slotsOf(1),
  };
}

const REVIEW = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
const EXEC = '/api/v1/namespaces/a/pods/b/exec';

it('a request that Node refuses to write gives its slot back, and is not tried again', async () => {
  const session = await sessionWith((response) => response.end('{}'), 'Bearer ab\ncd');
  const refused = { kind: 'refused', message: expect.stringMatching(/^the request cannot be sent: /) as string };
  for (const run of [
    () => getBody(session, '/version'),
    () => openChannels(session, EXEC, {}, ['v5.channel.k8s.io']),
    () => getBody(session, '/version'),
  ]) {
    await expect(run()).rejects.toMatchObject(refused);
    await expect(run()).rejects.not.toThrow('cd');
  }
  expect(session.count.retries).toBe(0);
});

it('an answer that changes the protocol unasked is an error', async () => {
  const session = await sessionWith((_response, socket) => {
    socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  });
  await expect(getBody(session, '/version')).rejects.toMatchObject({ kind: 'refused' });
  await expect(getBody(session, '/version')).rejects.toMatchObject({ kind: 'refused' });
});

it.each([200, 403])(
  'a packed body of a %i that is cut is an error',
  async (status) => {
    const body = gzipSync(JSON.stringify({ message: 'x'.repeat(2000) }));
    const session = await sessionWith((response, socket) => {
      response.writeHead(status, { 'Content-Encoding': 'gzip', 'Content-Length': body.length });
      response.write(body.subarray(0, 15));
      setTimeout(() => socket.destroy(), 20);
    });
    const cut = { kind: 'unreachable', message: 'the connection was cut' };
    await expect(getBody(session, '/version')).rejects.toMatchObject(cut);
    await expect(postJson(session, REVIEW, {})).rejects.toMatchObject(cut);
  },
  20_000,
);
