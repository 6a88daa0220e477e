/** A SPIFFE identity as ztunnel reads it: exactly `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface Identity {
  readonly text: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

const SCHEME = 'spiffe://';

/** Z:src/identity.rs Identity::from_str: seven parts, `ns` and `sa` in their places; anything else is refused. */
export function parseIdentity(text: string): Identity | null {
  if (!text.startsWith(SCHEME)) return null;
  const ns = text.indexOf('/', SCHEME.length);
  if (ns < 0 || !text.startsWith('/ns/', ns)) return null;
  const namespace = ns + '/ns/'.length;
  const sa = text.indexOf('/', namespace);
  if (sa < 0 || !text.startsWith('/sa/', sa)) return null;
  const account = sa + '/sa/'.length;
  if (text.includes('/', account)) return null;
  return {
    text,
    trustDomain: text.slice(SCHEME.length, ns),
    namespace: text.slice(namespace, sa),
    serviceAccount: text.slice(account),
  };
}

export function identityOf(workload: {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}): string {
  return `spiffe://${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
}
