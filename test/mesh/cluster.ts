import { loadMesh } from '../../src/mesh/load.js';
import type { Mesh } from '../../src/mesh/model.js';
import { memorySnapshot } from '../../src/snapshot/memory.js';

/** Small clusters for tests, written as the objects that matter; files that are not named are missing. */
export type Json = { readonly [key: string]: unknown };

export function list(...items: readonly Json[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

export function meshOf(files: Readonly<Record<string, string>>): Mesh {
  const named = Object.entries(files).map(([name, text]): [string, string] => [
    name.includes('/') || name === 'snapshot.json' ? name : `kubernetes/${name}.json`,
    text,
  ]);
  return loadMesh(memorySnapshot(new Map(named)));
}

interface Options {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly owner?: { readonly kind: string; readonly name: string };
  readonly created?: string;
}

function meta(namespace: string | null, name: string, options: Options = {}): Json {
  return {
    ...(namespace === null ? {} : { namespace }),
    name,
    uid: `${namespace ?? ''}-${name}`,
    creationTimestamp: options.created ?? '2026-01-01T00:00:00Z',
    labels: options.labels ?? {},
    annotations: options.annotations ?? {},
    ...(options.owner === undefined ? {} : { ownerReferences: [{ ...options.owner, controller: true }] }),
  };
}

export interface PodOptions extends Options {
  readonly ip?: string | null;
  readonly ips?: readonly string[];
  readonly node?: string;
  readonly hostNetwork?: boolean;
  readonly phase?: string;
  readonly ready?: boolean;
  readonly serviceAccount?: string;
  readonly containers?: readonly Json[];
  readonly deleting?: boolean;
}

let next = 10;

export function pod(namespace: string, name: string, options: PodOptions = {}): Json {
  const ips = options.ips ?? (options.ip === null ? [] : [options.ip ?? `10.244.9.${next++ % 250}`]);
  return {
    kind: 'Pod',
    metadata: {
      ...meta(namespace, name, options),
      ...(options.deleting === true ? { deletionTimestamp: '2026-01-02T00:00:00Z' } : {}),
    },
    spec: {
      nodeName: options.node ?? 'n1',
      hostNetwork: options.hostNetwork ?? false,
      serviceAccountName: options.serviceAccount ?? 'default',
      containers: options.containers ?? [{ name: 'app', image: 'app:1' }],
    },
    status: {
      phase: options.phase ?? 'Running',
      podIPs: ips.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: (options.ready ?? true) ? 'True' : 'False' }],
    },
  };
}

/** A pod of a Deployment, with the ReplicaSet's name and hash that the controllers give it. */
export function deployed(namespace: string, deployment: string, suffix: string, options: PodOptions = {}): Json {
  const hash = '7d9f';
  return pod(namespace, `${deployment}-${hash}-${suffix}`, {
    ...options,
    labels: { app: deployment, 'pod-template-hash': hash, ...options.labels },
    owner: { kind: 'ReplicaSet', name: `${deployment}-${hash}` },
  });
}

export function proxyContainer(type: string, version = '1.30.3'): Json {
  return { name: 'istio-proxy', image: `docker.io/istio/proxyv2:${version}`, args: ['proxy', type, '--domain', 'x'] };
}

/** The pods by which a release of Istio is known: istiod, istio-cni and the ztunnel of node n1. */
export function controlPlane(version: string): readonly Json[] {
  const image = (name: string): string => `docker.io/istio/${name}:${version}`;
  return [
    pod('istio-system', 'istiod-1', {
      labels: { app: 'istiod' },
      containers: [{ name: 'discovery', image: image('pilot') }],
    }),
    pod('istio-system', 'istio-cni-node-1', {
      labels: { 'k8s-app': 'istio-cni-node' },
      containers: [{ name: 'install-cni', image: image('install-cni') }],
    }),
    pod('istio-system', 'ztunnel-1', {
      labels: { app: 'ztunnel' },
      containers: [{ name: 'istio-proxy', image: image('ztunnel'), args: ['proxy', 'ztunnel'] }],
    }),
  ];
}

export function namespace(name: string, labels: Readonly<Record<string, string>> = {}): Json {
  return { kind: 'Namespace', metadata: meta(null, name, { labels }) };
}

export function object(kind: string, ns: string | null, name: string, fields: Json, options: Options = {}): Json {
  return { kind, metadata: meta(ns, name, options), ...fields };
}

export interface ServiceOptions extends Options {
  readonly ip?: string;
  readonly ports?: readonly Json[];
  readonly selector?: Readonly<Record<string, string>>;
  readonly spec?: Json;
}

export function service(ns: string, name: string, options: ServiceOptions = {}): Json {
  return object(
    'Service',
    ns,
    name,
    {
      spec: {
        clusterIP: options.ip ?? '10.96.0.1',
        clusterIPs: [options.ip ?? '10.96.0.1'],
        ports: options.ports ?? [{ name: 'http', port: 8000, protocol: 'TCP', targetPort: 80 }],
        selector: options.selector ?? { app: name },
        ...options.spec,
      },
    },
    options,
  );
}

/** One slice for one Service: `[ip, pod name]` pairs, all ready. */
export function slice(
  ns: string,
  serviceName: string,
  port: number,
  ...pods: readonly (readonly [string, string])[]
): Json {
  return {
    ...object('EndpointSlice', ns, `${serviceName}-x`, {}, { labels: { 'kubernetes.io/service-name': serviceName } }),
    addressType: 'IPv4',
    ports: [{ name: 'http', port, protocol: 'TCP' }],
    endpoints: pods.map(([ip, name]) => ({
      addresses: [ip],
      conditions: { ready: true },
      nodeName: 'n1',
      targetRef: { kind: 'Pod', namespace: ns, name },
    })),
  };
}

export const MESH_CONFIG = object('ConfigMap', 'istio-system', 'istio', {
  data: { mesh: 'rootNamespace: istio-system\ntrustDomain: cluster.local\n' },
});
