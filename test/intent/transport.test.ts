import { describe, expect, it } from 'vitest';
import { targetAt } from '../../src/intent/targets.js';
import { envoyTransport, tunnelTransport } from '../../src/intent/transport.js';
import type { Mesh } from '../../src/mesh/model.js';
import { controlPlane, list, meshOf, namespace, object, pod, type Json, type PodOptions } from '../mesh/cluster.js';

const HBONE = { 'networking.istio.io/tunnel': 'http' };
const TLS = { 'security.istio.io/tlsMode': 'istio' };
const STATUS = { 'sidecar.istio.io/status': '{}' };
const ENABLED = { 'ambient.istio.io/redirection': 'enabled' };

const SERVERS: Readonly<Record<string, PodOptions>> = {
  ambient: { annotations: ENABLED },
  'ambient with a left-over label': { annotations: ENABLED, labels: TLS },
  'sidecar with HBONE': { annotations: STATUS, labels: { ...HBONE, ...TLS, 'istio.io/dataplane-mode': 'none' } },
  sidecar: { annotations: STATUS, labels: { ...TLS, 'istio.io/dataplane-mode': 'none' } },
  plain: { labels: { 'istio.io/dataplane-mode': 'none' } },
};

interface Setting {
  readonly version?: string;
  readonly tls?: string;
  readonly strict?: string;
  readonly clientEnv?: Readonly<Record<string, string>>;
  readonly config?: string;
}

function meshFor(server: PodOptions, setting: Setting): Mesh {
  const version = setting.version ?? '1.30.3';
  const env = Object.entries(setting.clientEnv ?? {}).map(([name, value]) => ({ name, value }));
  // until 1.21 a namespace of its own tells plain pods from ambient ones
  const ns = server.annotations === ENABLED ? 'in' : 'out';
  const rule: Json = object('DestinationRule', ns, 'r', {
    spec: { host: `s.${ns}.svc.cluster.local`, trafficPolicy: { tls: { mode: setting.tls } } },
  });
  return meshOf({
    pods: list(
      pod('c', 'client', {
        annotations: STATUS,
        containers: [{ name: 'istio-proxy', image: 'x/proxyv2:1', args: ['proxy', 'sidecar'], env }],
      }),
      pod(ns, 'server', { ...server, ip: '10.0.0.9' }),
      ...controlPlane(version),
    ),
    namespaces: list(namespace('in', { 'istio.io/dataplane-mode': 'ambient' }), namespace('out'), namespace('c')),
    configmaps: list(
      object('ConfigMap', 'istio-system', 'istio', {
        data: { mesh: setting.config ?? 'defaultConfig:\n  proxyMetadata:\n    ISTIO_META_ENABLE_HBONE: "true"\n' },
      }),
    ),
    'destinationrules.networking.istio.io': list(...(setting.tls === undefined ? [] : [rule])),
    'peerauthentications.security.istio.io': list(
      ...(setting.strict === undefined
        ? []
        : [object('PeerAuthentication', ns, 'p', { spec: { mtls: { mode: setting.strict } } })]),
    ),
  });
}

function fromSidecar(server: string, setting: Setting = {}): string {
  const mesh = meshFor(SERVERS[server] ?? {}, setting);
  const client = mesh.podByName('c', 'client');
  const target = targetAt(mesh, '10.0.0.9', 80);
  if (client === null || target.pod === null) throw new Error('no pods');
  const ns = target.pod.namespace;
  return envoyTransport(mesh, client, target, {
    host: `s.${ns}.svc.cluster.local`,
    namespace: ns,
    port: 8000,
    subset: null,
  }).by;
}

function fromZtunnel(server: string): string {
  const mesh = meshFor(SERVERS[server] ?? {}, {});
  return tunnelTransport(mesh, targetAt(mesh, '10.0.0.9', 80)).by;
}

describe('what a client sends, 1.30.3, PERMISSIVE (facts: client × server)', () => {
  it.each([
    ['ambient', 'hbone', 'hbone'],
    ['sidecar with HBONE', 'hbone', 'mtls'],
    ['sidecar', 'plain', 'mtls'],
    ['plain', 'plain', 'plain'],
    ['ambient with a left-over label', 'hbone', 'mtls'],
  ])('%s: ztunnel and waypoint %s, sidecar and gateway %s', (server, ztunnel, sidecar) => {
    expect([fromZtunnel(server), fromSidecar(server)]).toEqual([ztunnel, sidecar]);
  });
});

/** Release · server · DestinationRule · what a sidecar sends. */
const BY_RELEASE: readonly (readonly [string, string, string | undefined, string])[] = [
  ['1.18.2', 'ambient', undefined, 'hbone'],
  ['1.18.2', 'sidecar with HBONE', undefined, 'hbone'],
  ['1.18.2', 'sidecar', undefined, 'mtls'],
  ['1.18.2', 'plain', undefined, 'plain'],
  ['1.21.6', 'ambient', 'ISTIO_MUTUAL', 'hbone'],
  ['1.22.0', 'ambient', undefined, 'hbone'],
  ['1.22.0', 'sidecar with HBONE', undefined, 'mtls'],
  ['1.22.0', 'ambient', 'ISTIO_MUTUAL', 'mtls'],
  ['1.22.0', 'ambient', 'SIMPLE', 'hbone'],
  ['1.22.0', 'ambient', 'DISABLE', 'hbone'],
  ['1.22.0', 'sidecar with HBONE', 'DISABLE', 'hbone'],
  ['1.25.0', 'ambient', 'ISTIO_MUTUAL', 'mtls'],
  ['1.25.1', 'ambient', 'ISTIO_MUTUAL', 'hbone'],
  ['1.25.1', 'sidecar with HBONE', 'DISABLE', 'plain'],
  ['1.30.3', 'ambient', 'ISTIO_MUTUAL', 'hbone'],
  ['1.30.3', 'ambient', 'SIMPLE', 'hbone'],
  ['1.30.3', 'ambient', 'DISABLE', 'hbone'],
  ['1.30.3', 'plain', 'ISTIO_MUTUAL', 'mtls'],
  ['1.30.3', 'plain', 'SIMPLE', 'tls'],
  ['1.30.3', 'sidecar', 'DISABLE', 'plain'],
  ['1.30.3', 'sidecar', 'SIMPLE', 'tls'],
];

describe('what a sidecar sends, by release and DestinationRule', () => {
  it.each(BY_RELEASE)('%s to %s, tls %s: %s', (version, server, tls, expected) => {
    expect(fromSidecar(server, { version, ...(tls === undefined ? {} : { tls }) })).toBe(expected);
  });

  it('until 1.21 only with ENABLE_HBONE; the pod goes before the mesh', () => {
    expect(fromSidecar('ambient', { version: '1.18.2', config: '{}' })).toBe('plain');
    expect(fromSidecar('ambient', { version: '1.18.2', clientEnv: { ISTIO_META_ENABLE_HBONE: 'false' } })).toBe(
      'plain',
    );
    expect(fromSidecar('ambient', { version: '1.30.3', clientEnv: { ISTIO_META_ENABLE_HBONE: 'false' } })).toBe(
      'hbone',
    );
    expect(fromSidecar('ambient', { version: '1.30.3', clientEnv: { ISTIO_META_DISABLE_HBONE_SEND: 'true' } })).toBe(
      'plain',
    );
  });

  it('PeerAuthentication DISABLE turns auto mTLS off', () => {
    expect(fromSidecar('sidecar', { strict: 'DISABLE' })).toBe('plain');
    expect(fromSidecar('sidecar', { strict: 'STRICT' })).toBe('mtls');
    expect(fromSidecar('sidecar', { config: 'enableAutoMtls: false\n' })).toBe('plain');
  });
});
