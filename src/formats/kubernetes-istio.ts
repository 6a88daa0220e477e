import {
  isObject,
  numberAt,
  objectAt,
  objectsAt,
  stringAt,
  stringMapAt,
  stringsAt,
  toNumber,
} from './kubernetes-narrow.js';
import {
  evidenceAt,
  namesAt,
  parseConditions,
  parseTargetRefs,
  parseWorkloadSelector,
  specOf,
  statusOf,
} from './kubernetes-object.js';
import type {
  ApiObject,
  AuthorizationPolicy,
  DestinationRule,
  JsonObject,
  MtlsMode,
  PeerAuthentication,
  PolicyOperation,
  PolicyRule,
  PolicySource,
  ServiceEntry,
  VirtualService,
  WorkloadEntry,
} from './kubernetes-types.js';

/** An empty selector (`selector: {}`, or no labels in it) selects all, as none does (istio api type/v1beta1). */
function selectorOf(spec: JsonObject): ReturnType<typeof parseWorkloadSelector> {
  const selector = parseWorkloadSelector(spec);
  return selector === null || Object.keys(selector).length === 0 ? null : selector;
}

const ACTIONS: Readonly<Record<string, AuthorizationPolicy['action']>> = {
  ALLOW: 'ALLOW',
  DENY: 'DENY',
  CUSTOM: 'CUSTOM',
  AUDIT: 'AUDIT',
};

export function parseAuthorizationPolicy(object: ApiObject): AuthorizationPolicy {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    action: ACTIONS[stringAt(spec, 'action') ?? 'ALLOW'] ?? 'ALLOW',
    selector: selectorOf(spec),
    targets: parseTargetRefs(spec),
    rules: objectsAt(spec, 'rules').map((rule, index) => parseRule(object, rule, index)),
    dryRun: object.annotations['istio.io/dry-run'] === 'true',
    conditions: parseConditions(statusOf(object)),
  };
}

function parseRule(object: ApiObject, rule: JsonObject, index: number): PolicyRule {
  return {
    from: objectsAt(rule, 'from').map((entry) => parseSource(objectAt(entry, 'source') ?? {})),
    to: objectsAt(rule, 'to').map((entry) => parseOperation(objectAt(entry, 'operation') ?? {})),
    when: objectsAt(rule, 'when').map((entry) => ({
      key: stringAt(entry, 'key') ?? '',
      values: stringsAt(entry, 'values'),
      notValues: stringsAt(entry, 'notValues'),
    })),
    evidence: evidenceAt(object, `/spec/rules/${index}`, `${object.evidence.text}, rule ${index + 1}`),
  };
}

function parseSource(source: JsonObject): PolicySource {
  return {
    principals: stringsAt(source, 'principals'),
    notPrincipals: stringsAt(source, 'notPrincipals'),
    requestPrincipals: stringsAt(source, 'requestPrincipals'),
    notRequestPrincipals: stringsAt(source, 'notRequestPrincipals'),
    namespaces: stringsAt(source, 'namespaces'),
    notNamespaces: stringsAt(source, 'notNamespaces'),
    serviceAccounts: stringsAt(source, 'serviceAccounts'),
    notServiceAccounts: stringsAt(source, 'notServiceAccounts'),
    ipBlocks: stringsAt(source, 'ipBlocks'),
    notIpBlocks: stringsAt(source, 'notIpBlocks'),
    remoteIpBlocks: stringsAt(source, 'remoteIpBlocks'),
    notRemoteIpBlocks: stringsAt(source, 'notRemoteIpBlocks'),
  };
}

function parseOperation(operation: JsonObject): PolicyOperation {
  return {
    hosts: stringsAt(operation, 'hosts'),
    notHosts: stringsAt(operation, 'notHosts'),
    ports: stringsAt(operation, 'ports'),
    notPorts: stringsAt(operation, 'notPorts'),
    methods: stringsAt(operation, 'methods'),
    notMethods: stringsAt(operation, 'notMethods'),
    paths: stringsAt(operation, 'paths'),
    notPaths: stringsAt(operation, 'notPaths'),
  };
}

const MODES: Readonly<Record<string, MtlsMode>> = {
  UNSET: 'UNSET',
  DISABLE: 'DISABLE',
  PERMISSIVE: 'PERMISSIVE',
  STRICT: 'STRICT',
};

function modeOf(value: unknown): MtlsMode {
  return (isObject(value) ? MODES[stringAt(value, 'mode') ?? 'UNSET'] : undefined) ?? 'UNSET';
}

export function parsePeerAuthentication(object: ApiObject): PeerAuthentication {
  const spec = specOf(object);
  const portModes = new Map<number, MtlsMode>();
  for (const [port, value] of Object.entries(objectAt(spec, 'portLevelMtls') ?? {})) {
    const number = toNumber(port);
    if (number !== null) portModes.set(number, modeOf(value));
  }
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    selector: selectorOf(spec),
    mode: modeOf(spec['mtls']),
    portModes,
  };
}

export function parseDestinationRule(object: ApiObject): DestinationRule {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    host: stringAt(spec, 'host') ?? '',
    trafficPolicy: objectAt(spec, 'trafficPolicy'),
    subsets: objectsAt(spec, 'subsets').map((subset) => ({
      name: stringAt(subset, 'name') ?? '',
      labels: stringMapAt(subset, 'labels') ?? {},
      trafficPolicy: objectAt(subset, 'trafficPolicy'),
    })),
    exportTo: stringsAt(spec, 'exportTo'),
    workloadSelector: selectorOf(spec),
  };
}

export function parseVirtualService(object: ApiObject): VirtualService {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    hosts: stringsAt(spec, 'hosts'),
    gateways: stringsAt(spec, 'gateways'),
    http: objectsAt(spec, 'http'),
    tls: objectsAt(spec, 'tls'),
    tcp: objectsAt(spec, 'tcp'),
    exportTo: stringsAt(spec, 'exportTo'),
  };
}

function parsePorts(parent: JsonObject): Readonly<Record<string, number>> {
  const ports: Record<string, number> = Object.create(null);
  for (const [name, value] of Object.entries(objectAt(parent, 'ports') ?? {})) {
    const number = toNumber(value);
    if (number !== null) ports[name] = number;
  }
  return ports;
}

export function parseServiceEntry(object: ApiObject): ServiceEntry {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    hosts: stringsAt(spec, 'hosts'),
    addresses: stringsAt(spec, 'addresses'),
    allocatedAddresses: namesAt(statusOf(object), 'addresses', 'value'),
    ports: objectsAt(spec, 'ports').flatMap((port) => {
      const number = numberAt(port, 'number');
      if (number === null) return [];
      return [
        {
          number,
          name: stringAt(port, 'name'),
          protocol: stringAt(port, 'protocol'),
          targetPort: numberAt(port, 'targetPort'),
        },
      ];
    }),
    location: stringAt(spec, 'location'),
    resolution: stringAt(spec, 'resolution') ?? 'NONE',
    endpoints: objectsAt(spec, 'endpoints').map((endpoint, index) => ({
      address: stringAt(endpoint, 'address'),
      ports: parsePorts(endpoint),
      labels: stringMapAt(endpoint, 'labels') ?? {},
      serviceAccount: stringAt(endpoint, 'serviceAccount'),
      network: stringAt(endpoint, 'network'),
      weight: numberAt(endpoint, 'weight'),
      evidence: evidenceAt(object, `/spec/endpoints/${index}`, `${object.evidence.text}, endpoint ${index + 1}`),
    })),
    workloadSelector: selectorOf(spec),
    exportTo: stringsAt(spec, 'exportTo'),
  };
}

export function parseWorkloadEntry(object: ApiObject): WorkloadEntry {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    address: stringAt(spec, 'address'),
    workloadLabels: { ...object.labels, ...(stringMapAt(spec, 'labels') ?? {}) },
    serviceAccount: stringAt(spec, 'serviceAccount'),
    network: stringAt(spec, 'network'),
    ports: parsePorts(spec),
  };
}

/** `istio.io/ingress-use-waypoint` and the like: strconv.ParseBool of Go, null where absent or no boolean. */
export function goBool(text: string | undefined): boolean | null {
  if (text === undefined) return null;
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) return false;
  return null;
}
