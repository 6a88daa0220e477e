import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { derOf, validityOf } from '../../src/formats/certificate.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';

const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');
const recorded = await openSnapshot(path.join(ROOT, 'coexistence-1.30.3/snapshot.tar.gz'));
const older = await openSnapshot(path.join(ROOT, 'coexistence-1.18.2/snapshot.tar.gz'));

/** The same files, said to be taken at another time. */
function takenAt(snapshot: Snapshot, capturedAt: string | null): Snapshot {
  const { manifest } = snapshot;
  if (manifest === null) throw new Error('a recording has a manifest');
  return { ...snapshot, manifest: { ...manifest, capturedAt } };
}

function ends(snapshot: Snapshot, from: string, to: string): readonly string[] {
  return answer(snapshot, { from, to }).paths.map((one) => `${one.verdict}: ${one.reason}`);
}

describe('certificates that have ended', () => {
  it.each([
    ['foo/sleep', 'bar-1/httpbin:8000', 'ztunnel to ztunnel'],
    ['foo-sc/sleep', 'bar/httpbin:8000', 'sidecar to sidecar'],
    ['foo-sc/sleep', 'bar-1/httpbin:8000', 'sidecar to ztunnel'],
    ['foo/sleep', 'bar-2/helloworld:5000', 'through a waypoint'],
  ])('end what mTLS carries, %s to %s: %s', (from, to) => {
    for (const one of ends(takenAt(recorded, '2026-11-23T00:00:00Z'), from, to)) {
      expect(one).toMatch(/^error: TLS between .* fails: the certificate that .* shows ended at 2026-11-22T/);
    }
    // the capture may have begun before a proxy got its certificate
    const early = ends(takenAt(recorded, '2026-11-20T00:00:00Z'), from, to);
    expect(early).toEqual(ends(recorded, from, to));
  });

  it('are no matter to plaintext, and no claim is made without the time of the snapshot', () => {
    const late = takenAt(recorded, '2026-11-23T00:00:00Z');
    expect(ends(late, 'baz/sleep-plain', 'bar-1/httpbin:8000').every((one) => one.startsWith('delivered'))).toBe(true);
    const timeless = takenAt(recorded, null);
    expect(ends(timeless, 'foo/sleep', 'bar/httpbin:8000')).toEqual([expect.stringMatching(/^delivered/)]);
  });

  it('are read of the oldest layout of the dump as well', () => {
    for (const one of ends(takenAt(older, '2026-11-23T00:00:00Z'), 'foo/sleep', 'bar-1/httpbin:8000')) {
      expect(one).toMatch(/^error: TLS between .* ended at 2026-11-22T/);
    }
  });
});

describe('the texts of certificates', () => {
  it('PEM, base64 of PEM, several blocks, and none', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nAB\nCD\n-----END CERTIFICATE-----\n';
    expect(derOf(pem + pem)).toEqual(['ABCD', 'ABCD']);
    expect(derOf(Buffer.from(pem).toString('base64'))).toEqual(['ABCD']);
    expect(derOf('[redacted]')).toEqual([]);
    expect(validityOf('ABCD')).toBeNull();
  });
});
