import type { Evidence } from '../formats/evidence.js';
import { boolean, list, number, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import { ending, type End } from './connection.js';
import { draw, fork, step, stepsKept, withUnknown, type Path } from './path.js';
import type { Route, RouteSubject } from './routes.js';
import type { Stream } from './stream.js';
import { headerValue, queryOf } from './strings.js';
import type { Doubt } from './tri.js';

type Next = (stream: Stream, path: Path) => void;

function subject(stream: Stream): RouteSubject {
  const path = stream.isConnect ? null : stream.request.path;
  return {
    host: stream.request.authority,
    path,
    ignorePathParameters: boolean(stream.table?.entry.value['ignore_path_parameters_in_path_matching']) === true,
    connect: stream.isConnect,
    grpc: stream.grpc,
    headers: stream.headers,
    query: queryOf(path ?? ''),
    tls: stream.connection.terminated === undefined ? null : { peer: stream.connection.terminated.peer },
    metadata: stream.connection.metadata,
    filterState: stream.connection.filterState,
  };
}

/** Virtual host by authority, then the first route that matches (RouteMatcher::route). `route` null: none does. */
export function chooseRoute(stream: Stream, path: Path, end: End, next: Next): void {
  const { table } = stream;
  if (table === null) return next(stream, path);
  const named = string(table.entry.value['vhost_header']);
  const authority = named === null || named === '' ? stream.request.authority : headerValue(stream.headers, named);
  if (authority !== null && typeof authority !== 'string') return openHeader(stream, authority, path, end);
  const host = authority === null || authority === '' ? null : table.find(authority);
  if (host === null) {
    const evidence = stream.engine.evidence(table.entry, `route configuration ${table.name ?? ''}`);
    const text = `no virtual host for ${stream.request.authority} in route configuration ${table.name ?? ''}`;
    if (table.entry.value['vhds'] !== undefined) {
      const reason = 'virtual hosts are fetched on demand (VHDS)';
      const fact = `virtual host for ${stream.request.authority}`;
      end(ending(stream.connection, 'unknown', evidence, { reason }), withUnknown(path, fact, reason));
      return;
    }
    return next(stream, step(path, text, evidence));
  }
  const body = host.body();
  const { evidence } = body;
  const routed: Stream = { ...stream, virtualHost: host };
  const open = table.open ?? body.open;
  if (open !== null) {
    end(
      ending(stream.connection, 'unknown', evidence, { reason: open.reason }),
      withUnknown(path, open.fact, open.reason),
    );
    return;
  }
  const after = stepsKept(path, body.step);
  if (host.value['matcher'] !== undefined) return byMatcherTree(routed, `${host.pointer}/matcher`, after, end);
  fromRoute(routed, subject(stream), body.routes, 0, after, end, next);
}

function fromRoute(
  stream: Stream,
  request: RouteSubject,
  routes: readonly Route[],
  from: number,
  path: Path,
  end: End,
  next: Next,
): void {
  for (let i = from; i < routes.length; i++) {
    const route = routes[i];
    if (route === undefined) break;
    const result = route.matches(request);
    if (result === false) continue;
    const take = (branch: Path): void => {
      chooseCluster({ ...stream, route }, stepsKept(branch, route.step), end, next);
    };
    const skip = (branch: Path): void => fromRoute(stream, request, routes, i + 1, branch, end, next);
    const hit = (branch: Path): void => {
      if (route.fraction === null) return take(branch);
      const found = stream.engine.runtime.percent(route.fraction.key, route.fraction);
      if ('fact' in found) return fork(branch, found, 'unknown', take, skip);
      const { numerator, denominator } = found;
      const inside = draw(branch, denominator, 0, Math.min(numerator, denominator));
      const outside = draw(branch, denominator, Math.min(numerator, denominator), denominator);
      if (inside !== null) take(inside);
      if (outside !== null) skip(outside);
    };
    if (result === true) return hit(path);
    return fork(path, result, 'unknown', hit, skip);
  }
  next(stream, step(path, 'no route matches', null));
}

/** Weighted clusters are chosen with the route, by the same random number. */
function chooseCluster(stream: Stream, path: Path, end: End, next: Next): void {
  const action = object(stream.route?.value['route']);
  const weighted = objectOrNull(action['weighted_clusters']);
  if (weighted === null) return next(stream, path);
  const clusters = list(weighted['clusters']).map(object);
  const total = clusters.reduce((sum, item) => sum + (number(item['weight']) ?? 0), 0);
  const header = string(weighted['header_name']);
  const given = header === null ? null : headerValue(stream.headers, header);
  if (given !== null && typeof given !== 'string') return openHeader(stream, given, path, end);
  const random = given !== null && /^\d+$/.test(given) ? BigInt(given) : null;
  const prefix = string(weighted['runtime_key_prefix']) ?? '';
  const overridden = prefix === '' ? null : overriddenWeight(stream, prefix, clusters);
  if (overridden !== null) {
    const evidence: Evidence = { file: stream.engine.dump.file, pointer: stream.route?.pointer ?? '', text: 'weights' };
    const unknown = { reason: overridden, route: stream.route?.name ?? null };
    end(
      ending(stream.connection, 'unknown', evidence, unknown),
      withUnknown(path, 'weights of the clusters', overridden),
    );
    return;
  }
  let low = 0;
  for (const item of clusters) {
    const weight = number(item['weight']) ?? 0;
    const from = low;
    low += weight;
    const name = string(item['name']) ?? headerValue(stream.headers, string(item['cluster_header']) ?? '') ?? '';
    const take = (branch: Path): void => {
      if (typeof name !== 'string') return openHeader(stream, name, branch, end);
      next({ ...stream, cluster: { name, value: item } }, branch);
    };
    if (random !== null) {
      const rest = Number(random % BigInt(total));
      if (rest >= from && rest < low) take(path);
      continue;
    }
    const branch = draw(path, total, from, low);
    if (branch !== null) take(branch);
  }
}

/** Ends where a header that chooses the way is one whose value is not known. */
function openHeader(stream: Stream, { fact, reason }: Doubt, path: Path, end: End): void {
  end(ending(stream.connection, 'unknown', stream.evidence, { reason }), withUnknown(path, fact, reason));
}

/** `runtime_key_prefix` + cluster: the runtime's weight takes the place of the configured one. */
function overriddenWeight({ engine }: Stream, prefix: string, clusters: readonly JsonObject[]): string | null {
  for (const item of clusters) {
    const key = `${prefix}.${string(item['name']) ?? ''}`;
    if (engine.runtime.value(key) !== null) return `runtime ${key} may change them`;
  }
  return null;
}

/** A virtual host that chooses by a matcher tree: its actions are routes that this program does not take apart. */
function byMatcherTree(stream: Stream, pointer: string, path: Path, end: End): void {
  const evidence: Evidence = { file: stream.engine.dump.file, pointer, text: 'matcher of the virtual host' };
  const reason = 'the virtual host chooses its route by a matcher tree, which this program does not evaluate';
  end(ending(stream.connection, 'unknown', evidence, { reason }), withUnknown(path, 'route of the request', reason));
}
