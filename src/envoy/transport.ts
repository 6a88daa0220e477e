import { list, object, objectOrNull, string, strings, typed, type JsonObject } from '../formats/envoy-json.js';
import type { EnvoyDump } from '../formats/envoy-dump.js';
import type { ClusterModel } from './cluster.js';
import type { Host } from './host.js';
import type { Ending } from './connection.js';
import { missingSecret } from './handshake.js';
import { stepOf, type Step } from './path.js';

/** Transport of a connection to an endpoint, after `transport_socket_matches` was asked. */
export interface Transport {
  readonly tls: 'none' | 'tls' | 'mtls' | null;
  readonly upstreamTls: Ending['upstreamTls'];
  /** Metadata handed to an internal listener, by namespace: from the host or the cluster. */
  readonly passthrough: readonly { readonly kind: string; readonly name: string }[];
  readonly internal: boolean;
  /** Name of the TLS certificate (SDS secret), null where it is written into the dump. */
  readonly certificate: string | null;
  /** That it is the transport to the endpoint. */
  readonly step: Step;
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

/** What a socket's configuration says of the connection. */
type Wire = Omit<Transport, 'step'>;

const PLAIN: Wire = {
  tls: 'none',
  upstreamTls: null,
  passthrough: [],
  internal: false,
  certificate: null,
  unknown: null,
};

function tls(config: JsonObject, dump: EnvoyDump): Wire {
  const context = object(config['common_tls_context']);
  const sds = list(context['tls_certificate_sds_secret_configs']);
  const presented =
    sds.length > 0 ||
    list(context['tls_certificates']).length > 0 ||
    context['tls_certificate_provider_instance'] !== undefined ||
    context['tls_certificate_certificate_provider_instance'] !== undefined;
  // Without its secrets a socket connects to nobody (envoy 1.40 source/common/tls/ssl_socket.cc, NotReadySslSocket).
  const secret = missingSecret(dump, context);
  return {
    tls: presented ? 'mtls' : 'tls',
    upstreamTls: { sni: string(config['sni']), alpn: strings(context['alpn_protocols']), sans: subjectNames(context) },
    passthrough: [],
    internal: false,
    certificate: string(object(sds[0])['name']),
    unknown: secret === null ? null : `secret ${secret} has not come yet: without it there is no TLS`,
  };
}

/** The socket inside a socket. */
function within(config: JsonObject, dump: EnvoyDump): Wire {
  return wire(object(config['transport_socket']), dump);
}

function wire(socket: JsonObject, dump: EnvoyDump): Wire {
  const { type, value } = typed(socket['typed_config']);
  switch (type) {
    case 'envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer':
      return PLAIN;
    case 'envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext':
      return tls(value, dump);
    case 'envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport': {
      const passthrough = list(value['passthrough_metadata']).map((item) => {
        const entry = object(item);
        return { kind: Object.keys(object(entry['kind']))[0] ?? '', name: string(entry['name']) ?? '' };
      });
      return { ...within(value, dump), passthrough, internal: true };
    }
    case 'envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport':
    case 'envoy.extensions.transport_sockets.tcp_stats.v3.Config':
      return within(value, dump);
    default:
      return { ...PLAIN, tls: null, unknown: `transport socket ${type} is not known` };
  }
}

/** Reads a transport socket; null: the cluster has none, and speaks plain text. `name`: as the cluster calls it. */
export function readTransport(dump: EnvoyDump, name: string, socket: JsonObject | null, pointer: string): Transport {
  const { tls, upstreamTls, passthrough, internal, certificate, unknown } =
    socket === null ? PLAIN : wire(socket, dump);
  const sni = upstreamTls?.sni ?? null;
  const text = `transport ${name === '' ? '' : `${name}: `}${tls ?? 'unknown'}${sni === null ? '' : ` with SNI ${sni}`}`;
  const step = stepOf(text, { file: dump.file, pointer, text });
  return { tls, upstreamTls, passthrough, internal, certificate, unknown, step };
}

/** Every value of the match must stand in `envoy.transport_socket_match` of the metadata; an empty match fits all. */
function fits(match: JsonObject, given: JsonObject | undefined): boolean {
  let metadata: JsonObject | null = null;
  for (const key in match) {
    metadata ??= object(given?.['envoy.transport_socket_match']);
    const [want, found] = [match[key], metadata[key]];
    if (found === undefined) return false;
    if (want !== found && JSON.stringify(want) !== JSON.stringify(found)) return false;
  }
  return true;
}

/**
 * The transport socket of a connection to `host` (null: an original-destination host, which has no metadata): all matches
 * are asked about the endpoint, then all of them about its locality, then there is the cluster's own socket (envoy 1.40
 * source/common/upstream/transport_socket_match_impl.cc).
 */
export function transport({ sockets, own, hosts }: ClusterModel, host: Host | null): Transport {
  if (sockets.length === 0) return own.transport();
  const found = sockets.find((socket) => fits(socket.match, host?.metadata));
  if (found !== undefined) return found.transport();
  if (host === null) return own.transport();
  const metadata = hosts()?.localities[host.locality]?.metadata ?? null;
  if (metadata === null) return { ...own.transport(), tls: null, unknown: HIDDEN };
  return (sockets.find((socket) => fits(socket.match, metadata)) ?? own).transport();
}

const HIDDEN =
  'metadata of its locality may fit one of transport_socket_matches: the cluster writes it in several ways';
