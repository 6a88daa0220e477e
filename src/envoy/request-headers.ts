import { boolean, number, object, string, strings, type JsonObject } from '../formats/envoy-json.js';
import type { Connection } from './connection.js';
import type { HttpRequest, OpenPart } from './face.js';
import { openIn, openPart } from './header-mutation.js';
import type { OpenHeader } from './strings.js';

function overwrittenScheme(config: JsonObject): string | null {
  return string(object(config['scheme_header_transformation'])['scheme_to_overwrite']);
}

/**
 * `http` or `https`, as `:scheme` says it to routes and filters. HTTP/1 has none of its own: it is that of
 * x-forwarded-proto, in lower case, where that is one of the two. HTTP/2 brings its own, which clients take from the
 * connection. Seen of envoy 1.40. `request`: as `sanitized` leaves it.
 */
export function schemeOf(config: JsonObject, connection: Connection, request: HttpRequest, http2: boolean): string {
  const own = connection.terminated === undefined ? 'http' : 'https';
  const forwarded = http2 ? '' : (request.headers['x-forwarded-proto'] ?? '').toLowerCase();
  return overwrittenScheme(config) ?? (forwarded === 'http' || forwarded === 'https' ? forwarded : own);
}

/** Names in lower case, as Envoy keeps them. */
export function lowerCased(request: HttpRequest): HttpRequest {
  for (const name in request.headers) {
    if (name !== name.toLowerCase()) return { ...request, headers: lowered(request.headers) };
  }
  return request;
}

function lowered(written: HttpRequest['headers']): HttpRequest['headers'] {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(written)) headers[name.toLowerCase()] = value;
  return headers;
}

function mentions(header: string | undefined, token: string): boolean {
  return (header ?? '').split(',').some((item) => item.trim().toLowerCase() === token);
}

/** `Connection: upgrade` with the protocol that it asks for; null for any other request (Http::Utility::isUpgrade). */
export function upgradeOf(request: HttpRequest): string | null {
  const wanted = request.headers['upgrade'];
  return wanted !== undefined && wanted !== '' && mentions(request.headers['connection'], 'upgrade') ? wanted : null;
}

const CLIENT_CERT = 'x-forwarded-client-cert';
const HOP_BY_HOP = ['keep-alive', 'proxy-connection', 'transfer-encoding'] as const;

/**
 * Headers as routes and filters see them (ConnectionManagerUtility::mutateRequestHeaders): hop-by-hop headers go,
 * x-forwarded-proto is written where there is none, x-forwarded-for behind `use_remote_address`.
 */
export function sanitized(config: JsonObject, connection: Connection, request: HttpRequest): HttpRequest {
  const { headers } = request;
  const gone: string[] = HOP_BY_HOP.filter((name) => headers[name] !== undefined);
  if (upgradeOf(request) === null) {
    for (const name of ['connection', 'upgrade']) if (headers[name] !== undefined) gone.push(name);
    if (headers['te'] !== undefined && !mentions(headers['te'], 'trailers')) gone.push('te');
  }
  const dropped = object(config['common_http_protocol_options'])['headers_with_underscores_action'] === 'DROP_HEADER';
  for (const name in headers) if (dropped && name.includes('_')) gone.push(name);
  if (headers[CLIENT_CERT] !== undefined && clientCertificate(config, connection, request)?.present === false)
    gone.push(CLIENT_CERT);
  const trusting = boolean(config['use_remote_address']) === true;
  if (gone.length === 0 && !trusting && headers['x-forwarded-proto'] !== undefined) return request;
  const left: Record<string, string> = { ...headers };
  for (const name of gone) delete left[name];
  // the client's own counts for nothing where this Envoy is the edge, unless a trusted proxy stands before it
  const edge = trusting && (number(config['xff_num_trusted_hops']) ?? 0) === 0;
  if (edge || left['x-forwarded-proto'] === undefined)
    left['x-forwarded-proto'] = connection.terminated === undefined ? 'http' : 'https';
  if (trusting) {
    const appended = ownAddress(config, connection) ? null : forwardedAddress(config, connection);
    const before = left['x-forwarded-for'];
    if (appended !== null) left['x-forwarded-for'] = before === undefined ? appended : `${before},${appended}`;
  }
  return { ...request, headers: left };
}

/** What is appended to x-forwarded-for: the peer's address; null where nothing is. */
function forwardedAddress(config: JsonObject, connection: Connection): string | null {
  if (boolean(config['use_remote_address']) !== true || boolean(config['skip_xff_append']) === true) return null;
  return connection.remote?.kind === 'ip' ? connection.remote.host : null;
}

/**
 * For a peer on the loopback Envoy appends its own address, that of the node, which the dump does not tell
 * (Network::Utility::isLoopbackAddress: 127.0.0.1 and ::1 alone; seen of envoy 1.40).
 */
function ownAddress(config: JsonObject, connection: Connection): boolean {
  const appended = forwardedAddress(config, connection);
  return appended === '127.0.0.1' || appended === '::1';
}

/** Headers with an underscore are refused: envoy 1.40 source/common/http/http1/codec_impl.cc. */
export function refusesHeaders(config: JsonObject, request: HttpRequest): boolean {
  const action = object(config['common_http_protocol_options'])['headers_with_underscores_action'];
  return action === 'REJECT_REQUEST' && Object.keys(request.headers).some((name) => name.includes('_'));
}

const MADE_HERE = 'this Envoy writes it, and its value is not known';

/** What this Envoy does with x-forwarded-client-cert (ConnectionManagerUtility::mutateXfccRequestHeader). */
function clientCertificate(config: JsonObject, connection: Connection, request: HttpRequest): OpenHeader | null {
  const written = string(config['forward_client_cert_details']) ?? 'SANITIZE';
  const mutual = connection.terminated !== undefined && connection.terminated.peer !== null;
  if (written === 'ALWAYS_FORWARD_ONLY') return null;
  if (written === 'SANITIZE' || !mutual) return { present: false, reason: 'this Envoy removes it' };
  if (written === 'FORWARD_ONLY') return null;
  const reason = `${MADE_HERE} (${request.headers['x-forwarded-client-cert'] === undefined ? 'it is set' : 'it is changed'})`;
  return { present: true, reason };
}

/** Asks by name whether Envoy itself sets, changes or removes a header before it routes. */
export function openHeaders(
  config: JsonObject,
  connection: Connection,
  request: HttpRequest,
  internalOnly: JsonObject[string],
): (name: string) => OpenHeader | null {
  return (name) => {
    const own = openHeader(config, connection, request, internalOnly, name);
    if (own !== null || request.open === undefined) return own;
    // `:scheme` follows x-forwarded-proto
    const follows = name === ':scheme' && overwrittenScheme(config) === null;
    const part = openIn(request.open, follows ? 'x-forwarded-proto' : name);
    return part === null ? null : { present: null, reason: part.reason };
  };
}

const OWN_ADDRESS = 'this Envoy appends its own address, for the client is on the loopback';
const INTERNAL = 'whether the request counts as internal is not decided by this program';

/** What the router and the tracer write, or may write, into a request that goes on. */
const OF_ROUTER = [
  'x-envoy-attempt-count',
  'x-envoy-decorator-operation',
  'x-envoy-expected-rq-timeout-ms',
  'x-envoy-external-address',
  'x-envoy-internal',
  'x-envoy-original-host',
  'x-envoy-original-path',
].map((name) => openPart(name, MADE_HERE));
const OF_TRACER = ['traceparent', 'tracestate', 'x-b3-sampled', 'x-b3-spanid', 'x-b3-traceid', 'b3'].map((name) =>
  openPart(name, MADE_HERE),
);
const OF_MANAGER = [CLIENT_CERT, 'x-request-id', 'x-forwarded-for', 'x-forwarded-port', 'via'].map((name) =>
  openPart(name, MADE_HERE),
);

/** Headers of the request as the upstream gets it whose values are not known, those that came so included. */
export function headersBehind(config: JsonObject, connection: Connection, request: HttpRequest): readonly OpenPart[] {
  const written = (part: OpenPart): boolean | null | undefined =>
    openHeader(config, connection, request, undefined, part.name)?.present;
  const own = [
    ...OF_MANAGER.filter((part) => written(part) === true),
    ...OF_ROUTER,
    ...(config['tracing'] === undefined ? [] : OF_TRACER),
  ];
  if (request.open === undefined) return own;
  const came = request.open.filter((part) => written(part) !== false && !own.some(({ name }) => name === part.name));
  return [...came, ...own];
}

function openHeader(
  config: JsonObject,
  connection: Connection,
  request: HttpRequest,
  internalOnly: JsonObject[string],
  name: string,
): OpenHeader | null {
  const trusting = boolean(config['use_remote_address']) === true;
  const given = request.headers[name] !== undefined;
  const made: OpenHeader = { present: true, reason: MADE_HERE };
  switch (name) {
    case 'x-forwarded-client-cert':
      return clientCertificate(config, connection, request);
    case 'x-request-id': {
      const kept = given && (!trusting || boolean(config['preserve_external_request_id']) === true);
      return boolean(config['generate_request_id']) === false || kept ? null : made;
    }
    case 'x-forwarded-port':
      return boolean(config['append_x_forwarded_port']) === true ? made : null;
    case 'x-forwarded-for':
      return ownAddress(config, connection) ? { present: true, reason: OWN_ADDRESS } : null;
    case 'via':
      return (string(config['via']) ?? '') === '' ? null : made;
    case 'x-envoy-internal':
      return { present: null, reason: INTERNAL };
    default: {
      if (!trusting) return null;
      // the client's own requests for faults stay (seen of envoy 1.40)
      const cleaned =
        (name.startsWith('x-envoy-') && !name.startsWith('x-envoy-fault-')) ||
        strings(internalOnly).some((item) => item.toLowerCase() === name);
      return name === 'x-envoy-external-address' || (given && cleaned) ? { present: null, reason: INTERNAL } : null;
    }
  }
}
