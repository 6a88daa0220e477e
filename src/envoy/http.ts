import type { Evidence } from '../formats/evidence.js';
import { boolean, list, number, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import {
  ending,
  ipAddress,
  ipAddressOf,
  type Application,
  type Connection,
  type End,
  type Ending,
} from './connection.js';
import type { Engine } from './engine.js';
import type { HttpRequest } from './face.js';
import { runHttpFilters, type FilterList } from './http-filters.js';
import { ESCAPED_SLASH, mergeSlashes, normalized, unescapeSlashes } from './http-path.js';
import type { Filter } from './listener.js';
import { fork, step, withUnknown, type Path } from './path.js';
import type { RouteTable } from './routes.js';
import { chooseRoute } from './route-choice.js';
import { headersOf, type Stream } from './stream.js';
import { localReplies } from './local-reply.js';
import { openFields } from './open-fields.js';
import { lowerCased, openHeaders, refusesHeaders, sanitized, schemeOf, upgradeOf } from './request-headers.js';
import { routeName } from './filter-run.js';
import { headerValue, NO_HEADERS, type Headers } from './strings.js';
import { localStatus } from './upstream-end.js';

/** An HTTP connection manager gets the connection: the request is read, normalised, routed and filtered. */
export function httpConnection(
  engine: Engine,
  filter: Filter,
  connection: Connection,
  path: Path,
  depth: number,
  end: End,
): void {
  const evidence: Evidence = { file: engine.dump.file, pointer: filter.pointer, text: 'HTTP connection manager' };
  const { payload } = connection;
  const { app } = payload;
  if (payload.tls !== null || app.kind === 'tcp') {
    const text = payload.tls === null ? 'the bytes are no HTTP' : 'TLS bytes reach an HTTP connection manager';
    const reason = 'http1.codec_error';
    // The 400 that answers TLS bytes is no HTTP to the client, and an HTTP/2 codec just closes.
    const status = payload.tls === null && connection.negotiated !== 'h2' ? 400 : null;
    end(ending(connection, 'error', evidence, { reason, status }), step(path, text, evidence));
    return;
  }
  const request = requestOf(app);
  const open = engine.compiled('open manager', filter.config, () =>
    openFields('HTTP connection manager', filter.config, filter.pointer),
  );
  const manage = (branch: Path): void => managed(engine, filter, connection, request, app, branch, depth, end);
  if (open === null) return manage(path);
  const unknown = { reason: open.reason };
  fork(path, open, 'unknown', manage, (no) => end(ending(connection, 'unknown', evidence, unknown), no));
}

function managed(
  engine: Engine,
  filter: Filter,
  connection: Connection,
  request: HttpRequest,
  app: Exclude<Application, { kind: 'tcp' }>,
  path: Path,
  depth: number,
  end: End,
): void {
  const { config } = filter;
  const evidence: Evidence = { file: engine.dump.file, pointer: filter.pointer, text: 'HTTP connection manager' };
  const isConnect = request.method === 'CONNECT';
  const grpc = isGrpc(request);
  const left = sanitized(config, connection, request);
  const scheme = schemeOf(config, connection, left, connection.negotiated === 'h2' || grpc);
  const bare = headersOf(request, scheme, openHeaders(config, connection, request, undefined));
  const ends = (of: Headers): End => localReplies(config, connection, of, grpc, end);
  const refuse = (status: number, reason: string, of = bare): void => {
    const action = status < 400 ? 'respond' : 'error';
    ends(of)(ending(connection, action, evidence, { status, reason }), step(path, reason, evidence));
  };
  // the codec refuses before it hands on any header (seen of envoy 1.40)
  if (refusesHeaders(config, request)) return refuse(400, 'http1.unexpected_underscore', NO_HEADERS);
  const fragment = engine.runtime.feature('http_reject_path_with_fragment', true);
  if (typeof fragment !== 'boolean' && request.path.includes('#')) {
    const next = withUnknown(path, fragment.fact, fragment.reason);
    ends(bare)(ending(connection, 'unknown', evidence, { reason: fragment.reason }), next);
    return;
  }
  const prepared = prepare(config, connection, left, isConnect, fragment === true);
  if ('status' in prepared) return refuse(prepared.status, prepared.reason);
  const seen = prepared.request;
  const headers = headersOf(seen, scheme, openHeaders(config, connection, seen, undefined));
  const stream: Stream = {
    engine,
    connection,
    hcm: filter,
    evidence,
    request: seen,
    headers,
    routedBy: headers,
    isConnect,
    inner: app.kind === 'connect' ? app.inner : null,
    grpc,
    scheme,
    remoteIp: clientAddress(config, connection, request),
    openMetadata: new Set(),
    alpn: null,
    depth,
    table: null,
    virtualHost: null,
    route: null,
    cluster: null,
  };
  const finish = ends(headers);
  const run = (chosen: Stream, after: Path): void => {
    const filters = filtersOf(chosen, isConnect ? 'CONNECT' : upgradeOf(seen));
    if (filters !== null) return runHttpFilters(chosen, filters, after, ends);
    const fields = { status: localStatus(403, grpc), reason: 'upgrade_failed', route: routeName(chosen) };
    finish(ending(connection, 'error', evidence, fields), step(after, 'upgrade_failed', evidence));
  };
  withRoutes(stream, path, finish, (table, next) => {
    const internalOnly = table.entry.value['internal_only_headers'];
    const kept =
      internalOnly === undefined
        ? headers
        : headersOf(seen, scheme, openHeaders(config, connection, seen, internalOnly));
    chooseRoute({ ...stream, headers: kept, routedBy: kept, table }, next, finish, run);
  });
}

function requestOf(app: Exclude<Application, { kind: 'tcp' }>): HttpRequest {
  if (app.kind === 'http') return lowerCased(app.request);
  return lowerCased({ method: 'CONNECT', authority: app.authority, path: '', headers: app.headers });
}

/** `enabled` of the upgrade of this type; null where it is not named. */
function upgradeEnabled(
  configs: JsonObject[string],
  type: string,
): { readonly enabled: boolean; readonly config: JsonObject } | null {
  for (const item of list(configs)) {
    const upgrade = object(item);
    if ((string(upgrade['upgrade_type']) ?? '').toUpperCase() !== type.toUpperCase()) continue;
    return { enabled: boolean(upgrade['enabled']) !== false, config: upgrade };
  }
  return null;
}

/**
 * The HTTP filters for this request, null where its upgrade is not allowed: the route decides before the connection
 * manager (HttpConnectionManagerConfig::createUpgradeFilterChain).
 */
function filtersOf(stream: Stream, upgrade: string | null): FilterList | null {
  const { config, pointer } = stream.hcm;
  const usual: FilterList = { holder: config, field: 'http_filters', pointer: `${pointer}/http_filters` };
  if (upgrade === null) return usual;
  const ofRoute = upgradeEnabled(object(stream.route?.value['route'])['upgrade_configs'], upgrade);
  if (ofRoute?.enabled === false) return null;
  const own = upgradeEnabled(config['upgrade_configs'], upgrade);
  // Without a route it is the router that answers (seen of envoy 1.40).
  if (own?.enabled !== true && ofRoute === null) return stream.route === null ? usual : null;
  if (own === null || list(own.config['filters']).length === 0) return usual;
  const index = list(config['upgrade_configs']).indexOf(own.config);
  return { holder: own.config, field: 'filters', pointer: `${pointer}/upgrade_configs/${index}/filters` };
}

/** content-type application/grpc or application/grpc+…  (Grpc::Common::isGrpcRequestHeaders). */
export function isGrpc(request: Pick<HttpRequest, 'headers'>): boolean {
  const type = request.headers['content-type'] ?? '';
  return type === 'application/grpc' || type.startsWith('application/grpc+');
}

type Prepared = { readonly request: HttpRequest } | { readonly status: number; readonly reason: string };

function stripHost(config: JsonObject, connection: Connection, authority: string): string {
  let host = authority;
  if (boolean(config['strip_trailing_host_dot']) === true) {
    host = host.replace(/\.(:\d+)?$/, '$1');
  }
  const colon = host.lastIndexOf(':');
  if (colon < 0 || host.lastIndexOf(']') > colon || !/^\d+$/.test(host.slice(colon + 1))) return host;
  const port = Number(host.slice(colon + 1));
  if (boolean(config['strip_any_host_port']) === true) return host.slice(0, colon);
  const own = connection.local.kind === 'ip' ? connection.local.port : null;
  if (boolean(config['strip_matching_host_port']) === true && port === own) return host.slice(0, colon);
  return host;
}

/** Host and path as ConnectionManagerUtility makes them before routing. */
function prepare(
  config: JsonObject,
  connection: Connection,
  request: HttpRequest,
  connect: boolean,
  rejectFragment: boolean,
): Prepared {
  const authority = stripHost(config, connection, request.authority);
  if (connect) return { request: { ...request, authority } };
  let path = request.path;
  const fragment = path.indexOf('#');
  if (fragment >= 0 && rejectFragment) return { status: 400, reason: 'path_normalization_failed' };
  if (fragment >= 0) path = path.slice(0, fragment);
  const slashes = string(config['path_with_escaped_slashes_action']) ?? 'KEEP_UNCHANGED';
  const escaped = ESCAPED_SLASH.test(path.split(/[?#]/)[0] ?? '');
  if (escaped && slashes === 'REJECT_REQUEST') return { status: 400, reason: 'path_normalization_failed' };
  if (escaped && slashes === 'UNESCAPE_AND_REDIRECT') return { status: 307, reason: 'path_normalization_failed' };
  if (escaped && slashes === 'UNESCAPE_AND_FORWARD') path = unescapeSlashes(path);
  if (boolean(config['normalize_path']) === true) {
    const result = normalized(path);
    if (result === null) return { status: 400, reason: 'path_normalization_failed' };
    path = result;
  }
  if (boolean(config['merge_slashes']) === true) path = mergeSlashes(path);
  return { request: { ...request, authority, path } };
}

/** The client as HTTP filters know it (ConnectionManagerUtility::mutateRequestHeaders). */
function clientAddress(config: JsonObject, connection: Connection, request: HttpRequest): Stream['remoteIp'] {
  const direct = connection.remote?.kind === 'ip' ? connection.remote.ip : null;
  if (list(config['original_ip_detection_extensions']).length > 0) {
    return { fact: 'address of the client', reason: 'original_ip_detection_extensions are not evaluated' };
  }
  const hops = number(config['xff_num_trusted_hops']) ?? 0;
  const trusted = boolean(config['use_remote_address']) === true;
  if (trusted && hops === 0) return direct;
  const forwarded = (request.headers['x-forwarded-for'] ?? '').split(',').map((item) => item.trim());
  const index = forwarded.length - 1 - (trusted ? hops - 1 : hops);
  const text = request.headers['x-forwarded-for'] === undefined ? undefined : forwarded[index];
  const found = text === undefined ? null : (ipAddressOf(text, 0) ?? ipAddress(text));
  return found?.kind === 'ip' ? found.ip : direct;
}

function withRoutes(stream: Stream, path: Path, end: End, use: (table: RouteTable, path: Path) => void): void {
  const { engine, hcm, connection } = stream;
  const inline = objectOrNull(hcm.config['route_config']);
  if (inline !== null) {
    const entry = { name: string(inline['name']) ?? '', value: inline, pointer: `${hcm.pointer}/route_config` };
    return use(engine.routeTable(entry), path);
  }
  const unknown = (fact: string, reason: string): void =>
    end(ending(connection, 'unknown', stream.evidence, { reason }), withUnknown(path, fact, reason));
  const rds = objectOrNull(hcm.config['rds']);
  if (rds === null) {
    return scoped(stream, path, end, unknown, use);
  }
  const name = string(rds['route_config_name']) ?? '';
  const entry = engine.dump.routes.get(name);
  if (entry === undefined) {
    return unknown(`route configuration ${name}`, `the dump has no route configuration ${name} (RDS)`);
  }
  use(engine.routeTable(entry), path);
}

/** Scoped routes: the key is built of header fragments, and names a route configuration. */
function scoped(
  stream: Stream,
  path: Path,
  end: End,
  unknown: (fact: string, reason: string) => void,
  use: (table: RouteTable, path: Path) => void,
): void {
  const config = objectOrNull(stream.hcm.config['scoped_routes']);
  if (config === null) return unknown('routes', 'the HTTP connection manager names no routes');
  const fragments: string[] = [];
  for (const item of list(object(config['scope_key_builder'])['fragments'])) {
    const extractor = object(object(item)['header_value_extractor']);
    const header = headerValue(stream.headers, string(extractor['name']) ?? '');
    if (header !== null && typeof header !== 'string') return unknown(header.fact, header.reason);
    if (header === null) return notFound(stream, path, end);
    const part = fragment(extractor, header);
    if (part === null) return notFound(stream, path, end);
    fragments.push(part);
  }
  const name = string(config['name']) ?? '';
  const scopes = stream.engine.dump.scopedRoutes.get(name);
  if (scopes === undefined) return unknown(`scoped routes ${name}`, 'the dump has none of this name');
  for (const scope of scopes) {
    const key = list(object(scope.value['key'])['fragments']).map((item) => string(object(item)['string_key']) ?? '');
    if (JSON.stringify(key) !== JSON.stringify(fragments)) continue;
    const target = string(scope.value['route_configuration_name']) ?? '';
    const entry = stream.engine.dump.routes.get(target);
    if (entry === undefined) return unknown(`route configuration ${target}`, 'the dump does not have it');
    const evidence = stream.engine.evidence(scope, `scope ${scope.name}`);
    return use(stream.engine.routeTable(entry), step(path, `scope ${scope.name}`, evidence));
  }
  notFound(stream, path, end);
}

function fragment(extractor: JsonObject, header: string): string | null {
  const separator = string(extractor['element_separator']) ?? '';
  const elements = separator === '' ? [header] : header.split(separator);
  const element = objectOrNull(extractor['element']);
  if (element === null) return elements[number(extractor['index']) ?? 0] ?? null;
  const key = string(element['key']) ?? '';
  const between = string(element['separator']) ?? '';
  for (const item of elements) {
    const at = item.indexOf(between);
    if (at >= 0 && item.slice(0, at) === key) return item.slice(at + between.length);
  }
  return null;
}

function notFound(stream: Stream, path: Path, end: End): void {
  const fields: Partial<Ending> = { status: localStatus(404, stream.grpc), reason: 'route_configuration_not_found' };
  end(ending(stream.connection, 'respond', stream.evidence, fields), path);
}
