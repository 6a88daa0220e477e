// A config_dump of ztunnel 1.30.3 as large as asked for: 20,000 workloads, 3,000 services, the rest endpoints, printed as
// ztunnel prints it (indented). The same size gives the same bytes.

const WORKLOADS = 20_000;
const SERVICES = 3_000;
const NODES = 200;
const NAMESPACES = 120;
export const NODE_PODS = WORKLOADS / NODES;

/** Small, fixed-seed generator (Lehmer): benchmarks are compared between runs. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
}

const podIp = (index) => `10.${64 + Math.floor(index / 65536)}.${Math.floor(index / 256) % 256}.${index % 256}`;
const vip = (index) => `10.96.${Math.floor(index / 250)}.${1 + (index % 250)}`;
const namespaceOf = (index) => `team-${index % NAMESPACES}`;
const uidOf = (index) => `Kubernetes//Pod/${namespaceOf(index)}/app-${index}-6c9f7d5b8-x${index % 97}`;

function workload(index) {
  const namespace = namespaceOf(index);
  return {
    canonicalName: `app-${index % SERVICES}`,
    canonicalRevision: 'v1',
    capacity: 1,
    clusterId: 'Kubernetes',
    locality: { region: 'eu-1', zone: `eu-1${'abc'[index % 3]}`, subzone: '' },
    name: `app-${index}-6c9f7d5b8-x${index % 97}`,
    namespace,
    networkMode: 'Standard',
    node: `node-${index % NODES}`,
    protocol: index % 10 === 0 ? 'TCP' : 'HBONE',
    serviceAccount: `app-${index % SERVICES}`,
    services: [
      `${namespaceOf(index % SERVICES)}/app-${index % SERVICES}.${namespaceOf(index % SERVICES)}.svc.cluster.local`,
    ],
    status: 'Healthy',
    trustDomain: 'cluster.local',
    uid: uidOf(index),
    workloadIps: [podIp(index)],
    workloadName: `app-${index % SERVICES}`,
    workloadType: 'deployment',
    ...(index % 20 === 0 ? { authorizationPolicies: ['istio-system/istio_converted_static_strict'] } : {}),
  };
}

function service(index, endpoints, random) {
  const namespace = namespaceOf(index);
  const list = {};
  for (let count = 0; count < endpoints; count++) {
    // the first endpoints are the service's own pods, the others stand for a large mesh
    const uid = uidOf(count < 6 ? (index + count * SERVICES) % WORKLOADS : random(WORKLOADS));
    list[uid] = { port: { 80: 8080, 9090: 9090 }, status: 'Healthy', workloadUid: uid };
  }
  return {
    canonical: true,
    endpoints: list,
    hostname: `app-${index}.${namespace}.svc.cluster.local`,
    name: `app-${index}`,
    namespace,
    ports: { 80: 0, 9090: 9090 },
    subjectAltNames: [],
    vips: [`/${vip(index)}`],
    ...(index % 15 === 1
      ? { waypoint: { destination: `${namespaceOf(0)}/app-0.${namespaceOf(0)}.svc.cluster.local`, hboneMtlsPort: 80 } }
      : {}),
    ...(index % 5 === 2
      ? {
          loadBalancer: {
            healthPolicy: 'OnlyHealthy',
            mode: 'Failover',
            routingPreferences: ['Network', 'Region', 'Zone'],
          },
        }
      : {}),
  };
}

function policies() {
  const out = [
    {
      action: 'Deny',
      dryRun: false,
      name: 'istio_converted_static_strict',
      namespace: 'istio-system',
      rules: [[[{ notPrincipals: [{ Presence: [] }] }]]],
      scope: 'WorkloadSelector',
    },
  ];
  for (let index = 0; index < NAMESPACES; index++) {
    out.push({
      action: 'Allow',
      dryRun: false,
      name: 'allow',
      namespace: `team-${index}`,
      rules: [
        [
          [{ namespaces: [{ Exact: `team-${(index + 1) % NAMESPACES}` }, { Prefix: 'team-1' }] }],
          [{ destinationPorts: [8080] }],
        ],
        [[{ sourceIps: ['10.64.0.0/10'] }]],
      ],
      scope: 'Namespace',
    });
  }
  return out;
}

function localPods() {
  const state = {};
  for (let index = 0; index < WORKLOADS; index += NODES) {
    const { name, namespace, serviceAccount } = workload(index);
    state[`uid-${index}`] = { info: { name, namespace, serviceAccount }, state: 'Up' };
  }
  return state;
}

export function generateDump(megabytes) {
  const random = generator(20260101);
  const fixed = 20_000 * 1100 + 200_000;
  const endpoints = Math.max(6, Math.round((megabytes * 1e6 - fixed) / SERVICES / 222));
  const dump = {
    certificates: [],
    config: {
      clusterDomain: 'cluster.local',
      dnsProxy: true,
      illegalPorts: [15001, 15006, 15008],
      inboundAddr: '[::]:15008',
      ipv6Enabled: true,
      localNode: 'node-0',
      localhostAppTunnel: true,
      network: '',
      proxyMode: 'Shared',
      xdsOnDemand: false,
    },
    policies: policies(),
    services: Array.from({ length: SERVICES }, (_, index) => service(index, endpoints, random)),
    stagedServices: {},
    staticConfig: { policies: [], services: [], workloads: [] },
    version: { version: '1.30.3' },
    workloadState: localPods(),
    workloads: Array.from({ length: WORKLOADS }, (_, index) => workload(index)),
  };
  return JSON.stringify(dump, null, 2);
}

/** Connections of the pods of node-0, drawn without regard to what was asked before. */
export function questions(kind, count) {
  const random = generator(42);
  const local = () => random(NODE_PODS) * NODES;
  const identity = () => {
    const { namespace, serviceAccount } = workload(random(WORKLOADS));
    return `spiffe://cluster.local/ns/${namespace}/sa/${serviceAccount}`;
  };
  const base = { identity: null, arrivedAt: null, pod: null };
  const makers = {
    'outbound to services': () => ({
      ...base,
      direction: 'outbound',
      src: podIp(local()),
      dst: `${vip(random(SERVICES))}:${random(2) === 0 ? 80 : 9090}`,
    }),
    'outbound to pods': () => ({
      ...base,
      direction: 'outbound',
      src: podIp(local()),
      dst: `${podIp(random(WORKLOADS))}:8080`,
    }),
    inbound: () => ({
      ...base,
      direction: 'inbound',
      src: podIp(random(WORKLOADS)),
      dst: `${podIp(local())}:8080`,
      identity: identity(),
    }),
    'inbound-plaintext': () => ({
      ...base,
      direction: 'inbound-plaintext',
      src: podIp(random(WORKLOADS)),
      dst: `${podIp(local())}:8080`,
    }),
  };
  const kinds = Object.keys(makers);
  return Array.from({ length: count }, () => makers[kind === 'mixed' ? kinds[random(kinds.length)] : kind]());
}

/** One connection of one pod to each Service. */
export function eachService() {
  return Array.from({ length: SERVICES }, (_, index) => ({
    direction: 'outbound',
    src: podIp(0),
    dst: `${vip(index)}:9090`,
    identity: null,
    arrivedAt: null,
    pod: null,
  }));
}
