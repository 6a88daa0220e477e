import type { HttpRequest } from '../envoy/face.js';
import { isUnknown, type Unknown } from '../formats/evidence.js';
import { joinHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import { proxyContainer } from '../mesh/proxies.js';
import type { Destination, Question } from '../mesh/question.js';
import type { Address } from '../netns/face.js';
import type { Opening } from './connect.js';
import type { Engines } from './engines.js';
import { placeOfNode, placeOfPod, type Place } from './place.js';
import type { Process } from './process.js';
import type { Content } from './route.js';
import type { Start } from './walk.js';

/**
 * Where a question begins: one start per address that the client may call; or the fact that is missing. `unknowns`: what
 * the question leaves open, whatever the way.
 */
export type Starts =
  { readonly starts: readonly Start[]; readonly unknowns: readonly Unknown[] } | { readonly unknown: Unknown };

/** A client outside of the cluster has some address there; this one is reserved for examples (RFC 5737, RFC 3849). */
const OUTSIDE_V4 = '198.51.100.1';
const OUTSIDE_V6 = '2001:db8::1';
/** Stands for an address that nothing looks at. */
const UNSPECIFIED = '0.0.0.0';

export function startsOf(engines: Engines, question: Question): Starts {
  const proxy = proxyStart(engines, question);
  if (proxy !== null) return proxy;
  const targets = targetsOf(engines.mesh, question);
  if ('unknown' in targets) return targets;
  const starts: Start[] = [];
  for (const target of targets.addresses) {
    const sender = senderOf(engines, question, target);
    if ('unknown' in sender) return sender;
    starts.push({
      kind: 'client',
      process: sender.process,
      opening: { ...sender.opening, dst: target, protocol: question.protocol === 'udp' ? 'udp' : 'tcp' },
      content: contentOf(question, target),
      probability: 1 / targets.addresses.length,
    });
  }
  return { starts, unknowns: ofAnotherProcess(engines.mesh, question) };
}

/**
 * A gateway runs nothing but its proxy: what it sends to a Service is what its Envoy sends to that Service's cluster. Null:
 * the question is another one, or its Envoy has no such cluster.
 */
function proxyStart(engines: Engines, question: Question): Starts | null {
  const { source, destination, protocol } = question;
  if (source.kind !== 'pod' || destination.kind !== 'service' || protocol === 'udp') return null;
  const { pod } = source;
  if (modeOf(engines.mesh, pod).mode !== 'gateway' || appContainer(pod) !== undefined) return null;
  const envoy = engines.envoy(pod);
  if (isUnknown(envoy)) return { unknown: envoy };
  const cluster = `outbound|${destination.port}||${destination.host}`;
  if (!envoy.clusters.includes(cluster)) return null;
  const name = `${pod.namespace}/${pod.name}`;
  const dst = { ip: destination.ip ?? UNSPECIFIED, port: destination.port };
  return {
    starts: [
      {
        kind: 'proxy',
        process: { kind: 'envoy', role: 'gateway', place: placeOfPod(pod), pod },
        cluster,
        client: { ip: pod.ips[0] ?? UNSPECIFIED, port: 0 },
        dst,
        content: contentOf(question, dst),
        probability: 1,
      },
    ],
    unknowns: [
      {
        fact: `which requests gateway ${name} sends to ${destination.host}:${destination.port}`,
        reason: `its routes decide it: \`meshpath trace external ${name} --direct --port …\` with the request's Host and path follows one through them`,
      },
    ],
  };
}

/** What is told of a proxy's pod and is not what its Envoy forwards. */
function ofAnotherProcess(mesh: Mesh, { source }: Question): readonly Unknown[] {
  if (source.kind !== 'pod' || appContainer(source.pod) !== undefined) return [];
  const { mode } = modeOf(mesh, source.pod);
  if (mode !== 'gateway' && mode !== 'waypoint') return [];
  const fact = `what the Envoy of ${mode} ${source.pod.namespace}/${source.pod.name} forwards there`;
  return [
    { fact, reason: 'this is the way of another process in its pod (pilot-agent); ask from a client of the proxy' },
  ];
}

function appContainer(pod: Pod): Pod['containers'][number] | undefined {
  const proxy = proxyContainer(pod)?.container.name;
  return pod.containers.find((container) => !container.init && container.name !== proxy);
}

type Targets = { readonly addresses: readonly Address[] } | { readonly unknown: Unknown };

function targetsOf(mesh: Mesh, question: Question): Targets {
  const { destination } = question;
  switch (destination.kind) {
    case 'service':
      return serviceTargets(mesh, question, destination);
    case 'pod': {
      const family6 = destination.ip.includes(':');
      const others = destination.also.flatMap((pod) => pod.ips.find((ip) => ip.includes(':') === family6) ?? []);
      return { addresses: [destination.ip, ...others].map((ip) => ({ ip, port: destination.port })) };
    }
    case 'node':
    case 'address':
      return { addresses: [{ ip: destination.ip, port: destination.port }] };
    case 'serviceEntry':
      if (destination.ip !== null) return { addresses: [{ ip: destination.ip, port: destination.port }] };
      return unresolved(destination.host, 'its ServiceEntry has no address');
    case 'host':
      return unresolved(destination.host, 'no Service and no ServiceEntry has this name');
  }
}

function unresolved(host: string, reason: string): Targets {
  return { unknown: { fact: `the address that ${host} resolves to`, reason } };
}

function serviceTargets(mesh: Mesh, question: Question, destination: Destination & { kind: 'service' }): Targets {
  const { service, port } = destination;
  if (question.source.kind === 'external') return fromOutside(mesh, destination);
  if (destination.ip !== null) return { addresses: [{ ip: destination.ip, port }] };
  if (service.externalName !== null) return unresolved(service.externalName, 'an ExternalName Service: DNS decides');
  const missing = mesh.unknownOf('endpointSlices', `the endpoints of ${destination.host}`);
  const endpoints = mesh.endpointsOf(service).filter((e) => e.ready || service.publishNotReadyAddresses);
  if (endpoints.length > 0) return { addresses: endpoints.map((endpoint) => ({ ip: endpoint.ip, port })) };
  return missing === null
    ? unresolved(destination.host, 'a headless Service without a ready endpoint: DNS has no address for it')
    : { unknown: missing };
}

/** From outside a Service is reached by its load balancer's address, an external address, or a node port. */
function fromOutside(mesh: Mesh, destination: Destination & { kind: 'service' }): Targets {
  const { service, port, servicePort } = destination;
  const address = service.loadBalancerIps[0] ?? service.externalIps[0];
  if (address !== undefined) return { addresses: [{ ip: address, port }] };
  const node = mesh.list('nodes').items[0];
  const nodeIp = node?.internalIps[0];
  if (servicePort?.nodePort != null && nodeIp !== undefined)
    return { addresses: [{ ip: nodeIp, port: servicePort.nodePort }] };
  return {
    unknown: {
      fact: `how a client outside the cluster reaches ${destination.host}:${port}`,
      reason:
        'the Service has no load-balancer address, no external address and no node port; --direct asks for the address of a pod behind it',
    },
  };
}

type Sender =
  { readonly process: Process; readonly opening: Omit<Opening, 'dst' | 'protocol'> } | { readonly unknown: Unknown };

function senderOf(engines: Engines, question: Question, target: Address): Sender {
  const { source } = question;
  switch (source.kind) {
    case 'pod': {
      const place = placeOfPod(source.pod);
      const ids = identityOf(source.pod);
      return { process: { kind: 'app', place, pod: source.pod }, opening: { ...local(place), ...ids } };
    }
    case 'node': {
      const place = placeOfNode(source.name);
      return { process: { kind: 'node', place, node: source.name }, opening: { ...local(place), uid: 0, gid: 0 } };
    }
    case 'external':
      return outsideSender(engines, target);
  }
}

function local(place: Place): Omit<Opening, 'dst' | 'protocol' | 'uid' | 'gid'> {
  return { from: place, mark: 0, source: null, arrivesBy: null };
}

/**
 * User and group of the application: as its container says. Where it says nothing the image decides, which no file shows;
 * root stands for "not the proxy's 1337", which is all that any rule asks.
 */
function identityOf(pod: Pod): { readonly uid: number; readonly gid: number } {
  const app = appContainer(pod);
  return { uid: app?.runAsUser ?? 0, gid: app?.runAsGroup ?? 0 };
}

/** A client outside: its packets come in at the node that has the address, or at the node of the pod that has it. */
function outsideSender(engines: Engines, target: Address): Sender {
  const { mesh } = engines;
  const pod = mesh.podsByIp(target.ip)[0];
  const service = mesh.servicesByIp(target.ip)[0];
  const endpoint =
    service === undefined ? undefined : mesh.endpointsOf(service).find((e) => e.ready && e.node !== null);
  const node = mesh.nodeByIp(target.ip)?.name ?? pod?.node ?? endpoint?.node ?? null;
  const fact = `by which node traffic from outside comes to ${target.ip}`;
  if (node === null) return { unknown: { fact, reason: 'no node, pod or Service with endpoints has this address' } };
  const place = placeOfNode(node);
  const ips = mesh.nodeByName(node)?.internalIps ?? [];
  const device = engines.netns(place).devices.find((d) => d.addresses.some((a) => ips.includes(a.ip)));
  if (device === undefined) {
    return { unknown: { fact, reason: `no device of ${place.folder}/ip-address.json has the node's address` } };
  }
  const source = target.ip.includes(':') ? OUTSIDE_V6 : OUTSIDE_V4;
  return {
    process: { kind: 'external' },
    opening: { from: place, mark: 0, source, arrivesBy: device.name, uid: null, gid: null },
  };
}

function contentOf(question: Question, target: Address): Content {
  return {
    tls: null,
    connect: null,
    inner: null,
    http: question.protocol === 'http' ? requestOf(question, target) : null,
  };
}

/** The request as curl would send it: the port is left out of the authority where it is 80. */
function requestOf(question: Question, target: Address): HttpRequest {
  const headers: Record<string, string> = {};
  let authority: string | null = null;
  for (const [name, value] of Object.entries(question.headers)) {
    if (name.toLowerCase() === 'host' || name === ':authority') authority = value;
    else headers[name] = value;
  }
  const { destination } = question;
  const host = 'host' in destination ? destination.host : target.ip;
  const port = destination.kind === 'service' ? destination.port : target.port;
  const spelled = port === 80 ? joinHostPort(host, port).replace(/:80$/, '') : joinHostPort(host, port);
  return { method: question.method, authority: authority ?? spelled, path: question.path, headers };
}
