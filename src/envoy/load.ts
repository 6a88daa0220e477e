import type { Evidence, Unknown } from '../formats/evidence.js';
import { readEnvoyClusters, type ClustersFile } from '../formats/envoy-clusters.js';
import { readEnvoyDump, type DumpEntry } from '../formats/envoy-dump.js';
import { object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import { workloadCertificate } from './certificates.js';
import { clusterModel, type ClusterModel } from './cluster.js';
import { addressText, ending, ipAddress, newConnection, type Address, type Payload } from './connection.js';
import { endpointsOf } from './endpoints.js';
import type { Engine } from './engine.js';
import type { Envoy, EnvoyOutcome, EnvoyRequest } from './face.js';
import { listenerIndex, listenerModel, type ListenerIndex, type ListenerModel } from './listener.js';
import { accept } from './accept.js';
import { originate } from './originate.js';
import { gather } from './outcome.js';
import { START, step, withUnknown, type Path } from './path.js';
import { routeTable, type RouteTable } from './routes.js';
import { readRuntime } from './runtime.js';

/** Reads `/config_dump?include_eds` (and `/clusters?format=json`, for health). Never throws. */
export function loadEnvoy(file: string, text: string, clusters: { file: string; text: string } | null): Envoy {
  const dump = readEnvoyDump(file, text);
  const health = clusters === null ? null : readEnvoyClusters(clusters.file, clusters.text);
  const listeners = dump.listeners.map((entry) => listenerModel(entry, file));
  const index = listenerIndex(listeners);
  const problems: Unknown[] = dump.problems.map((problem) => ({
    fact: `${problem.file}${problem.pointer === undefined ? '' : `#${problem.pointer}`}`,
    reason: problem.message,
  }));
  if (health?.problem != null) problems.push({ fact: health.file, reason: health.problem });
  const engine = makeEngine(dump, health, listeners, index);
  const warming = listenerIndex(dump.warmingListeners.map((entry) => listenerModel(entry, file)));
  const node = object(dump.bootstrap?.value['node']);
  const metadata = object(node['metadata']);
  return {
    file,
    nodeId: string(node['id']),
    istioVersion: string(metadata['ISTIO_VERSION']),
    metadata,
    problems,
    usable: dump.usable,
    listeners: dump.listeners.map((entry) => entry.name).filter((name) => name !== ''),
    clusters: [...dump.clusters.keys()],
    endpoints: (name) => endpointsOf(engine, name),
    decide: (request) => decide(engine, { index, warming }, identityOf(node), request),
    workloadCertificate: () => workloadCertificate(dump),
    originate: (cluster, origin) => originate(engine, identityOf(node), cluster, origin),
  };
}

function makeEngine(
  dump: Engine['dump'],
  health: ClustersFile | null,
  listeners: Engine['listeners'],
  index: ListenerIndex,
): Engine {
  const clusters = new Map<string, ClusterModel>();
  const tables = new WeakMap<JsonObject, RouteTable>();
  const pieces = new Map<string, WeakMap<JsonObject, unknown>>();
  const engine: Engine = {
    dump,
    health,
    runtime: readRuntime(dump.bootstrap),
    listeners,
    cluster: (name) => {
      const known = clusters.get(name);
      if (known !== undefined) return known;
      const entry = dump.clusters.get(name);
      if (entry === undefined) return null;
      const made = clusterModel(entry, dump, health);
      clusters.set(name, made);
      return made;
    },
    routeTable: (entry) => {
      const known = tables.get(entry.value);
      if (known !== undefined) return known;
      const made = routeTable(entry, dump.file);
      tables.set(entry.value, made);
      return made;
    },
    evidence: (entry: DumpEntry, shown: string): Evidence => ({ file: dump.file, pointer: entry.pointer, text: shown }),
    compiled: (kind, value, make) => {
      let cache = pieces.get(kind);
      if (cache === undefined) pieces.set(kind, (cache = new WeakMap()));
      const known = cache.get(value);
      if (known !== undefined) return known as ReturnType<typeof make>;
      const made = make();
      cache.set(value, made);
      return made;
    },
    internalListener: (name) => index.internal(name),
    underWay: new Set(),
    toInternal: (name, connection, path, depth, end) => {
      const listener = index.internal(name);
      if (listener === null) {
        const text = `no internal listener ${name}`;
        const fields = { reason: 'upstream_reset_before_response_started{connection_failure}' };
        end(ending(connection, 'error', null, fields), step(path, text, null));
        return;
      }
      accept(engine, listener, connection, path, depth, end);
    },
  };
  return engine;
}

/** The proxy's own identity: service account and namespace of the node, trust domain of the mesh. */
function identityOf(node: JsonObject): string | null {
  const metadata = object(node['metadata']);
  const account = string(metadata['SERVICE_ACCOUNT']);
  const namespace = string(metadata['NAMESPACE']);
  if (account === null || namespace === null) return null;
  const config = objectOrNull(metadata['PROXY_CONFIG']);
  const domain = string(metadata['TRUST_DOMAIN']) ?? string(config?.['trustDomain']) ?? 'cluster.local';
  return `spiffe://${domain}/ns/${namespace}/sa/${account}`;
}

function payloadOf(request: EnvoyRequest): Payload {
  const app: Payload['app'] = request.http === null ? { kind: 'tcp' } : { kind: 'http', request: request.http };
  if (request.connect === null) return { tls: request.tls, app };
  const { authority, headers } = request.connect;
  return { tls: request.tls, app: { kind: 'connect', authority, headers, inner: { tls: request.innerTls, app } } };
}

function stillWarming(path: Path, { name }: ListenerModel): Path {
  return withUnknown(path, `listener ${name ?? ''}`, 'it is warming: its routes or secrets have not come yet');
}

/** Whether this listener takes connections to the address before the other one. */
function isMoreExact(listener: ListenerModel, other: ListenerModel, at: Address): boolean {
  const exact = ({ addresses }: ListenerModel): number =>
    addresses.some((item) => item.kind === 'ip' && at.kind === 'ip' && item.host === at.host && item.port === at.port)
      ? 2
      : addresses.some((item) => item.kind === 'ip' && at.kind === 'ip' && item.port === at.port)
        ? 1
        : 0;
  return exact(listener) > exact(other);
}

interface Listeners {
  readonly index: ListenerIndex;
  /** Those that wait for their routes or secrets, without an older version that takes their connections meanwhile. */
  readonly warming: ListenerIndex;
}

function decide(
  engine: Engine,
  { index, warming }: Listeners,
  identity: string | null,
  request: EnvoyRequest,
): readonly EnvoyOutcome[] {
  const { end, outcomes } = gather(identity);
  const bound = ipAddress(request.listener);
  const local = ipAddress(request.dst);
  if (bound === null || local === null) {
    const fact = bound === null ? request.listener : request.dst;
    const reason = `${fact} is not an address with a port`;
    end(ending(null, 'unknown', null, { reason }), withUnknown(START, fact, reason));
    return outcomes();
  }
  const listener = index.find(bound, true);
  if (listener === null) {
    const reason = `no listener is bound to ${request.listener}`;
    const waiting = warming.find(bound, true);
    const missing = engine.listeners.length === 0 || waiting !== null;
    const next =
      waiting !== null
        ? stillWarming(START, waiting)
        : missing
          ? withUnknown(START, `listeners of ${engine.dump.file}`, 'the dump has none')
          : START;
    end(ending(null, missing ? 'unknown' : 'error', null, { reason }), step(next, reason, null));
    return outcomes();
  }
  const connection = newConnection({
    payload: payloadOf(request),
    local,
    remote: ipAddress(request.src),
    listener: listener.name,
  });
  if (listener.useOriginalDst) {
    // A listener for the original destination takes the connection over; otherwise this one keeps it.
    const target = index.find(local, false) ?? listener;
    const text = `listener ${listener.name ?? addressText(bound)} hands ${request.dst} to listener ${target.name ?? ''}`;
    const path =
      target === listener
        ? START
        : step(START, text, engine.evidence(listener.entry, `listener ${listener.name ?? ''}`));
    const waiting = warming.find(local, false);
    const replaced = waiting !== null && !isMoreExact(target, waiting, local);
    if (replaced) {
      const reason = `listener ${waiting.name ?? ''} waits to take it`;
      end(
        ending(connection, 'unknown', engine.evidence(waiting.entry, reason), { reason }),
        stillWarming(path, waiting),
      );
      return outcomes();
    }
    accept(engine, target, { ...connection, localRestored: true }, path, 0, end);
  } else {
    accept(engine, listener, connection, START, 0, end);
  }
  return outcomes();
}
