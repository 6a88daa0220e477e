import type { JsonObject } from '../../src/formats/envoy-json.js';
import type { EnvoyRequest } from '../../src/envoy/face.js';

/** One question: what is sent, and from and to which loopback addresses. */
export interface Question {
  readonly src: string;
  readonly dst: string;
  readonly tls: EnvoyRequest['tls'];
  readonly connect: { readonly authority: string } | null;
  readonly http: EnvoyRequest['http'];
}

/** Where the test's own servers listen. */
export interface Ports {
  /** Plain text on every loopback address. */
  readonly plain: number;
  /** TLS; asks for a client certificate and takes any. */
  readonly tls: number;
  /** HBONE: mTLS, HTTP/2 CONNECT, ends the tunnel itself. */
  readonly hbone: number;
  /** Nobody listens. */
  readonly closed: number;
}

/** A configuration of one listener (and its internal ones) with the requests for it. */
export interface Scenario {
  readonly name: string;
  readonly family: string;
  readonly port: number;
  readonly listeners: readonly JsonObject[];
  readonly clusters: readonly JsonObject[];
  readonly questions: readonly Question[];
}

/** Identities that the test's certificates carry, by file name. */
export const PEERS = {
  sleep: 'spiffe://cluster.local/ns/foo/sa/sleep',
  httpbin: 'spiffe://cluster.local/ns/bar/sa/httpbin',
  other: 'spiffe://td2/ns/foo/sa/sleep',
} as const;

export type Peer = keyof typeof PEERS;

/** Addresses of endpoints: all on loopback, all served by the same process. */
export const ENDPOINTS = ['127.1.0.1', '127.1.0.2', '127.1.0.3', '127.1.1.1', '127.1.1.2', '127.1.2.1'] as const;
