import { boolean, list, object, objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import type { Connection } from './connection.js';
import { chosenAgain, reply, type FilterRun } from './filter-run.js';
import { EVERY_HEADER, openPart } from './header-mutation.js';
import type { Filter } from './listener.js';
import { metadataMatcher } from './metadata.js';
import { fork, weigh, type Path } from './path.js';
import { percent, shareOf } from './percent.js';
import { withHeaders, type Stream } from './stream.js';
import { doubt } from './tri.js';

/** Asked while it runs: both answers. `filter_enabled_metadata` ties it to the shadow verdict of Istio's CUSTOM rules. */
export function extAuthz(run: FilterRun, own: JsonObject | null): void {
  const { filter, stream, path, end, next } = run;
  if (own !== null && boolean(own['disabled']) === true) return next(stream, path);
  if (filter.config['shadow_mode'] === true) return next(stream, path);
  const ask = (branch: Path): void => {
    const question = doubt(`external authorization ${filter.name} answers OK`, 'asked while it runs');
    fork(
      branch,
      question,
      'condition',
      (yes) => rerouted(run, { ...answered(run), openMetadata: opened(stream, filter) }, yes),
      (no) => end(reply(run, 'deny', 403, 'ext_authz_denied', { policy: filter.name }), no),
    );
  };
  const enabled = objectOrNull(filter.config['filter_enabled_metadata']);
  if (enabled === null) return partly(run, ask);
  const test = stream.engine.compiled('metadata', enabled, () => metadataTest(enabled));
  const result = test(stream.connection.metadata);
  if (result === true) return ask(path);
  if (result === false) return next(stream, path);
  fork(path, result, 'unknown', ask, (no) => next(stream, no));
}

/**
 * The request after OK. A gRPC service may set, append and remove any header; an HTTP service sets those that
 * `allowed_upstream_headers` and `…_to_append` let through, and removes what x-envoy-auth-headers-to-remove names
 * (envoy 1.40 source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc).
 */
function answered({ filter, stream }: FilterRun): Stream {
  const reason = `${filter.name} may set or remove it`;
  const http = objectOrNull(filter.config['http_service']);
  if (http === null) return withHeaders(stream, [], [openPart(EVERY_HEADER, reason)]);
  const response = object(http['authorization_response']);
  const patterns = ['allowed_upstream_headers', 'allowed_upstream_headers_to_append'].flatMap((field) =>
    list(object(response[field])['patterns']).map(object),
  );
  const allowed = patterns.map((pattern) => string(pattern['exact'])?.toLowerCase() ?? null);
  const named = allowed.filter((name) => name !== null);
  const others = named.length < allowed.length ? [EVERY_HEADER] : Object.keys(stream.request.headers);
  const names = new Set([...named, ...others]);
  return withHeaders(
    stream,
    [],
    [...names].map((name) => openPart(name, reason)),
  );
}

/** Headers that the service adds may lead to another route, where the route is chosen again. */
function rerouted(run: FilterRun, stream: Stream, path: Path): void {
  const { filter, next } = run;
  if (boolean(filter.config['clear_route_cache']) !== true) return next(stream, path);
  const question = doubt(
    `headers that ${filter.name} adds lead to the same route`,
    'the route is chosen again with them',
  );
  chosenAgain(run, stream, path, question);
}

/** `filter_enabled`: a share of the requests is asked about at all; 403 for the rest where `deny_at_disable` says so. */
function partly(run: FilterRun, ask: (path: Path) => void): void {
  const { filter, stream, path, end, next } = run;
  const enabled = objectOrNull(filter.config['filter_enabled']);
  if (enabled === null) return ask(path);
  const { runtime } = stream.engine;
  const found = runtime.percent(string(enabled['runtime_key']), percent(object(enabled['default_value'])));
  const deny = boolean(object(filter.config['deny_at_disable'])['default_value']) === true;
  const spare = (branch: Path): void => {
    if (deny) end(reply(run, 'deny', 403, 'ext_authz_denied', { policy: filter.name }), branch);
    else next(stream, branch);
  };
  if ('fact' in found) return fork(path, found, 'unknown', ask, spare);
  const share = shareOf(found);
  if (share > 0) ask(weigh(path, share));
  if (share < 1) spare(weigh(path, 1 - share));
}

function metadataTest(value: JsonObject) {
  const test = metadataMatcher(value);
  const name = string(value['filter']) ?? '';
  return (metadata: Connection['metadata']) => test(metadata.get(name) ?? {});
}

function opened(stream: Stream, filter: Filter): ReadonlySet<string> {
  return new Set([...stream.openMetadata, filter.name, 'envoy.filters.http.ext_authz']);
}
