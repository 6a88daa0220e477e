/**
 * Where the files of a pod or node are in a snapshot. Names come from the cluster: what is no DNS name (RFC 1123) could
 * leave the folder and gives null, as no real API server accepts it.
 */
const NAME = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;

function safe(name: string): boolean {
  return name.length <= 253 && NAME.test(name) && !name.includes('..');
}

/** `pods/<namespace>/<pod>`. */
export function podFolder(pod: { readonly namespace: string; readonly name: string }): string | null {
  return safe(pod.namespace) && safe(pod.name) ? `pods/${pod.namespace}/${pod.name}` : null;
}

/** `nodes/<node>`. */
export function nodeFolder(node: string): string | null {
  return safe(node) ? `nodes/${node}` : null;
}

/** The folder of the network namespace that a pod's processes live in: its own, or its node's with hostNetwork. */
export function netnsFolder(pod: {
  readonly namespace: string;
  readonly name: string;
  readonly node: string | null;
  readonly hostNetwork: boolean;
}): string | null {
  const folder = pod.hostNetwork ? (pod.node === null ? null : nodeFolder(pod.node)) : podFolder(pod);
  return folder === null ? null : `${folder}/netns`;
}
