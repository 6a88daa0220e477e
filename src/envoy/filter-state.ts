import { object, string, type JsonObject } from '../formats/envoy-json.js';
import type { Connection } from './connection.js';
import { template } from './format.js';

/** Wasm with Istio's own code built into Envoy: telemetry. */
export function builtInTelemetry(config: JsonObject): boolean {
  const vm = object(object(config['config'])['vm_config']);
  if (string(vm['runtime']) !== 'envoy.wasm.runtime.null') return false;
  const code = string(object(object(vm['code'])['local'])['inline_string']) ?? '';
  return [
    'envoy.wasm.stats',
    'envoy.wasm.metadata_exchange',
    'envoy.wasm.stackdriver',
    'envoy.wasm.attributegen',
  ].includes(code);
}

/** on_new_connection / on_request_headers of the set_filter_state filters. */
export function setFilterState(
  values: readonly JsonObject[],
  connection: Connection,
  format: (text: string) => string | null,
): Connection {
  const filterState = new Map(connection.filterState);
  const shared = new Set(connection.shared);
  for (const value of values) {
    const key = string(value['object_key']) ?? string(value['factory_key']) ?? '';
    const text = template(object(value['format_string']));
    const result = text === null ? null : format(text);
    if (value['skip_if_empty'] === true && (result === '' || result === '-')) continue;
    filterState.set(key, result);
    const sharing = string(value['shared_with_upstream']) ?? 'NONE';
    if (sharing !== 'NONE') shared.add(key);
  }
  return { ...connection, filterState, shared };
}
