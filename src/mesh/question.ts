import type { Node, Pod, Service, ServiceEntry, ServicePort } from '../formats/kubernetes-types.js';

/** Who sends: a pod, a process on a node (the kubelet), or a client outside the cluster. */
export type Source =
  | {
      readonly kind: 'pod';
      readonly pod: Pod;
      /** The other pods that were meant by the same words (of one Deployment): not traced. */
      readonly also: readonly Pod[];
    }
  | { readonly kind: 'node'; readonly name: string; readonly node: Node | null }
  | { readonly kind: 'external'; readonly name: string };

/**
 * What is called. service: by VIP (or, headless, by the addresses that its name resolves to) · pod: by its own address ·
 * serviceEntry: a host or address that a ServiceEntry declares · node: a node's address · address: an IP of nothing known ·
 * host: a name that no Service or ServiceEntry has.
 */
export type Destination =
  | {
      readonly kind: 'service';
      readonly service: Service;
      /** The address that the client connects to; null for a headless Service (see `mesh.endpointsOf`) and ExternalName. */
      readonly ip: string | null;
      readonly port: number;
      /** Null: the Service has no such port (for a headless one it need not). */
      readonly servicePort: ServicePort | null;
      /** `httpbin.bar.svc.cluster.local` */
      readonly host: string;
    }
  | {
      readonly kind: 'pod';
      readonly pod: Pod;
      readonly also: readonly Pod[];
      readonly ip: string;
      readonly port: number;
    }
  | {
      readonly kind: 'serviceEntry';
      readonly entry: ServiceEntry;
      /** Its first address, or the one that was asked for; null: what the host resolves to is not in any file. */
      readonly ip: string | null;
      readonly port: number;
      readonly host: string;
    }
  | { readonly kind: 'node'; readonly node: Node; readonly ip: string; readonly port: number }
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'host'; readonly host: string; readonly port: number };

export interface Question {
  readonly source: Source;
  readonly destination: Destination;
  readonly protocol: 'http' | 'tcp' | 'udp';
  /** For http; the defaults are GET, /, none. */
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** The address and port that the client connects to; ip null where a name must be resolved first. */
export function targetOf(destination: Destination): { readonly ip: string | null; readonly port: number } {
  return { ip: destination.kind === 'host' ? null : destination.ip, port: destination.port };
}
