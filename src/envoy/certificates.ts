import { chainValidity, derOf, validityOf } from '../formats/certificate.js';
import { object, string, type Json } from '../formats/envoy-json.js';
import type { DumpEntry, EnvoyDump } from '../formats/envoy-dump.js';
import type { WorkloadCertificate } from './face.js';

/** Names of the secrets by which istio-agent serves the workload's certificate and the roots of the mesh (all releases). */
const WORKLOAD = 'default';
const ROOTS = 'ROOTCA';

/** The certificate of the workload, with the roots that this Envoy trusts; each null where the dump does not hold it. */
export function workloadCertificate(dump: EnvoyDump): WorkloadCertificate {
  const own = activeSecret(dump, WORKLOAD);
  const trust = activeSecret(dump, ROOTS);
  const chain = own === undefined ? [] : bytes(object(own.value['tls_certificate'])['certificate_chain']);
  const roots = trust === undefined ? [] : bytes(object(trust.value['validation_context'])['trusted_ca']);
  return {
    certificate:
      own === undefined || chain.length === 0
        ? null
        : {
            ...chainValidity(chain.flatMap((der) => validityOf(der) ?? [])),
            evidence: { file: dump.file, pointer: own.pointer, text: `certificate ${WORKLOAD} of the workload` },
          },
    roots: roots.length === 0 ? null : roots,
  };
}

function activeSecret(dump: EnvoyDump, name: string): DumpEntry | undefined {
  const secret = dump.secrets?.get(name);
  return secret?.state === 'active' ? secret.entry : undefined;
}

function bytes(source: Json | undefined): readonly string[] {
  const text = string(object(source)['inline_bytes']) ?? string(object(source)['inline_string']);
  return text === null ? [] : derOf(text);
}
