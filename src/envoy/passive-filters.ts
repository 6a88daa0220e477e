/** Filters that count, tell or change what routing does not look at. */
export const PASSIVE_HTTP = new Set([
  'envoy.extensions.filters.http.grpc_stats.v3.FilterConfig',
  'envoy.extensions.filters.http.compressor.v3.Compressor',
  'envoy.extensions.filters.http.decompressor.v3.Decompressor',
  'envoy.extensions.filters.http.grpc_web.v3.GrpcWeb',
  'envoy.extensions.filters.http.buffer.v3.Buffer',
  'envoy.extensions.filters.http.tap.v3.Tap',
  'stats.PluginConfig',
  'io.istio.http.peer_metadata.Config',
  'io.istio.http.connect_baggage.Config',
  'io.istio.stats.Config',
  'istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig',
  'istio.envoy.config.filter.http.authn.v2alpha2.FilterConfig',
  'envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
]);
