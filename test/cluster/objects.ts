import { setTimeout as sleep } from 'node:timers/promises';
import { builtInVersion, KINDS, kindFile, type Kind } from '../../src/collect/kinds.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import type { ControlPlane } from './control-plane.js';

export interface Thing {
  apiVersion?: string;
  kind?: string;
  metadata: { name: string; namespace?: string; labels?: Record<string, string>; [field: string]: unknown };
  spec?: Record<string, unknown>;
  status?: Record<string, unknown>;
  [field: string]: unknown;
}

export function itemsOf(snapshot: Snapshot, kind: Kind): Thing[] {
  const read = snapshot.read(kindFile(kind));
  return read.kind === 'text' ? (JSON.parse(read.text) as { items: Thing[] }).items : [];
}

/**
 * Writes all objects of a recording into the API server, Istio's and the Gateway API's kinds as CRDs without a schema. Gives
 * the uid of each recorded pod and the one that it has now.
 */
export async function loadObjects(plane: ControlPlane, snapshot: Snapshot): Promise<ReadonlyMap<string, string>> {
  const uids = new Map<string, string>();
  const custom = KINDS.filter((kind) => builtInVersion(kind.group) === null);
  const versions = new Map(custom.map((kind) => [kindFile(kind), versionOf(itemsOf(snapshot, kind))]));
  await Promise.all(custom.map((kind) => createCrd(plane, kind, versions.get(kindFile(kind)) ?? 'v1')));
  await Promise.all(custom.map((kind) => established(plane, kind, versions.get(kindFile(kind)) ?? 'v1')));
  const first = ['namespaces', 'nodes'];
  const order = [...KINDS].sort((a, b) => Number(first.includes(b.plural)) - Number(first.includes(a.plural)));
  for (const kind of order) {
    if (kind.plural === 'events' || kind.plural === 'endpoints') continue;
    const root = rootOf(kind, versions.get(kindFile(kind)) ?? null);
    for (const item of itemsOf(snapshot, kind)) {
      // the API server makes its own
      if (item.metadata.namespace === 'default' && item.metadata.name === 'kubernetes') continue;
      const uid = await create(plane, kind, root, item);
      if (kind.plural === 'pods') uids.set(String(item.metadata['uid']), uid);
    }
  }
  return uids;
}

function versionOf(items: readonly Thing[]): string {
  return items[0]?.apiVersion?.split('/')[1] ?? 'v1';
}

function rootOf(kind: Kind, version: string | null): string {
  return kind.group === '' ? '/api/v1' : `/apis/${kind.group}/${builtInVersion(kind.group) ?? version ?? 'v1'}`;
}

async function create(plane: ControlPlane, kind: Kind, root: string, item: Thing): Promise<string> {
  const { namespace, name } = item.metadata;
  const folder = `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${kind.plural}`;
  const none = { resourceVersion: undefined, uid: undefined, managedFields: undefined, creationTimestamp: undefined };
  const metadata = { ...item.metadata, ...none };
  const object = { ...item, metadata };
  if (kind.plural === 'nodes') object.status = withKubelet(item);
  const made = (await plane.request('POST', folder, object, [409])) as Thing;
  if (made.kind === 'Status') {
    if (kind.plural === 'namespaces') {
      await plane.request('PATCH', `${folder}/${name}`, { metadata: { labels: metadata.labels ?? {} } });
    }
    return '';
  }
  if (
    builtInVersion(kind.group) !== null &&
    item.status !== undefined &&
    ['pods', 'nodes', 'services'].includes(kind.plural)
  ) {
    await plane.request('PUT', `${folder}/${name}/status`, { ...made, status: object.status });
  }
  return String(made.metadata['uid']);
}

/** The API server finds the stand-in at an address of its own, whatever the address of the node is in the mesh. */
function withKubelet(node: Thing): Record<string, unknown> {
  const addresses = (node.status?.['addresses'] ?? []) as { type: string; address: string }[];
  return {
    ...node.status,
    addresses: [
      ...addresses.filter((a) => a.type !== 'InternalDNS'),
      { type: 'InternalDNS', address: kubeletAddress(node.metadata.name) },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: 10350 } },
  };
}

/** 127.0.1.1 for node-a, …2 for node-b: one loopback address a node. */
export function kubeletAddress(node: string): string {
  return `127.0.1.${(node.charCodeAt(node.length - 1) - 96) & 63}`;
}

async function createCrd(plane: ControlPlane, kind: Kind, version: string): Promise<void> {
  await plane.request(
    'POST',
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: {
        name: `${kind.plural}.${kind.group}`,
        // the group of the Gateway API is protected: its CRDs name the proposal that approves them
        annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/gateway-api/pull/1' },
      },
      spec: {
        group: kind.group,
        scope: kind.namespaced ? 'Namespaced' : 'Cluster',
        names: {
          plural: kind.plural,
          singular: kind.kind.toLowerCase(),
          kind: kind.kind,
          listKind: `${kind.kind}List`,
        },
        versions: [
          {
            name: version,
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    },
    [409],
  );
}

async function established(plane: ControlPlane, kind: Kind, version: string): Promise<void> {
  const url = `${rootOf(kind, version)}/${kind.plural}`;
  for (let tries = 0; tries < 300; tries++) {
    const answer = (await plane.request('GET', url, undefined, [404, 429])) as Thing;
    if (answer.kind === `${kind.kind}List`) return;
    await sleep(100);
  }
  throw new Error(`${url} is not served`);
}
