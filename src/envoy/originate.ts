import { list, object, type JsonObject } from '../formats/envoy-json.js';
import { ipAddress, newConnection, NOTHING_KNOWN } from './connection.js';
import type { Engine } from './engine.js';
import type { EnvoyOrigin, EnvoyOutcome } from './face.js';
import { isGrpc } from './http.js';
import { alpnOverride } from './http-filters.js';
import { filter, type Filter } from './listener.js';
import { gather } from './outcome.js';
import { START } from './path.js';
import { toCluster } from './upstream.js';
import type { Upstream } from './upstream-end.js';

const HTTP_MANAGER = 'envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager';
const ALPN_FILTER = 'istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig';

/** What this Envoy does with a request or connection that one of its routes has given to `cluster`. */
export function originate(
  engine: Engine,
  identity: string | null,
  cluster: string,
  { src, dst, http }: EnvoyOrigin,
): readonly EnvoyOutcome[] {
  const { end, outcomes } = gather(identity);
  const connection = newConnection({
    payload: { tls: null, app: http === null ? { kind: 'tcp' } : { kind: 'http', request: http } },
    local: ipAddress(dst) ?? { kind: 'internal', listener: '', id: dst },
    remote: ipAddress(src),
    listener: null,
  });
  const headers = Object.fromEntries(
    Object.entries(http?.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
  );
  const grpc = isGrpc({ headers });
  const override = http === null ? null : httpAlpn(engine);
  const upstream: Upstream = {
    connection,
    payload: connection.payload,
    criteria: null,
    fields: { ...NOTHING_KNOWN, upstreamHttp: http },
    http: http !== null,
    grpc,
    headers,
    // the route that chose the cluster is not known, so neither is what it does to headers
    changesHeader: () => true,
    alpn: override === null ? null : alpnOverride(override.config, { isConnect: false, grpc }),
    notFoundStatus: 503,
    terminates: false,
    depth: 0,
  };
  toCluster(engine, cluster, upstream, START, end);
  return outcomes();
}

/** The ALPN filter of this Envoy's HTTP listeners: Istio gives all of them the same. Null: none has one. */
function httpAlpn(engine: Engine): Filter | null {
  for (const listener of engine.listeners) {
    const { chains, defaultChain } = listener.body();
    for (const chain of defaultChain === null ? chains : [...chains, defaultChain]) {
      for (const { type, config } of chain.filters) {
        const found = type === HTTP_MANAGER ? alpnFilterOf(config) : null;
        if (found !== null) return found;
      }
    }
  }
  return null;
}

function alpnFilterOf(manager: JsonObject): Filter | null {
  return (
    list(manager['http_filters'])
      .map((item) => filter(object(item), ''))
      .find(({ type }) => type === ALPN_FILTER) ?? null
  );
}
