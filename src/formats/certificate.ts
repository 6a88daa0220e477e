import { X509Certificate } from 'node:crypto';
import type { Evidence } from './evidence.js';

/** A certificate that a proxy shows, as its dump has it. Times are ISO 8601 in UTC, as far as the dump tells them. */
export interface PresentedCertificate {
  readonly validFrom: string | null;
  /** Of the first certificate of the chain to end: from then on nobody accepts the chain. */
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

/** The time that a chain holds: from the latest beginning to the earliest end. */
export function chainValidity(
  chain: readonly { readonly from: string | null; readonly until: string | null }[],
): Pick<PresentedCertificate, 'validFrom' | 'validUntil'> {
  const known = (times: readonly (string | null)[]): readonly string[] =>
    times.flatMap((time) => (time === null || Number.isNaN(Date.parse(time)) ? [] : [time]));
  const ordered = (times: readonly string[]): readonly string[] =>
    [...times].sort((a, b) => Date.parse(a) - Date.parse(b));
  return {
    validFrom: ordered(known(chain.map((one) => one.from))).at(-1) ?? null,
    validUntil: ordered(known(chain.map((one) => one.until)))[0] ?? null,
  };
}
