import { boolean, number, object, objectOrNull, oneof, string, list, type JsonObject } from '../formats/envoy-json.js';
import { ipAddress, type Connection } from './connection.js';
import type { Filter, ListenerBody } from './listener.js';
import { fork, type Path } from './path.js';
import type { Evidence } from '../formats/evidence.js';
import { all, any, doubt, not, type Tri } from './tri.js';

type Next = (connection: Connection, path: Path) => void;

/** Where a branch goes on, or ends before any chain is chosen. */
interface Onward {
  readonly next: Next;
  readonly stop: (action: 'error' | 'unknown', reason: string, evidence: Evidence, path: Path) => void;
}

/** ListenerFilterChainMatchPredicate of `filter_disabled`. */
function disabled(value: JsonObject, connection: Connection): Tri {
  const kind = oneof(value, ['or_match', 'and_match', 'not_match', 'any_match', 'destination_port_range']);
  const rules = (inner: JsonObject): readonly JsonObject[] => list(inner['rules']).map(object);
  switch (kind) {
    case 'or_match':
      return any(rules(object(value[kind])), (rule) => disabled(rule, connection));
    case 'and_match':
      return all(rules(object(value[kind])), (rule) => disabled(rule, connection));
    case 'not_match':
      return not(disabled(object(value[kind]), connection));
    case 'any_match':
      return boolean(value[kind]) === true;
    case 'destination_port_range': {
      const range = object(value[kind]);
      if (connection.local.kind !== 'ip') return false;
      const { port } = connection.local;
      return port >= (number(range['start']) ?? 0) && port < (number(range['end']) ?? 0);
    }
    case null:
      return doubt('listener filter is disabled', `predicate ${Object.keys(value).join(', ')} is not understood`);
  }
}

const TLS_INSPECTOR = 'envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector';
const HTTP_INSPECTOR = 'envoy.extensions.filters.listener.http_inspector.v3.HttpInspector';
const ORIGINAL_DST = 'envoy.extensions.filters.listener.original_dst.v3.OriginalDst';
const ORIGINAL_SRC = 'envoy.extensions.filters.listener.original_src.v3.OriginalSrc';
const PROXY_PROTOCOL = 'envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol';
const SET_DST_ADDRESS = 'istio.set_internal_dst_address.v1.Config';

/** Old configurations name the filter without a typed configuration. */
const BY_NAME: Readonly<Record<string, string>> = {
  'envoy.filters.listener.tls_inspector': TLS_INSPECTOR,
  'envoy.filters.listener.http_inspector': HTTP_INSPECTOR,
  'envoy.filters.listener.original_dst': ORIGINAL_DST,
  'envoy.filters.listener.proxy_protocol': PROXY_PROTOCOL,
};

function typeOf(filter: Filter): string {
  return filter.type === '' ? (BY_NAME[filter.name] ?? filter.name) : filter.type;
}

function inspectTls(connection: Connection): Connection {
  const { tls } = connection.payload;
  if (tls === null) return connection;
  return { ...connection, transport: 'tls', sni: (tls.sni ?? '').toLowerCase(), alpn: tls.alpn };
}

/** HTTP/1.1 is what the question means unless it is a CONNECT of HBONE, which is HTTP/2. */
function inspectHttp(connection: Connection): Connection {
  const { tls, app } = connection.payload;
  if (tls !== null || connection.transport === 'tls') return connection;
  switch (app.kind) {
    case 'tcp':
      return connection;
    case 'http':
      return { ...connection, alpn: ['http/1.1'] };
    case 'connect':
      return { ...connection, alpn: ['h2c'] };
  }
}

const LOCAL_STATE = 'envoy.filters.listener.original_dst.local_ip';
const REMOTE_STATE = 'envoy.filters.listener.original_dst.remote_ip';

/**
 * On a socket: the original destination of the redirect, which `local` is already. On an internal connection: filter
 * state, else the endpoint's metadata (envoy 1.40 source/extensions/filters/listener/original_dst/original_dst.cc).
 */
function restoreDestination(connection: Connection): Connection {
  if (connection.local.kind === 'ip') return { ...connection, localRestored: true };
  const metadata = object(connection.metadata.get('envoy.filters.listener.original_dst'));
  const local = connection.filterState.get(LOCAL_STATE) ?? string(metadata['local']);
  const remote = connection.filterState.get(REMOTE_STATE) ?? string(metadata['remote']);
  const localAddress = local === null ? null : ipAddress(local);
  const remoteAddress = remote === null ? null : ipAddress(remote);
  return {
    ...connection,
    ...(localAddress === null ? {} : { local: localAddress, localRestored: true }),
    ...(remoteAddress === null ? {} : { remote: remoteAddress }),
  };
}

/** Key under which this program keeps what istio/proxy 1.18 calls the Authority filter state object. */
export const AUTHORITY_STATE = 'io.istio.connect_authority';
export const AUTHORITY_PORT_STATE = 'io.istio.connect_authority.port';
const OVERRIDE_STATE = 'envoy.network.transport_socket.original_dst_address';

/** istio/proxy 1.18 source/extensions/filters/listener/set_internal_dst_address: metadata `tunnel`, or the CONNECT authority. */
function setDestination(connection: Connection): Connection {
  const filterState = new Map(connection.filterState);
  let local = connection.local;
  let restored = connection.localRestored;
  const tunnel = object(connection.metadata.get('tunnel'));
  const destination = string(tunnel['destination']);
  const authority = connection.filterState.get(AUTHORITY_STATE);
  const target = authority ?? destination;
  const at = target === null ? null : ipAddress(target);
  if (at !== null) {
    local = at;
    restored = true;
  }
  const through = string(tunnel['address']);
  const port = connection.filterState.get(AUTHORITY_PORT_STATE);
  if (through !== null) filterState.set(OVERRIDE_STATE, through);
  else if (at?.kind === 'ip' && port !== undefined && port !== null && port !== '0') {
    const host = at.host.includes(':') ? `[${at.host}]` : at.host;
    filterState.set(OVERRIDE_STATE, `${host}:${port}`);
  }
  return { ...connection, local, localRestored: restored, filterState };
}

function apply(filter: Filter, connection: Connection, path: Path, evidence: Evidence, onward: Onward): void {
  const { next, stop } = onward;
  switch (typeOf(filter)) {
    case TLS_INSPECTOR:
      return next(inspectTls(connection), path);
    case HTTP_INSPECTOR:
      return next(inspectHttp(connection), path);
    case ORIGINAL_DST:
      return next(restoreDestination(connection), path);
    case SET_DST_ADDRESS:
      return next(setDestination(connection), path);
    case ORIGINAL_SRC:
      return next(connection, path);
    case PROXY_PROTOCOL: {
      if (boolean(filter.config['allow_requests_without_proxy_protocol']) === true) return next(connection, path);
      const question = doubt(
        'the connection starts with a PROXY protocol header that names these addresses',
        'the listener demands one, and the question does not tell',
      );
      return fork(
        path,
        question,
        'condition',
        (yes) => next(connection, yes),
        (no) =>
          stop('unknown', 'without this header Envoy closes, with another one the addresses change', evidence, no),
      );
    }
    default: {
      const question = doubt(
        `listener filter ${filter.name} leaves the connection as it is`,
        `${typeOf(filter)} is not known to this program`,
      );
      return fork(
        path,
        question,
        'unknown',
        (yes) => next(connection, yes),
        (no) => stop('unknown', question.reason, evidence, no),
      );
    }
  }
}

/** Runs the listener filters in order; `next` is called once per branch. */
export function runListenerFilters(
  body: ListenerBody,
  file: string,
  connection: Connection,
  path: Path,
  onward: Onward,
): void {
  const from = (index: number, current: Connection, branch: Path): void => {
    const filter = body.filters[index];
    if (filter === undefined) {
      onward.next(current, branch);
      return;
    }
    const goOn: Next = (changed, after) => from(index + 1, changed, after);
    const then: Onward = { next: goOn, stop: onward.stop };
    const evidence: Evidence = { file, pointer: filter.pointer, text: `listener filter ${filter.name}` };
    const off = objectOrNull(filter.raw['filter_disabled']);
    const isOff = off === null ? false : disabled(off, current);
    if (isOff === true) return goOn(current, branch);
    if (isOff === false) return apply(filter, current, branch, evidence, then);
    fork(
      branch,
      isOff,
      'unknown',
      (yes) => goOn(current, yes),
      (no) => apply(filter, current, no, evidence, then),
    );
  };
  from(0, connection, path);
}
