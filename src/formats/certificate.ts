import { X509Certificate } from 'node:crypto';
import type { Evidence } from './evidence.js';

/**
 * The workload's certificate that a proxy shows (of a chain the first: whether an expired one further up matters, roots
 * decide that may have been issued anew). Times are ISO 8601 in UTC, as far as the dump tells them.
 */
export interface PresentedCertificate {
  readonly validFrom: string | null;
  readonly validUntil: string | null;
  readonly evidence: Evidence;
}

/** The certificates in a text of PEM blocks, or in base64 of one, as base64 of their DER form; empty where there is none. */
export function derOf(text: string): readonly string[] {
  const pem = text.includes('-----BEGIN') ? text : Buffer.from(text, 'base64').toString('latin1');
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g)].map((match) =>
    (match[1] ?? '').replace(/\s+/g, ''),
  );
}

/** From when to when a certificate (base64 of DER) holds; null where it is none. */
export function validityOf(der: string): { readonly from: string; readonly until: string } | null {
  try {
    const { validFrom, validTo } = new X509Certificate(Buffer.from(der, 'base64'));
    return { from: new Date(validFrom).toISOString(), until: new Date(validTo).toISOString() };
  } catch {
    return null;
  }
}
