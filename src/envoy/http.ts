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
import { runHttpFilters } from './http-filters.js';
import { ESCAPED_SLASH, mergeSlashes, normalized, unescapeSlashes } from './http-path.js';
import type { Filter } from './listener.js';
import { step, withUnknown, type Path } from './path.js';
import type { RouteTable } from './routes.js';
import { chooseRoute } from './route-choice.js';
import { headersOf, type Stream } from './stream.js';
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
  const refuse = (status: number, reason: string): void => {
    const action = status < 400 ? 'respond' : 'error';
    end(ending(connection, action, evidence, { status, reason }), step(path, reason, evidence));
  };
  const isConnect = request.method === 'CONNECT';
  if (isConnect && !allowsConnect(filter.config)) return refuse(403, 'upgrade_failed');
  const prepared = prepare(filter.config, connection, request, isConnect);
  if ('status' in prepared) return refuse(prepared.status, prepared.reason);
  const seen = forwarded(filter.config, connection, prepared.request);
  const stream: Stream = {
    engine,
    connection,
    hcm: filter,
    evidence,
    request: seen,
    headers: headersOf(seen, scheme(connection)),
    isConnect,
    inner: app.kind === 'connect' ? app.inner : null,
    grpc: isGrpc(prepared.request),
    scheme: scheme(connection),
    remoteIp: clientAddress(filter.config, connection, prepared.request),
    openMetadata: new Set(),
    alpn: null,
    depth,
    table: null,
    virtualHost: null,
    route: null,
    cluster: null,
  };
  withRoutes(stream, path, end, (table, next) => {
    const routed: Stream = { ...stream, table };
    chooseRoute(routed, next, end, (chosen, after) => runHttpFilters(chosen, after, end));
  });
}

function requestOf(app: Exclude<Application, { kind: 'tcp' }>): HttpRequest {
  if (app.kind === 'http') return lowerCased(app.request);
  return lowerCased({ method: 'CONNECT', authority: app.authority, path: '', headers: app.headers });
}

function lowerCased(request: HttpRequest): HttpRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name.toLowerCase()] = value;
  return { ...request, headers };
}

function scheme(connection: Connection): string {
  return connection.terminated === undefined ? 'http' : 'https';
}

function allowsConnect(config: JsonObject): boolean {
  return list(config['upgrade_configs']).some((item) => {
    const upgrade = object(item);
    return (string(upgrade['upgrade_type']) ?? '').toUpperCase() === 'CONNECT' && boolean(upgrade['enabled']) !== false;
  });
}

/** content-type application/grpc or application/grpc+…  (Grpc::Common::isGrpcRequestHeaders). */
function isGrpc(request: HttpRequest): boolean {
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
function prepare(config: JsonObject, connection: Connection, request: HttpRequest, connect: boolean): Prepared {
  const authority = stripHost(config, connection, request.authority);
  if (connect) return { request: { ...request, authority } };
  let path = request.path;
  if (path.includes('#')) return { status: 400, reason: 'path_normalization_failed' };
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

/** x-forwarded-for and x-forwarded-proto as routes and filters see them, behind `use_remote_address`. */
function forwarded(config: JsonObject, connection: Connection, request: HttpRequest): HttpRequest {
  if (boolean(config['use_remote_address']) !== true) return request;
  const headers = { ...request.headers };
  if ((number(config['xff_num_trusted_hops']) ?? 0) === 0) headers['x-forwarded-proto'] = scheme(connection);
  if (boolean(config['skip_xff_append']) !== true && connection.remote?.kind === 'ip') {
    const before = headers['x-forwarded-for'];
    headers['x-forwarded-for'] = before === undefined ? connection.remote.host : `${before},${connection.remote.host}`;
  }
  return { ...request, headers };
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
    const header = stream.headers.get((string(extractor['name']) ?? '').toLowerCase());
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
