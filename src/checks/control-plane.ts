import type { Evidence } from '../formats/evidence.js';
import type { WorkloadObject } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import { known, unknown, type Known } from './known.js';

/**
 * Environment of istiod's container (`PILOT_ENABLE_HBONE`); null: not set, so the release's default holds. Of several
 * Deployments (revisions) all must agree.
 */
export function istiodFlag(mesh: Mesh, name: string): Known<string | null> {
  const isIstiod = (workload: WorkloadObject): boolean =>
    workload.labels['app'] === 'istiod' || workload.containers.some((c) => /(^|\/)pilot(:|@|$)/.test(c.image));
  return flagOf(mesh, mesh.list('deployments').items.filter(isIstiod), 'deployments', 'istiod', name);
}

/** Environment of istio-cni, else its ConfigMap `istio-cni-config`. */
export function cniFlag(mesh: Mesh, name: string): Known<string | null> {
  const isCni = (workload: WorkloadObject): boolean =>
    workload.labels['k8s-app'] === 'istio-cni-node' ||
    workload.containers.some((c) => /(^|\/)install-cni(:|@|$)/.test(c.image));
  const env = flagOf(mesh, mesh.list('daemonSets').items.filter(isCni), 'daemonSets', 'istio-cni', name);
  if (env.kind === 'known' && env.value !== null) return env;
  for (const config of mesh.list('configMaps').items) {
    if (config.name === 'istio-cni-config' && config.data[name] !== undefined) return known(config.data[name] ?? null);
  }
  const open = mesh.unknownOf('configMaps', `flag ${name} of istio-cni`);
  return open === null ? env : { kind: 'unknown', unknown: open };
}

function flagOf(
  mesh: Mesh,
  workloads: readonly WorkloadObject[],
  kind: 'deployments' | 'daemonSets',
  component: string,
  name: string,
): Known<string | null> {
  const open = mesh.unknownOf(kind, `flag ${name} of ${component}`);
  if (open !== null) return { kind: 'unknown', unknown: open };
  if (workloads.length === 0)
    return unknown(`flag ${name} of ${component}: ${mesh.list(kind).file}`, `${component} is not in it`);
  const values = new Set<string | null>();
  for (const workload of workloads) {
    const container = workload.containers.find((entry) => !entry.init && Object.keys(entry.env).includes(name));
    // A variable that is taken from elsewhere (valueFrom) has no value here.
    if (container !== undefined && (container.env[name] ?? null) === null) {
      return unknown(`flag ${name} of ${component}: ${mesh.list(kind).file}`, 'its value is taken from another object');
    }
    values.add(container?.env[name] ?? null);
  }
  const [value] = values;
  if (values.size > 1 || value === undefined) {
    return unknown(`flag ${name} of ${component}: ${mesh.list(kind).file}`, 'its revisions differ');
  }
  return known(value);
}

/** Evidence for a flag: the Deployment that sets it or leaves it out. */
export function istiodEvidence(mesh: Mesh, name: string, value: string | null): Evidence {
  const istiod = mesh.list('deployments').items.find((workload) => workload.labels['app'] === 'istiod');
  const text = value === null ? `istiod: ${name} is not set` : `istiod: ${name}=${value}`;
  return istiod === undefined ? { file: mesh.list('deployments').file, text } : { ...istiod.evidence, text };
}
