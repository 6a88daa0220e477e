import { describe, expect, it } from 'vitest';
import { effectivePeerAuthentication } from '../../src/mesh/peer-authentication.js';
import { controlPlane, list, MESH_CONFIG, meshOf, object, pod, type Json } from './cluster.js';

function policy(
  ns: string,
  name: string,
  mode: string | null,
  more: { readonly app?: string; readonly ports?: Readonly<Record<string, string>>; readonly created?: string } = {},
): Json {
  const ports = Object.fromEntries(Object.entries(more.ports ?? {}).map(([port, value]) => [port, { mode: value }]));
  return object(
    'PeerAuthentication',
    ns,
    name,
    {
      spec: {
        ...(mode === null ? {} : { mtls: { mode } }),
        ...(more.app === undefined ? {} : { selector: { matchLabels: { app: more.app } } }),
        ...(more.ports === undefined ? {} : { portLevelMtls: ports }),
      },
    },
    more,
  );
}

const CASES: readonly (readonly [string, readonly Json[], string, string | null])[] = [
  ['nothing', [], 'PERMISSIVE', null],
  ['the mesh', [policy('istio-system', 'm', 'STRICT')], 'STRICT', 'm'],
  [
    'the namespace before the mesh',
    [policy('istio-system', 'm', 'STRICT'), policy('a', 'n', 'PERMISSIVE')],
    'PERMISSIVE',
    'n',
  ],
  [
    'the workload before the namespace',
    [policy('a', 'n', 'PERMISSIVE'), policy('a', 'w', 'STRICT', { app: 'x' })],
    'STRICT',
    'w',
  ],
  ['another workload', [policy('a', 'w', 'STRICT', { app: 'y' })], 'PERMISSIVE', null],
  ['another namespace', [policy('b', 'n', 'STRICT')], 'PERMISSIVE', null],
  [
    'UNSET inherits',
    [policy('istio-system', 'm', 'STRICT'), policy('a', 'n', 'UNSET'), policy('a', 'w', null, { app: 'x' })],
    'STRICT',
    'm',
  ],
  ['a port', [policy('a', 'w', 'STRICT', { app: 'x', ports: { 80: 'DISABLE' } })], 'DISABLE', 'w'],
  ['another port', [policy('a', 'w', 'STRICT', { app: 'x', ports: { 81: 'DISABLE' } })], 'STRICT', 'w'],
  ['a port that is UNSET', [policy('a', 'w', 'STRICT', { app: 'x', ports: { 80: 'UNSET' } })], 'STRICT', 'w'],
  [
    'ports of the namespace do not count',
    [policy('a', 'n', 'PERMISSIVE', { ports: { 80: 'STRICT' } })],
    'PERMISSIVE',
    'n',
  ],
  [
    'a selector in the root namespace counts nowhere',
    [policy('istio-system', 'r', 'STRICT', { app: 'x' })],
    'PERMISSIVE',
    null,
  ],
  ['an empty selector is none', [policy('a', 'n', 'STRICT', {})], 'STRICT', 'n'],
  [
    'the oldest of one level',
    [
      policy('a', 'new', 'STRICT', { created: '2026-03-01T00:00:00Z' }),
      policy('a', 'old', 'DISABLE', { created: '2026-02-01T00:00:00Z' }),
    ],
    'DISABLE',
    'old',
  ],
];

function effective(
  policies: readonly Json[] | null,
  configs: readonly Json[] | null,
): ReturnType<typeof effectivePeerAuthentication> {
  const mesh = meshOf({
    pods: list(pod('a', 'x', { labels: { app: 'x' } }), ...controlPlane('1.30.3')),
    ...(configs === null ? {} : { configmaps: list(...configs) }),
    ...(policies === null ? {} : { 'peerauthentications.security.istio.io': list(...policies) }),
  });
  const found = mesh.podByName('a', 'x');
  if (found === null) throw new Error('no pod');
  return effectivePeerAuthentication(mesh, found, 80);
}

describe('the PeerAuthentication of a port', () => {
  it.each(CASES)('%s', (_, policies, mode, decides) => {
    const found = effective(policies, [MESH_CONFIG]);
    expect(found.mode).toBe(mode);
    expect(found.evidence[0]?.text ?? null).toEqual(decides === null ? null : expect.stringContaining(`/${decides}`));
  });

  it('is unknown without the list', () => {
    expect(effective(null, [MESH_CONFIG])).toMatchObject({ mode: null, unknowns: [{ reason: 'not in the snapshot' }] });
  });

  it('without the mesh configuration: unknown only where one may be for the whole mesh', () => {
    expect(effective([policy('istio-system', 'm', 'STRICT')], null).mode).toBeNull();
    expect(effective([policy('a', 'n', 'STRICT')], null).mode).toBe('STRICT');
    expect(effective([], null).mode).toBe('PERMISSIVE');
  });
});
