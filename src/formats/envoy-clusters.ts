import { address, list, number, object, objectOrNull, parseJson, string, type JsonObject } from './envoy-json.js';

/** Health of one host as `/clusters?format=json` prints it. */
export interface HostStatus {
  /** `ip:port`, or `internal:listener/id`. */
  readonly address: string;
  readonly priority: number;
  /** Health by EDS, as printed (`HEALTHY`, `UNHEALTHY`, `DEGRADED`, `DRAINING`, `TIMEOUT`), null where absent. */
  readonly eds: string | null;
  /** Flags that make Envoy pass the host by: active health check, outlier detection. */
  readonly failed: readonly string[];
  readonly degraded: boolean;
  /** Not counted at all: envoy 1.40 source/common/upstream/upstream_impl.cc excludes these and DRAINING hosts. */
  readonly excluded: boolean;
  readonly pointer: string;
}

export interface ClustersFile {
  readonly file: string;
  readonly hosts: ReadonlyMap<string, readonly HostStatus[]>;
  readonly problem: string | null;
}

function hostAddress(value: JsonObject): string {
  const at = address(value['address']);
  if (at === null) return '';
  switch (at.kind) {
    case 'socket':
      return at.host.includes(':') ? `[${at.host}]:${at.port}` : `${at.host}:${at.port}`;
    case 'internal':
      return `internal:${at.listener}/${at.id}`;
    case 'pipe':
      return `pipe:${at.path}`;
  }
}

function hostStatus(value: JsonObject, pointer: string): HostStatus {
  const health = object(value['health_status']);
  const failed = ['failed_active_health_check', 'failed_outlier_check', 'active_hc_timeout'].filter(
    (flag) => health[flag] === true,
  );
  return {
    address: hostAddress(value),
    priority: number(value['priority']) ?? 0,
    eds: string(health['eds_health_status']),
    failed,
    degraded: health['failed_active_degraded_check'] === true,
    excluded:
      health['excluded_via_immediate_hc_fail'] === true ||
      health['pending_active_hc'] === true ||
      health['eds_health_status'] === 'DRAINING',
    pointer,
  };
}

/** Never throws. */
export function readEnvoyClusters(file: string, text: string): ClustersFile {
  const hosts = new Map<string, readonly HostStatus[]>();
  const parsed = parseJson(text);
  if ('message' in parsed) return { file, hosts, problem: `not JSON: ${parsed.message}` };
  const root = objectOrNull(parsed.value);
  if (root === null || !Array.isArray(root['cluster_statuses'])) {
    return { file, hosts, problem: 'no "cluster_statuses": not what /clusters?format=json prints' };
  }
  list(root['cluster_statuses']).forEach((item, i) => {
    const cluster = object(item);
    const name = string(cluster['name']);
    if (name === null) return;
    const statuses = list(cluster['host_statuses']).map((host, j) =>
      hostStatus(object(host), `/cluster_statuses/${i}/host_statuses/${j}`),
    );
    hosts.set(name, statuses);
  });
  return { file, hosts, problem: null };
}
