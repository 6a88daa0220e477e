import type { Evidence } from '../formats/evidence.js';
import type { JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import { ending, type End } from './connection.js';
import type { Engine } from './engine.js';
import { aggregate, type Part } from './aggregate.js';
import { chooseAmong, chooseHost, prepared } from './hosts.js';
import { originalDestination } from './original-dst.js';
import { fork, step, stepsKept, weigh, withUnknown, type Path } from './path.js';
import { localStatus, noUpstream, unknownEnd, type Upstream } from './upstream-end.js';

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

const AGGREGATE = 'envoy.extensions.clusters.aggregate.v3.ClusterConfig';

/** The clusters among which an aggregate chooses, each by its share. */
function toParts(
  engine: Engine,
  parts: readonly Part[],
  upstream: Upstream,
  evidence: Evidence,
  path: Path,
  end: End,
): void {
  if (parts.length === 0) return noUpstream(upstream, evidence, path, end);
  for (const { cluster, share, choice } of parts) {
    // the outcome names the aggregate, as Envoy's own log does
    const fields = { ...upstream.fields, sourceBind: cluster.sourceBind };
    const chosen = stepsKept(weigh(path, share), cluster.step);
    chooseAmong(
      engine,
      cluster,
      prepared(engine, cluster, choice),
      cluster.evidence,
      { ...upstream, fields },
      chosen,
      end,
    );
  }
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
  const parts = custom.custom === AGGREGATE ? aggregate(engine, cluster, custom.config) : null;
  if (parts !== null && typeof parts !== 'string') return toParts(engine, parts, upstream, evidence, path, end);
  unknownEnd(
    upstream,
    `endpoint of cluster ${cluster.name}`,
    parts ?? `clusters of type ${custom.custom} choose their endpoints while they run`,
    evidence,
    path,
    end,
  );
}
