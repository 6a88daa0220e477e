import type { Evidence } from '../formats/evidence.js';
import { list, type JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import { ending, type End } from './connection.js';
import type { Engine } from './engine.js';
import { chooseHost } from './hosts.js';
import { originalDestination } from './original-dst.js';
import { fork, step, stepsKept, withUnknown, type Path } from './path.js';
import { localStatus, unknownEnd, type Upstream } from './upstream-end.js';

/** A connection or request goes to a cluster by name. */
export function toCluster(engine: Engine, name: string, upstream: Upstream, path: Path, end: End): void {
  const cluster = engine.cluster(name);
  if (cluster === null) {
    const open = mayExist(engine, name, upstream);
    if (open !== null) {
      const { decidedBy } = upstream.fields;
      const next = withUnknown(path, `cluster ${name}`, open);
      end(ending(upstream.connection, 'unknown', decidedBy ?? null, { ...upstream.fields, reason: open }), next);
      return;
    }
    const reason = upstream.http ? 'cluster_not_found' : 'NC';
    const status = upstream.http ? localStatus(upstream.notFoundStatus, upstream.grpc) : null;
    const next = step(path, `cluster ${name} does not exist in this Envoy`, null);
    end(
      ending(upstream.connection, 'error', upstream.fields.decidedBy ?? null, { ...upstream.fields, reason, status }),
      next,
    );
    return;
  }
  const open = cluster.open ?? (upstream.http ? cluster.openFilters : null);
  if (open === null) return inCluster(engine, cluster, upstream, path, end);
  const { evidence } = cluster;
  fork(
    path,
    open,
    'unknown',
    (yes) => inCluster(engine, cluster, upstream, yes, end),
    (no) =>
      end(
        ending(upstream.connection, 'unknown', evidence, { ...upstream.fields, cluster: name, reason: open.reason }),
        no,
      ),
  );
}

function inCluster(engine: Engine, cluster: ClusterModel, upstream: Upstream, path: Path, end: End): void {
  const { name, evidence } = cluster;
  const next = stepsKept(path, cluster.step);
  const fields = { ...upstream.fields, cluster: name, sourceBind: cluster.sourceBind };
  if (cluster.discovery === 'ORIGINAL_DST') {
    originalDestination(engine, cluster, evidence, { ...upstream, fields }, next, end);
    return;
  }
  if (typeof cluster.discovery === 'object') {
    customCluster(engine, cluster, cluster.discovery, { ...upstream, fields }, evidence, next, end);
    return;
  }
  chooseHost(engine, cluster, evidence, { ...upstream, fields }, next, end);
}

/** Why a cluster that is not among those in use may be there all the same, null where it is not. */
function mayExist({ dump }: Engine, name: string, upstream: Upstream): string | null {
  if (!dump.hasClusters) return `${dump.file} has no clusters`;
  if (dump.warmingClusters.has(name)) return 'it is warming: its endpoints or secrets have not come yet';
  return upstream.onDemand === true ? 'it is asked for when it is needed (on_demand)' : null;
}

function customCluster(
  engine: Engine,
  cluster: ClusterModel,
  custom: { readonly custom: string; readonly config: JsonObject },
  upstream: Upstream,
  evidence: Evidence,
  path: Path,
  end: End,
): void {
  if (custom.custom.endsWith('aggregate.v3.ClusterConfig')) {
    const names = list(custom.config['clusters']).filter((name) => typeof name === 'string');
    for (const name of names) {
      const member = engine.cluster(name);
      if (member === null) continue;
      const set = member.hosts();
      if (set !== null && set.hosts.every((host) => host.health === 'unhealthy')) continue;
      // The first member with a host that can be used takes the traffic; partial health spreads it over several.
      const whole = set !== null && set.hosts.every((host) => host.health === 'healthy');
      if (!whole) break;
      toCluster(engine, name, upstream, step(path, `aggregate cluster ${cluster.name} chooses ${name}`, evidence), end);
      return;
    }
  }
  unknownEnd(
    upstream,
    `endpoint of cluster ${cluster.name}`,
    `clusters of type ${custom.custom} choose their endpoints while they run`,
    evidence,
    path,
    end,
  );
}
