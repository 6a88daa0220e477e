import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PEERS, type Peer } from './scenario.js';

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

export interface Certificates {
  readonly ca: string;
  readonly peers: Readonly<Record<Peer, Certificate>>;
}

/** A throw-away authority, and a certificate for each identity (one URI SAN, empty subject, as the mesh has them). */
export function makeCertificates(): Certificates {
  const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-certs-'));
  const file = (name: string): string => path.join(folder, name);
  const openssl = (...args: readonly string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  };
  const key = (name: string): void =>
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file(`${name}.key`));
  try {
    key('ca');
    openssl('req', '-x509', '-new', '-key', file('ca.key'), '-subj', '/O=test', '-days', '2', '-out', file('ca.crt'));
    const make = (name: Peer): Certificate => {
      key(name);
      writeFileSync(file(`${name}.ext`), `subjectAltName=critical,URI:${PEERS[name]}\n`);
      openssl('req', '-new', '-key', file(`${name}.key`), '-subj', '/', '-out', file(`${name}.csr`));
      const sign = ['x509', '-req', '-in', file(`${name}.csr`), '-CA', file('ca.crt'), '-CAkey', file('ca.key')];
      openssl(...sign, '-CAcreateserial', '-days', '2', '-extfile', file(`${name}.ext`), '-out', file(`${name}.crt`));
      return { cert: readFileSync(file(`${name}.crt`), 'utf8'), key: readFileSync(file(`${name}.key`), 'utf8') };
    };
    const peers = { sleep: make('sleep'), httpbin: make('httpbin'), other: make('other') };
    return { ca: readFileSync(file('ca.crt'), 'utf8'), peers };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
