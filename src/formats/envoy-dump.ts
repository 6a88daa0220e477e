import type { ParseProblem } from './evidence.js';
import { list, object, objectOrNull, parseJson, string, type Json, type JsonObject } from './envoy-json.js';

/** One resource of the dump, unread: engines compile what a request touches. */
export interface DumpEntry {
  readonly name: string;
  readonly value: JsonObject;
  /** Pointer of `value` in the file. */
  readonly pointer: string;
}

/**
 * `/config_dump?include_eds` cut into its resources, each with its JSON pointer. Costs one walk over the lists: the
 * resources themselves are not looked into, so that a dump of 100 MB is indexed in a fraction of JSON.parse.
 */
export interface EnvoyDump {
  readonly file: string;
  /** False where the file is not what /config_dump prints. */
  readonly usable: boolean;
  readonly bootstrap: DumpEntry | null;
  /** Active and static ones, in the order of the dump; names need not be unique (empty for unnamed static ones). */
  readonly listeners: readonly DumpEntry[];
  readonly clusters: ReadonlyMap<string, DumpEntry>;
  /** False where the dump has no list of them: then a cluster that is not here may exist. */
  readonly hasClusters: boolean;
  /** Not in use yet, and no older version of them is: what becomes of them is not decided. */
  readonly warmingClusters: ReadonlyMap<string, DumpEntry>;
  readonly warmingListeners: readonly DumpEntry[];
  /** Host lists by EDS service name or cluster name, of every type of cluster. */
  readonly endpoints: ReadonlyMap<string, DumpEntry>;
  /** False where the dump was taken without `include_eds`: then every endpoint is unknown. */
  readonly hasEndpoints: boolean;
  readonly routes: ReadonlyMap<string, DumpEntry>;
  readonly scopedRoutes: ReadonlyMap<string, readonly DumpEntry[]>;
  /** Extension configurations by name (ECDS). */
  readonly extensions: ReadonlyMap<string, DumpEntry>;
  /** Secrets by name (SDS): `warming` ones were asked for and did not come. Null: the dump does not list them. */
  readonly secrets: ReadonlyMap<string, { readonly state: 'active' | 'warming'; readonly entry: DumpEntry }> | null;
  readonly problems: readonly ParseProblem[];
}

interface Builder {
  readonly file: string;
  usable: boolean;
  bootstrap: DumpEntry | null;
  listeners: DumpEntry[];
  clusters: Map<string, DumpEntry>;
  hasClusters: boolean;
  warmingClusters: Map<string, DumpEntry>;
  warmingListeners: DumpEntry[];
  endpoints: Map<string, DumpEntry>;
  hasEndpoints: boolean;
  routes: Map<string, DumpEntry>;
  scopedRoutes: Map<string, readonly DumpEntry[]>;
  extensions: Map<string, DumpEntry>;
  secrets: Map<string, { readonly state: 'active' | 'warming'; readonly entry: DumpEntry }> | null;
  problems: ParseProblem[];
}

function problem(builder: Builder, pointer: string, message: string): void {
  builder.problems.push({ file: builder.file, pointer, message });
}

function readListeners(builder: Builder, config: JsonObject, base: string): void {
  list(config['static_listeners']).forEach((item, i) => {
    const listener = objectOrNull(object(item)['listener']);
    const pointer = `${base}/static_listeners/${i}/listener`;
    if (listener === null) problem(builder, pointer, 'a static listener without its configuration');
    else builder.listeners.push({ name: string(listener['name']) ?? '', value: listener, pointer });
  });
  list(config['dynamic_listeners']).forEach((item, i) => {
    const state = object(item);
    const pointer = `${base}/dynamic_listeners/${i}`;
    const name = string(state['name']) ?? '';
    const error = objectOrNull(state['error_state']);
    if (error !== null) {
      problem(builder, `${pointer}/error_state`, `Envoy rejected listener ${name}: ${string(error['details']) ?? '?'}`);
    }
    const active = objectOrNull(object(state['active_state'])['listener']);
    if (active !== null) {
      builder.listeners.push({
        name: string(active['name']) ?? name,
        value: active,
        pointer: `${pointer}/active_state/listener`,
      });
    } else if (state['warming_state'] !== undefined) {
      problem(builder, `${pointer}/warming_state`, `listener ${name} is warming: it takes no connections yet`);
      const warming = objectOrNull(object(state['warming_state'])['listener']);
      if (warming !== null) {
        builder.warmingListeners.push({ name, value: warming, pointer: `${pointer}/warming_state/listener` });
      }
    }
  });
}

function readClusters(builder: Builder, config: JsonObject, base: string): void {
  builder.hasClusters = true;
  for (const part of ['static_clusters', 'dynamic_active_clusters']) {
    list(config[part]).forEach((item, i) => {
      const cluster = objectOrNull(object(item)['cluster']);
      const pointer = `${base}/${part}/${i}/cluster`;
      if (cluster === null) {
        problem(builder, pointer, 'a cluster without its configuration');
        return;
      }
      const name = string(cluster['name']) ?? '';
      builder.clusters.set(name, { name, value: cluster, pointer });
    });
  }
  list(config['dynamic_warming_clusters']).forEach((item, i) => {
    const value = object(object(item)['cluster']);
    const name = string(value['name']) ?? '';
    const pointer = `${base}/dynamic_warming_clusters/${i}`;
    if (!builder.clusters.has(name)) {
      builder.warmingClusters.set(name, { name, value, pointer: `${pointer}/cluster` });
      problem(builder, pointer, `cluster ${name} is warming: it takes no traffic yet`);
    }
  });
}

function readEndpoints(builder: Builder, config: JsonObject, base: string): void {
  builder.hasEndpoints = true;
  for (const part of ['static_endpoint_configs', 'dynamic_endpoint_configs']) {
    list(config[part]).forEach((item, i) => {
      const value = objectOrNull(object(item)['endpoint_config']);
      const pointer = `${base}/${part}/${i}/endpoint_config`;
      if (value === null) {
        problem(builder, pointer, 'endpoints without their configuration');
        return;
      }
      const name = string(value['cluster_name']) ?? '';
      builder.endpoints.set(name, { name, value, pointer });
    });
  }
}

function readRoutes(builder: Builder, config: JsonObject, base: string): void {
  // Static route configurations are printed again where they are used (inline in the HCM): only RDS is looked up here.
  list(config['dynamic_route_configs']).forEach((item, i) => {
    const value = objectOrNull(object(item)['route_config']);
    if (value === null) return;
    const name = string(value['name']) ?? '';
    builder.routes.set(name, { name, value, pointer: `${base}/dynamic_route_configs/${i}/route_config` });
  });
}

function readScopedRoutes(builder: Builder, config: JsonObject, base: string): void {
  for (const part of ['inline_scoped_route_configs', 'dynamic_scoped_route_configs']) {
    list(config[part]).forEach((item, i) => {
      const group = object(item);
      const name = string(group['name']) ?? '';
      const entries = list(group['scoped_route_configs']).map((entry, j) => ({
        name: string(object(entry)['name']) ?? '',
        value: object(entry),
        pointer: `${base}/${part}/${i}/scoped_route_configs/${j}`,
      }));
      builder.scopedRoutes.set(name, entries);
    });
  }
}

function readExtensions(builder: Builder, config: JsonObject, base: string): void {
  list(config['ecds_filters']).forEach((item, i) => {
    const value = objectOrNull(object(item)['ecds_filter']);
    if (value === null) return;
    const name = string(value['name']) ?? '';
    builder.extensions.set(name, { name, value, pointer: `${base}/ecds_filters/${i}/ecds_filter` });
  });
}

/** Certificates: who presents which is said by the names in the TLS contexts. Here is whether they came. */
function readSecrets(builder: Builder, config: JsonObject, base: string): void {
  builder.secrets ??= new Map();
  for (const part of ['static_secrets', 'dynamic_warming_secrets', 'dynamic_active_secrets']) {
    const state = part === 'dynamic_warming_secrets' ? 'warming' : 'active';
    for (const [i, item] of list(config[part]).entries()) {
      const name = string(object(item)['name']) ?? '';
      const entry = { name, value: object(object(item)['secret']), pointer: `${base}/${part}/${i}` };
      builder.secrets.set(name, { state, entry });
    }
  }
}

function readConfig(builder: Builder, item: Json, base: string): void {
  const config = object(item);
  const type = string(config['@type']) ?? '';
  switch (type.slice(type.lastIndexOf('.') + 1)) {
    case 'BootstrapConfigDump':
      builder.bootstrap = {
        name: 'bootstrap',
        value: object(config['bootstrap']),
        pointer: `${base}/bootstrap`,
      };
      return;
    case 'ListenersConfigDump':
      return readListeners(builder, config, base);
    case 'ClustersConfigDump':
      return readClusters(builder, config, base);
    case 'EndpointsConfigDump':
      return readEndpoints(builder, config, base);
    case 'RoutesConfigDump':
      return readRoutes(builder, config, base);
    case 'ScopedRoutesConfigDump':
      return readScopedRoutes(builder, config, base);
    case 'EcdsConfigDump':
      return readExtensions(builder, config, base);
    case 'SecretsConfigDump':
      return readSecrets(builder, config, base);
    default:
      problem(builder, base, `part ${type === '' ? 'without @type' : type} of the dump is not known to this program`);
  }
}

/** Never throws: what cannot be read is in `problems`, and the rest of the file is used. */
export function readEnvoyDump(file: string, text: string): EnvoyDump {
  const builder: Builder = {
    file,
    usable: false,
    bootstrap: null,
    listeners: [],
    clusters: new Map(),
    hasClusters: false,
    warmingClusters: new Map(),
    warmingListeners: [],
    endpoints: new Map(),
    hasEndpoints: false,
    routes: new Map(),
    scopedRoutes: new Map(),
    extensions: new Map(),
    secrets: null,
    problems: [],
  };
  const parsed = parseJson(text);
  if ('message' in parsed) {
    builder.problems.push({ file, message: `not JSON: ${parsed.message}` });
    return builder;
  }
  const root = objectOrNull(parsed.value);
  if (root === null || !Array.isArray(root['configs'])) {
    builder.problems.push({ file, pointer: '', message: 'no "configs": not what /config_dump prints' });
    return builder;
  }
  builder.usable = true;
  list(root['configs']).forEach((item, i) => readConfig(builder, item, `/configs/${i}`));
  return builder;
}
