import type { Unknown } from '../formats/evidence.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import type { Destination, Question, Source } from '../mesh/question.js';
import type { Party, Path, Trace } from '../walk/trace.js';

/** Who asks, as the answer names it. */
export function sourceParty(mesh: Mesh, source: Source): Party {
  switch (source.kind) {
    case 'pod': {
      const { pod } = source;
      return {
        kind: 'Pod',
        namespace: pod.namespace,
        name: pod.name,
        ip: pod.ips[0] ?? null,
        node: pod.node,
        mode: modeOf(mesh, pod).mode,
      };
    }
    case 'node':
      return {
        kind: 'Node',
        namespace: null,
        name: source.name,
        ip: source.node?.internalIps[0] ?? null,
        node: source.name,
      };
    case 'external':
      return { kind: 'External', namespace: null, name: source.name, ip: null };
  }
}

/** What is called, as the answer names it. */
export function destinationParty(mesh: Mesh, destination: Destination): Party {
  const { port } = destination;
  switch (destination.kind) {
    case 'service': {
      const { service, ip, host } = destination;
      return { kind: 'Service', namespace: service.namespace, name: service.name, ip, port, host };
    }
    case 'pod': {
      const { pod, ip } = destination;
      return {
        kind: 'Pod',
        namespace: pod.namespace,
        name: pod.name,
        ip,
        node: pod.node,
        mode: modeOf(mesh, pod).mode,
        port,
      };
    }
    case 'serviceEntry': {
      const { entry, ip, host } = destination;
      return { kind: 'ServiceEntry', namespace: entry.namespace, name: entry.name, ip, port, host };
    }
    case 'node':
      return {
        kind: 'Node',
        namespace: null,
        name: destination.node.name,
        ip: destination.ip,
        node: destination.node.name,
        port,
      };
    case 'address':
      return { kind: 'Address', namespace: null, name: destination.ip, ip: destination.ip, port };
    case 'host':
      return { kind: 'Host', namespace: null, name: destination.host, ip: null, port, host: destination.host };
  }
}

export function requestOf({ protocol, method, path, headers }: Question): Trace['request'] {
  return protocol === 'http' ? { protocol, method, path, headers } : { protocol };
}

/** A way that is not known from its first stop on. */
export function unknownPath(source: Source, unknown: Unknown): Path {
  const stop =
    source.kind === 'pod'
      ? {
          role: 'workload' as const,
          namespace: source.pod.namespace,
          name: source.pod.name,
          node: source.pod.node ?? '',
        }
      : source.kind === 'node'
        ? { role: 'workload' as const, namespace: '', name: `node/${source.name}`, node: source.name }
        : { role: 'external' as const, namespace: '', name: 'outside', node: '' };
  return {
    probability: 1,
    verdict: 'unknown',
    reason: `not known: ${unknown.fact} (${unknown.reason})`,
    encryption: null,
    stops: [stop],
    links: [],
    hops: [],
  };
}
