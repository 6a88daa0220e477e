import type { Evidence } from '../formats/evidence.js';
import { pointerTo } from '../formats/evidence.js';
import type { ApiObject, Container, Pod } from '../formats/kubernetes-types.js';

export type ProxyType = 'sidecar' | 'router' | 'waypoint' | 'ztunnel';

/** `proxy sidecar|router|waypoint|ztunnel`: what pilot-agent (or ztunnel) is told to be. */
export function proxyContainer(pod: Pod): { readonly container: Container; readonly type: ProxyType } | null {
  for (const container of pod.containers) {
    if (container.init && !container.restartable) continue;
    const words = [...container.command, ...container.args];
    const at = words.indexOf('proxy');
    const type = at < 0 ? undefined : words[at + 1];
    if (type === 'sidecar' || type === 'router' || type === 'waypoint' || type === 'ztunnel')
      return { container, type };
    // hand-written or trimmed pods: the container's name and image are all that is left
    if (container.name === 'istio-proxy' && /(^|\/)proxyv2(:|@|$)/.test(container.image) && type === undefined) {
      return { container, type: 'sidecar' };
    }
  }
  return null;
}

export function labelEvidence(object: ApiObject, key: string): Evidence {
  return metadataEvidence(object, 'labels', key);
}

export function annotationEvidence(object: ApiObject, key: string): Evidence {
  return metadataEvidence(object, 'annotations', key);
}

/** `Namespace foo: label istio.io/dataplane-mode=ambient`, pointing at the entry; at the map where the key is absent. */
function metadataEvidence(object: ApiObject, field: 'labels' | 'annotations', key: string): Evidence {
  const value = object[field][key];
  const word = field === 'labels' ? 'label' : 'annotation';
  const map = `${object.evidence.pointer ?? ''}/metadata/${field}`;
  return {
    file: object.evidence.file,
    pointer: value === undefined ? `${object.evidence.pointer ?? ''}/metadata` : pointerTo(map, key),
    text: `${object.evidence.text}: ${value === undefined ? `no ${word} ${key}` : `${word} ${key}=${shorten(value)}`}`,
  };
}

/** sidecar.istio.io/status holds a JSON document: the value as evidence is its beginning. */
function shorten(value: string): string {
  return value.length <= 60 ? value : `${value.slice(0, 57)}...`;
}

export function isZtunnel(pod: Pod): boolean {
  if (pod.labels['app'] === 'ztunnel') return true;
  return pod.containers.some((container) => !container.init && /(^|\/)ztunnel(:|@|$)/.test(container.image));
}
