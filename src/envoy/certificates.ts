import { derOf, validityOf, type PresentedCertificate } from '../formats/certificate.js';
import { object, string } from '../formats/envoy-json.js';
import type { EnvoyDump } from '../formats/envoy-dump.js';

/** Name of the secret by which istio-agent serves the workload's certificate (all releases). */
const WORKLOAD = 'default';

/** The certificate of the workload; null where the dump does not hold it, or holds it unreadable (redacted). */
export function workloadCertificate(dump: EnvoyDump): PresentedCertificate | null {
  const secret = dump.secrets?.get(WORKLOAD);
  if (secret?.state !== 'active') return null;
  const { value, pointer } = secret.entry;
  const chain = object(object(value['tls_certificate'])['certificate_chain']);
  const leaf = derOf(string(chain['inline_bytes']) ?? string(chain['inline_string']) ?? '')[0];
  const validity = leaf === undefined ? null : validityOf(leaf);
  if (validity === null) return null;
  const text = `certificate ${WORKLOAD} of the workload`;
  return { validFrom: validity.from, validUntil: validity.until, evidence: { file: dump.file, pointer, text } };
}
