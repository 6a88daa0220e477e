import type { ApiObject, Pod } from '../formats/kubernetes-types.js';

export function nameOf(object: { readonly namespace: string | null; readonly name: string }): string {
  return object.namespace === null ? object.name : `${object.namespace}/${object.name}`;
}

export function byName(a: ApiObject, b: ApiObject): number {
  const left = nameOf(a);
  const right = nameOf(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Ready pods first, those being deleted last, then by name: the order in which one of several is chosen. */
export function byReadiness(a: Pod, b: Pod): number {
  const rank = (pod: Pod): number => (pod.deleting ? 2 : pod.ready === true ? 0 : 1);
  return rank(a) - rank(b) || byName(a, b);
}

/** The kubelet has given up its network namespace and its address may be another pod's by now. */
export function isTerminated(pod: Pod): boolean {
  return pod.phase === 'Succeeded' || pod.phase === 'Failed';
}
