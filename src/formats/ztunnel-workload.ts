import { canonicalIp, parseCidr } from './ip.js';
import { pointerTo, type Unknown } from './evidence.js';
import { isObject, portTable, Fields, type JsonObject, type Problems } from './ztunnel-json.js';
import type {
  ApplicationTunnel,
  DumpEndpoint,
  DumpService,
  DumpWorkload,
  GatewayAddress,
  LoadBalancer,
  NetworkAddress,
} from './ztunnel-types.js';

const WORKLOAD_FIELDS: ReadonlySet<string> = new Set([
  ...['workloadIps', 'waypoint', 'networkGateway', 'gatewayAddress', 'protocol', 'networkMode', 'uid', 'name'],
  ...['namespace', 'trustDomain', 'serviceAccount', 'network', 'workloadName', 'workloadType', 'canonicalName'],
  ...['canonicalRevision', 'hostname', 'node', 'nativeTunnel', 'applicationTunnel', 'authorizationPolicies'],
  ...['status', 'clusterId', 'locality', 'services', 'capacity'],
]);

const SERVICE_FIELDS: ReadonlySet<string> = new Set([
  ...['name', 'namespace', 'hostname', 'vips', 'cidrVips', 'ports', 'endpoints', 'subjectAltNames', 'waypoint'],
  ...['weightedWaypoints', 'visibility', 'loadBalancer', 'ipFamilies', 'canonical'],
]);

/** `network/ip`, or a bare address (1.18); null where it is neither. */
export function networkAddress(text: string): NetworkAddress | null {
  const slash = text.lastIndexOf('/');
  const ip = canonicalIp(text.slice(slash + 1));
  return ip === null ? null : { network: slash < 0 ? '' : text.slice(0, slash), ip };
}

/**
 * `{destination, hboneMtlsPort}`; `port` up to 1.19. The destination is `network/ip` or `ns/hostname`, and told apart as
 * serde's untagged enum does: an address where it parses as one (Z:src/state/workload.rs gatewayaddress).
 */
export function gatewayAddress(fields: Fields | null): GatewayAddress | null {
  if (fields === null) return null;
  const text = fields.text('destination');
  const port = fields.port('hboneMtlsPort', fields.port('port', 15008));
  const address = networkAddress(text);
  if (address !== null) return { destination: { kind: 'address', ...address }, port };
  const slash = text.indexOf('/');
  if (text === '' || text.indexOf('/', slash + 1) >= 0) {
    fields.refuse('destination', 'a gateway destination that is neither address nor host');
  }
  return {
    destination: {
      kind: 'hostname',
      namespace: slash < 0 ? null : text.slice(0, slash),
      hostname: text.slice(slash + 1),
    },
    port,
  };
}

function applicationTunnel(fields: Fields | null): ApplicationTunnel | null {
  if (fields === null) return null;
  fields.require('protocol');
  const port = fields.port('port', 0);
  const protocol = fields.word('protocol', ['NONE', 'PROXY'], 'NONE');
  if (protocol === null) fields.damage.push(pointerTo(fields.pointer, 'protocol'));
  return { protocol: protocol ?? 'NONE', port: port === 0 ? null : port };
}

function addresses(fields: Fields, key: string): readonly string[] {
  const out: string[] = [];
  for (const text of fields.texts(key)) {
    const ip = canonicalIp(text);
    if (ip === null) fields.refuse(key, `not an IP address: ${JSON.stringify(text)}`);
    else out.push(ip);
  }
  return out;
}

/** By these a workload is found: where one cannot be read, what is not found may be this workload. */
const WORKLOAD_KEYS = ['uid', 'workloadIps', 'network', 'networkMode', 'hostname', 'name', 'namespace'] as const;
const LOCAL_KEYS = ['serviceAccount', 'node'] as const;

/** `lost`: it may be any workload. */
export function readWorkload(
  object: Readonly<Record<string, unknown>>,
  pointer: string,
  problems: Problems,
): { readonly workload: DumpWorkload; readonly lost: boolean } {
  const fields = new Fields(object, pointer, problems);
  fields.known(WORKLOAD_FIELDS, 'workload');
  fields.require('uid', 'workloadIps', 'name', 'namespace', 'protocol');
  const name = fields.text('name');
  const namespace = fields.text('namespace');
  const trustDomain = fields.text('trustDomain');
  const serviceAccount = fields.text('serviceAccount');
  const locality = fields.child('locality');
  const mode = fields.word('networkMode', ['Standard', 'HostNetwork'], 'Standard');
  if (mode === null) fields.damage.push(pointerTo(pointer, 'networkMode'));
  const workload = {
    uid: fields.text('uid'),
    name,
    namespace,
    trustDomain,
    serviceAccount,
    identity: `spiffe://${trustDomain}/ns/${namespace}/sa/${serviceAccount}`,
    network: fields.text('network'),
    node: fields.text('node'),
    clusterId: fields.text('clusterId'),
    locality: {
      region: locality?.text('region') ?? '',
      zone: locality?.text('zone') ?? '',
      subzone: locality?.text('subzone') ?? '',
    },
    ips: addresses(fields, 'workloadIps'),
    hostname: fields.text('hostname'),
    protocol: fields.word('protocol', ['TCP', 'HBONE'], 'TCP'),
    hostNetwork: mode === 'HostNetwork',
    nativeTunnel: fields.flag('nativeTunnel', false),
    waypoint: gatewayAddress(fields.child('waypoint')),
    networkGateway: gatewayAddress(fields.child('networkGateway')),
    applicationTunnel: applicationTunnel(fields.child('applicationTunnel')),
    gatewayAddress: fields.textOrNull('gatewayAddress'),
    policies: fields.texts('authorizationPolicies'),
    capacity: fields.count('capacity', 1),
    workloadName: fields.text('workloadName'),
    services: fields.texts('services'),
    status: fields.text('status'),
    evidence: { file: problems.file, pointer, text: `workload ${namespace}/${name}` },
  };
  const unread = fields.unread(`workload ${namespace}/${name}`);
  return { workload: { ...workload, unread }, lost: unread !== null && fields.lost([...WORKLOAD_KEYS, ...LOCAL_KEYS]) };
}

function loadBalancer(fields: Fields | null): LoadBalancer | null {
  if (fields === null) return null;
  fields.require('mode', 'routingPreferences');
  const scopes = ['Region', 'Zone', 'Subzone', 'Node', 'Cluster', 'Network'] as const;
  const preferences = fields.texts('routingPreferences').map((scope) => {
    const known = scopes.find((word) => word === scope);
    if (known === undefined) {
      fields.problems.add(
        pointerTo(fields.pointer, 'routingPreferences'),
        `unknown routing scope ${JSON.stringify(scope)}`,
      );
    }
    return known ?? null;
  });
  return {
    mode: fields.word('mode', ['Standard', 'Strict', 'Failover', 'Passthrough'], 'Standard'),
    preferences,
    allowUnhealthy: fields.text('healthPolicy') === 'AllowAll',
  };
}

function networkAddresses(fields: Fields, key: string): readonly NetworkAddress[] {
  const out: NetworkAddress[] = [];
  for (const text of fields.texts(key)) {
    const address = networkAddress(text);
    if (address === null) fields.refuse(key, `not network/ip: ${JSON.stringify(text)}`);
    else out.push(address);
  }
  return out;
}

/** `cidrVips` (1.30): objects, or strings `network/cidr` as istioctl's own reader also accepts. */
function cidrVips(fields: Fields): readonly { readonly network: string; readonly cidr: string }[] {
  const out: { network: string; cidr: string }[] = [];
  for (const item of fields.list('cidrVips')) {
    const read = cidrVip(item);
    if (read === null || parseCidr(read.cidr) === null) fields.refuse('cidrVips', 'a CIDR VIP that cannot be read');
    else out.push(read);
  }
  return out;
}

function cidrVip(item: unknown): { readonly network: string; readonly cidr: string } | null {
  if (typeof item === 'string') {
    const parts = item.split('/');
    return parts.length < 2 ? null : { network: parts.slice(0, -2).join('/'), cidr: parts.slice(-2).join('/') };
  }
  if (!isObject(item)) return null;
  const { cidr, network = '' } = item;
  return typeof cidr === 'string' && typeof network === 'string' ? { network, cidr } : null;
}

/** By these a Service is found. */
const SERVICE_KEYS = ['namespace', 'hostname', 'vips', 'cidrVips', 'visibility', 'canonical'] as const;

class ReadService implements DumpService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: DumpService['vips'];
  readonly cidrVips: DumpService['cidrVips'];
  readonly ports: DumpService['ports'];
  readonly subjectAltNames: readonly string[];
  readonly waypoint: GatewayAddress | null;
  readonly weightedWaypoints: DumpService['weightedWaypoints'];
  readonly loadBalancer: LoadBalancer | null;
  readonly ipFamilies: DumpService['ipFamilies'];
  readonly canonical: boolean;
  readonly visibility: DumpService['visibility'];
  readonly evidence: DumpService['evidence'];
  readonly unread: Unknown | null;
  /** It may be any Service. */
  readonly lost: boolean;
  private cache: readonly DumpEndpoint[] | null = null;
  private endpointsGap: Unknown | null = null;
  private byUid: ReadonlyMap<string, DumpEndpoint> | null = null;

  private readonly fields: Fields;

  constructor(fields: Fields) {
    this.fields = fields;
    fields.known(SERVICE_FIELDS, 'service');
    fields.require('name', 'namespace', 'hostname', 'vips', 'ports', 'endpoints', 'subjectAltNames');
    this.name = fields.text('name');
    this.namespace = fields.text('namespace');
    this.hostname = fields.text('hostname');
    this.vips = networkAddresses(fields, 'vips');
    this.cidrVips = cidrVips(fields);
    this.ports = portTable(fields.child('ports'));
    this.subjectAltNames = fields.texts('subjectAltNames');
    this.waypoint = gatewayAddress(fields.child('waypoint'));
    this.weightedWaypoints = weightedWaypoints(fields);
    this.loadBalancer = loadBalancer(fields.child('loadBalancer'));
    this.ipFamilies = ipFamilies(fields);
    this.canonical = fields.flag('canonical', false);
    this.visibility = fields.word('visibility', ['Public', 'Namespace'], 'Public');
    this.evidence = {
      file: fields.problems.file,
      pointer: fields.pointer,
      text: `service ${this.namespace}/${this.hostname}`,
    };
    if (fields.object['endpoints'] !== undefined) fields.child('endpoints');
    if (fields.object['endpoints'] === null) fields.refuse('endpoints', 'endpoints is not an object');
    this.unread = fields.unread(this.evidence.text);
    this.lost = this.unread !== null && fields.lost(SERVICE_KEYS);
  }

  endpoints(): readonly DumpEndpoint[] {
    this.cache ??= this.readEndpoints();
    return this.cache;
  }

  endpointsUnread(): Unknown | null {
    this.endpoints();
    return this.endpointsGap;
  }

  endpoint(uid: string): DumpEndpoint | null {
    this.byUid ??= new Map(this.endpoints().map((endpoint) => [endpoint.workloadUid, endpoint]));
    return this.byUid.get(uid) ?? null;
  }

  hasEndpoint(uid: string): boolean {
    return this.endpoint(uid) !== null;
  }

  private readEndpoints(): readonly DumpEndpoint[] {
    const all = this.fields.child('endpoints');
    if (all === null) return [];
    const out: DumpEndpoint[] = [];
    for (const key in all.object) {
      const value = all.object[key];
      if (isObject(value)) out.push(new ReadEndpoint(all, key, value, this.hostname));
      else all.refuse(key, 'an endpoint that is not an object');
    }
    this.endpointsGap = all.unread(`endpoints of ${this.evidence.text}`);
    return out;
  }
}

/** Its ports and where it stands in the file are read on demand: a large dump has hundreds of thousands. */
class ReadEndpoint implements DumpEndpoint {
  readonly workloadUid: string;
  private readonly all: Fields;
  private readonly key: string;
  private readonly object: JsonObject;
  private readonly hostname: string;
  readonly ports: DumpEndpoint['ports'];

  constructor(all: Fields, key: string, object: JsonObject, hostname: string) {
    this.all = all;
    this.key = key;
    this.object = object;
    this.hostname = hostname;
    const uid = object['workloadUid'];
    if (object['port'] === undefined) this.fields().require('port');
    this.workloadUid = typeof uid === 'string' ? uid : (this.fields().textOrNull('workloadUid') ?? key);
    this.ports = portTable(this.fields().child('port'));
  }

  private fields(): Fields {
    return new Fields(this.object, { parent: this.all, key: this.key }, this.all.problems);
  }

  get evidence(): DumpEndpoint['evidence'] {
    const { workloadUid, hostname, all } = this;
    return { file: all.problems.file, pointer: this.fields().pointer, text: `endpoint ${workloadUid} of ${hostname}` };
  }
}

function weightedWaypoints(fields: Fields): DumpService['weightedWaypoints'] {
  const out: { destination: GatewayAddress; weight: number }[] = [];
  fields.list('weightedWaypoints').forEach((item, index) => {
    const pointer = pointerTo(pointerTo(fields.pointer, 'weightedWaypoints'), index);
    const entry = isObject(item) ? new Fields(item, pointer, fields.problems) : null;
    const destination = entry === null ? null : gatewayAddress(entry.child('destination'));
    if (entry === null || destination === null) {
      fields.refuse('weightedWaypoints', 'a weighted waypoint without destination');
      return;
    }
    entry.require('weight');
    out.push({ destination, weight: entry.count('weight', 0) });
    fields.damage.push(...entry.damage);
  });
  return out;
}

/** Null is "no restriction", which is what ztunnel takes from IpFamilies::Automatic. */
function ipFamilies(fields: Fields): DumpService['ipFamilies'] {
  const word = fields.textOrNull('ipFamilies');
  if (word === null) return null;
  if (word === 'Dual' || word === 'IPv4' || word === 'IPv6') return word;
  fields.refuse('ipFamilies', `unknown ipFamilies ${JSON.stringify(word)}`);
  return null;
}

export function readService(
  object: Readonly<Record<string, unknown>>,
  pointer: string,
  problems: Problems,
): DumpService & { readonly lost: boolean } {
  return new ReadService(new Fields(object, pointer, problems));
}
