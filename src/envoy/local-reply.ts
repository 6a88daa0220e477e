import { list, number, object, objectOrNull, oneof, string, strings, type JsonObject } from '../formats/envoy-json.js';
import { eachEnding, type Connection, type End, type Ending } from './connection.js';
import { fork, type Path } from './path.js';
import { headerMatcher, type Headers } from './strings.js';
import { all, any, doubt, type Tri } from './tri.js';

/** Response flags of the local replies that this engine makes, by their detail. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  route_not_found: ['NR'],
  route_configuration_not_found: ['NR'],
  no_healthy_upstream: ['UH'],
  cluster_not_found: ['NC'],
  direct_response: [],
  ext_authz_denied: ['UAEX'],
  fault_filter_abort: ['FI'],
  request_rate_limited: ['RL'],
  drop_overload: ['DO'],
  unconditional_drop_overload: ['UDO'],
  rbac_access_denied: [],
  jwt_authn_access_denied: [],
  'jwt_authn_access_denied{Jwt_is_missing}': [],
  cors_response: [],
  upgrade_failed: [],
  path_normalization_failed: [],
  'http1.unexpected_underscore': [],
};

function parts(filters: JsonObject[string]): readonly (readonly [JsonObject, number])[] {
  return list(filters).map((item, i) => [object(item), i]);
}

/** An access log filter as a mapper of local replies uses it. */
function filterHolds(filter: JsonObject, at: string, reply: Ending, headers: Headers): Tri {
  const fact = `the mapper of local replies fits (filter ${at})`;
  const kind = oneof(filter, [
    'status_code_filter',
    'header_filter',
    'response_flag_filter',
    'and_filter',
    'or_filter',
  ]);
  switch (kind) {
    case 'status_code_filter': {
      const comparison = object(object(filter[kind])['comparison']);
      const want = number(object(comparison['value'])['default_value']) ?? 0;
      const key = string(object(comparison['value'])['runtime_key']) ?? '';
      const status = reply.status ?? 0;
      if (key !== '' && key !== 'istio.io/unset') return doubt(fact, `it reads runtime ${key}`);
      switch (string(comparison['op']) ?? 'EQ') {
        case 'EQ':
          return status === want;
        case 'GE':
          return status >= want;
        case 'LE':
          return status <= want;
        case 'NE':
          return status !== want;
        default:
          return doubt(fact, 'its comparison is not understood');
      }
    }
    case 'header_filter':
      return headerMatcher(object(object(filter[kind])['header']))(headers);
    case 'response_flag_filter': {
      const flags = FLAGS[reply.reason ?? ''];
      if (flags === undefined) {
        return doubt(fact, `response flags of ${reply.reason ?? 'this reply'} are not known`);
      }
      const wanted = strings(object(filter[kind])['flags']);
      return wanted.length === 0 ? flags.length > 0 : flags.some((flag) => wanted.includes(flag));
    }
    case 'and_filter':
      return all(parts(object(filter[kind])['filters']), ([item, i]) =>
        filterHolds(item, `${at}/${kind}/filters/${i}`, reply, headers),
      );
    case 'or_filter':
      return any(parts(object(filter[kind])['filters']), ([item, i]) =>
        filterHolds(item, `${at}/${kind}/filters/${i}`, reply, headers),
      );
    case null:
      return doubt(fact, `its filter ${Object.keys(filter).join(', ')} is not understood`);
  }
}

/**
 * `local_reply_config` of the HTTP connection manager (envoy 1.40 source/common/local_reply/local_reply.cc): the first
 * mapper whose filter fits may change the status of what Envoy answers itself.
 */
export function localReplies(
  config: JsonObject,
  connection: Connection,
  headers: Headers,
  grpc: boolean,
  end: End,
): End {
  const mappers = list(object(config['local_reply_config'])['mappers']).map(object);
  // A gRPC client gets HTTP 200 whatever the mapper says.
  if (grpc || !mappers.some((mapper) => mapper['status_code'] !== undefined)) return end;
  const from = (index: number, reply: Ending, path: Path): void => {
    const mapper = mappers[index];
    if (mapper === undefined) return end(reply, path);
    const status = number(mapper['status_code']);
    const take = (branch: Path): void => end(status === null ? reply : { ...reply, status }, branch);
    const fits = filterHolds(objectOrNull(mapper['filter']) ?? {}, `mappers/${index}/filter`, reply, headers);
    if (fits === true) return take(path);
    if (fits === false) return from(index + 1, reply, path);
    fork(path, fits, 'unknown', take, (no) => from(index + 1, reply, no));
  };
  return (result, path) =>
    eachEnding(result, path, (reply, branch) => {
      const own = reply.status !== null && reply.listener === connection.listener && reply.action !== 'forward';
      if (own) from(0, reply, branch);
      else end(reply, branch);
    });
}
