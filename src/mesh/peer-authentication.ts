import type { Evidence } from '../formats/evidence.js';
import { evidenceAt } from '../formats/kubernetes-object.js';
import type { MtlsMode, PeerAuthentication, Pod } from '../formats/kubernetes-types.js';
import { labelsMatch } from './labels.js';
import type { EffectivePeerAuthentication, Mesh } from './model.js';

/**
 * The mTLS mode that holds for one port of a pod (its own port, not the Service's). Workload over namespace over mesh; at
 * one level the oldest wins; UNSET inherits; port modes count on workload policies only; a policy with a selector in the
 * root namespace counts nowhere (istio 1.30.3 pilot/pkg/model/authentication.go:ComposePeerAuthentication).
 */
export function effectivePeerAuthentication(mesh: Mesh, pod: Pod, port: number): EffectivePeerAuthentication {
  const missing = mesh.unknownOf('peerAuthentications', 'PeerAuthentications');
  if (missing !== null) {
    return { mode: null, evidence: [], reason: 'the PeerAuthentications are not known', unknowns: [missing] };
  }
  const all = [...mesh.list('peerAuthentications').items].sort(byAge);
  const root = mesh.rootNamespace();
  const ofNamespace = all.find((entry) => entry.namespace === pod.namespace && entry.selector === null);
  const ofWorkload =
    root === pod.namespace
      ? undefined
      : all.find(
          (entry) =>
            entry.namespace === pod.namespace && entry.selector !== null && labelsMatch(entry.selector, pod.labels),
        );
  const portMode = ofWorkload?.portModes.get(port);
  if (ofWorkload !== undefined && isSet(portMode)) {
    return settled(portMode, [portEvidence(ofWorkload, port)], `${describe(ofWorkload)} sets port ${port}`);
  }
  for (const entry of [ofWorkload, ofNamespace]) {
    if (entry !== undefined && isSet(entry.mode)) return settled(entry.mode, [entry.evidence], describe(entry));
  }
  if (root === null) {
    const elsewhere = all.find((entry) => entry.namespace !== pod.namespace && entry.selector === null);
    if (elsewhere !== undefined) {
      const fact = 'root namespace of the mesh (ConfigMap istio)';
      const reason = `the mesh configuration is not known; ${describe(elsewhere)} may be for the whole mesh`;
      return { mode: null, evidence: [elsewhere.evidence], reason, unknowns: [{ fact, reason }] };
    }
  }
  const ofMesh = all.find((entry) => entry.namespace === root && entry.selector === null);
  if (ofMesh !== undefined && isSet(ofMesh.mode)) return settled(ofMesh.mode, [ofMesh.evidence], describe(ofMesh));
  return settled('PERMISSIVE', [], 'no PeerAuthentication sets a mode: PERMISSIVE');
}

function isSet(mode: MtlsMode | undefined): mode is Exclude<MtlsMode, 'UNSET'> {
  return mode !== undefined && mode !== 'UNSET';
}

function settled(
  mode: Exclude<MtlsMode, 'UNSET'>,
  evidence: readonly Evidence[],
  reason: string,
): EffectivePeerAuthentication {
  return { mode, evidence, reason, unknowns: [] };
}

function describe(entry: PeerAuthentication): string {
  return `PeerAuthentication ${entry.namespace}/${entry.name}`;
}

function portEvidence(entry: PeerAuthentication, port: number): Evidence {
  return evidenceAt(entry, `/spec/portLevelMtls/${port}`, `${describe(entry)}: port ${port}`);
}

function byAge(a: PeerAuthentication, b: PeerAuthentication): number {
  const left = `${a.created ?? '9'} ${a.namespace}/${a.name}`;
  const right = `${b.created ?? '9'} ${b.namespace}/${b.name}`;
  return left < right ? -1 : left > right ? 1 : 0;
}
