import { address, boolean, list, object, objectOrNull, string, typed, type JsonObject } from '../formats/envoy-json.js';
import type { DumpEntry } from '../formats/envoy-dump.js';
import type { Evidence } from '../formats/evidence.js';
import { chainMatch, type ChainMatch } from './chain-match.js';
import { addressText, ipAddressOf, type Address } from './connection.js';
import { openFields } from './open-fields.js';
import { stepOf, type Step } from './path.js';
import type { Doubt } from './tri.js';

/** A filter of a listener or chain, by the type of its configuration. */
export interface Filter {
  readonly name: string;
  readonly type: string;
  readonly config: JsonObject;
  /** Pointer of the configuration. */
  readonly pointer: string;
  readonly raw: JsonObject;
}

export interface FilterChain {
  readonly name: string | null;
  readonly match: ChainMatch;
  readonly filters: readonly Filter[];
  /** Transport socket that ends TLS here; null for plain. */
  readonly transport: { readonly type: string; readonly config: JsonObject; readonly pointer: string } | null;
  readonly pointer: string;
  readonly evidence: Evidence;
  /** That it takes the connection. */
  readonly step: Step;
  /** It has a field that is not understood. */
  readonly open: Doubt | null;
}

export interface ListenerModel {
  readonly entry: DumpEntry;
  readonly name: string | null;
  readonly addresses: readonly Address[];
  readonly internal: boolean;
  readonly bound: boolean;
  readonly useOriginalDst: boolean;
  /** Compiled on first use. */
  body(): ListenerBody;
}

export interface ListenerBody {
  readonly filters: readonly Filter[];
  readonly chains: readonly FilterChain[];
  readonly defaultChain: FilterChain | null;
  readonly matcher: { readonly value: JsonObject; readonly pointer: string } | null;
  readonly evidence: Evidence;
  /** That it takes the connection. */
  readonly step: Step;
  /** It has a field that is not understood. */
  readonly open: Doubt | null;
}

export function filter(raw: JsonObject, pointer: string): Filter {
  const config = typed(raw['typed_config']);
  return {
    name: string(raw['name']) ?? '',
    type: config.type,
    config: config.value,
    pointer: `${pointer}/typed_config${config.inner}`,
    raw,
  };
}

function filters(value: JsonObject[string], pointer: string): readonly Filter[] {
  return list(value).map((item, i) => filter(object(item), `${pointer}/${i}`));
}

function chain(value: JsonObject, pointer: string, file: string): FilterChain {
  const socket = objectOrNull(value['transport_socket']);
  const config = socket === null ? null : typed(socket['typed_config']);
  const name = string(value['name']);
  const evidence: Evidence = { file, pointer, text: `filter chain ${name ?? '(no name)'}` };
  return {
    name,
    match: chainMatch(object(value['filter_chain_match'])),
    filters: filters(value['filters'], `${pointer}/filters`),
    transport:
      config === null
        ? null
        : {
            type: config.type,
            config: config.value,
            pointer: `${pointer}/transport_socket/typed_config${config.inner}`,
          },
    pointer,
    evidence,
    step: stepOf(evidence.text, evidence),
    open: openFields('filter chain', value, pointer),
  };
}

function body({ value, pointer }: DumpEntry, title: string, file: string): ListenerBody {
  const fallback = objectOrNull(value['default_filter_chain']);
  const matcher = objectOrNull(value['filter_chain_matcher']);
  const evidence: Evidence = { file, pointer, text: `listener ${title}` };
  return {
    filters: filters(value['listener_filters'], `${pointer}/listener_filters`),
    chains: list(value['filter_chains']).map((item, i) => chain(object(item), `${pointer}/filter_chains/${i}`, file)),
    defaultChain: fallback === null ? null : chain(fallback, `${pointer}/default_filter_chain`, file),
    matcher: matcher === null ? null : { value: matcher, pointer: `${pointer}/filter_chain_matcher` },
    evidence,
    step: stepOf(`listener ${title} takes the connection`, evidence),
    open: openFields('listener', value, pointer),
  };
}

export function listenerModel(entry: DumpEntry, file: string): ListenerModel {
  const { value } = entry;
  const addresses: Address[] = [];
  const written = [value['address'], ...list(value['additional_addresses']).map((item) => object(item)['address'])];
  for (const item of written) {
    const at = address(item);
    if (at?.kind !== 'socket' || at.udp) continue;
    const ip = ipAddressOf(at.host, at.port);
    if (ip !== null) addresses.push(ip);
  }
  const internal = value['internal_listener'] !== undefined || address(value['address'])?.kind === 'internal';
  const deprecated = objectOrNull(value['deprecated_v1']);
  const bound = boolean(value['bind_to_port']) ?? boolean(deprecated?.['bind_to_port']) ?? true;
  const name = entry.name === '' ? null : entry.name;
  let made: ListenerBody | null = null;
  return {
    entry,
    name,
    addresses,
    internal,
    bound,
    useOriginalDst: boolean(value['use_original_dst']) === true,
    body: () => (made ??= body(entry, name ?? addresses.map(addressText).join(', '), file)),
  };
}

/** Index of listeners by address, made once. */
export interface ListenerIndex {
  /** The listener of exactly this address, else the wildcard of its port (`0.0.0.0`, `::`). */
  find(at: Address, boundOnly: boolean): ListenerModel | null;
  internal(name: string): ListenerModel | null;
}

export function listenerIndex(listeners: readonly ListenerModel[]): ListenerIndex {
  const byPort = new Map<number, Map<string, ListenerModel[]>>();
  const byName = new Map<string, ListenerModel>();
  for (const listener of listeners) {
    if (listener.internal && listener.name !== null) byName.set(listener.name, listener);
    for (const at of listener.addresses) {
      if (at.kind !== 'ip') continue;
      let ofPort = byPort.get(at.port);
      if (ofPort === undefined) byPort.set(at.port, (ofPort = new Map()));
      const known = ofPort.get(at.host);
      if (known === undefined) ofPort.set(at.host, [listener]);
      else known.push(listener);
    }
  }
  return {
    find: (at, boundOnly) => {
      if (at.kind !== 'ip') return null;
      const ofPort = byPort.get(at.port);
      const of = (host: string): ListenerModel | null =>
        ofPort?.get(host)?.find((listener) => listener.bound || !boundOnly) ?? null;
      return of(at.host) ?? (at.ip.family === 4 ? of('0.0.0.0') : null) ?? of('::');
    },
    internal: (name) => byName.get(name) ?? null,
  };
}
