import { list, object, objectOrNull, string, strings, typed, type JsonObject } from '../formats/envoy-json.js';
import { type ClusterModel, type Host, type SocketMatch } from './cluster.js';
import type { Ending } from './connection.js';
import type { Engine } from './engine.js';
import { missingSecret } from './handshake.js';

/** Transport of a connection to an endpoint, after `transport_socket_matches` was asked. */
export interface Transport {
  readonly tls: 'none' | 'tls' | 'mtls' | null;
  readonly upstreamTls: Ending['upstreamTls'];
  /** Metadata handed to an internal listener, by namespace: from the host or the cluster. */
  readonly passthrough: readonly { readonly kind: string; readonly name: string }[];
  readonly internal: boolean;
  /** Name of the TLS certificate (SDS secret), null where it is written into the dump. */
  readonly certificate: string | null;
  readonly match: SocketMatch;
  /** Why the transport is not known, null where it is. */
  readonly unknown: string | null;
}

function subjectNames(context: JsonObject): readonly string[] {
  const combined = object(context['combined_validation_context']);
  const validation = objectOrNull(combined['default_validation_context']) ?? object(context['validation_context']);
  const written: string[] = [];
  const push = (matcher: JsonObject): void => {
    for (const kind of ['exact', 'prefix', 'suffix', 'contains']) {
      const value = string(matcher[kind]);
      if (value !== null) written.push(kind === 'exact' ? value : `${kind}:${value}`);
    }
    const pattern = objectOrNull(matcher['safe_regex']);
    if (pattern !== null) written.push(`regex:${string(pattern['regex']) ?? ''}`);
  };
  for (const item of list(validation['match_subject_alt_names'])) push(object(item));
  for (const item of list(validation['match_typed_subject_alt_names'])) push(object(object(item)['matcher']));
  return written;
}

function tlsOf(config: JsonObject): Pick<Transport, 'tls' | 'upstreamTls' | 'certificate'> {
  const context = object(config['common_tls_context']);
  const sds = list(context['tls_certificate_sds_secret_configs']);
  const presented =
    sds.length > 0 ||
    list(context['tls_certificates']).length > 0 ||
    context['tls_certificate_provider_instance'] !== undefined ||
    context['tls_certificate_certificate_provider_instance'] !== undefined;
  return {
    tls: presented ? 'mtls' : 'tls',
    certificate: string(object(sds[0])['name']),
    upstreamTls: {
      sni: string(config['sni']),
      alpn: strings(context['alpn_protocols']),
      sans: subjectNames(context),
    },
  };
}

function read(match: SocketMatch, type: string, config: JsonObject): Transport {
  const base = { passthrough: [], internal: false, certificate: null, match, unknown: null, upstreamTls: null };
  switch (type) {
    case 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer':
      return { ...base, tls: 'none' };
    case 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext':
      return { ...base, ...tlsOf(config) };
    case 'envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport': {
      const inner = typed(object(config['transport_socket'])['typed_config']);
      const passthrough = list(config['passthrough_metadata']).map((item) => {
        const entry = object(item);
        return { kind: Object.keys(object(entry['kind']))[0] ?? '', name: string(entry['name']) ?? '' };
      });
      return { ...read(match, inner.type, inner.value), passthrough, internal: true };
    }
    case 'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport':
    case 'envoy.extensions.transport_sockets.tcp_stats.v3.Config': {
      const inner = typed(object(config['transport_socket'])['typed_config']);
      return read(match, inner.type, inner.value);
    }
    default:
      return { ...base, tls: null, unknown: `transport socket ${type} is not known` };
  }
}

/** Every value of the match must stand in the host's `envoy.transport_socket_match`; an empty match fits all. */
function fits(match: JsonObject, host: Host | null): boolean {
  let metadata: JsonObject | null = null;
  for (const key in match) {
    metadata ??= object(host?.metadata['envoy.transport_socket_match']);
    const [want, found] = [match[key], metadata[key]];
    if (found === undefined) return false;
    if (want !== found && JSON.stringify(want) !== JSON.stringify(found)) return false;
  }
  return true;
}

/** Compiled once: the endpoints of a cluster share its few sockets. */
const compiled = new WeakMap<SocketMatch, Transport>();

/** The transport socket of a connection to `host` (null: an original-destination host, which has no metadata). */
export function transport(engine: Engine, cluster: ClusterModel, host: Host | null): Transport {
  const found = cluster.sockets.find((socket) => socket.match === null || fits(socket.match, host));
  if (found === undefined) return plain({ name: '', match: null, socket: null, pointer: cluster.entry.pointer });
  let made = compiled.get(found);
  if (made === undefined) {
    made = found.socket === null ? plain(found) : supplied(engine, found, found.socket);
    compiled.set(found, made);
  }
  return made;
}

/** Without its secrets a socket connects to nobody (envoy 1.40 source/common/tls/ssl_socket.cc, NotReadySslSocket). */
function supplied(engine: Engine, match: SocketMatch, socket: NonNullable<SocketMatch['socket']>): Transport {
  const made = read(match, socket.type, socket.config);
  const secret = missingSecret(engine, object(socket.config['common_tls_context']));
  return secret === null ? made : { ...made, unknown: `secret ${secret} has not come yet: without it there is no TLS` };
}

function plain(match: SocketMatch): Transport {
  return { tls: 'none', upstreamTls: null, passthrough: [], internal: false, certificate: null, match, unknown: null };
}
