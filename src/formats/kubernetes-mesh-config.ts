import { booleanAt, dig, isObject, objectAt, objectsAt, stringAt, stringMapAt } from './kubernetes-narrow.js';
import { parseLabelSelector } from './kubernetes-object.js';
import type { JsonObject, LabelSelector, Labels } from './kubernetes-types.js';
import { parseBlockYaml } from './yaml-block.js';

/** What is used of MeshConfig (ConfigMap `istio`, key `mesh`); absent fields are null, defaults are the reader's. */
export interface MeshConfig {
  readonly trustDomain: string | null;
  readonly trustDomainAliases: readonly string[];
  readonly rootNamespace: string | null;
  /** `ALLOW_ANY` or `REGISTRY_ONLY`. */
  readonly outboundTrafficPolicy: string | null;
  readonly enableAutoMtls: boolean | null;
  /** defaultConfig.proxyMetadata: ISTIO_META_ENABLE_HBONE, ISTIO_META_DNS_CAPTURE, … */
  readonly proxyMetadata: Labels;
  readonly defaultServiceExportTo: readonly string[];
  readonly discoverySelectors: readonly LabelSelector[];
  readonly raw: JsonObject;
}

/** Result, or why it could not be read. */
type Parsed<T> = { readonly value: T } | { readonly message: string; readonly line: number };

export function parseMeshConfig(text: string): Parsed<MeshConfig> {
  const parsed = parseBlockYaml(text);
  if ('message' in parsed) return parsed;
  const root = parsed.value ?? {};
  if (!isObject(root)) return { message: 'expected a mapping', line: 1 };
  const strings = (key: string): readonly string[] => {
    const value = root[key];
    return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
  };
  return {
    value: {
      trustDomain: stringAt(root, 'trustDomain'),
      trustDomainAliases: strings('trustDomainAliases'),
      rootNamespace: stringAt(root, 'rootNamespace'),
      outboundTrafficPolicy: stringAt(objectAt(root, 'outboundTrafficPolicy') ?? {}, 'mode'),
      enableAutoMtls: booleanAt(root, 'enableAutoMtls'),
      proxyMetadata: stringMapAt(objectAt(root, 'defaultConfig') ?? {}, 'proxyMetadata') ?? {},
      defaultServiceExportTo: strings('defaultServiceExportTo'),
      discoverySelectors: objectsAt(root, 'discoverySelectors').flatMap((entry) => parseLabelSelector(entry) ?? []),
      raw: root,
    },
  };
}

/** One entry of `ambient.enablementSelectors`: an omitted half takes everything (istio cni/pkg/util/enablement_selector.go). */
export interface EnablementSelector {
  readonly podSelector: LabelSelector | null;
  readonly namespaceSelector: LabelSelector | null;
}

/** `AMBIENT_ENABLEMENT_SELECTOR` of ConfigMap `istio-cni-config` (1.27+). */
export function parseEnablementSelectors(text: string): Parsed<readonly EnablementSelector[]> {
  const parsed = parseBlockYaml(text);
  if ('message' in parsed) return parsed;
  if (!Array.isArray(parsed.value)) return { message: 'expected a list of selectors', line: 1 };
  return {
    value: parsed.value.filter(isObject).map((entry) => ({
      podSelector: parseLabelSelector(dig(entry, 'podSelector')),
      namespaceSelector: parseLabelSelector(dig(entry, 'namespaceSelector')),
    })),
  };
}
