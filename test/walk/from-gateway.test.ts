import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Path, Trace } from '../../src/walk/trace.js';

/** A gateway as the client: its Envoy sends, as it does for a request that came to it by its routes. */
const mesh = await openSnapshot(
  path.join(import.meta.dirname, '../fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz'),
);

/** From the gateway on: who handles it, over which links, to which end. */
function fromGateway({ paths }: Trace): readonly unknown[] {
  return paths.map((one: Path) => {
    const at = one.stops.findIndex((stop) => stop.role === 'gateway');
    return { verdict: one.verdict, share: one.probability, stops: one.stops.slice(at), links: one.links.slice(at) };
  });
}

describe('what a gateway sends to a Service', () => {
  it.each([
    ['/bar-1/get', 'bar-1/httpbin:8000'],
    ['/hello', 'bar-2/helloworld:5000'],
    ['/bar/get', 'bar/httpbin:8000'],
  ])('%s by its routes and %s by its cluster go the same way', (url, service) => {
    const routed = answer(mesh, {
      from: 'external',
      to: 'ingress/gateway-istio:80',
      direct: true,
      path: url,
      headers: { Host: 'shop.example.com' },
    });
    const sent = answer(mesh, { from: 'ingress/gateway-istio', to: service });
    expect(fromGateway(sent)).toEqual(fromGateway(routed));
    expect(sent.expected.paths.map((one) => one.stops[0]?.role)).toEqual(sent.paths.map(() => 'gateway'));
    expect(sent.unknowns.map((one) => one.fact)).toEqual([
      expect.stringMatching(/^which requests gateway ingress\/gateway-istio-\S+ sends to /),
    ]);
  });

  it('what its Envoy has no cluster for is told of another process of the pod, and said to be', () => {
    const asked = answer(mesh, { from: 'ingress/gateway-istio', to: 'bar-1/httpbin', port: 80, direct: true });
    expect(asked.paths[0]?.stops[0]?.role).toBe('workload');
    expect(asked.unknowns.map((one) => one.fact)).toContainEqual(
      expect.stringMatching(/^what the Envoy of gateway ingress\/gateway-istio-\S+ forwards there$/),
    );
  });

  it('a waypoint that is asked as a client says whose way this is', () => {
    const asked = answer(mesh, { from: 'bar-2/waypoint', to: 'bar-2/helloworld:5000' });
    expect(asked.unknowns.map((one) => one.fact)).toContainEqual(
      expect.stringMatching(/^what the Envoy of waypoint bar-2\/waypoint-\S+ forwards there$/),
    );
  });
});
