import { loadEnvoy } from '../envoy/load.js';
import type { Envoy } from '../envoy/face.js';
import { isUnknown, type Unknown } from '../formats/evidence.js';
import { readZtunnelDump } from '../formats/ztunnel-dump.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import { podFolder } from '../mesh/folders.js';
import type { Mesh } from '../mesh/model.js';
import type { Pod } from '../formats/kubernetes-types.js';
import { loadNetworkNamespace } from '../netns/load.js';
import type { NetworkNamespace } from '../netns/face.js';
import { namespaceFiles } from '../snapshot/namespace-files.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import { ztunnelOf } from '../ztunnel/load.js';
import type { Ztunnel } from '../ztunnel/face.js';
import type { Place } from './place.js';

/** The three engines over one snapshot: each namespace and each dump is read when it is first asked for, and once. */
export interface Engines {
  readonly snapshot: Snapshot;
  readonly mesh: Mesh;
  netns(place: Place): NetworkNamespace;
  /** The engine of a ztunnel pod, or the fact that is missing. */
  ztunnel(pod: Pod): Ztunnel | Unknown;
  /** What its dump says, as facts. */
  ztunnelDump(pod: Pod): ZtunnelDump | Unknown;
  /** The engine of the Envoy in a pod, or the fact that is missing. */
  envoy(pod: Pod): Envoy | Unknown;
}

export function loadEngines(snapshot: Snapshot, mesh: Mesh): Engines {
  const read = (path: string): ReturnType<Snapshot['read']> => snapshot.read(path);
  const files = namespaceFiles(snapshot);
  const ztunnelDump = memo(keyOf, (pod: Pod): ZtunnelDump | Unknown => {
    const fact = `configuration of ztunnel ${pod.namespace}/${pod.name}`;
    const file = read(`${podFolder(pod) ?? 'no-such-name'}/ztunnel/config_dump.json`);
    if (file.kind !== 'text') return missing(fact, file);
    const dump = readZtunnelDump(file.path, file.text);
    return dump.kind === 'dump' ? dump.dump : missing(fact, { path: file.path, reason: dump.reason });
  });
  return {
    snapshot,
    mesh,
    netns: memo(
      (place: Place) => place.folder,
      (place) => loadNetworkNamespace(place.folder, files),
    ),
    ztunnel: memo(keyOf, (pod) => {
      const dump = ztunnelDump(pod);
      return isUnknown(dump) ? dump : ztunnelOf(dump);
    }),
    ztunnelDump,
    envoy: memo(keyOf, (pod) => {
      const file = read(`${podFolder(pod) ?? 'no-such-name'}/envoy/config_dump.json`);
      if (file.kind !== 'text') return missing(`configuration of the Envoy in ${pod.namespace}/${pod.name}`, file);
      const clusters = read(`${podFolder(pod) ?? 'no-such-name'}/envoy/clusters.json`);
      const loaded = loadEnvoy(
        file.path,
        file.text,
        clusters.kind === 'text' ? { file: clusters.path, text: clusters.text } : null,
      );
      if (loaded.usable) return loaded;
      return (
        loaded.problems[0] ??
        missing(`configuration of the Envoy in ${pod.namespace}/${pod.name}`, {
          path: file.path,
          reason: 'not a config_dump',
        })
      );
    }),
  };
}

function keyOf(pod: Pod): string {
  return `${pod.namespace}/${pod.name}`;
}

function missing(fact: string, file: { readonly path: string; readonly reason: string }): Unknown {
  return { fact: `${fact} (${file.path})`, reason: file.reason };
}

function memo<K, V>(key: (k: K) => string, make: (k: K) => V): (k: K) => V {
  const made = new Map<string, V>();
  return (k) => {
    const name = key(k);
    const known = made.get(name);
    if (known !== undefined) return known;
    const value = make(k);
    made.set(name, value);
    return value;
  };
}
