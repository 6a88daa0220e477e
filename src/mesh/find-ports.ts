import type { Unknown } from '../formats/evidence.js';
import type { Node, Pod, Service, ServiceEntry, ServicePort } from '../formats/kubernetes-types.js';
import { podsOfService, spellingOf, type Candidate } from './candidates.js';
import { failed, type NotFound } from './find-result.js';
import type { Mesh } from './model.js';
import { proxyContainer } from './proxies.js';
import type { Destination } from './question.js';

/** What was found for the words of a destination, before its port is settled. */
export type Wanted =
  | { readonly kind: 'candidate'; readonly candidate: Candidate; readonly direct: boolean }
  | { readonly kind: 'ip'; readonly ip: string }
  | { readonly kind: 'node'; readonly node: Node; readonly ip: string }
  | { readonly kind: 'host'; readonly host: string };

type Port = number | string | null;
type Protocol = 'http' | 'tcp' | 'udp';
type Settled =
  { readonly kind: 'found'; readonly value: Destination; readonly unknowns: readonly Unknown[] } | NotFound;

function settled(value: Destination, unknowns: readonly Unknown[] = []): Settled {
  return { kind: 'found', value, unknowns };
}

export function destinationOf(mesh: Mesh, wanted: Wanted, port: Port, protocol: Protocol): Settled {
  switch (wanted.kind) {
    case 'candidate':
      return ofCandidate(mesh, wanted.candidate, wanted.direct, port, protocol);
    case 'ip':
      return ofIp(mesh, wanted.ip, port, protocol);
    case 'node':
      return withNumber(port, `node/${wanted.node.name}`, (number) =>
        settled({ kind: 'node', node: wanted.node, ip: wanted.ip, port: number }),
      );
    case 'host':
      return withNumber(port, wanted.host, (number) => settled({ kind: 'host', host: wanted.host, port: number }));
  }
}

function ofCandidate(mesh: Mesh, candidate: Candidate, direct: boolean, port: Port, protocol: Protocol): Settled {
  switch (candidate.is) {
    case 'pods':
      return ofPods(candidate.pods, port, spellingOf(candidate));
    case 'service':
      if (direct) return ofPods(podsOfService(mesh, candidate.service), port, spellingOf(candidate));
      return ofService(mesh, candidate.service, candidate.service.clusterIps[0] ?? null, port, protocol);
    case 'serviceEntry':
      return ofServiceEntry(candidate.entry, candidate.host, null, port);
  }
}

function withNumber(port: Port, what: string, make: (port: number) => Settled): Settled {
  if (typeof port === 'number') return make(port);
  if (port === null)
    return failed('port', `which port of ${what}? Say ${what.includes(':') ? `[${what}]` : what}:PORT`);
  return failed('port', `${what} has no port named "${port}"`);
}

function ofService(mesh: Mesh, service: Service, ip: string | null, port: Port, protocol: Protocol): Settled {
  const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
  const wire = protocol === 'udp' ? 'UDP' : 'TCP';
  const ports = service.ports.filter((entry) => entry.protocol === wire);
  const make = (number: number, servicePort: ServicePort | null): Settled =>
    settled({ kind: 'service', service, ip, port: number, servicePort, host });
  if (typeof port === 'number') return make(port, ports.find((entry) => entry.port === port) ?? null);
  const candidates = ports.map((entry) => ({
    type: `${service.namespace}/svc/${service.name}:${entry.port}`,
    what: `port ${entry.port}${entry.name === null ? '' : ` (${entry.name})`}`,
  }));
  const name = `Service ${service.namespace}/${service.name}`;
  if (typeof port === 'string') {
    const named = ports.find((entry) => entry.name === port);
    return named === undefined
      ? failed('port', `${name} has no port named "${port}"`, candidates)
      : make(named.port, named);
  }
  const [only, second] = ports;
  if (only !== undefined && second === undefined) return make(only.port, only);
  if (only === undefined) return failed('port', `${name} has no ${wire} port: say which one`, []);
  const http = ports.filter(isHttp);
  const [httpOnly, httpSecond] = http;
  if (protocol === 'http' && httpOnly !== undefined && httpSecond === undefined) return make(httpOnly.port, httpOnly);
  return failed('port', `${name} has ${ports.length} ports: which one?`, candidates);
}

/** By name or appProtocol, as istiod reads them (istio pkg/config/kube/conversion.go). */
function isHttp(port: ServicePort): boolean {
  const protocol = port.appProtocol ?? port.name ?? '';
  return /^(http|http2|grpc|grpc-web)(-|$)/.test(protocol.toLowerCase());
}

function ofPods(pods: readonly Pod[], port: Port, spelling: string): Settled {
  const [pod, ...also] = pods;
  if (pod === undefined) return failed('not-found', `${spelling} has no running pod`);
  const ip = pod.ips[0];
  if (ip === undefined) return failed('unknown', `pod ${pod.namespace}/${pod.name} has no address (yet)`);
  const make = (number: number): Settled => settled({ kind: 'pod', pod, also, ip, port: number });
  if (typeof port === 'number') return make(port);
  const proxy = proxyContainer(pod)?.container;
  const declared = pod.containers.filter((container) => container !== proxy).flatMap((container) => container.ports);
  const tcp = declared.filter((entry) => port === null || entry.name === port);
  const [only, second] = tcp;
  if (only !== undefined && second === undefined) return make(only.port);
  const candidates = declared.map((entry) => ({
    type: `${spelling}:${entry.port}`,
    what: `port ${entry.port}${entry.name === null ? '' : ` (${entry.name})`}`,
  }));
  if (port !== null) return failed('port', `no container of ${spelling} has a port named "${port}"`, candidates);
  const message = only === undefined ? `no container of ${spelling} declares a port` : `${spelling} has several ports`;
  return failed('port', `${message}: which one? Say ${spelling}:PORT`, candidates);
}

function ofServiceEntry(entry: ServiceEntry, host: string | null, ip: string | null, port: Port): Settled {
  const name = `ServiceEntry ${entry.namespace}/${entry.name}`;
  const address = ip ?? [...entry.addresses, ...entry.allocatedAddresses].find((text) => !text.includes('/')) ?? null;
  const make = (number: number): Settled =>
    settled({ kind: 'serviceEntry', entry, ip: address, port: number, host: host ?? entry.hosts[0] ?? entry.name });
  if (typeof port === 'number') return make(port);
  const ports = entry.ports.filter((candidate) => port === null || candidate.name === port);
  const [only, second] = ports;
  if (only !== undefined && second === undefined) return make(only.number);
  const candidates = entry.ports.map((candidate) => ({
    type: `${entry.namespace}/se/${entry.name}:${candidate.number}`,
    what: `port ${candidate.number}${candidate.name === null ? '' : ` (${candidate.name})`}`,
  }));
  return failed('port', `${name}: which port?`, candidates);
}

/** Services by VIP first, as kube-proxy and ztunnel do; then pods, ServiceEntries, nodes. */
function ofIp(mesh: Mesh, ip: string, port: Port, protocol: Protocol): Settled {
  const services = mesh.servicesByIp(ip);
  const service = services.find((entry) => entry.ports.some((candidate) => candidate.port === port)) ?? services[0];
  if (service !== undefined) return ofService(mesh, service, ip, port, protocol);
  const pods = mesh.podsByIp(ip);
  const [pod, ...also] = pods;
  if (pod !== undefined) {
    const result = ofPods([pod, ...also], port, ip);
    // a dual-stack pod was asked for by one of its addresses
    if (result.kind === 'failed' || result.value.kind !== 'pod') return result;
    return settled({ ...result.value, ip });
  }
  const entry = mesh.serviceEntriesByIp(ip)[0];
  if (entry !== undefined) return ofServiceEntry(entry, null, ip, port);
  const node = mesh.nodeByIp(ip);
  const unknowns = (['services', 'pods', 'serviceEntries', 'nodes'] as const).flatMap(
    (kind) => mesh.unknownOf(kind, `what has the address ${ip}`) ?? [],
  );
  return withNumber(port, ip, (number) =>
    node === null
      ? settled({ kind: 'address', ip, port: number }, unknowns)
      : settled({ kind: 'node', node, ip, port: number }),
  );
}
