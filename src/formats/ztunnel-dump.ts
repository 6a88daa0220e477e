import { pointerTo, type Unknown } from './evidence.js';
import { Fields, isObject, Problems, type JsonObject } from './ztunnel-json.js';
import { readConfig } from './ztunnel-config.js';
import { readLegacy } from './ztunnel-legacy.js';
import { readPolicy } from './ztunnel-policy.js';
import { networkAddress, readService, readWorkload } from './ztunnel-workload.js';
import type {
  DumpCertificate,
  DumpPodState,
  DumpPolicy,
  DumpService,
  DumpShape,
  DumpWorkload,
  ZtunnelDump,
} from './ztunnel-types.js';

/** Members of the dump by layout; a reader that meets another name reports it (history: Z:src/admin.rs, src/state.rs). */
const TOP_FIELDS: ReadonlySet<string> = new Set([
  ...['workloads', 'services', 'policies', 'stagedServices', 'staticConfig', 'version', 'config', 'certificates'],
  ...['workloadState', 'servicesByHostname', 'resolvedDns', 'workload_to_vip', 'vips', 'policies_by_namespace'],
  ...['proxy_mode', 'local_node', 'static_config', 'by_addr', 'by_uid', 'by_hostname', 'by_vip', 'by_host', 'by_key'],
  ...['by_namespace', 'staged_services', 'workload_to_services', 'workload_state', 'resolved_dns'],
]);

/** Z:src/admin.rs dump_certs. */
const CERTIFICATE_STATE = /^(Available|Initializing|Unavailable: )/;

export type DumpRead =
  | { readonly kind: 'dump'; readonly dump: ZtunnelDump }
  /** Nothing can be said from this file. */
  | { readonly kind: 'unusable'; readonly reason: string };

/** Reads one config_dump of any release since 1.18. Never throws. */
export function readZtunnelDump(file: string, text: string): DumpRead {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch (error) {
    return { kind: 'unusable', reason: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!isObject(root)) return { kind: 'unusable', reason: 'not a JSON object' };
  const shape = shapeOf(root);
  if (shape === null) return { kind: 'unusable', reason: 'no ztunnel config_dump: it has no workloads' };
  const problems = new Problems(file);
  for (const key in root) if (!TOP_FIELDS.has(key)) problems.add(pointerTo('', key), `unknown section ${key}`);
  return { kind: 'dump', dump: new DumpReader(file, root, shape, problems).read() };
}

function shapeOf(root: JsonObject): DumpShape | null {
  if ('by_addr' in root || 'by_uid' in root) return 'flat-stores';
  if (Array.isArray(root['workloads']) || Array.isArray(root['services'])) return 'lists';
  if (!isObject(root['workloads'])) return 'services' in root && 'config' in root ? 'lists' : null;
  return 'vips' in root || 'policies_by_namespace' in root ? 'ip-maps' : 'maps';
}

/** Where each layout keeps a section. */
const SECTIONS: Readonly<Record<DumpShape, { workloads: string; services: string; hosts: string; policies: string }>> =
  {
    'ip-maps': { workloads: 'workloads', services: 'vips', hosts: '', policies: 'policies' },
    'flat-stores': { workloads: 'by_addr', services: 'by_vip', hosts: 'by_host', policies: 'by_key' },
    maps: { workloads: 'workloads', services: 'services', hosts: 'servicesByHostname', policies: 'policies' },
    lists: { workloads: 'workloads', services: 'services', hosts: '', policies: 'policies' },
  };

type Entries = readonly { readonly key: string; readonly pointer: string; readonly value: unknown }[];

class DumpReader {
  private readonly gaps: Record<keyof ZtunnelDump['gaps'], Unknown | null>;

  private readonly file: string;
  private readonly root: JsonObject;
  private readonly shape: DumpShape;
  private readonly problems: Problems;

  constructor(file: string, root: JsonObject, shape: DumpShape, problems: Problems) {
    this.file = file;
    this.root = root;
    this.shape = shape;
    this.problems = problems;
    this.gaps = { workloads: null, services: null, policies: null, config: null, pods: null, certificates: null };
  }

  read(): ZtunnelDump {
    const legacy = this.shape === 'ip-maps' ? readLegacy(this.root, this.problems) : null;
    const workloads = legacy === null ? this.workloads() : { list: [], byAddress: null };
    const services = legacy === null ? this.services() : { list: [], byVip: null };
    const policies = this.policies();
    const { config, unread } = readConfig(this.root, this.problems);
    this.gaps.config = legacy?.unread ?? unread;
    if (config.onDemand) this.onDemand();
    return {
      file: this.file,
      shape: this.shape,
      version: this.version(),
      config,
      workloads: workloads.list,
      services: services.list,
      policies,
      certificates: this.certificates(),
      pods: this.pods(),
      workloadByAddress: workloads.byAddress,
      serviceByVip: services.byVip,
      legacy,
      gaps: this.gaps,
      problems: this.problems.finish(),
    };
  }

  /** The members of a section, list or map as its layout has it; a gap where it is missing or not readable. */
  private section(name: string, gap: 'workloads' | 'services' | 'policies'): Entries {
    const value = this.root[name];
    const pointer = pointerTo('', name);
    if (this.shape === 'lists' && Array.isArray(value)) {
      return value.map((entry: unknown, index) => ({
        key: String(index),
        pointer: pointerTo(pointer, index),
        value: entry,
      }));
    }
    if (this.shape !== 'lists' && isObject(value)) {
      return Object.entries(value).map(([key, entry]) => ({ key, pointer: pointerTo(pointer, key), value: entry }));
    }
    const wanted = this.shape === 'lists' ? 'list' : 'map';
    this.problems.add(pointer, `section ${name} is missing or not a ${wanted}`);
    this.gaps[gap] = {
      fact: `${gap} of ztunnel: ${this.file}${pointer}`,
      reason: `the dump has no such section, or it is not a ${wanted}`,
    };
    return [];
  }

  private damaged(pointer: string, gap: 'workloads' | 'services' | 'policies' | 'pods' | 'certificates'): void {
    this.problems.add(pointer, `an entry of ${gap} that cannot be read`);
    this.gaps[gap] ??= { fact: `${gap} of ztunnel: ${this.file}${pointer}`, reason: 'the entry cannot be read' };
  }

  /** With xdsOnDemand (off by default) ztunnel asks istiod for what it does not hold. */
  private onDemand(): void {
    const unknown = {
      fact: `what istiod answers on demand: ${this.file}/config/xdsOnDemand`,
      reason: 'it is switched on',
    };
    this.gaps.workloads ??= unknown;
    this.gaps.services ??= unknown;
  }

  private workloads(): { list: readonly DumpWorkload[]; byAddress: ReadonlyMap<string, DumpWorkload> | null } {
    const list: DumpWorkload[] = [];
    if (this.shape === 'lists') {
      for (const { pointer, value } of this.section('workloads', 'workloads')) {
        if (isObject(value)) list.push(this.workload(value, pointer));
        else this.damaged(pointer, 'workloads');
      }
      return { list, byAddress: null };
    }
    const byAddress = new Map<string, DumpWorkload>();
    const byUid = new Map<string, DumpWorkload>();
    const take = (value: unknown, pointer: string): DumpWorkload | null => {
      if (!isObject(value)) {
        this.damaged(pointer, 'workloads');
        return null;
      }
      const uid = typeof value['uid'] === 'string' ? value['uid'] : pointer;
      const known = byUid.get(uid);
      if (known !== undefined) return known;
      const workload = this.workload(value, pointer);
      byUid.set(uid, workload);
      list.push(workload);
      return workload;
    };
    for (const { key, pointer, value } of this.section(SECTIONS[this.shape].workloads, 'workloads')) {
      const address = networkAddress(key);
      const workload = take(value, pointer);
      if (address === null) this.damaged(pointer, 'workloads');
      else if (workload !== null) byAddress.set(`${address.network}/${address.ip}`, workload);
    }
    if (isObject(this.root['by_uid'])) {
      for (const [key, value] of Object.entries(this.root['by_uid'])) take(value, pointerTo('/by_uid', key));
    }
    return { list, byAddress };
  }

  private workload(value: JsonObject, pointer: string): DumpWorkload {
    const { workload, lost } = readWorkload(value, pointer, this.problems);
    if (lost) this.gaps.workloads ??= workload.unread;
    return workload;
  }

  private service(value: JsonObject, pointer: string): DumpService {
    const service = readService(value, pointer, this.problems);
    if (service.lost) this.gaps.services ??= service.unread;
    return service;
  }

  private services(): { list: readonly DumpService[]; byVip: ReadonlyMap<string, DumpService> | null } {
    const list: DumpService[] = [];
    if (this.shape === 'lists') {
      for (const { pointer, value } of this.section('services', 'services')) {
        if (isObject(value)) list.push(this.service(value, pointer));
        else this.damaged(pointer, 'services');
      }
      return { list, byVip: null };
    }
    const byVip = new Map<string, DumpService>();
    const byHost = new Map<string, DumpService>();
    const take = (value: unknown, pointer: string): DumpService | null => {
      if (!isObject(value)) {
        this.damaged(pointer, 'services');
        return null;
      }
      const key = `${String(value['namespace'])}/${String(value['hostname'])}`;
      const known = byHost.get(key);
      if (known !== undefined) return known;
      const service = this.service(value, pointer);
      byHost.set(key, service);
      list.push(service);
      return service;
    };
    const { services, hosts } = SECTIONS[this.shape];
    for (const { key, pointer, value } of this.section(services, 'services')) {
      const address = networkAddress(key);
      const service = take(value, pointer);
      if (address === null) this.damaged(pointer, 'services');
      else if (service !== null) byVip.set(`${address.network}/${address.ip}`, service);
    }
    const byHostname = this.root[hosts];
    if (isObject(byHostname)) {
      for (const [host, value] of Object.entries(byHostname)) {
        const pointer = pointerTo(pointerTo('', hosts), host);
        if (Array.isArray(value)) value.forEach((entry: unknown, index) => take(entry, pointerTo(pointer, index)));
        else this.damaged(pointer, 'services');
      }
    }
    return { list, byVip };
  }

  private policies(): readonly DumpPolicy[] {
    const out: DumpPolicy[] = [];
    for (const { pointer, value } of this.section(SECTIONS[this.shape].policies, 'policies')) {
      if (!isObject(value)) {
        this.damaged(pointer, 'policies');
        continue;
      }
      const { policy, lost } = readPolicy(value, pointer, this.problems);
      if (lost) this.damaged(pointer, 'policies');
      out.push(policy);
    }
    return out;
  }

  private certificates(): readonly DumpCertificate[] {
    const value = this.root['certificates'];
    const out: DumpCertificate[] = [];
    const all: readonly [string | number, unknown][] = Array.isArray(value)
      ? value.map((entry: unknown, index) => [index, entry])
      : isObject(value)
        ? Object.entries(value)
        : [];
    if (value !== undefined && typeof value !== 'object') this.damaged('/certificates', 'certificates');
    for (const [key, entry] of all) {
      const pointer = pointerTo('/certificates', key);
      const object = isObject(entry) ? entry : {};
      const fields = new Fields(object, pointer, this.problems);
      const identity = fields.text('identity');
      const state = fields.text('state');
      if (identity === '' || !CERTIFICATE_STATE.test(state)) this.damaged(pointer, 'certificates');
      out.push({
        identity,
        state,
        ...validityOfLeaf(object),
        evidence: { file: this.file, pointer, text: `certificate of ${identity}: ${state}` },
      });
    }
    return out;
  }

  private pods(): readonly DumpPodState[] | null {
    const section = 'workloadState' in this.root ? 'workloadState' : 'workload_state';
    const value = this.root[section];
    if (value !== undefined && !isObject(value)) this.damaged(pointerTo('', section), 'pods');
    if (!isObject(value)) return null;
    return Object.entries(value).map(([uid, entry]) => {
      const pointer = pointerTo(pointerTo('', section), uid);
      const fields = new Fields(isObject(entry) ? entry : {}, pointer, this.problems);
      const info = fields.child('info');
      const name = info?.text('name') ?? '';
      const namespace = info?.text('namespace') ?? '';
      if (!isObject(entry) || fields.damage.length > 0) this.damaged(pointer, 'pods');
      return {
        uid,
        state: fields.text('state'),
        info: info === null ? null : { namespace, name, serviceAccount: info.text('serviceAccount') },
        evidence: { file: this.file, pointer, text: `pod ${namespace}/${name} of ztunnel` },
      };
    });
  }

  /** Releases print it as `version`, `istioVersion` or the tag; a development build may print none that is a release. */
  private version(): string | null {
    const info = this.root['version'];
    if (!isObject(info)) return null;
    for (const key of ['istioVersion', 'istio_version', 'version', 'gitTag', 'git_tag']) {
      const value = info[key];
      const match = typeof value === 'string' ? /^v?(\d+\.\d+\.\d+(?:-(?:alpha|beta|rc)\.\d+)?)/.exec(value) : null;
      if (match?.[1] !== undefined) return match[1];
    }
    return null;
  }
}

/** Up to 1.25 `ca_cert` holds the leaf and `cert_chain` what signed it (Z@1.18:src/admin.rs); later `certChain` begins with it. */
function validityOfLeaf(
  certificate: Readonly<Record<string, unknown>>,
): Pick<DumpCertificate, 'validFrom' | 'validUntil'> {
  const lists = ['caCert', 'ca_cert', 'certChain', 'cert_chain'].map((name) => certificate[name]);
  const leaf: unknown = lists
    .flatMap((list: unknown) => (Array.isArray(list) ? [list[0] as unknown] : []))
    .find(isObject);
  if (!isObject(leaf)) return { validFrom: null, validUntil: null };
  return {
    validFrom: timeOf(leaf['validFrom'] ?? leaf['valid_from']),
    validUntil: timeOf(leaf['expirationTime'] ?? leaf['expiration_time']),
  };
}

function timeOf(value: unknown): string | null {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? value : null;
}
