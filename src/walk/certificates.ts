import type { PresentedCertificate } from '../formats/certificate.js';
import { isUnknown } from '../formats/evidence.js';
import type { Engines } from './engines.js';
import { stopName, type Process } from './process.js';
import { identityOf, type Leg } from './route.js';

/**
 * Why the TLS between two proxies of the mesh does not come about: the certificate of one had ended when the snapshot was
 * taken (both verify it: Istio leaves CertificateValidationContext.allow_expired_certificate unset; ztunnel src/tls).
 * Null: nothing of the kind is known. Roots are not compared: one issued anew with the same key is as good.
 */
export function certificateFault(engines: Engines, { from, content }: Leg, process: Process): string | null {
  if (content.tls === null || content.tls.peer === null) return null;
  const capturedAt = engines.snapshot.manifest?.capturedAt ?? null;
  const shown = [
    { side: from, certificate: content.tls.own ? certificateOf(engines, from, content.tls.peer) : null },
    { side: process, certificate: servedBy(engines, process) },
  ];
  for (const { side, certificate } of shown) {
    if (certificate === null || !hasEnded(certificate, capturedAt)) continue;
    return `TLS between ${stopName(from)} and ${stopName(process)} fails: the certificate that ${stopName(side)} shows ended at ${certificate.validUntil ?? ''}`;
  }
  return null;
}

/** What a server shows that ends the mesh's TLS. A gateway may end it by another certificate, or pass it through. */
function servedBy(engines: Engines, process: Process): PresentedCertificate | null {
  switch (process.kind) {
    case 'envoy':
      return process.role === 'gateway' ? null : certificateOf(engines, process, null);
    case 'ztunnel':
      return certificateOf(engines, process, identityOf(engines.mesh, process.serves).value);
    case 'app':
    case 'node':
    case 'external':
      return null;
  }
}

/**
 * True where it had ended when the snapshot was taken. One that begins after that is no fault: `capturedAt` is when the
 * capture began, and a proxy may have got its certificate since.
 */
export function hasEnded({ validUntil }: PresentedCertificate, capturedAt: string | null): boolean {
  return validUntil !== null && capturedAt !== null && Date.parse(validUntil) <= Date.parse(capturedAt);
}

/** The certificate of a proxy's workload; of a ztunnel the one for `identity`. */
function certificateOf(engines: Engines, process: Process, identity: string | null): PresentedCertificate | null {
  switch (process.kind) {
    case 'envoy': {
      const envoy = engines.envoy(process.pod);
      return isUnknown(envoy) ? null : envoy.workloadCertificate();
    }
    case 'ztunnel': {
      const dump = process.own === null ? null : engines.ztunnelDump(process.own);
      if (dump === null || isUnknown(dump)) return null;
      return dump.certificates.find((one) => one.identity === identity && one.state === 'Available') ?? null;
    }
    case 'app':
    case 'node':
    case 'external':
      return null;
  }
}
