import { canonicalIp } from './ip.js';
import {
  booleanAt,
  isObject,
  numberAt,
  objectAt,
  objectsAt,
  portAt,
  stringAt,
  stringMapAt,
  stringsAt,
} from './kubernetes-narrow.js';
import {
  evidenceAt,
  namesAt,
  parseConditions,
  parseContainers,
  parseLabelSelector,
  specOf,
  statusOf,
} from './kubernetes-object.js';
import type {
  ApiObject,
  ConfigMap,
  Endpoint,
  EndpointSlice,
  JsonObject,
  Node,
  Pod,
  Service,
  ServicePort,
  WorkloadObject,
} from './kubernetes-types.js';

const NONE: JsonObject = {};

/** Addresses in one spelling; what is no address is left out. */
function ips(texts: readonly string[]): readonly string[] {
  const result: string[] = [];
  for (const text of texts) {
    const ip = canonicalIp(text);
    if (ip !== null && !result.includes(ip)) result.push(ip);
  }
  return result;
}

function single(text: string | null): readonly string[] {
  return text === null ? [] : [text];
}

function podIpsOf(raw: JsonObject): readonly string[] {
  const status = objectAt(raw, 'status') ?? NONE;
  return ips([...namesAt(status, 'podIPs', 'ip'), ...single(stringAt(status, 'podIP'))]);
}

export function parsePod(object: ApiObject): Pod {
  const spec = specOf(object);
  const status = statusOf(object);
  const ready = parseConditions(status).find((condition) => condition.type === 'Ready');
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    ips: podIpsOf(object.raw),
    hostIps: ips([...namesAt(status, 'hostIPs', 'ip'), ...single(stringAt(status, 'hostIP'))]),
    node: stringAt(spec, 'nodeName'),
    hostNetwork: booleanAt(spec, 'hostNetwork') ?? false,
    // the API server fills it in; an object made by hand without it runs as `default`
    serviceAccount: stringAt(spec, 'serviceAccountName') ?? stringAt(spec, 'serviceAccount') ?? 'default',
    phase: stringAt(status, 'phase'),
    ready: ready === undefined ? null : ready.status === 'True',
    deleting: stringAt(objectAt(object.raw, 'metadata') ?? NONE, 'deletionTimestamp') !== null,
    containers: parseContainers(spec),
    startTime: stringAt(status, 'startTime'),
    readinessGates: namesAt(spec, 'readinessGates', 'conditionType'),
  };
}

export function parseNode(object: ApiObject): Node {
  const spec = specOf(object);
  const internal = objectsAt(statusOf(object), 'addresses').flatMap((address) =>
    stringAt(address, 'type') === 'InternalIP' ? single(stringAt(address, 'address')) : [],
  );
  return {
    ...object,
    internalIps: ips(internal),
    podCidrs: [...new Set([...stringsAt(spec, 'podCIDRs'), ...single(stringAt(spec, 'podCIDR'))])],
  };
}

export function parseService(object: ApiObject): Service {
  const spec = specOf(object);
  const clusterIps = [...stringsAt(spec, 'clusterIPs'), ...single(stringAt(spec, 'clusterIP'))];
  const ingress = objectAt(statusOf(object), 'loadBalancer') ?? NONE;
  const selector = stringMapAt(spec, 'selector');
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    type: stringAt(spec, 'type') ?? 'ClusterIP',
    clusterIps: ips(clusterIps),
    headless: clusterIps.includes('None'),
    externalIps: ips(stringsAt(spec, 'externalIPs')),
    loadBalancerIps: ips(namesAt(ingress, 'ingress', 'ip')),
    externalName: stringAt(spec, 'externalName'),
    ports: objectsAt(spec, 'ports').flatMap(parseServicePort),
    selector: selector === null || Object.keys(selector).length === 0 ? null : selector,
    publishNotReadyAddresses: booleanAt(spec, 'publishNotReadyAddresses') ?? false,
    internalTrafficPolicy: stringAt(spec, 'internalTrafficPolicy'),
    externalTrafficPolicy: stringAt(spec, 'externalTrafficPolicy'),
    sessionAffinity: stringAt(spec, 'sessionAffinity'),
    trafficDistribution: stringAt(spec, 'trafficDistribution'),
  };
}

function parseServicePort(port: JsonObject): readonly ServicePort[] {
  const number = numberAt(port, 'port');
  if (number === null) return [];
  return [
    {
      name: stringAt(port, 'name'),
      port: number,
      protocol: stringAt(port, 'protocol') ?? 'TCP',
      appProtocol: stringAt(port, 'appProtocol'),
      targetPort: portAt(port, 'targetPort') ?? number,
      nodePort: numberAt(port, 'nodePort'),
    },
  ];
}

function parseTargetRef(value: unknown, namespace: string): Endpoint['targetRef'] {
  if (!isObject(value)) return null;
  const name = stringAt(value, 'name');
  if (name === null) return null;
  return { kind: stringAt(value, 'kind') ?? 'Pod', namespace: stringAt(value, 'namespace') ?? namespace, name };
}

function parseEndpointPort(port: JsonObject): Endpoint['ports'][number] {
  return {
    name: stringAt(port, 'name'),
    port: numberAt(port, 'port'),
    protocol: stringAt(port, 'protocol') ?? 'TCP',
    appProtocol: stringAt(port, 'appProtocol'),
  };
}

export function parseEndpointSlice(object: ApiObject): EndpointSlice {
  const namespace = object.namespace ?? 'default';
  const ports = objectsAt(object.raw, 'ports').map(parseEndpointPort);
  const endpoints: Endpoint[] = [];
  objectsAt(object.raw, 'endpoints').forEach((entry, index) => {
    const conditions = objectAt(entry, 'conditions') ?? NONE;
    const ready = booleanAt(conditions, 'ready') ?? true;
    // kube-proxy and istiod use the first address only (API: "addresses … consumers must handle only the first")
    for (const ip of ips(stringsAt(entry, 'addresses')).slice(0, 1)) {
      endpoints.push({
        ip,
        ports,
        ready,
        serving: booleanAt(conditions, 'serving') ?? ready,
        terminating: booleanAt(conditions, 'terminating') ?? false,
        node: stringAt(entry, 'nodeName'),
        zone: stringAt(entry, 'zone'),
        targetRef: parseTargetRef(entry['targetRef'], namespace),
        evidence: evidenceAt(object, `/endpoints/${index}`, `EndpointSlice ${namespace}/${object.name}: ${ip}`),
      });
    }
  });
  return {
    ...object,
    namespace,
    service: object.labels['kubernetes.io/service-name'] ?? null,
    addressType: stringAt(object.raw, 'addressType') ?? 'IPv4',
    endpoints,
  };
}

/** A legacy Endpoints object as one slice: it is named after its Service. */
export function parseEndpoints(object: ApiObject): EndpointSlice {
  const namespace = object.namespace ?? 'default';
  const endpoints: Endpoint[] = [];
  objectsAt(object.raw, 'subsets').forEach((subset, s) => {
    const ports = objectsAt(subset, 'ports').map(parseEndpointPort);
    for (const [key, ready] of [['addresses', true] as const, ['notReadyAddresses', false] as const]) {
      objectsAt(subset, key).forEach((entry, a) => {
        for (const ip of ips(single(stringAt(entry, 'ip')))) {
          endpoints.push({
            ip,
            ports,
            ready,
            serving: ready,
            terminating: false,
            node: stringAt(entry, 'nodeName'),
            zone: null,
            targetRef: parseTargetRef(entry['targetRef'], namespace),
            evidence: evidenceAt(object, `/subsets/${s}/${key}/${a}`, `Endpoints ${namespace}/${object.name}: ${ip}`),
          });
        }
      });
    }
  });
  return { ...object, namespace, service: object.name, addressType: 'IPv4', endpoints };
}

export function parseConfigMap(object: ApiObject): ConfigMap {
  return { ...object, namespace: object.namespace ?? 'default', data: stringMapAt(object.raw, 'data') ?? {} };
}

export function parseWorkloadObject(object: ApiObject): WorkloadObject {
  const spec = specOf(object);
  const template = objectAt(spec, 'template') ?? NONE;
  const meta = objectAt(template, 'metadata') ?? NONE;
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    replicas: numberAt(spec, 'replicas'),
    selector: parseLabelSelector(spec['selector']),
    containers: parseContainers(objectAt(template, 'spec') ?? NONE),
    templateLabels: stringMapAt(meta, 'labels') ?? {},
    templateAnnotations: stringMapAt(meta, 'annotations') ?? {},
  };
}
