import {
  boolean,
  list,
  number,
  object,
  objectOrNull,
  string,
  strings,
  type JsonObject,
} from '../formats/envoy-json.js';
import { ending } from './connection.js';
import { reply, routeName, type FilterRun } from './filter-run.js';
import { fork, step, weigh, withUnknown, type Path } from './path.js';
import { percent, shareOf } from './percent.js';
import { isDoubt, type Runtime } from './runtime.js';
import type { Stream } from './stream.js';
import { headerMatchers, objects, stringMatcher } from './strings.js';
import { all, any, doubt, type Doubt, type Tri } from './tri.js';
import { uriTemplate, withoutQuery } from './http-path.js';
import { regex } from './regex.js';

/** Share of requests as a fraction of 1; a doubt where a runtime layer that is not in the dump may change it. */
function share(runtime: Runtime, key: string | null, value: JsonObject): number | Doubt {
  const found = runtime.percent(key, percent(value));
  return 'fact' in found ? found : shareOf(found);
}

/** Goes on with the share, or in both ways where it is not known. */
function draws(found: number | Doubt, path: Path, hit: (path: Path) => void, miss: (path: Path) => void): void {
  if (typeof found !== 'number') return fork(path, found, 'unknown', hit, miss);
  if (found > 0) hit(weigh(path, found));
  if (found < 1) miss(weigh(path, 1 - found));
}

/** Status of an injected abort: fixed, or as the request asks for it; null where it asks for none. */
function abortStatus(abort: JsonObject, stream: FilterRun['stream']): number | null {
  if (abort['header_abort'] === undefined) return number(abort['http_status']) ?? 200;
  const asked = stream.headers.get('x-envoy-fault-abort-request');
  const status = asked === null || !/^\d+$/.test(asked) ? 0 : Number(asked);
  return status >= 200 && status < 600 ? status : null;
}

/** `percentage`, which a header of the request may lower where the fault comes from headers. */
function abortShare(config: JsonObject, abort: JsonObject, { stream }: FilterRun): number | Doubt {
  const written = object(abort['percentage']);
  const key = string(config['abort_percent_runtime']) ?? '';
  const found = share(stream.engine.runtime, key === '' ? 'fault.http.abort.abort_percent' : key, written);
  const asked = stream.headers.get('x-envoy-fault-abort-request-percentage');
  if (abort['header_abort'] === undefined || asked === null || !/^\d+$/.test(asked) || typeof found !== 'number')
    return found;
  return Math.min(found, Number(asked) / percent(written).denominator);
}

/** envoy.extensions.filters.http.fault: an abort as a share of the requests, a delay as a remark. */
export function fault(run: FilterRun, config: JsonObject): void {
  const { stream, path, end, next } = run;
  const cluster = string(config['upstream_cluster']);
  const target = stream.cluster?.name ?? string(object(stream.route?.value['route'])['cluster']);
  if (cluster !== null && cluster !== '' && cluster !== target) return next(stream, path);
  const applies = headerMatchers(objects(config['headers']))(stream.headers);
  if (applies === false) return next(stream, path);
  const nodes = strings(config['downstream_nodes']);
  const node = stream.headers.get('x-envoy-downstream-service-node');
  if (nodes.length > 0 && (node === null || !nodes.includes(node))) return next(stream, path);
  const { runtime } = stream.engine;
  const delay = objectOrNull(config['delay']);
  const share100 = delay === null ? 0 : 100 * shareOf(percent(object(delay['percentage'])));
  const told = `fault: ${string(delay?.['fixed_delay']) ?? 'some'} delay for ${share100} %`;
  const delayed = delay === null ? path : step(path, told, run.evidence);
  const abort = objectOrNull(config['abort']);
  const status = abort === null ? null : abortStatus(abort, stream);
  if (abort === null || status === null) return next(stream, delayed);
  const key = string(config['abort_http_status_runtime']) ?? '';
  const overridden = runtime.value(key === '' ? 'fault.http.abort.http_status' : key);
  const aborted = (branch: Path): void => {
    if (!isDoubt(overridden)) {
      return end(reply(run, 'respond', number(overridden ?? undefined) || status, 'fault_filter_abort'), branch);
    }
    const { fact, reason } = overridden;
    const unknown = { route: routeName(stream), reason: `fault_filter_abort with ${status}, if ${fact}` };
    end(ending(stream.connection, 'unknown', run.evidence, unknown), withUnknown(branch, fact, reason));
  };
  const inject = (branch: Path): void =>
    draws(abortShare(config, abort, run), branch, aborted, (no) => next(stream, no));
  if (applies === true) return inject(delayed);
  fork(delayed, applies, 'unknown', inject, (no) => next(stream, no));
}

/** Preflight requests of a route with a CORS policy are answered here. */
export function cors(run: FilterRun, own: JsonObject | null): void {
  const { stream, path, end, next } = run;
  const policy =
    own ??
    objectOrNull(object(stream.route?.value['route'])['cors']) ??
    objectOrNull(stream.virtualHost?.value['cors']);
  const origin = stream.headers.get('origin');
  const preflight = stream.request.method === 'OPTIONS' && stream.headers.get('access-control-request-method') !== null;
  if (policy === null || origin === null || origin === '' || !preflight) return next(stream, path);
  const enabled = objectOrNull(policy['filter_enabled']);
  const part =
    enabled === null
      ? 1
      : share(stream.engine.runtime, string(enabled['runtime_key']), object(enabled['default_value']));
  if (part === 0) return next(stream, path);
  const allowed = any(objects(policy['allow_origin_string_match']), (item) => stringMatcher(item)(origin));
  const answer = (branch: Path): void =>
    draws(
      part,
      branch,
      (yes) => end(reply(run, 'respond', 200, 'cors_response'), yes),
      (no) => next(stream, no),
    );
  if (allowed === true) return answer(path);
  if (allowed === false) {
    // 1.31 on: preflights that match no origin are answered too unless they are to be forwarded
    const forward = policy['forward_not_matching_preflights'];
    return forward !== undefined && boolean(forward) === false ? answer(path) : next(stream, path);
  }
  fork(path, allowed, 'unknown', answer, (no) => next(stream, no));
}

function jwtPath(match: JsonObject, path: string, rule: string): Tri {
  const fold = boolean(match['case_sensitive']) === false;
  const text = fold ? path.toLowerCase() : path;
  const want = (value: string | null): string => (fold ? (value ?? '').toLowerCase() : (value ?? ''));
  if (match['prefix'] !== undefined) return text.startsWith(want(string(match['prefix'])));
  if (match['path'] !== undefined) return text === want(string(match['path']));
  if (match['path_separated_prefix'] !== undefined) {
    const prefix = want(string(match['path_separated_prefix']));
    return text.startsWith(prefix) && (text.length === prefix.length || text[prefix.length] === '/');
  }
  if (match['safe_regex'] !== undefined) {
    const compiled = regex(string(object(match['safe_regex'])['regex']) ?? '');
    return compiled === null
      ? doubt(`JWT rule ${rule} matches`, 'its regular expression is not understood')
      : compiled.fullMatch(path);
  }
  const policy = objectOrNull(object(match['path_match_policy'])['typed_config']);
  const pattern = string(policy?.['path_template']);
  const template = pattern === null ? null : uriTemplate(pattern);
  return template === null
    ? doubt(`JWT rule ${rule} matches`, 'its kind of path match is not understood')
    : template.test(path);
}

type Requirement = 'pass' | 'fail' | 'open';

/** What a requirement makes of a request with or without a token: without one the answer is certain. */
function requirement(value: JsonObject, config: JsonObject, run: FilterRun): Requirement {
  const provider = string(value['provider_name']) ?? string(object(value['provider_and_audiences'])['provider_name']);
  if (provider !== null) {
    return hasToken(object(object(config['providers'])[provider]), run) ? 'open' : 'fail';
  }
  if (value['requires_any'] !== undefined) {
    const parts = list(object(value['requires_any'])['requirements']).map((item) =>
      requirement(object(item), config, run),
    );
    return parts.includes('pass') ? 'pass' : parts.includes('open') ? 'open' : 'fail';
  }
  if (value['requires_all'] !== undefined) {
    const parts = list(object(value['requires_all'])['requirements']).map((item) =>
      requirement(object(item), config, run),
    );
    return parts.includes('fail') ? 'fail' : parts.includes('open') ? 'open' : 'pass';
  }
  if (value['allow_missing_or_failed'] !== undefined) return 'pass';
  if (value['allow_missing'] !== undefined) {
    const providers = Object.values(object(config['providers'])).map((item) => object(item));
    return providers.some((item) => hasToken(item, run)) ? 'open' : 'pass';
  }
  return 'pass';
}

/** Whether the request carries a token where this provider looks for one. */
function hasToken(provider: JsonObject, { stream }: FilterRun): boolean {
  const headers = objects(provider['from_headers']);
  const params = strings(provider['from_params']);
  const cookies = strings(provider['from_cookies']);
  const query = (name: string): boolean =>
    new RegExp(`[?&]${name.replace(/[^\w-]/g, '\\$&')}=`).test(stream.request.path);
  if (headers.length === 0 && params.length === 0 && cookies.length === 0) {
    return (stream.headers.get('authorization') ?? '').startsWith('Bearer ') || query('access_token');
  }
  return (
    headers.some((item) => {
      const found = stream.headers.get((string(item['name']) ?? '').toLowerCase());
      return found !== null && found.includes(string(item['value_prefix']) ?? '');
    }) ||
    params.some(query) ||
    cookies.some((name) => (stream.headers.get('cookie') ?? '').includes(`${name}=`))
  );
}

/** Names of headers that a provider writes from the claims, or removes with the token. */
function headersOfJwt(provider: JsonObject): readonly (string | null)[] {
  return [
    'authorization',
    string(provider['forward_payload_header']),
    ...objects(provider['claim_to_headers']).map((item) => string(item['header_name'])),
    ...objects(provider['from_headers']).map((item) => string(item['name'])),
  ].map((name) => name?.toLowerCase() ?? null);
}

/** Whether some route of the virtual host looks at what the filter writes. */
function routesLookAt(stream: Stream, providers: readonly JsonObject[]): boolean {
  if (stream.table?.entry.value['vhost_header'] !== undefined || stream.virtualHost === null) return true;
  if (stream.virtualHost.value['matcher'] !== undefined) return true;
  const written = new Set(providers.flatMap(headersOfJwt));
  const params = new Set(['access_token', ...providers.flatMap((item) => strings(item['from_params']))]);
  return stream.virtualHost.body().routes.some(({ value }) => {
    const match = object(value['match']);
    return (
      list(match['dynamic_metadata']).length > 0 ||
      list(match['filter_state']).length > 0 ||
      objects(match['headers']).some((item) => written.has((string(item['name']) ?? '').toLowerCase())) ||
      objects(match['query_parameters']).some((item) => params.has(string(item['name']) ?? ''))
    );
  });
}

/** `clear_route_cache`: the route is chosen again, by what the claims of the token became. */
function withClaims(run: FilterRun, stream: Stream, path: Path): void {
  const { filter, end, next } = run;
  const providers = Object.values(object(filter.config['providers'])).map((item) => object(item));
  const again = providers.some((item) => item['clear_route_cache'] === true);
  if (!again || !routesLookAt(stream, providers)) return next(stream, path);
  const question = doubt('the claims of the JWT lead to the same route', 'the route is chosen again by them');
  fork(
    path,
    question,
    'unknown',
    (yes) => next(stream, yes),
    (no) => end(ending(stream.connection, 'unknown', run.evidence, { reason: question.reason }), no),
  );
}

/** envoy.filters.http.jwt_authn: the first rule that matches; a token's validity is an open question. */
export function jwt(run: FilterRun, own: JsonObject | null): void {
  const { filter, stream, path, end, next } = run;
  const { config } = filter;
  const opened = {
    ...stream,
    openMetadata: new Set([...stream.openMetadata, 'envoy.filters.http.jwt_authn', 'istio_authn']),
  };
  const apply = (required: JsonObject | null, branch: Path): void => {
    if (required === null) return next(stream, branch);
    switch (requirement(required, config, run)) {
      case 'pass': {
        const carries = Object.values(object(config['providers'])).some((item) => hasToken(object(item), run));
        return carries ? withClaims(run, opened, branch) : next(stream, branch);
      }
      case 'fail':
        return end(reply(run, 'deny', 401, 'jwt_authn_access_denied{Jwt_is_missing}', { policy: filter.name }), branch);
      case 'open': {
        const question = doubt(`the JWT is valid for ${filter.name}`, 'tokens are not verified by this program');
        return fork(
          branch,
          question,
          'condition',
          (yes) => withClaims(run, opened, yes),
          (no) => end(reply(run, 'deny', 401, 'jwt_authn_access_denied', { policy: filter.name }), no),
        );
      }
    }
  };
  if (own !== null) {
    if (boolean(own['disabled']) === true) return next(stream, path);
    const name = string(own['requirement_name']);
    if (name !== null) return apply(objectOrNull(object(config['requirement_map'])[name]), path);
  }
  if (boolean(config['bypass_cors_preflight']) === true && stream.request.method === 'OPTIONS') {
    if (stream.headers.get('origin') !== null && stream.headers.get('access-control-request-method') !== null) {
      return next(stream, path);
    }
  }
  const rules = objects(config['rules']);
  const from = (index: number, branch: Path): void => {
    const rule = rules[index];
    if (rule === undefined) {
      if (config['filter_state_rules'] === undefined) return next(stream, branch);
      const question = doubt(`no JWT is demanded by filter_state_rules of ${filter.name}`, 'they are not evaluated');
      const denied = reply(run, 'deny', 401, 'jwt_authn_access_denied', { policy: filter.name });
      return fork(
        branch,
        question,
        'unknown',
        (yes) => next(stream, yes),
        (no) => end(denied, no),
      );
    }
    const match = object(rule['match']);
    const required =
      objectOrNull(rule['requires']) ??
      objectOrNull(object(config['requirement_map'])[string(rule['requirement_name']) ?? '']);
    const headers = headerMatchers(objects(match['headers']));
    const result = all(
      [
        () => jwtPath(match, withoutQuery(stream.request.path), `${filter.pointer}/rules/${index}`),
        () => headers(stream.headers),
      ],
      (test) => test(),
    );
    if (result === true) return apply(required, branch);
    if (result === false) return from(index + 1, branch);
    fork(
      branch,
      result,
      'unknown',
      (yes) => apply(required, yes),
      (no) => from(index + 1, no),
    );
  };
  from(0, path);
}
