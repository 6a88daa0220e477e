import type { JsonObject } from '../formats/envoy-json.js';
import { doubt, type Doubt } from './tri.js';

/**
 * Fields of Envoy's messages (envoy 1.40 api/envoy/…) that this engine evaluates, or that change nothing of what an
 * outcome tells: statistics, logs, time-outs, buffers, headers of responses, tracing. A field that is in none of these
 * lists may change the answer, and the answer says so.
 */
const KNOWN = {
  listener: `access_log additional_addresses address bind_to_port bypass_overload_manager connection_balance_config
    continue_on_listener_filters_timeout default_filter_chain deprecated_v1 drain_type enable_mptcp enable_reuse_port
    filter_chain_matcher filter_chains freebind ignore_global_conn_limit internal_listener listener_filters
    listener_filters_timeout max_connections_to_accept_per_socket_event metadata name
    per_connection_buffer_high_watermark_timeout per_connection_buffer_limit_bytes reuse_port socket_options stat_prefix
    stats_matcher tcp_backlog_size tcp_fast_open_queue_length tcp_keepalive traffic_direction transparent
    udp_listener_config use_original_dst`,
  'filter chain': `filter_chain_match filters metadata name transport_socket transport_socket_connect_timeout`,
  'HTTP connection manager': `access_log access_log_flush_interval access_log_options add_proxy_protocol_connection_state
    always_set_request_id_in_response append_local_overload append_x_forwarded_port codec_type
    common_http_protocol_options delayed_close_timeout drain_timeout drain_timeout_jitter flush_access_log_on_new_request
    forward_client_cert_details generate_request_id http1_safe_max_connection_duration http2_protocol_options
    http3_protocol_options http_filters http_protocol_options internal_address_config literal_proxy_name local_reply_config
    max_request_headers_kb merge_slashes normalize_path original_ip_detection_extensions
    path_with_escaped_slashes_action preserve_external_request_id proxy_100_continue proxy_status_config rds
    request_headers_timeout request_id_extension request_timeout route_config scheme_header_transformation scoped_routes
    server_header_transformation server_name set_current_client_cert_details skip_xff_append stat_prefix
    stream_error_on_invalid_http_message stream_flush_timeout stream_idle_timeout strip_any_host_port
    strip_matching_host_port strip_trailing_host_dot tracing upgrade_configs use_node_id use_remote_address via
    xff_num_trusted_hops`,
  'route configuration': `cluster_specifier_plugins ignore_path_parameters_in_path_matching ignore_port_in_host_matching
    internal_only_headers max_direct_response_body_size_bytes metadata most_specific_header_mutations_wins name
    request_headers_to_add request_headers_to_remove request_mirror_policies response_headers_to_add
    response_headers_to_remove typed_per_filter_config validate_clusters vhds vhost_header virtual_hosts`,
  'virtual host': `cors domains hedge_policy include_attempt_count_in_response include_is_timeout_retry_header
    include_request_attempt_count matcher metadata name per_request_buffer_limit_bytes rate_limits
    request_body_buffer_limit request_headers_to_add request_headers_to_remove request_mirror_policies require_tls
    response_headers_to_add response_headers_to_remove retry_policy retry_policy_typed_config routes
    typed_per_filter_config virtual_clusters`,
  route: `decorator direct_response filter_action match metadata name non_forwarding_action
    per_request_buffer_limit_bytes redirect request_body_buffer_limit request_headers_to_add request_headers_to_remove
    response_headers_to_add response_headers_to_remove route stat_prefix tracing typed_per_filter_config`,
  'route action': `append_x_forwarded_host auto_host_rewrite cluster cluster_header cluster_not_found_response_code
    cluster_specifier_plugin cors early_data_policy flush_timeout grpc_timeout_offset hash_policy hedge_policy
    host_rewrite host_rewrite_header host_rewrite_literal host_rewrite_path_regex idle_timeout include_vh_rate_limits
    inline_cluster_specifier_plugin internal_redirect_action internal_redirect_policy max_grpc_timeout
    max_internal_redirects max_stream_duration metadata_match path_rewrite path_rewrite_policy prefix_rewrite priority
    rate_limits regex_rewrite request_mirror_policies retry_policy retry_policy_typed_config timeout upgrade_configs
    weighted_clusters`,
  tcp_proxy: `@type access_log access_log_flush_interval access_log_options backoff_options check_drain_close cluster
    downstream_idle_timeout flush_access_log_on_connected hash_policy idle_timeout max_connect_attempts
    max_downstream_connection_duration max_downstream_connection_duration_jitter_percentage max_early_data_bytes
    metadata_match on_demand proxy_protocol_tlv_merge_policy proxy_protocol_tlvs stat_prefix tunneling_config
    upstream_connect_mode upstream_idle_timeout weighted_clusters`,
  cluster: `alt_stat_name circuit_breakers cleanup_interval close_connections_on_host_health_failure cluster_type
    common_http_protocol_options common_lb_config connect_timeout connection_pool_per_downstream_connection
    dns_failure_refresh_rate dns_jitter dns_lookup_family dns_refresh_rate dns_resolution_config dns_resolvers
    eds_cluster_config filters health_checks http2_protocol_options http_protocol_options ignore_health_on_host_removal
    lb_policy lb_subset_config least_request_lb_config load_assignment load_balancing_policy lrs_report_endpoint_metrics
    lrs_server maglev_lb_config max_requests_per_connection metadata name original_dst_lb_config outlier_detection
    per_connection_buffer_high_watermark_timeout per_connection_buffer_limit_bytes preconnect_policy protocol_selection
    respect_dns_ttl ring_hash_lb_config round_robin_lb_config stats_matcher track_cluster_stats track_timeout_budgets
    transport_socket transport_socket_matches type typed_dns_resolver_config typed_extension_protocol_options
    upstream_bind_config upstream_connection_options upstream_http_protocol_options use_tcp_for_dns_lookups
    wait_for_warm_on_init`,
  'load assignment': `cluster_name endpoints policy`,
  locality: `lb_endpoints leds_cluster_locality_config load_balancer_endpoints load_balancing_weight locality metadata
    priority proximity`,
  'endpoint entry': `endpoint endpoint_name health_status load_balancing_weight metadata`,
  endpoint: `additional_addresses address health_check_config hostname`,
} as const;

type Message = keyof typeof KNOWN;

const sets = new Map<string, ReadonlySet<string>>();

function known(message: Message): ReadonlySet<string> {
  let made = sets.get(message);
  if (made === undefined) sets.set(message, (made = new Set(['@type', ...KNOWN[message].split(/\s+/)])));
  return made;
}

/** A doubt where the message carries a field that is not understood; null where all of it is. `index`: within a list. */
export function openFields(message: Message, value: JsonObject, pointer: string, index?: number): Doubt | null {
  const names = known(message);
  let extra: string[] | null = null;
  for (const key in value) if (!names.has(key) && value[key] !== false) (extra ??= []).push(key);
  if (extra === null) return null;
  const at = index === undefined ? pointer : `${pointer}/${index}`;
  const fact = `${extra.join(', ')} of ${message} ${at} changes nothing here`;
  return doubt(fact, `${extra.join(', ')} of the ${message} is not known to this program`);
}
