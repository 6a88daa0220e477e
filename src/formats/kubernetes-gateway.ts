import { numberAt, objectAt, objectsAt, stringAt, stringsAt } from './kubernetes-narrow.js';
import { evidenceAt, parseConditions, parseLabelSelector, specOf, statusOf } from './kubernetes-object.js';
import type {
  ApiObject,
  BackendRef,
  Gateway,
  GatewayClass,
  GatewayListener,
  JsonObject,
  ParentRef,
  Route,
} from './kubernetes-types.js';

const NONE: JsonObject = {};
const GATEWAY_GROUP = 'gateway.networking.k8s.io';

export function parseGateway(object: ApiObject): Gateway {
  const spec = specOf(object);
  const status = statusOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    className: stringAt(spec, 'gatewayClassName') ?? '',
    listeners: objectsAt(spec, 'listeners').flatMap((listener, index) => parseListener(object, listener, index)),
    addresses: objectsAt(status, 'addresses').flatMap((address) => {
      const value = stringAt(address, 'value');
      return value === null ? [] : [{ type: stringAt(address, 'type') ?? 'IPAddress', value }];
    }),
    conditions: parseConditions(status),
  };
}

function parseListener(object: ApiObject, listener: JsonObject, index: number): readonly GatewayListener[] {
  const port = numberAt(listener, 'port');
  if (port === null) return [];
  const namespaces = objectAt(objectAt(listener, 'allowedRoutes') ?? NONE, 'namespaces') ?? NONE;
  const name = stringAt(listener, 'name') ?? '';
  return [
    {
      name,
      port,
      protocol: stringAt(listener, 'protocol') ?? '',
      hostname: stringAt(listener, 'hostname'),
      allowFrom: stringAt(namespaces, 'from') ?? 'Same',
      allowSelector: parseLabelSelector(namespaces['selector']),
      tlsMode: stringAt(objectAt(listener, 'tls') ?? NONE, 'mode'),
      evidence: evidenceAt(object, `/spec/listeners/${index}`, `${object.evidence.text}, listener ${name}`),
    },
  ];
}

export function parseGatewayClass(object: ApiObject): GatewayClass {
  return { ...object, controller: stringAt(specOf(object), 'controllerName') ?? '' };
}

export function parseRoute(object: ApiObject): Route {
  const spec = specOf(object);
  return {
    ...object,
    namespace: object.namespace ?? 'default',
    hostnames: stringsAt(spec, 'hostnames'),
    parents: objectsAt(spec, 'parentRefs').map(parseParent),
    rules: objectsAt(spec, 'rules').map((rule, index) => ({
      matches: objectsAt(rule, 'matches'),
      filters: objectsAt(rule, 'filters'),
      backends: objectsAt(rule, 'backendRefs').map(parseBackend),
      evidence: evidenceAt(object, `/spec/rules/${index}`, `${object.evidence.text}, rule ${index + 1}`),
    })),
  };
}

/** Defaults of the Gateway API: a parent is a Gateway, a backend a core Service. */
function parseParent(ref: JsonObject): ParentRef {
  return {
    group: stringAt(ref, 'group') ?? GATEWAY_GROUP,
    kind: stringAt(ref, 'kind') ?? 'Gateway',
    namespace: stringAt(ref, 'namespace'),
    name: stringAt(ref, 'name') ?? '',
    sectionName: stringAt(ref, 'sectionName'),
    port: numberAt(ref, 'port'),
  };
}

function parseBackend(ref: JsonObject): BackendRef {
  return {
    group: stringAt(ref, 'group') ?? '',
    kind: stringAt(ref, 'kind') ?? 'Service',
    namespace: stringAt(ref, 'namespace'),
    name: stringAt(ref, 'name') ?? '',
    port: numberAt(ref, 'port'),
    weight: numberAt(ref, 'weight') ?? 1,
  };
}
