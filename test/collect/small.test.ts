import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { assertAllowed, NotAllowedError } from '../../src/collect/allow.js';
import { asCollectError } from '../../src/collect/errors.js';
import { rulesFromInitLog } from '../../src/collect/init-log.js';
import { netnsCommand, parseOutput } from '../../src/collect/netns-script.js';
import { clusterRole } from '../../src/collect/rbac.js';
import { parseReference } from '../../src/collect/reference.js';
import { addressesIn, mayBePod } from '../../src/collect/tracking.js';
import { memorySink } from '../../src/snapshot/write.js';

describe('what may be asked of a cluster', () => {
  const none = { debugContainer: false };
  it.each([
    ['GET', '/api/v1/pods'],
    ['GET', '/api/v1/namespaces/foo/pods/sleep-1/exec'],
    ['GET', '/apis/networking.istio.io/v1/virtualservices'],
    ['POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
  ])('%s %s', (method, path) => expect(() => assertAllowed(method, path, none)).not.toThrow());

  it.each([
    ['GET', '/api/v1/secrets'],
    ['GET', '/api/v1/namespaces/foo/secrets/x'],
    ['POST', '/api/v1/namespaces/foo/pods'],
    ['DELETE', '/api/v1/namespaces/foo/pods/x'],
    ['PATCH', '/api/v1/namespaces/foo/pods/x'],
    ['PATCH', '/api/v1/namespaces/foo/pods/x/ephemeralcontainers'],
    ['GET', '/api/v1/namespaces/foo/pods/x/attach'],
    ['GET', '/api/v1/namespaces/foo/pods/../secrets'],
    ['GET', '/api/v1/nodes/n/proxy/exec'],
  ])('not %s %s', (method, path) => expect(() => assertAllowed(method, path, none)).toThrow(/must not ask/));

  it.each([
    ['PATCH', '/api/v1/namespaces/foo/pods/x/ephemeralcontainers'],
    ['POST', '/api/v1/namespaces/foo/pods'],
    ['DELETE', '/api/v1/namespaces/foo/pods/meshpath-0a1b2c'],
  ])('%s %s only when it was allowed', (method, path) => {
    expect(() => assertAllowed(method, path, none)).toThrow(/must not ask/);
    expect(() => assertAllowed(method, path, { debugContainer: true })).not.toThrow();
  });

  it.each([
    ['DELETE', '/api/v1/namespaces/foo/pods/sleep-1'],
    ['DELETE', '/api/v1/namespaces/foo/pods'],
    ['DELETE', '/api/v1/namespaces/foo/pods/meshpath-0a1b2c/log'],
    ['PATCH', '/api/v1/namespaces/foo/pods/meshpath-0a1b2c'],
    ['POST', '/api/v1/namespaces/foo/secrets'],
    ['POST', '/api/v1/namespaces/foo/pods/x/exec'],
  ])('%s %s never', (method, path) => {
    expect(() => assertAllowed(method, path, { debugContainer: true })).toThrow(/must not ask/);
  });
});

it('a request that is not allowed is a defect, never a state of the cluster', () => {
  expect(() => asCollectError(new NotAllowedError('x'))).toThrow(NotAllowedError);
  expect(asCollectError(new Error('x')).kind).toBe('unreachable');
});

describe('rights', () => {
  it.each(['view', 'portforward', 'exec'] as const)('tier %s is YAML that reads and does not write', (tier) => {
    const role = parse(clusterRole(tier, 'x')) as { rules: { resources: string[]; verbs: string[] }[] };
    const resources = role.rules.flatMap((rule) => rule.resources);
    expect(resources).not.toContain('secrets');
    expect(resources.includes('pods/exec')).toBe(tier === 'exec');
    expect(resources.includes('pods/portforward')).toBe(tier !== 'view');
    for (const rule of role.rules) {
      const stream = rule.resources.every((resource) => /^pods\/(?:exec|portforward)$/.test(resource));
      expect(rule.verbs.filter((verb) => !['get', 'list'].includes(verb))).toEqual(stream ? ['create'] : []);
    }
  });
});

describe('names that a person types', () => {
  it.each([
    ['sleep', { names: [{ name: 'sleep', namespace: null }] }],
    ['foo/sleep', { names: [{ name: 'sleep', namespace: 'foo' }] }],
    [
      'deploy/sleep',
      {
        names: [
          { name: 'sleep', namespace: null },
          { name: 'sleep', namespace: 'deploy' },
        ],
      },
    ],
    ['bar/httpbin:http', { names: [{ name: 'httpbin', namespace: 'bar' }] }],
    ['bar/httpbin:8000/status/200', { names: [{ name: 'httpbin', namespace: 'bar' }] }],
    ['bar/deployment.apps/httpbin', { names: [{ name: 'httpbin', namespace: 'bar' }] }],
    ['node/node-a:10250', { node: 'node-a' }],
    ['external/partner', { external: true }],
    ['10.0.0.1:80/status', { address: '10.0.0.1' }],
    ['[fd00::1]:80/status', { address: 'fd00::1' }],
    // what is no name of Kubernetes is asked for by nobody
    ['a b/sleep', {}],
    ['foo/a..b', {}],
    ['foo/%2e%2e', {}],
    ['node/a b', {}],
    ['*.example.com', {}],
    [`foo/${'a'.repeat(300)}`, {}],
    ['foo/deploy/sleep', { names: [{ name: 'sleep', namespace: 'foo' }] }],
    ['httpbin.bar:8000', { names: [{ name: 'httpbin', namespace: 'bar' }] }],
    ['node/node-a', { node: 'node-a' }],
    ['external', { external: true }],
    ['10.0.0.1:80', { address: '10.0.0.1' }],
    ['[fd00::1]:80', { address: 'fd00::1' }],
    ['fd00::1', { address: 'fd00::1' }],
    ['http://10.0.0.1:80/x', { address: '10.0.0.1' }],
  ])('%s', (text, expected) => {
    expect(parseReference(text)).toEqual({ external: false, node: null, address: null, names: [], ...expected });
  });

  it('a host names the namespace before svc', () => {
    expect(parseReference('http://httpbin.bar.svc.cluster.local/get').names[0]).toEqual({
      name: 'httpbin',
      namespace: 'bar',
    });
  });
});

describe('what an answer speaks of', () => {
  it('addresses at the ends of connections, not those in evidence', () => {
    const found = addressesIn({
      links: [{ to: '10.1.2.3:80', inner: '[fd00::7]:80' }],
      hops: [{ packet: { src: '10.9.9.9:1', dst: '10.1.2.4:5' }, evidence: [{ text: '-A X -d 10.7.7.7/32' }] }],
    });
    expect([...found].sort()).toEqual(['10.1.2.3', '10.1.2.4', '10.9.9.9', 'fd00::7']);
  });
  it('loopback and link-local addresses are no pods', () => {
    expect(['127.0.0.1', '::1', '169.254.7.127', 'fe80::1', '224.0.0.1'].filter(mayBePod)).toEqual([]);
    expect(['10.0.0.1', 'fd00::1', '2001:db8::1'].every(mayBePod)).toBe(true);
  });
});

describe('the log of istio-init', () => {
  const SAVED =
    '# Generated by iptables-save v1.8.7 on Sat Nov 21 05:19:02 2026\n*nat\n:PREROUTING ACCEPT [0:0]\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\nCOMMIT\n# Completed on Sat Nov 21 05:19:02 2026\n';
  it('gives the state that it left', () => {
    const log = `2026-01-01T00:00:00Z info Running iptables-restore with the following input:\n* nat\n-A X\nCOMMIT\n2026-01-01T00:00:01Z info Final iptables state (IPv4):\n${SAVED}\n2026-01-01T00:00:01Z info Final iptables state (IPv6):\n`;
    expect(rulesFromInitLog(log)).toEqual({ v4: SAVED, v6: null });
  });
  it('what it only meant to apply proves nothing', () => {
    expect(rulesFromInitLog('Running iptables-restore with the following input:\n* nat\n-A X\nCOMMIT\n')).toEqual({
      v4: null,
      v6: null,
    });
  });
});

describe('the script that prints a network namespace', () => {
  it('runs in a POSIX shell, and is read back part by part', () => {
    const [shell = '', ...args] = netnsCommand([{ kind: 'own', id: 'own' }], { mark: '@m@', conntrack: false });
    const stdout = execFileSync(shell, args, { stdio: ['ignore', 'pipe', 'ignore'] }).toString();
    const parts = parseOutput(stdout, '', '@m@').parts.get('own');
    expect([...(parts?.keys() ?? [])]).toContain('ip-address.json');
    expect(parts?.size).toBe(14);
  });
  it('keeps the address of what was asked for out of the shell', () => {
    const [, , script = ''] = netnsCommand([{ kind: 'pod', id: 't0', ips: ['10.0.0.1', 'fd00::1'] }], {
      mark: '@m@',
      conntrack: true,
    });
    expect(script).toContain('W=" 10.0.0.1=t0 fd00::1=t0 "');
  });
  it('a part whose end is missing is left out', () => {
    const { parts } = parseOutput('@m@ own a\nx\n@m@ = 0\n@m@ own b\nhalf', '@m@ own a\n\n@m@ = 0\n', '@m@');
    expect([...(parts.get('own') ?? new Map<string, unknown>()).keys()]).toEqual(['a']);
  });
});

describe('a sink', () => {
  it('writes nothing outside its folder', () => {
    const sink = memorySink();
    for (const file of ['../x', '/etc/passwd', 'a/../../b', 'a\\b', '', 'a/\u0000']) {
      expect(() => sink.put(file, 'x'), file).toThrow(/no path inside/);
    }
  });
});
