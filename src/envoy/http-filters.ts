import type { Evidence } from '../formats/evidence.js';
import { boolean, list, object, objectOrNull, string, strings, typed, type JsonObject } from '../formats/envoy-json.js';
import { ending, type Connection, type End } from './connection.js';
import type { Engine } from './engine.js';
import { formatted } from './format.js';
import { cors, fault } from './http-filter-kinds.js';
import { extAuthz } from './ext-authz.js';
import { jwt } from './jwt.js';
import { reply, unsure, type FilterRun } from './filter-run.js';
import { filter as readFilter, type Filter } from './listener.js';
import { AUTHORITY_PORT_STATE, AUTHORITY_STATE } from './listener-filters.js';
import { networkSubject, runRbac } from './rbac-run.js';
import { builtInTelemetry, setFilterState } from './filter-state.js';
import { fork, withUnknown, type Path } from './path.js';
import type { RbacSubject } from './rbac.js';
import { PASSIVE_HTTP } from './passive-filters.js';
import { routeRequest } from './router.js';
import { mayBe, mayHave, perRoute, type Stream } from './stream.js';
import type { Headers } from './strings.js';
import { doubt } from './tri.js';

/** Where a list of HTTP filters stands: the connection manager's own, or that of an upgrade. */
export interface FilterList {
  readonly holder: JsonObject;
  readonly field: string;
  /** Of the list. */
  readonly pointer: string;
}

/**
 * Runs the HTTP filters in order; the router at the end sends the request on. `ends`: the end of a request by the headers
 * that it has by then, which local replies look at.
 */
export function runHttpFilters(
  stream: Stream,
  { holder, field, pointer }: FilterList,
  path: Path,
  ends: (headers: Headers) => End,
): void {
  const filters = stream.engine.compiled('http filters', holder, () =>
    list(holder[field]).map((item, i) =>
      located(resolve(readFilter(object(item), `${pointer}/${i}`), stream.engine), stream.engine),
    ),
  );
  const from = (index: number, current: Stream, branch: Path, end: End): void => {
    const found = filters[index];
    if (found === undefined) {
      const reason = 'no router filter';
      end(
        ending(current.connection, 'unknown', current.evidence, { reason }),
        withUnknown(branch, 'router filter', reason),
      );
      return;
    }
    const run: FilterRun = {
      filter: found.filter,
      stream: current,
      path: branch,
      evidence: found.evidence,
      end,
      next: (changed, after) =>
        from(index + 1, changed, after, changed.headers === current.headers ? end : ends(changed.headers)),
    };
    runOne(run);
  };
  from(0, stream, path, ends(stream.headers));
}

interface HttpFilter {
  readonly filter: Filter;
  readonly evidence: Evidence;
}

function located(filter: Filter, engine: Engine): HttpFilter {
  return { filter, evidence: { file: engine.dump.file, pointer: filter.pointer, text: `HTTP filter ${filter.name}` } };
}

/** ECDS: the configuration stands in another part of the dump. */
function resolve(found: Filter, { dump }: Engine): Filter {
  if (found.raw['config_discovery'] === undefined) return found;
  const entry = dump.extensions.get(found.name);
  return entry === undefined
    ? { ...found, type: 'config_discovery' }
    : { ...readFilter(entry.value, entry.pointer), name: found.name };
}

function subject(stream: Stream): RbacSubject {
  return {
    ...networkSubject(stream.connection),
    headers: stream.headers,
    path: stream.isConnect ? null : stream.request.path,
    remoteIp: stream.remoteIp,
    openMetadata: stream.openMetadata,
    routeMetadata: objectOrNull(object(stream.route?.value['metadata'])['filter_metadata']),
  };
}

function withConnection(stream: Stream, change: Partial<Connection>): Stream {
  return { ...stream, connection: { ...stream.connection, ...change } };
}

/** `disabled` on the filter itself or, per route, by FilterConfig or the filter's own per-route message. */
function isDisabled(run: FilterRun, own: JsonObject | null): boolean {
  const type = typed(own ?? undefined).type;
  if (type === 'envoy.config.route.v3.FilterConfig' && own?.['disabled'] === true) return true;
  if (own !== null && type !== 'envoy.config.route.v3.FilterConfig') return false;
  return run.filter.raw['disabled'] === true;
}

function routeConfig(own: JsonObject | null): { readonly type: string; readonly value: JsonObject } | null {
  if (own === null) return null;
  const outer = typed(own);
  if (outer.type !== 'envoy.config.route.v3.FilterConfig') return outer;
  const inner = objectOrNull(outer.value['config']);
  return inner === null ? null : typed(inner);
}

function runOne(run: FilterRun): void {
  const { filter, stream, path, end, next } = run;
  const written = perRoute(stream, filter);
  if (isDisabled(run, written)) return next(stream, path);
  const own = routeConfig(written);
  if (PASSIVE_HTTP.has(filter.type) || builtInTelemetry(filter.config)) return next(stream, path);
  const { request, connection } = stream;
  switch (filter.type) {
    case 'envoy.extensions.filters.http.router.v3.Router':
      return routeRequest(run);
    case 'envoy.extensions.filters.http.rbac.v3.RBAC': {
      // RBACPerRoute: its `rbac` replaces the filter's; without one RBAC is off.
      const replaced = own?.type.endsWith('RBACPerRoute') === true;
      const config = replaced ? objectOrNull(own.value['rbac']) : filter.config;
      if (config === null) return next(stream, path);
      const denied = (policy: string | null, at: Evidence, after: Path): void =>
        end({ ...reply(run, 'deny', 403, 'rbac_access_denied', { policy }), decidedBy: at }, after);
      return runRbac(
        stream.engine,
        { ...filter, config },
        subject(stream),
        connection.metadata,
        path,
        denied,
        (metadata, after) => next(withConnection(stream, { metadata }), after),
      );
    }
    case 'envoy.extensions.filters.http.set_filter_state.v3.Config': {
      const values = list(filter.config['on_request_headers']).map(object);
      const changed = setFilterState(values, connection, (text) =>
        formatted(text, {
          connection,
          request,
          open: (header) => stream.headers.open(header) !== null,
          openMetadata: stream.openMetadata,
        }),
      );
      return next({ ...stream, connection: changed }, path);
    }
    case 'io.istio.http.connect_authority.Config': {
      if (own === null || boolean(own.value['enabled']) !== true) return next(stream, path);
      const filterState = new Map(connection.filterState);
      filterState.set(AUTHORITY_STATE, request.authority);
      filterState.set(AUTHORITY_PORT_STATE, String(own.value['port'] ?? 0));
      const shared = new Set([...connection.shared, AUTHORITY_STATE, AUTHORITY_PORT_STATE]);
      return next(withConnection(stream, { filterState, shared }), path);
    }
    case 'istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig':
      return next({ ...stream, alpn: alpnOverride(filter.config, stream) }, path);
    case 'envoy.extensions.filters.http.fault.v3.HTTPFault':
      return fault(run, own?.value ?? filter.config);
    case 'envoy.extensions.filters.http.cors.v3.Cors':
      return cors(run, own?.value ?? null);
    case 'envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication':
      return jwt(run, own?.value ?? null);
    case 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz':
      return extAuthz(run, own?.value ?? null);
    case 'envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit':
    case 'envoy.extensions.filters.http.ratelimit.v3.RateLimit': {
      const question = doubt(`the rate limit of ${filter.name} is not reached`, 'depends on the load');
      return fork(
        path,
        question,
        'condition',
        (yes) => next(stream, yes),
        (no) => end(reply(run, 'respond', 429, 'request_rate_limited'), no),
      );
    }
    case 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession':
      return carriesSession(run, own?.value ?? null) ? unsure(run, mayAnswer(filter)) : next(stream, path);
    default:
      return unsure(run, mayAnswer(filter));
  }
}

function mayAnswer({ type, name }: Filter): string {
  return `${type === '' ? name : type} may answer, or change the request`;
}

/** A request that names its session goes to that session's endpoint; one without is balanced as any other. */
function carriesSession({ filter, stream }: FilterRun, own: JsonObject | null): boolean {
  if (own !== null && boolean(own['disabled']) === true) return false;
  const config = objectOrNull(own?.['stateful_session']) ?? filter.config;
  const state = typed(object(config['session_state'])['typed_config']).value;
  const cookie = string(object(state['cookie'])['name']);
  if (cookie !== null) return mayBe(stream.headers, 'cookie', (value) => value.includes(`${cookie}=`));
  const header = string(state['name']);
  return header === null || mayHave(stream.headers, header.toLowerCase());
}

/** istio.alpn: ALPN by upstream protocol, unless the cluster's metadata switches it off. */
export function alpnOverride(config: JsonObject, stream: Pick<Stream, 'isConnect' | 'grpc'>): Stream['alpn'] {
  const overrides = new Map<string, readonly string[]>();
  for (const item of list(config['alpn_override'])) {
    const entry = object(item);
    overrides.set(string(entry['upstream_protocol']) ?? 'HTTP10', strings(entry['alpn_override']));
  }
  return (cluster) => {
    const metadata = object(object(object(cluster.entry.value['metadata'])['filter_metadata'])['istio']);
    if (metadata['alpn_override'] === 'false') return null;
    const downstream = stream.isConnect || stream.grpc ? 'HTTP2' : 'HTTP11';
    switch (cluster.protocol) {
      case 'http1':
        return overrides.get('HTTP11') ?? null;
      case 'http2':
        return overrides.get('HTTP2') ?? null;
      case 'downstream':
        return overrides.get(downstream) ?? null;
      case 'http3':
      case 'auto':
        return null;
    }
  };
}
