import { boolean, list, object, objectOrNull, string, strings, type JsonObject } from '../formats/envoy-json.js';
import { chosenAgain, reply, type FilterRun } from './filter-run.js';
import { openPart } from './header-mutation.js';
import { uriTemplate, withoutQuery } from './http-path.js';
import { fork, type Path } from './path.js';
import { regex } from './regex.js';
import { isPreflight, mayBe, mayHave, withHeaders, type Stream } from './stream.js';
import { headerMatchers, objects } from './strings.js';
import { all, doubt, type Tri } from './tri.js';

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
    return providersOf(config).some((item) => hasToken(item, run)) ? 'open' : 'pass';
  }
  return 'pass';
}

/** Where a provider looks for its token: authorization and access_token unless it names places of its own. */
function places(provider: JsonObject): {
  readonly headers: readonly { readonly name: string; readonly prefix: string }[];
  readonly params: readonly string[];
  readonly cookies: readonly string[];
} {
  const headers = objects(provider['from_headers']).map((item) => ({
    name: (string(item['name']) ?? '').toLowerCase(),
    prefix: string(item['value_prefix']) ?? '',
  }));
  const params = strings(provider['from_params']);
  const cookies = strings(provider['from_cookies']);
  return headers.length === 0 && params.length === 0 && cookies.length === 0
    ? { headers: [{ name: 'authorization', prefix: 'Bearer ' }], params: ['access_token'], cookies }
    : { headers, params, cookies };
}

function queryHas(stream: Stream, name: string): boolean {
  return new RegExp(`[?&]${name.replace(/[^\w-]/g, '\\$&')}=`).test(stream.request.path);
}

/** Whether the request carries, or may carry, a token where this provider looks for one. */
function hasToken(provider: JsonObject, { stream }: FilterRun): boolean {
  const { headers, params, cookies } = places(provider);
  return (
    headers.some(({ name, prefix }) => mayBe(stream.headers, name, (value) => value.includes(prefix))) ||
    params.some((name) => queryHas(stream, name)) ||
    cookies.some((name) => mayBe(stream.headers, 'cookie', (value) => value.includes(`${name}=`)))
  );
}

function providersOf(config: JsonObject): readonly JsonObject[] {
  return Object.values(object(config['providers'])).map((item) => object(item));
}

/** Headers that a provider writes from a token, in lower case: Envoy removes what the client sent under these names. */
function claimHeaders(provider: JsonObject): readonly string[] {
  const payload = string(provider['forward_payload_header']) ?? '';
  const claims = objects(provider['claim_to_headers']).map((item) => string(item['header_name']) ?? '');
  return [payload, ...claims].filter((name) => name !== '').map((name) => name.toLowerCase());
}

/** Headers that go with the token: those that it came in. */
function tokenHeaders(provider: JsonObject): readonly string[] {
  return provider['forward'] === true ? [] : places(provider).headers.map(({ name }) => name);
}

/** Names of the providers that a requirement asks for. */
function named(value: JsonObject): readonly string[] {
  const single = string(value['provider_name']) ?? string(object(value['provider_and_audiences'])['provider_name']);
  const several = ['requires_any', 'requires_all'].flatMap((kind) => list(object(value[kind])['requirements']));
  return [...(single === null ? [] : [single]), ...several.flatMap((item) => named(object(item)))];
}

/**
 * The request without a token, as the filter hands it on: what the client sent under the names of claims is removed.
 * Envoy 1.40 does so for every provider before it looks at the rules, older ones (1.13) for those that the rule asks.
 */
function cleaned(run: FilterRun, required: JsonObject | null): Stream {
  const { filter, stream } = run;
  const all = object(filter.config['providers']);
  const gone = new Set(named(required ?? {}).flatMap((name) => claimHeaders(object(all[name]))));
  const perhaps = providersOf(filter.config)
    .flatMap(claimHeaders)
    .filter((name) => !gone.has(name) && mayHave(stream.headers, name));
  const reason = `${filter.name} may remove it: that depends on the release of Envoy`;
  return withHeaders(
    stream,
    [...gone],
    perhaps.map((name) => openPart(name, reason)),
  );
}

/** The request with a token that may have passed: claims are written, and the token is gone unless it is forwarded. */
function claimed({ filter, stream }: FilterRun): Stream {
  const providers = providersOf(filter.config);
  const written = providers.flatMap(claimHeaders);
  const tokens = providers.flatMap(tokenHeaders).filter((name) => mayHave(stream.headers, name));
  const names = [...new Set([...written, ...tokens])];
  const query = providers.some(
    (item) => item['forward'] !== true && places(item).params.some((name) => queryHas(stream, name)),
  );
  const parts = (query ? [...names, ':path'] : names).map((name) =>
    openPart(name, `${filter.name} writes or removes it`),
  );
  const openMetadata = new Set([...stream.openMetadata, 'envoy.filters.http.jwt_authn', 'istio_authn']);
  return { ...withHeaders(stream, names, parts), openMetadata };
}

/** Names of headers by which a route is found, or finds its cluster, in lower case. */
function headersOfRoute(value: JsonObject): readonly string[] {
  const action = object(value['route']);
  const weighted = object(action['weighted_clusters']);
  return [
    ...objects(object(value['match'])['headers']).map((item) => item['name']),
    action['cluster_header'],
    weighted['header_name'],
    ...objects(weighted['clusters']).map((item) => item['cluster_header']),
  ].flatMap((name) => string(name)?.toLowerCase() ?? []);
}

/** Whether some route of the virtual host looks at what the filter writes. */
function routesLookAt(stream: Stream, providers: readonly JsonObject[]): boolean {
  if (stream.table?.entry.value['vhost_header'] !== undefined || stream.virtualHost === null) return true;
  if (stream.virtualHost.value['matcher'] !== undefined || stream.hcm.config['scoped_routes'] !== undefined)
    return true;
  const written = new Set(providers.flatMap((item) => [...claimHeaders(item), ...tokenHeaders(item)]));
  const params = new Set(providers.flatMap((item) => places(item).params));
  return stream.virtualHost.body().routes.some(({ value }) => {
    const match = object(value['match']);
    const action = object(value['route']);
    return (
      list(match['dynamic_metadata']).length > 0 ||
      list(match['filter_state']).length > 0 ||
      action['cluster_specifier_plugin'] !== undefined ||
      action['inline_cluster_specifier_plugin'] !== undefined ||
      headersOfRoute(value).some((name) => written.has(name)) ||
      objects(match['query_parameters']).some((item) => params.has(string(item['name']) ?? ''))
    );
  });
}

/** `clear_route_cache`: the route is chosen again, by what the claims of the token became. */
function withClaims(run: FilterRun, path: Path): void {
  const { filter, next } = run;
  const stream = claimed(run);
  const providers = providersOf(filter.config);
  const again = providers.some((item) => item['clear_route_cache'] === true);
  if (!again || !routesLookAt(stream, providers)) return next(stream, path);
  const question = doubt('the claims of the JWT lead to the same route', 'the route is chosen again by them');
  chosenAgain(run, stream, path, question);
}

/** envoy.filters.http.jwt_authn: the first rule that matches; a token's validity is an open question. */
export function jwt(run: FilterRun, own: JsonObject | null): void {
  const { filter, stream, path, end, next } = run;
  const { config } = filter;
  const entered = cleaned(run, null);
  const apply = (required: JsonObject | null, branch: Path): void => {
    if (required === null) return next(entered, branch);
    switch (requirement(required, config, run)) {
      case 'pass': {
        const carries = providersOf(config).some((item) => hasToken(item, run));
        return carries ? withClaims(run, branch) : next(cleaned(run, required), branch);
      }
      case 'fail':
        return end(reply(run, 'deny', 401, 'jwt_authn_access_denied{Jwt_is_missing}', { policy: filter.name }), branch);
      case 'open': {
        const question = doubt(`the JWT is valid for ${filter.name}`, 'tokens are not verified by this program');
        return fork(
          branch,
          question,
          'condition',
          (yes) => withClaims(run, yes),
          (no) => end(reply(run, 'deny', 401, 'jwt_authn_access_denied', { policy: filter.name }), no),
        );
      }
    }
  };
  if (own !== null) {
    if (boolean(own['disabled']) === true) return next(entered, path);
    const name = string(own['requirement_name']);
    if (name !== null) return apply(objectOrNull(object(config['requirement_map'])[name]), path);
  }
  const rules = objects(config['rules']);
  const from = (index: number, branch: Path): void => {
    const rule = rules[index];
    if (rule === undefined) {
      if (config['filter_state_rules'] === undefined) return next(entered, branch);
      const question = doubt(`no JWT is demanded by filter_state_rules of ${filter.name}`, 'they are not evaluated');
      const denied = reply(run, 'deny', 401, 'jwt_authn_access_denied', { policy: filter.name });
      return fork(
        branch,
        question,
        'unknown',
        (yes) => next(entered, yes),
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
        () => headers(entered.headers),
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
  const preflight = boolean(config['bypass_cors_preflight']) === true && isPreflight(stream);
  if (preflight === true) return next(entered, path);
  if (preflight === false) return from(0, path);
  fork(
    path,
    preflight,
    'unknown',
    (yes) => next(entered, yes),
    (no) => from(0, no),
  );
}
