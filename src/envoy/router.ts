import { boolean, list, number, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import type { Evidence } from '../formats/evidence.js';
import { ending, NOTHING_KNOWN, type Payload } from './connection.js';
import { reply, routeName, type FilterRun } from './filter-run.js';
import type { HttpRequest, OpenPart } from './face.js';
import { withoutQuery } from './http-path.js';
import { mutatedHeaders, mutates, openIn, openPart } from './header-mutation.js';
import { fork, step, withUnknown, type Path } from './path.js';
import { regex } from './regex.js';
import { headersBehind } from './request-headers.js';
import type { Route } from './routes.js';
import type { Stream } from './stream.js';
import { headerValue } from './strings.js';
import { doubt, type Doubt, type Tri } from './tri.js';
import { toCluster } from './upstream.js';

const REDIRECTS: Readonly<Record<string, number>> = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
};

/** The router filter: redirect, direct response, or a cluster. */
export function routeRequest(run: FilterRun): void {
  const { stream, path, end } = run;
  const demanded = demandsTls(stream);
  if (demanded === false) return routed(run, path);
  const redirected = reply(run, 'respond', 301, 'direct_response', { decidedBy: hostEvidence(stream) });
  if (demanded === true) return end(redirected, path);
  fork(
    path,
    demanded,
    'unknown',
    (yes) => end(redirected, yes),
    (no) => routed(run, no),
  );
}

function routed(run: FilterRun, path: Path): void {
  const { stream, end } = run;
  const { route } = stream;
  if (route === null) {
    const evidence = hostEvidence(stream);
    end(reply(run, 'respond', 404, 'route_not_found', { decidedBy: evidence }), step(path, 'no route: 404', evidence));
    return;
  }
  const { file } = stream.engine.dump;
  const evidence: Evidence = { file, pointer: route.pointer, text: `route ${route.name ?? ''}` };
  const redirect = objectOrNull(route.value['redirect']);
  if (redirect !== null) {
    const status = REDIRECTS[string(redirect['response_code']) ?? 'MOVED_PERMANENTLY'] ?? 301;
    const target = redirectTarget(redirect, stream);
    const text = `redirect ${status}${target === null ? '' : ` to ${target}`}`;
    end(reply(run, 'respond', status, 'direct_response', { decidedBy: evidence }), step(path, text, evidence));
    return;
  }
  const direct = objectOrNull(route.value['direct_response']);
  if (direct !== null) {
    const status = number(direct['status']) ?? 200;
    end(
      reply(run, 'respond', status, 'direct_response', { decidedBy: evidence }),
      step(path, `direct response ${status}`, evidence),
    );
    return;
  }
  const action = objectOrNull(route.value['route']);
  if (action === null) {
    const reason = `route action ${Object.keys(route.value).join(', ')} is not known to this program`;
    end(
      ending(stream.connection, 'unknown', evidence, { route: routeName(stream), reason }),
      withUnknown(path, 'action of the route', reason),
    );
    return;
  }
  const { open } = route;
  if (open === null) return forward(run, route, action, evidence, path);
  const unknown = { route: routeName(stream), reason: open.reason };
  fork(
    path,
    open,
    'unknown',
    (yes) => forward(run, route, action, evidence, yes),
    (no) => end(ending(stream.connection, 'unknown', evidence, unknown), no),
  );
}

function hostEvidence(stream: Stream): Evidence {
  const { file } = stream.engine.dump;
  if (stream.virtualHost !== null) {
    return { file, pointer: stream.virtualHost.pointer, text: `virtual host ${stream.virtualHost.name}` };
  }
  if (stream.table === null) return stream.evidence;
  return { file, pointer: stream.table.entry.pointer, text: `route configuration ${stream.table.name ?? ''}` };
}

/** `require_tls` of the virtual host; EXTERNAL_ONLY spares requests that Envoy takes for internal, which this cannot see. */
function demandsTls(stream: Stream): Tri {
  const required = string(stream.virtualHost?.value['require_tls']) ?? 'NONE';
  if (required === 'NONE') return false;
  const proto = headerValue(stream.headers, 'x-forwarded-proto');
  if (proto === 'https') return false;
  const where = stream.virtualHost?.pointer ?? '';
  if (proto !== null && typeof proto !== 'string')
    return doubt(`${where} demands TLS of the request`, `${proto.fact}: ${proto.reason}`);
  if (required === 'ALL') return true;
  return doubt(`${where} demands TLS of the request`, `${required} spares what Envoy takes for internal`);
}

function redirectTarget(redirect: JsonObject, stream: Stream): string | null {
  const host = string(redirect['host_redirect']) ?? stream.request.authority;
  const scheme = redirect['https_redirect'] === true ? 'https' : (string(redirect['scheme_redirect']) ?? stream.scheme);
  const path = string(redirect['path_redirect']) ?? stream.request.path;
  const prefix = string(redirect['prefix_rewrite']);
  if (prefix !== null || redirect['regex_rewrite'] !== undefined || stream.headers.open(':scheme') !== null)
    return null;
  return `${scheme}://${host}${path}`;
}

function forward(run: FilterRun, route: Route, action: JsonObject, evidence: Evidence, path: Path): void {
  const { stream, end } = run;
  const cluster = clusterName(stream, action);
  if (typeof cluster !== 'string') {
    const reason =
      cluster === null
        ? `the route names its cluster by ${Object.keys(action).join(', ')}, not known to this program`
        : `${cluster.fact}: ${cluster.reason}`;
    end(
      ending(stream.connection, 'unknown', evidence, { route: routeName(stream), reason }),
      withUnknown(path, 'cluster of the route', reason),
    );
    return;
  }
  const { rewritten, unknown } = rewrite(stream, route, action);
  let next = path;
  for (const fact of facts(action)) next = step(next, fact, evidence);
  for (const part of unknown) next = withUnknown(next, part.fact, part.reason);
  const terminates = stream.isConnect && terminatesConnect(action);
  const payload: Payload =
    stream.isConnect && stream.inner !== null
      ? terminates
        ? stream.inner
        : {
            tls: null,
            app: {
              kind: 'connect',
              authority: stream.request.authority,
              headers: stream.request.headers,
              inner: stream.inner,
            },
          }
      : { tls: null, app: { kind: 'http', request: rewritten } };
  toCluster(
    stream.engine,
    cluster,
    {
      connection: stream.connection,
      payload,
      criteria: criteria(stream, action),
      fields: {
        ...NOTHING_KNOWN,
        route: routeName(stream),
        decidedBy: evidence,
        upstreamHttp: stream.isConnect ? null : rewritten,
      },
      http: true,
      grpc: stream.grpc,
      headers: stream.request.headers,
      changesHeader: (name) => mutates(stream, name) || openIn(stream.request.open, name) !== null,
      alpn: stream.alpn,
      notFoundStatus: NOT_FOUND[string(action['cluster_not_found_response_code']) ?? 'SERVICE_UNAVAILABLE'] ?? 503,
      terminates,
      depth: stream.depth,
    },
    next,
    end,
  );
}

const NOT_FOUND: Readonly<Record<string, number>> = {
  SERVICE_UNAVAILABLE: 503,
  NOT_FOUND: 404,
  INTERNAL_SERVER_ERROR: 500,
};

function terminatesConnect(action: JsonObject): boolean {
  return list(action['upgrade_configs']).some((item) => {
    const upgrade = object(item);
    return string(upgrade['upgrade_type'])?.toUpperCase() === 'CONNECT' && upgrade['connect_config'] !== undefined;
  });
}

/** Null where it is chosen in a way that this program does not know. A missing header names no cluster: `''`. */
function clusterName(stream: Stream, action: JsonObject): string | null | Doubt {
  if (stream.cluster !== null) return stream.cluster.name;
  const single = string(action['cluster']);
  if (single !== null) return single;
  const header = string(action['cluster_header']);
  if (header !== null) return headerValue(stream.routedBy, header) ?? '';
  return null;
}

function subset(value: JsonObject | undefined): JsonObject | null {
  return objectOrNull(object(object(value?.['metadata_match'])['filter_metadata'])['envoy.lb']);
}

/** `envoy.lb` of the route, with that of the weighted cluster over it. */
function criteria(stream: Stream, action: JsonObject): JsonObject | null {
  const own = subset(action);
  const weighted = subset(stream.cluster?.value);
  if (own === null || weighted === null) return own ?? weighted;
  return { ...own, ...weighted };
}

/** Retries, mirrors, timeouts: they do not change the way of the first try. */
function facts(action: JsonObject): readonly string[] {
  const found: string[] = [];
  const retry = objectOrNull(action['retry_policy']);
  if (retry !== null)
    found.push(`retries ${number(retry['num_retries']) ?? 1} times on ${string(retry['retry_on']) ?? '?'}`);
  for (const item of list(action['request_mirror_policies'])) {
    found.push(`mirrors to ${string(object(item)['cluster']) ?? '?'}`);
  }
  const own = action['internal_redirect_policy'] !== undefined || action['internal_redirect_action'] !== undefined;
  if (own) found.push('retries by itself where the upstream answers with a redirect');
  return found;
}

function rewrite(
  stream: Stream,
  route: Route,
  action: JsonObject,
): { readonly rewritten: HttpRequest; readonly unknown: readonly OpenPart[] } {
  const { request } = stream;
  let path = request.path;
  let authority = request.authority;
  const unknown: OpenPart[] = [];
  const query = path.slice(withoutQuery(path).length);
  const prefix = string(action['prefix_rewrite']);
  const pattern = objectOrNull(action['regex_rewrite']);
  if (prefix !== null && prefix !== '') {
    path = route.prefix === null ? path : prefix + path.slice(route.prefix.length);
  } else if (pattern !== null) {
    const compiled = regex(string(object(pattern['pattern'])['regex']) ?? '');
    const replaced = compiled?.replaceAll(withoutQuery(path), string(pattern['substitution']) ?? '') ?? null;
    if (replaced === null)
      unknown.push(openPart(':path', 'the regular expression of the path rewrite is not understood'));
    else path = replaced + query;
  } else if (action['path_rewrite_policy'] !== undefined || action['path_rewrite'] !== undefined) {
    unknown.push(openPart(':path', 'the path rewrite policy is not evaluated'));
  }
  const weighted = string(stream.cluster?.value['host_rewrite_literal']);
  const literal = weighted ?? string(action['host_rewrite_literal']);
  const header = string(action['host_rewrite_header']);
  const byPath = objectOrNull(action['host_rewrite_path_regex']);
  if (literal !== null && literal !== '') authority = literal;
  else if (header !== null) {
    const found = headerValue(stream.headers, header);
    if (found !== null && typeof found !== 'string') unknown.push(openPart(':authority', found.reason));
    else authority = found || authority;
  } else if (byPath !== null) {
    const compiled = regex(string(object(byPath['pattern'])['regex']) ?? '');
    const replaced = compiled?.replaceAll(withoutQuery(request.path), string(byPath['substitution']) ?? '') ?? null;
    if (replaced === null)
      unknown.push(openPart(':authority', 'the regular expression of the host rewrite is not understood'));
    else authority = replaced;
  } else if (object(action['auto_host_rewrite'])['value'] === true || action['auto_host_rewrite'] === true) {
    unknown.push(openPart(':authority', 'the host becomes that of the chosen endpoint (auto_host_rewrite)'));
  }
  const added = mutatedHeaders(stream);
  let { headers } = added;
  if (boolean(action['append_x_forwarded_host']) === true && authority !== request.authority) {
    const before = headers['x-forwarded-host'];
    headers = {
      ...headers,
      'x-forwarded-host': before === undefined ? request.authority : `${before},${request.authority}`,
    };
  }
  unknown.push(...added.unknown);
  const behind = headersBehind(stream.hcm.config, stream.connection, request);
  const open = unknown.length === 0 ? behind : [...behind, ...unknown];
  return { rewritten: { method: request.method, authority, path, headers, open }, unknown };
}
