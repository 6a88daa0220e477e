import type { Evidence } from '../formats/evidence.js';
import type { DumpEntry, EnvoyDump } from '../formats/envoy-dump.js';
import type { ClustersFile } from '../formats/envoy-clusters.js';
import type { JsonObject } from '../formats/envoy-json.js';
import type { ClusterModel } from './cluster.js';
import type { Connection, End } from './connection.js';
import type { ListenerModel } from './listener.js';
import type { Path } from './path.js';
import type { RouteTable } from './routes.js';
import type { Runtime } from './runtime.js';

/**
 * What the parts of the engine share. The functions tie the knot (a cluster's endpoint may be an internal listener of
 * the same Envoy) without a circle of imports.
 */
export interface Engine {
  readonly dump: EnvoyDump;
  readonly health: ClustersFile | null;
  readonly runtime: Runtime;
  readonly listeners: readonly ListenerModel[];
  cluster(name: string): ClusterModel | null;
  routeTable(config: DumpEntry): RouteTable;
  evidence(entry: DumpEntry, text: string): Evidence;
  /** Compiled form of a piece of the dump, made once. */
  compiled<T>(kind: string, value: JsonObject, make: () => T): T;
  internalListener(name: string): ListenerModel | null;
  /** Clusters whose ways are being worked out just now: a way may lead back to its own cluster. */
  readonly underWay: Set<ClusterModel>;
  /** Hands a connection to an internal listener. */
  toInternal(listener: string, connection: Connection, path: Path, depth: number, end: End): void;
}
