import { pointerTo } from './evidence.js';
import { Fields, isObject, isPort, type Problems } from './ztunnel-json.js';
import type { DumpPolicy, PolicyMatch, ServiceAccountMatch, StringMatch } from './ztunnel-types.js';

const POLICY_FIELDS: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'scope',
  'action',
  'rules',
  'groups',
  'dryRun',
]);

/** Fields of an `RbacMatch`; 1.18 printed them in snake_case (Z@1.18.2:src/rbac.rs RbacMatch has no rename). */
const MATCH_FIELDS: ReadonlySet<string> = new Set([
  ...['namespaces', 'notNamespaces', 'serviceAccounts', 'notServiceAccounts', 'principals', 'notPrincipals'],
  ...['sourceIps', 'notSourceIps', 'destinationIps', 'notDestinationIps', 'destinationPorts', 'notDestinationPorts'],
]);

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

const NOTHING: PolicyMatch = {
  namespaces: [],
  notNamespaces: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  principals: [],
  notPrincipals: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
  unknownFields: null,
};

function stringMatch(item: unknown): StringMatch {
  if (!isObject(item)) return { kind: 'unknown' };
  for (const [key, value] of Object.entries(item)) {
    if (key === 'Presence') return { kind: 'presence' };
    if (typeof value !== 'string') continue;
    if (key === 'Exact') return { kind: 'exact', value };
    if (key === 'Prefix') return { kind: 'prefix', value };
    if (key === 'Suffix') return { kind: 'suffix', value };
  }
  return { kind: 'unknown' };
}

function serviceAccount(item: unknown): ServiceAccountMatch | null {
  if (!isObject(item)) return null;
  const { namespace, serviceAccount: name } = item;
  return typeof namespace === 'string' && typeof name === 'string' ? { namespace, serviceAccount: name } : null;
}

function readMatch(item: unknown, pointer: string, problems: Problems): PolicyMatch {
  if (!isObject(item)) {
    problems.add(pointer, 'a policy match that is not an object');
    return NOTHING;
  }
  const object: Record<string, unknown> = {};
  for (const key in item) object[camel(key)] = item[key];
  const fields = new Fields(object, pointer, problems);
  const unknownFields = Object.keys(object).filter((key) => !MATCH_FIELDS.has(key));
  for (const key of unknownFields) problems.add(pointerTo(pointer, key), `unknown field ${key} of a policy match`);
  const strings = (key: string): readonly StringMatch[] => fields.list(key).map(stringMatch);
  const accounts = (key: string): readonly ServiceAccountMatch[] => {
    const list = fields.list(key).map(serviceAccount);
    const good = list.filter((entry): entry is ServiceAccountMatch => entry !== null);
    if (good.length < list.length) unknownFields.push(key);
    return good;
  };
  const ports = (key: string): readonly number[] => {
    const list = fields.list(key);
    const good = list.filter(isPort);
    if (good.length < list.length) fields.refuse(key, `${key} is not a list of ports`);
    return good;
  };
  const match = {
    namespaces: strings('namespaces'),
    notNamespaces: strings('notNamespaces'),
    serviceAccounts: accounts('serviceAccounts'),
    notServiceAccounts: accounts('notServiceAccounts'),
    principals: strings('principals'),
    notPrincipals: strings('notPrincipals'),
    sourceIps: fields.texts('sourceIps'),
    notSourceIps: fields.texts('notSourceIps'),
    destinationIps: fields.texts('destinationIps'),
    notDestinationIps: fields.texts('notDestinationIps'),
    destinationPorts: ports('destinationPorts'),
    notDestinationPorts: ports('notDestinationPorts'),
  };
  return { ...match, unknownFields: [...unknownFields, ...fields.damage] };
}

function nested<T>(
  value: unknown,
  pointer: string,
  problems: Problems,
  what: string,
  read: (item: unknown, pointer: string) => T | null,
): readonly T[] | null {
  if (!Array.isArray(value)) {
    problems.add(pointer, `${what} is not a list`);
    return null;
  }
  const out: T[] = [];
  for (const [index, item] of value.entries()) {
    const one = read(item, pointerTo(pointer, index));
    if (one === null) return null;
    out.push(one);
  }
  return out;
}

/** `lost`: it may be any policy, of any namespace. */
export function readPolicy(
  object: Readonly<Record<string, unknown>>,
  pointer: string,
  problems: Problems,
): { readonly policy: DumpPolicy; readonly lost: boolean } {
  const fields = new Fields(object, pointer, problems);
  const strange = fields.known(POLICY_FIELDS, 'policy');
  fields.require('name', 'namespace', 'scope', 'action');
  const name = fields.text('name');
  const namespace = fields.text('namespace');
  const key = 'groups' in object ? 'groups' : 'rules';
  const rules = nested(object[key], pointerTo(pointer, key), problems, key, (rule, at) =>
    nested(rule, at, problems, 'a rule', (clause, inside) =>
      nested(clause, inside, problems, 'a clause', (match, deep) => readMatch(match, deep, problems)),
    ),
  );
  const policy = {
    key: `${namespace}/${name}`,
    name,
    namespace,
    scope: 'scope' in object ? fields.word('scope', ['Global', 'Namespace', 'WorkloadSelector'], 'Global') : null,
    action: 'action' in object ? fields.word('action', ['Allow', 'Deny'], 'Allow') : null,
    rules,
    dryRun: fields.flag('dryRun', false),
    evidence: { file: problems.file, pointer, text: `policy ${namespace}/${name}` },
  };
  const lost = fields.lost(['name', 'namespace']);
  return { policy: { ...policy, uncertain: strange || fields.damage.length > 0 }, lost };
}
