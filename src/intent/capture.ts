import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import { proxyContainer } from '../mesh/proxies.js';
import type { Stop } from '../walk/trace.js';
import { stopOfPod } from './way.js';

/**
 * Whose proxy a pod should have: by labels and release where they tell (a pod that should be enrolled and is not counts as
 * enrolled here), by its annotation where they do not.
 */
type Capture =
  | {
      readonly by: 'ztunnel' | 'sidecar' | 'gateway' | 'waypoint' | 'none';
      readonly reason: string;
      readonly evidence: readonly Evidence[];
    }
  | { readonly by: 'unknown'; readonly reason: string; readonly unknowns: readonly Unknown[] };

export function captureOf(mesh: Mesh, pod: Pod): Capture {
  const mode = modeOf(mesh, pod);
  switch (mode.mode) {
    case 'sidecar':
    case 'gateway':
    case 'waypoint':
      return { by: mode.mode, reason: mode.reason, evidence: [mode.decidedBy] };
    case 'ztunnel':
    case 'hostNetwork':
      return { by: 'none', reason: mode.reason, evidence: [mode.decidedBy] };
    case 'ambient':
    case 'plain': {
      const { enrolled, reason, evidence } = mode.expected;
      if (enrolled === null && mode.redirection === null) return { by: 'unknown', reason, unknowns: mode.unknowns };
      if (enrolled === true || (enrolled === null && mode.mode === 'ambient')) {
        return { by: 'ztunnel', reason, evidence: enrolled === true ? evidence : [mode.decidedBy] };
      }
      return { by: 'none', reason, evidence };
    }
  }
}

/** The ztunnel that serves a node: it has one even where none runs just now. */
export function ztunnelStop(mesh: Mesh, node: string): Stop {
  const pod = mesh.ztunnelsOn(node)[0];
  if (pod !== undefined) return stopOfPod('ztunnel', pod);
  return { role: 'ztunnel', namespace: mesh.istioNamespace() ?? '', name: 'ztunnel', node };
}

/**
 * Whether a sidecar listens for HBONE on 15008: label `networking.istio.io/tunnel=http`, which the injector sets with
 * ENABLE_HBONE. Clients go by the label alone.
 */
export function saysHbone(pod: Pod): boolean {
  return (pod.labels['networking.istio.io/tunnel'] ?? '').split(',').includes('http');
}

/** A proxy's node metadata as the injector sets it: environment of its container, else the mesh's proxyMetadata. */
export function proxyMetadata(mesh: Mesh, pod: Pod, name: string): string | null {
  const key = `ISTIO_META_${name}`;
  const own = proxyContainer(pod)?.container.env[key];
  return own ?? mesh.config()?.config.proxyMetadata[key] ?? null;
}
