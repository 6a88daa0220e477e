import { describe, expect, it } from 'vitest';
import { envoyAnswer, policiesOfPod, policiesOfWaypoint, ztunnelAnswer } from '../../src/intent/policies.js';
import type { Seen } from '../../src/intent/policy-match.js';
import type { Mesh } from '../../src/mesh/model.js';
import { controlPlane, list, MESH_CONFIG, meshOf, object, pod, type Json } from '../mesh/cluster.js';

function policy(name: string, spec: Json, ns = 'a', annotations: Readonly<Record<string, string>> = {}): Json {
  return object('AuthorizationPolicy', ns, name, { spec }, { annotations });
}

function meshWith(...policies: readonly Json[]): Mesh {
  return meshOf({
    pods: list(pod('a', 'x', { labels: { app: 'x' }, ip: '10.0.0.9' }), ...controlPlane('1.30.3')),
    configmaps: list(MESH_CONFIG),
    'authorizationpolicies.security.istio.io': list(...policies),
    'gateways.gateway.networking.k8s.io': list(
      object('Gateway', 'a', 'wp', { spec: { gatewayClassName: 'istio-waypoint' } }),
    ),
  });
}

const SEEN: Seen = {
  identity: { trustDomain: 'cluster.local', namespace: 'foo', serviceAccount: 'sleep' },
  sourceIp: '10.0.0.1',
  destinationIp: '10.0.0.9',
  port: 80,
  http: { method: 'GET', path: '/get?x=1', host: 'web.a', headers: { 'X-Team': 'red' } },
};

function atZtunnel(spec: Json | readonly Json[], seen: Partial<Seen> = {}): string {
  const mesh = meshWith(...[spec].flat().map((one, index) => policy(`p${index}`, one as Json)));
  const found = mesh.podByName('a', 'x');
  if (found === null) throw new Error('no pod');
  return ztunnelAnswer(mesh, found, { ...SEEN, ...seen }).answer;
}

function atSidecar(spec: Json | readonly Json[], seen: Partial<Seen> = {}): string {
  const mesh = meshWith(...[spec].flat().map((one, index) => policy(`p${index}`, one as Json)));
  const found = mesh.podByName('a', 'x');
  if (found === null) throw new Error('no pod');
  return envoyAnswer(mesh, policiesOfPod(mesh, found), { ...SEEN, ...seen }).answer;
}

const from = (source: Json): Json => ({ from: [{ source }] });
const to = (operation: Json): Json => ({ to: [{ operation }] });
const allow = (...rules: readonly Json[]): Json => ({ action: 'ALLOW', rules });
const deny = (...rules: readonly Json[]): Json => ({ action: 'DENY', rules });

/** The policy · what ztunnel says · what a sidecar says. */
const CASES: readonly (readonly [string, Json | readonly Json[], string, string])[] = [
  ['none', [], 'allow', 'allow'],
  ['allow nothing', allow(), 'deny', 'deny'],
  ['an empty spec', {}, 'deny', 'deny'],
  ['allow all', allow({}), 'allow', 'allow'],
  ['deny all', deny({}), 'deny', 'deny'],
  ['the principal', allow(from({ principals: ['cluster.local/ns/foo/sa/sleep'] })), 'allow', 'allow'],
  ['a principal by suffix', allow(from({ principals: ['*/ns/foo/sa/sleep'] })), 'allow', 'allow'],
  ['a principal by prefix', allow(from({ principals: ['cluster.local/ns/foo/*'] })), 'allow', 'allow'],
  ['any principal', allow(from({ principals: ['*'] })), 'allow', 'allow'],
  ['another principal', allow(from({ principals: ['cluster.local/ns/foo/sa/other'] })), 'deny', 'deny'],
  ['not this principal', allow(from({ notPrincipals: ['cluster.local/ns/foo/sa/sleep'] })), 'deny', 'deny'],
  ['the namespace', allow(from({ namespaces: ['foo'] })), 'allow', 'allow'],
  [
    'the namespace, but another account',
    allow(from({ namespaces: ['foo'], notPrincipals: ['*/sa/sleep'] })),
    'deny',
    'deny',
  ],
  ['the service account', allow(from({ serviceAccounts: ['foo/sleep'] })), 'allow', 'allow'],
  ['an account of its own namespace', allow(from({ serviceAccounts: ['sleep'] })), 'deny', 'deny'],
  ['the address', allow(from({ ipBlocks: ['10.0.0.0/24'] })), 'allow', 'allow'],
  ['another address', allow(from({ notIpBlocks: ['10.0.0.0/24'] })), 'deny', 'deny'],
  [
    'one of two sources',
    allow({ from: [{ source: { namespaces: ['x'] } }, { source: { namespaces: ['foo'] } }] }),
    'allow',
    'allow',
  ],
  ['one of two rules', allow(from({ namespaces: ['x'] }), from({ namespaces: ['foo'] })), 'allow', 'allow'],
  ['source and port', allow({ ...from({ namespaces: ['foo'] }), ...to({ ports: ['80'] }) }), 'allow', 'allow'],
  ['source and another port', allow({ ...from({ namespaces: ['foo'] }), ...to({ ports: ['81'] }) }), 'deny', 'deny'],
  ['a condition', allow({ when: [{ key: 'source.namespace', values: ['foo'] }] }), 'allow', 'allow'],
  ['a negative condition', allow({ when: [{ key: 'destination.port', notValues: ['80'] }] }), 'deny', 'deny'],
  ['deny goes before allow', [allow({}), deny(from({ namespaces: ['foo'] }))], 'deny', 'deny'],
  ['dry-run does nothing', [], 'allow', 'allow'],
  // HTTP at ztunnel: an ALLOW rule is left out whole, of a DENY rule the HTTP part is cut away
  ['allow a method', allow(to({ methods: ['GET'] })), 'deny', 'allow'],
  [
    'allow a source and a method',
    allow({ ...from({ namespaces: ['foo'] }), ...to({ methods: ['GET'] }) }),
    'deny',
    'allow',
  ],
  [
    'allow another path or the namespace',
    allow(to({ paths: ['/other'] }), from({ namespaces: ['foo'] })),
    'allow',
    'allow',
  ],
  ['deny a method only', deny(to({ methods: ['GET'] })), 'allow', 'deny'],
  ['deny another method only', deny(to({ methods: ['POST'] })), 'allow', 'allow'],
  [
    'deny a source with a method',
    deny({ ...from({ namespaces: ['foo'] }), ...to({ methods: ['POST'], ports: ['80'] }) }),
    'deny',
    'allow',
  ],
  [
    'deny a source by header',
    deny({ ...from({ namespaces: ['foo'] }), when: [{ key: 'request.headers[x-team]', values: ['red'] }] }),
    'allow',
    'deny',
  ],
  // HTTP at a sidecar
  ['a path with its query', allow(to({ paths: ['/get'] })), 'deny', 'allow'],
  ['a path by prefix', allow(to({ paths: ['/g*'] })), 'deny', 'allow'],
  ['a path template', allow(to({ paths: ['/{*}'] })), 'deny', 'unknown'],
  ['a host', allow(to({ hosts: ['WEB.a'] })), 'deny', 'allow'],
  ['a JWT where none is sent', allow(from({ requestPrincipals: ['*'] })), 'deny', 'deny'],
  ['an external authorizer', { action: 'CUSTOM', provider: { name: 'x' }, rules: [{}] }, 'allow', 'unknown'],
  ['an audit', { action: 'AUDIT', rules: [{}] }, 'allow', 'allow'],
  // where it holds
  ['for other pods', { ...deny({}), selector: { matchLabels: { app: 'y' } } }, 'allow', 'allow'],
  ['for these pods', { ...deny({}), selector: { matchLabels: { app: 'x' } } }, 'deny', 'deny'],
  ['for a waypoint', { ...deny({}), targetRefs: [{ kind: 'Service', name: 'x' }] }, 'allow', 'allow'],
];

describe('an AuthorizationPolicy', () => {
  it.each(CASES)('%s', (_, spec, ztunnel, sidecar) => {
    expect([atZtunnel(spec), atSidecar(spec)]).toEqual([ztunnel, sidecar]);
  });

  it('plain text has no identity: positive matches fail, negative ones hold', () => {
    const plain = { identity: null };
    expect(atZtunnel(allow(from({ principals: ['*'] })), plain)).toBe('deny');
    expect(atZtunnel(deny(from({ principals: ['*'] })), plain)).toBe('allow');
    expect(atZtunnel(deny(from({ notPrincipals: ['*'] })), plain)).toBe('deny');
    expect(atZtunnel(allow(from({ notNamespaces: ['foo'] })), plain)).toBe('allow');
  });

  it('what is not known stays open', () => {
    expect(atZtunnel(allow(from({ ipBlocks: ['10.0.0.0/8'] })), { sourceIp: null })).toBe('unknown');
    expect(atSidecar(deny(from({ remoteIpBlocks: ['10.0.0.0/8'] })))).toBe('unknown');
    expect(atSidecar(deny(to({ methods: ['GET'] })), { http: null })).toBe('unknown');
    const jwt = { http: { method: 'GET', path: '/', host: 'x', headers: { authorization: 'Bearer x' } } };
    expect(atSidecar(allow(from({ requestPrincipals: ['*'] })), jwt)).toBe('unknown');
    expect(atSidecar(allow(from({ requestPrincipals: ['*'] }), from({ namespaces: ['foo'] })), jwt)).toBe('allow');
  });

  it('of the root namespace holds everywhere; dry-run nowhere', () => {
    const root = meshWith(policy('r', deny({}), 'istio-system'));
    const dry = meshWith(policy('d', deny({}), 'a', { 'istio.io/dry-run': 'true' }));
    const other = meshWith(policy('o', deny({}), 'b'));
    const of = (mesh: Mesh): string => {
      const found = mesh.podByName('a', 'x');
      return found === null ? '' : ztunnelAnswer(mesh, found, SEEN).answer;
    };
    expect([of(root), of(dry), of(other)]).toEqual(['deny', 'allow', 'allow']);
  });

  it('is unknown without the list', () => {
    const mesh = meshOf({ pods: list(pod('a', 'x')), configmaps: list(MESH_CONFIG) });
    const found = mesh.podByName('a', 'x');
    expect(found === null ? null : ztunnelAnswer(mesh, found, SEEN).answer).toBe('unknown');
  });

  it('a waypoint takes those that name it, its class (from the root namespace) or the Service', () => {
    const mesh = meshWith(
      policy('selector', { selector: { matchLabels: { app: 'x' } } }),
      policy('service', { targetRefs: [{ kind: 'Service', name: 's' }] }),
      policy('service-elsewhere', { targetRefs: [{ kind: 'Service', name: 's' }] }, 'b'),
      policy('gateway', { targetRef: { group: 'gateway.networking.k8s.io', kind: 'Gateway', name: 'wp' } }),
      policy('class', { targetRefs: [{ kind: 'GatewayClass', name: 'istio-waypoint' }] }, 'istio-system'),
      policy('class-elsewhere', { targetRefs: [{ kind: 'GatewayClass', name: 'istio-waypoint' }] }),
    );
    const gateway = mesh.list('gateways').items[0];
    if (gateway === undefined) throw new Error('no gateway');
    const names = policiesOfWaypoint(mesh, gateway, { kind: 'Service', namespace: 'a', name: 's' }).map(
      (one) => one.name,
    );
    expect(names).toEqual(['service', 'gateway', 'class']);
  });
});
