import { remember } from './remember.js';

/** A SPIFFE identity as ztunnel reads it: exactly `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`. */
export interface Identity {
  readonly text: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Z:src/identity.rs Identity::from_str: seven parts, `ns` and `sa` in their places; anything else is refused. */
export const parseIdentity = remember((text: string): Identity | null => {
  const prefix = 'spiffe://';
  if (!text.startsWith(prefix)) return null;
  const parts = text.slice(prefix.length).split('/');
  const [trustDomain, ns, namespace, sa, serviceAccount] = parts;
  if (parts.length !== 5 || ns !== 'ns' || sa !== 'sa') return null;
  if (trustDomain === undefined || namespace === undefined || serviceAccount === undefined) return null;
  return { text, trustDomain, namespace, serviceAccount };
});

export function identityOf(workload: {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}): string {
  return `spiffe://${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
}
