import type { ListItem } from './kubernetes-list.js';
import {
  arrayAt,
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
import type {
  ApiObject,
  Condition,
  Container,
  ContainerPort,
  JsonObject,
  LabelSelector,
  Labels,
  Probe,
  SelectedObject,
  TargetRef,
} from './kubernetes-types.js';

const NONE: JsonObject = {};

/** Where an item was read: its file, and the kind to use for items that name none. */
interface ObjectOrigin {
  readonly file: string;
  readonly kind: string;
}

/** Null where the item has no name: it cannot be an API object. */
export function parseObject(item: ListItem, origin: ObjectOrigin): ApiObject | null {
  const meta = objectAt(item.value, 'metadata');
  const name = meta === null ? null : stringAt(meta, 'name');
  if (meta === null || name === null || name === '') return null;
  const kind = stringAt(item.value, 'kind') ?? origin.kind;
  const namespace = stringAt(meta, 'namespace');
  return {
    kind,
    namespace,
    name,
    uid: stringAt(meta, 'uid'),
    labels: stringMapAt(meta, 'labels') ?? {},
    annotations: stringMapAt(meta, 'annotations') ?? {},
    created: stringAt(meta, 'creationTimestamp'),
    owners: objectsAt(meta, 'ownerReferences').map((owner) => ({
      kind: stringAt(owner, 'kind') ?? '',
      name: stringAt(owner, 'name') ?? '',
      controller: booleanAt(owner, 'controller') ?? false,
    })),
    evidence: {
      file: origin.file,
      pointer: item.pointer,
      text: `${kind} ${namespace === null ? '' : `${namespace}/`}${name}`,
    },
    raw: item.value,
  };
}

export function specOf(object: ApiObject): JsonObject {
  return objectAt(object.raw, 'spec') ?? NONE;
}

export function statusOf(object: ApiObject): JsonObject {
  return objectAt(object.raw, 'status') ?? NONE;
}

/** Evidence for a part of an object: `/items/3/spec/rules/0`. */
export function evidenceAt(object: ApiObject, tail: string, text: string): ApiObject['evidence'] {
  return { file: object.evidence.file, pointer: `${object.evidence.pointer ?? ''}${tail}`, text };
}

export function parseConditions(status: JsonObject): readonly Condition[] {
  return objectsAt(status, 'conditions').map((condition) => ({
    type: stringAt(condition, 'type') ?? '',
    status: stringAt(condition, 'status') ?? 'Unknown',
    reason: stringAt(condition, 'reason'),
    message: stringAt(condition, 'message'),
  }));
}

export function parseLabelSelector(value: unknown): LabelSelector | null {
  if (!isObject(value)) return null;
  return {
    matchLabels: stringMapAt(value, 'matchLabels') ?? {},
    matchExpressions: objectsAt(value, 'matchExpressions').map((expression) => ({
      key: stringAt(expression, 'key') ?? '',
      operator: stringAt(expression, 'operator') ?? '',
      values: stringsAt(expression, 'values'),
    })),
  };
}

/** `selector.matchLabels` (security APIs) or `workloadSelector.labels`/`matchLabels` (networking APIs); null: none. */
export function parseWorkloadSelector(spec: JsonObject): Labels | null {
  const selector = objectAt(spec, 'selector') ?? objectAt(spec, 'workloadSelector');
  if (selector === null) return null;
  return stringMapAt(selector, 'matchLabels') ?? stringMapAt(selector, 'labels') ?? {};
}

/** targetRef and targetRefs together. */
export function parseTargetRefs(spec: JsonObject): readonly TargetRef[] {
  const single = objectAt(spec, 'targetRef');
  const all = [...(single === null ? [] : [single]), ...objectsAt(spec, 'targetRefs')];
  return all.map((ref) => ({
    group: stringAt(ref, 'group') ?? '',
    kind: stringAt(ref, 'kind') ?? '',
    namespace: stringAt(ref, 'namespace'),
    name: stringAt(ref, 'name') ?? '',
  }));
}

export function parseSelectedObject(object: ApiObject): SelectedObject {
  const spec = specOf(object);
  return { ...object, selector: parseWorkloadSelector(spec), targets: parseTargetRefs(spec), spec };
}

/** `spec` is a pod spec; init containers come first, as they run first. */
export function parseContainers(spec: JsonObject): readonly Container[] {
  const podContext = objectAt(spec, 'securityContext') ?? NONE;
  const parse =
    (init: boolean) =>
    (container: JsonObject): Container => {
      const context = objectAt(container, 'securityContext') ?? NONE;
      return {
        name: stringAt(container, 'name') ?? '',
        image: stringAt(container, 'image') ?? '',
        init,
        restartable: init && stringAt(container, 'restartPolicy') === 'Always',
        command: stringsAt(container, 'command'),
        args: stringsAt(container, 'args'),
        env: parseEnv(container),
        ports: objectsAt(container, 'ports').flatMap(parseContainerPort),
        probes: (['liveness', 'readiness', 'startup'] as const).flatMap((type) => parseProbe(container, type)),
        runAsUser: numberAt(context, 'runAsUser') ?? numberAt(podContext, 'runAsUser'),
        runAsGroup: numberAt(context, 'runAsGroup') ?? numberAt(podContext, 'runAsGroup'),
      };
    };
  return [...objectsAt(spec, 'initContainers').map(parse(true)), ...objectsAt(spec, 'containers').map(parse(false))];
}

/** Values that come from elsewhere (valueFrom, redacted) are null: present, not known. */
function parseEnv(container: JsonObject): Readonly<Record<string, string | null>> {
  const env: Record<string, string | null> = Object.create(null);
  for (const entry of objectsAt(container, 'env')) {
    const name = stringAt(entry, 'name');
    // an entry without value and valueFrom is the empty string
    if (name !== null) env[name] = 'valueFrom' in entry ? null : (stringAt(entry, 'value') ?? '');
  }
  return env;
}

function parseContainerPort(port: JsonObject): readonly ContainerPort[] {
  const number = numberAt(port, 'containerPort');
  if (number === null) return [];
  return [
    {
      name: stringAt(port, 'name'),
      port: number,
      hostPort: numberAt(port, 'hostPort'),
      protocol: stringAt(port, 'protocol') ?? 'TCP',
    },
  ];
}

function parseProbe(container: JsonObject, type: Probe['type']): readonly Probe[] {
  const probe = objectAt(container, `${type}Probe`);
  if (probe === null) return [];
  for (const handler of ['httpGet', 'tcpSocket', 'grpc'] as const) {
    const target = objectAt(probe, handler);
    if (target !== null) {
      return [{ type, handler, port: portAt(target, 'port'), path: stringAt(target, 'path') }];
    }
  }
  return [{ type, handler: 'exec' in probe ? 'exec' : 'unknown', port: null, path: null }];
}

/** Names of the entries of an array of objects. */
export function namesAt(parent: JsonObject, key: string, field: string): readonly string[] {
  return arrayAt(parent, key).flatMap((entry) => {
    const name = isObject(entry) ? stringAt(entry, field) : null;
    return name === null ? [] : [name];
  });
}
