import { splitHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import type { Path } from '../walk/trace.js';
import type { CheckInput, Subjects } from './context.js';

/** The pods that a trace is about, from its paths and, where these end early, from what was asked. */
export function subjectsOf(input: CheckInput): Subjects {
  const { mesh, question, paths } = input;
  const isProxy = (pod: Pod): boolean => ['gateway', 'waypoint', 'ztunnel'].includes(modeOf(mesh, pod).mode);
  const met = paths.flatMap((path) => endOf(mesh, path));
  const failing = paths.length === 0 || paths.some((path) => path.verdict !== 'delivered');
  const meant = met.length === 0 || failing ? meantFor(input) : [];
  const destinations = unique([...met, ...meant].filter((pod) => !isProxy(pod)));
  const passed = paths.flatMap((path) =>
    path.stops.filter((stop) => stop.role === 'waypoint' || stop.role === 'gateway'),
  );
  const proxies = unique([...podsNamed(mesh, passed), ...meantFor(input).filter(isProxy)]);
  const source = question.source;
  const pods = unique([...(source === null ? [] : [source]), ...proxies, ...destinations]);
  const nodes = new Set(pods.flatMap((pod) => (pod.node === null ? [] : [pod.node])));
  if (question.sourceNode !== null) nodes.add(question.sourceNode);
  return { source, destinations, proxies, pods, nodes: [...nodes] };
}

/** The pods that were asked, or the Service's endpoints. */
function meantFor({ mesh, question }: CheckInput): readonly Pod[] {
  if (question.pods.length > 0) return question.pods;
  if (question.service === null) return question.ip === null ? [] : mesh.podsByIp(question.ip).slice(0, 1);
  return mesh.endpointsOf(question.service).flatMap((endpoint) => {
    const target = endpoint.targetRef;
    const named =
      target?.kind === 'Pod' && target.namespace !== null ? mesh.podByName(target.namespace, target.name) : null;
    const pod = named ?? mesh.podsByIp(endpoint.ip)[0];
    return pod === undefined ? [] : [pod];
  });
}

/** The pods that a path comes to: its last stop where that is a workload, else those that its last connection was for. */
function endOf(mesh: Mesh, path: Path): readonly Pod[] {
  const last = path.stops[path.stops.length - 1];
  if (last === undefined) return [];
  const first = path.stops[0];
  const isOwnSidecar = last.role === 'sidecar' && first !== undefined && keyOf(first) === keyOf(last);
  if (path.stops.length > 1 && (last.role === 'workload' || last.role === 'sidecar') && !isOwnSidecar) {
    return podsNamed(mesh, [last, ...(last.also ?? [])]);
  }
  if (path.verdict === 'delivered') return [];
  const link = path.links[path.links.length - 1];
  for (const address of link === undefined ? [] : [link.inner ?? link.to, link.to]) {
    const target = splitHostPort(address);
    const pods = target === null ? [] : mesh.podsByIp(target.host).slice(0, 1);
    if (pods.length > 0) return pods;
  }
  return [];
}

function podsNamed(
  mesh: Mesh,
  names: readonly { readonly namespace: string; readonly name: string }[],
): readonly Pod[] {
  return names.flatMap((entry) => {
    const pod = mesh.podByName(entry.namespace, entry.name);
    return pod === null ? [] : [pod];
  });
}

function unique(pods: readonly Pod[]): readonly Pod[] {
  const seen = new Map<string, Pod>();
  for (const pod of pods) if (!seen.has(keyOf(pod))) seen.set(keyOf(pod), pod);
  return [...seen.values()];
}

/** `namespace/name`, as an Effect names the place where it acts. */
export function keyOf(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

export function subjectOf(pod: Pod): { readonly kind: 'Pod'; readonly namespace: string; readonly name: string } {
  return { kind: 'Pod', namespace: pod.namespace, name: pod.name };
}
