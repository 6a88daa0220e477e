import type { PresentedCertificate } from '../formats/certificate.js';
import { isUnknown } from '../formats/evidence.js';
import type { Engines } from './engines.js';
import { stopName, type Process } from './process.js';
import { identityOf, type Leg } from './route.js';

/** What one side of mutual TLS shows, and whom it believes; null: its dump does not tell. */
interface Credential {
  readonly certificate: PresentedCertificate | null;
  readonly roots: readonly string[] | null;
}

/**
 * Why the TLS between two proxies of the mesh does not come about by their certificates: one had ended when the
 * snapshot was taken, or they have no root in common. Null: nothing of the kind is known. (Both Envoy and ztunnel verify
 * time and chain: envoy CertificateValidationContext.allow_expired_certificate is unset by Istio; ztunnel src/tls.)
 */
export function certificateFault(engines: Engines, { from, content }: Leg, process: Process): string | null {
  const peer = content.tls?.peer ?? null;
  if (peer === null) return null;
  const client = credentialOf(engines, from, peer);
  const server = credentialOf(engines, process, null);
  if (client === null || server === null) return null;
  const both = `TLS between ${stopName(from)} and ${stopName(process)} fails`;
  for (const [side, { certificate }] of [
    [from, client],
    [process, server],
  ] as const) {
    if (certificate !== null && hasEnded(certificate, engines.snapshot.manifest?.capturedAt ?? null)) {
      return `${both}: the certificate that ${stopName(side)} shows ended at ${certificate.validUntil ?? ''}`;
    }
  }
  const strangers = client.roots !== null && server.roots?.some((root) => client.roots?.includes(root)) === false;
  return strangers ? `${both}: they trust no root certificate in common` : null;
}

/**
 * True where it had ended when the snapshot was taken. One that begins after that is no fault: `capturedAt` is when the
 * capture began, and a proxy may have got its certificate since.
 */
export function hasEnded({ validUntil }: PresentedCertificate, capturedAt: string | null): boolean {
  return validUntil !== null && capturedAt !== null && Date.parse(validUntil) <= Date.parse(capturedAt);
}

function credentialOf(engines: Engines, process: Process, shown: string | null): Credential | null {
  switch (process.kind) {
    case 'envoy': {
      const envoy = engines.envoy(process.pod);
      return isUnknown(envoy) ? null : envoy.workloadCertificate();
    }
    case 'ztunnel': {
      const dump = process.own === null ? null : engines.ztunnelDump(process.own);
      if (dump === null || isUnknown(dump)) return null;
      const identity = shown ?? identityOf(engines.mesh, process.serves).value;
      const certificate =
        dump.certificates.find((one) => one.identity === identity && one.state === 'Available') ?? null;
      return { certificate, roots: certificate?.roots ?? null };
    }
    case 'app':
    case 'node':
    case 'external':
      return null;
  }
}
