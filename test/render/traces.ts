import type { Evidence } from '../../src/formats/evidence.js';
import type { Finding, Hop, Link, Path, Stop, StopRole, Trace } from '../../src/walk/trace.js';

/** Traces made by hand, one a story, for the renderers. */
const SLEEP = 'sleep-56df5b9cc9-w667b';
const HTTPBIN = 'httpbin-cd5c9f46b-xv2lf';

function stop(role: StopRole, namespace: string, name: string, node: string): Stop {
  return { role, namespace, name, node };
}

function file(path: string, line: number, text: string): Evidence {
  return { file: path, line, text };
}

function entry(path: string, pointer: string, text: string): Evidence {
  return { file: path, pointer, text };
}

function hop(kind: Hop['kind'], at: number, netns: string, summary: string, more: Partial<Hop> = {}): Hop {
  const node = netns.startsWith('node/') ? netns.slice('node/'.length) : 'node-a';
  return { node, netns, kind, summary, stop: at, basis: 'observed', evidence: [], ...more };
}

const PACKET = { src: '10.244.1.9:43211', dst: '10.96.0.9:8000', protocol: 'tcp', mark: '0x0', dev: 'eth0' };

function trace(more: Partial<Trace>): Trace {
  return {
    apiVersion: 'meshpath.dev/v1',
    kind: 'Trace',
    source: { kind: 'Pod', namespace: 'foo', name: SLEEP, ip: '10.244.1.9', node: 'node-a', mode: 'ambient' },
    destination: {
      kind: 'Service',
      namespace: 'bar',
      name: 'httpbin',
      ip: '10.96.0.9',
      port: 8000,
      host: 'httpbin.bar.svc.cluster.local',
    },
    request: { protocol: 'http', method: 'GET', path: '/get', headers: {} },
    paths: [],
    expected: { paths: [] },
    findings: [],
    unknowns: [],
    ...more,
  };
}

const POD_RULES = `pods/foo/${SLEEP}/netns/iptables-save.txt`;
const REDIRECTED: Hop = hop('netfilter', 1, `pod/foo/${SLEEP}`, 'nat OUTPUT redirects to 15001', {
  packet: PACKET,
  evidence: [
    file(POD_RULES, 48, '-A OUTPUT -j ISTIO_OUTPUT'),
    file(
      POD_RULES,
      54,
      '-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001',
    ),
  ].reverse(),
});
const SENT: Hop = hop('send', 0, `pod/foo/${SLEEP}`, 'the app connects to 10.96.0.9:8000', { packet: PACKET });

const CLIENT_ZTUNNEL = stop('ztunnel', 'istio-system', 'ztunnel-8f85h', 'node-a');
const CLIENT_DUMP = 'pods/istio-system/ztunnel-8f85h/ztunnel/config_dump.json';
const CAPTURED: Link = { protocol: 'tcp', to: '10.96.0.9:8000', via: 'outbound-capture', own: true };

/** Ambient client, a waypoint, a server with a sidecar. */
const waypointTrace: Trace = trace({
  paths: [
    {
      probability: 1,
      verdict: 'delivered',
      reason: 'the application listens on 80 and accepts',
      encryption: 'mtls',
      stops: [
        stop('workload', 'foo', SLEEP, 'node-a'),
        CLIENT_ZTUNNEL,
        stop('waypoint', 'bar', 'waypoint-578c96bc87-hjczp', 'node-c'),
        stop('sidecar', 'bar', HTTPBIN, 'node-b'),
        stop('workload', 'bar', HTTPBIN, 'node-b'),
      ],
      links: [
        CAPTURED,
        { protocol: 'hbone', to: '10.244.3.6:15008', encrypted: true, inner: '10.96.0.9:8000' },
        {
          protocol: 'hbone',
          to: '10.244.2.6:15008',
          encrypted: true,
          inner: '10.244.2.6:80',
          endpointAddressType: 'envoy_internal_address',
        },
        { protocol: 'tcp', to: '127.0.0.1:80', own: true },
      ],
      hops: [
        SENT,
        REDIRECTED,
        hop('intercept', 1, `pod/foo/${SLEEP}`, 'ztunnel takes it on 15001', {
          evidence: [
            file(`pods/foo/${SLEEP}/netns/sockets.txt`, 3, 'LISTEN 0 1024 127.0.0.1:15001 users:(("ztunnel"))'),
          ],
        }),
        hop('proxy', 1, `pod/foo/${SLEEP}`, 'service httpbin.bar has waypoint bar/waypoint', {
          evidence: [
            entry(CLIENT_DUMP, '/services/3/waypoint', '{"destination":"bar/waypoint.bar.svc.cluster.local"}'),
          ],
        }),
        hop(
          'wire',
          2,
          'node/node-c',
          'node-a to node-c over eth0: the network between the nodes is taken to deliver it',
          {
            basis: 'assumed',
            packet: { ...PACKET, dst: '10.244.3.6:15008' },
          },
        ),
        hop('proxy', 2, 'pod/bar/waypoint-578c96bc87-hjczp', 'route 0 of inbound-vip|8000|http|httpbin.bar', {
          evidence: [
            entry(
              'pods/bar/waypoint-578c96bc87-hjczp/envoy/config_dump.json',
              '/configs/4/dynamic_route_configs/2',
              'default',
            ),
          ],
        }),
        hop('proxy', 3, `pod/bar/${HTTPBIN}`, 'connect_terminate, then inbound|80||', {
          evidence: [
            entry(`pods/bar/${HTTPBIN}/envoy/config_dump.json`, '/configs/2/dynamic_listeners/7', 'connect_terminate'),
          ],
        }),
        hop('deliver', 4, `pod/bar/${HTTPBIN}`, 'python3 listens on 0.0.0.0:80', {
          evidence: [file(`pods/bar/${HTTPBIN}/netns/sockets.txt`, 1, 'LISTEN 0 5 0.0.0.0:80')],
        }),
      ],
    },
  ],
});

function endpointPath(probability: number, name: string, node: string, ip: string, ztunnel: string): Path {
  return {
    probability,
    verdict: 'delivered',
    reason: 'the application accepts',
    encryption: 'mtls',
    stops: [
      stop('workload', 'foo', SLEEP, 'node-a'),
      CLIENT_ZTUNNEL,
      stop('ztunnel', 'istio-system', ztunnel, node),
      stop('workload', 'bar-1', name, node),
    ],
    links: [
      CAPTURED,
      { protocol: 'hbone', to: `${ip}:15008`, encrypted: true, inner: `${ip}:80` },
      { protocol: 'tcp', to: `${ip}:80`, own: true },
    ],
    hops: [
      SENT,
      REDIRECTED,
      hop('proxy', 1, `pod/foo/${SLEEP}`, 'service bar-1/httpbin: 2 endpoints, both HBONE', {
        evidence: [entry(CLIENT_DUMP, '/services/5', 'httpbin.bar-1.svc.cluster.local')],
      }),
      hop('proxy', 1, `pod/foo/${SLEEP}`, `chooses ${ip}:80 of pod bar-1/${name}`, {
        evidence: [entry(CLIENT_DUMP, `/workloads/${ip.slice(-1)}`, `Kubernetes//Pod/bar-1/${name}`)],
      }),
      hop('proxy', 2, `pod/bar-1/${name}`, 'no policy applies', {
        evidence: [entry(`pods/istio-system/${ztunnel}/ztunnel/config_dump.json`, '/policies', '[]')],
      }),
    ],
  };
}

/** Two endpoints, half of the connections each. */
const forkTrace: Trace = trace({
  destination: {
    kind: 'Service',
    namespace: 'bar-1',
    name: 'httpbin',
    ip: '10.96.0.9',
    port: 8000,
    host: 'httpbin.bar-1.svc.cluster.local',
  },
  paths: [
    endpointPath(0.5, 'httpbin-78c9bcd687-5chqt', 'node-b', '10.244.2.11', 'ztunnel-dpggb'),
    endpointPath(0.5, 'httpbin-78c9bcd687-tmmhj', 'node-c', '10.244.3.4', 'ztunnel-d4rfx'),
  ],
});

const DENY: Finding = {
  code: 'MP5007',
  severity: 'warning',
  title: 'A policy denies this traffic',
  subject: { kind: 'AuthorizationPolicy', namespace: 'bar-1', name: 'deny-foo-sleep' },
  message:
    'AuthorizationPolicy bar-1/deny-foo-sleep denies spiffe://cluster.local/ns/foo/sa/sleep on every port of bar-1/httpbin-78c9bcd687-5chqt; ztunnel-dpggb enforces it.',
  fix: 'If this traffic is meant to pass, take the principal out of the policy: `kubectl edit authorizationpolicy -n bar-1 deny-foo-sleep`.',
  docs: 'docs/codes/MP5007.md',
  evidence: [
    entry('pods/istio-system/ztunnel-dpggb/ztunnel/config_dump.json', '/policies/0', 'bar-1/deny-foo-sleep Deny'),
    entry(
      'kubernetes/authorizationpolicies.security.istio.io.json',
      '/items/0',
      'AuthorizationPolicy bar-1/deny-foo-sleep',
    ),
  ],
};

/** The server's ztunnel refuses by policy. */
const deniedTrace: Trace = trace({
  paths: [
    {
      ...endpointPath(1, 'httpbin-78c9bcd687-5chqt', 'node-b', '10.244.2.11', 'ztunnel-dpggb'),
      verdict: 'denied',
      reason: 'ztunnel-dpggb: explicitly denied by: bar-1/deny-foo-sleep',
      stops: [
        stop('workload', 'foo', SLEEP, 'node-a'),
        CLIENT_ZTUNNEL,
        stop('ztunnel', 'istio-system', 'ztunnel-dpggb', 'node-b'),
      ],
      links: [CAPTURED, { protocol: 'hbone', to: '10.244.2.11:15008', encrypted: true, inner: '10.244.2.11:80' }],
    },
  ],
  findings: [DENY],
});

const NODE_RULES = 'nodes/node-a/netns/iptables-save.txt';

/** 1.18: the pod is not in the node's set any more, its route is: the answer vanishes in the tunnel. */
const droppedTrace: Trace = trace({
  paths: [
    {
      probability: 1,
      verdict: 'dropped',
      reason: "the answer is routed into istioin and lost: the client's SYN left uncaptured, the client hangs",
      encryption: 'plaintext',
      stops: [stop('workload', 'foo', SLEEP, 'node-a'), stop('workload', 'bar', HTTPBIN, 'node-b')],
      links: [{ protocol: 'tcp', to: '10.244.2.6:80', encrypted: false }],
      hops: [
        SENT,
        hop('netfilter', 1, 'node/node-a', 'mangle PREROUTING: 10.244.1.9 is not in ztunnel-pods-ips: not captured', {
          packet: PACKET,
          evidence: [
            file(
              NODE_RULES,
              37,
              '-A ztunnel-PREROUTING -p tcp -m set --match-set ztunnel-pods-ips src -j MARK --set-xmark 0x100/0x100',
            ),
            file('nodes/node-a/netns/ipset-save.txt', 1, 'create ztunnel-pods-ips hash:ip family inet'),
          ],
        }),
        hop('netfilter', 1, 'node/node-a', 'kube-proxy: 10.96.0.9:8000 becomes 10.244.2.6:80', {
          packet: { ...PACKET, dst: '10.244.2.6:80' },
          evidence: [
            file(
              NODE_RULES,
              140,
              '-A KUBE-SEP-ABCDEFGHIJKLMNOP -p tcp -m comment --comment "bar/httpbin:http" -m tcp -j DNAT --to-destination 10.244.2.6:80',
            ),
          ],
        }),
        hop('wire', 1, 'node/node-b', 'node-a to node-b', {
          basis: 'assumed',
          packet: { ...PACKET, dst: '10.244.2.6:80' },
        }),
        hop('route', 1, 'node/node-a', 'rule 103, table 100: 10.244.1.9 via 192.168.126.2 dev istioin', {
          phase: 'reply',
          packet: { src: '10.244.2.6:80', dst: '10.244.1.9:43211', protocol: 'tcp', mark: '0x0', dev: 'istioin' },
          evidence: [
            entry('nodes/node-a/netns/ip-route.json', '/3', '10.244.1.9 via 192.168.126.2 dev istioin table 100'),
          ],
        }),
        hop('netfilter', 1, 'pod/istio-system/ztunnel-8f85h', 'no connection of this address: the packet is dropped', {
          phase: 'reply',
          packet: { src: '10.244.2.6:80', dst: '10.244.1.9:43211', protocol: 'tcp', mark: '0x0', dev: 'pistioin' },
        }),
      ],
    },
  ],
  findings: [
    {
      code: 'MP0101',
      severity: 'error',
      title: "Pod is missing from the node's ipset",
      subject: { kind: 'Pod', namespace: 'foo', name: SLEEP },
      message: `10.244.1.9 is not in ztunnel-pods-ips of node-a, though pod foo/${SLEEP} is annotated as redirected. Its TCP is not captured, while the route in table 100 still pulls the answers into the tunnel.`,
      fix: `Recreate the pod: \`kubectl delete pod -n foo ${SLEEP}\`.`,
      docs: 'docs/codes/MP0101.md',
      evidence: [file('nodes/node-a/netns/ipset-save.txt', 1, 'create ztunnel-pods-ips hash:ip family inet')],
    },
  ],
});

/** A file is missing: what would decide is said. */
const unknownTrace: Trace = trace({
  paths: [
    {
      probability: null,
      verdict: 'unknown',
      reason: `the rules of pod foo/${SLEEP} are not in the snapshot`,
      encryption: null,
      stops: [stop('workload', 'foo', SLEEP, 'node-a')],
      links: [],
      hops: [SENT],
    },
  ],
  unknowns: [
    {
      fact: `rules of pod foo/${SLEEP}: ${POD_RULES}`,
      reason: 'pods/exec is forbidden for system:serviceaccount:ops:reader in namespace foo',
    },
  ],
});

/** Names and texts that attack the reader of each output. */
export const hostileTrace: Trace = trace({
  source: { kind: 'Pod', namespace: 'foo', name: 'a\u001b[31mb', ip: null, node: 'n\u202eode', mode: 'ambient' },
  request: {
    protocol: 'http',
    method: 'GET',
    path: '/a;b#c%%{init}\nend -->> <b>&\u200b',
    headers: { __proto__x: '\u0007' },
  },
  paths: [
    {
      probability: 1 / 3,
      verdict: 'error',
      reason: 'no route\r\nfor "x"; end #1',
      encryption: null,
      stops: [stop('workload', 'foo', 'a\u001b[31mb', 'n\u202eode')],
      links: [{ protocol: 'tcp', to: '10.0.0.1:80;\n  p0->>p1: forged' }],
      hops: [
        hop('proxy', 0, 'pod/foo/x', 'route "end"; %%{init: {}}%% \u009b2J', {
          evidence: [file('pods/foo/a\u001b]8;;evil\u0007/netns/x.txt', 1, '\u001b[2J-j ACCEPT\u202e')],
        }),
      ],
    },
    { ...endpointPath(2 / 3, 'ok', 'node-b', '10.244.2.11', 'z'), verdict: 'unknown', reason: 'reason: x\u2028y' },
  ],
});

export const stories: Readonly<Record<string, Trace>> = {
  waypoint: waypointTrace,
  fork: forkTrace,
  denied: deniedTrace,
  dropped: droppedTrace,
  unknown: unknownTrace,
  hostile: hostileTrace,
};
