import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import type { Path, Stop } from '../walk/trace.js';
import type { CheckInput, Subjects } from './context.js';

/** The pods that a trace is about, from its paths and, where these end early, from what was asked. */
export function subjectsOf(input: CheckInput): Subjects {
  const { mesh, question, paths } = input;
  const reached = paths.filter((path) => path.verdict === 'delivered').flatMap((path) => lastStops(path));
  const met = podsOf(mesh, reached);
  const meant = meantFor(input);
  const destinations = unique([
    ...met,
    ...meant.filter(
      (pod) => met.length === 0 || paths.some((path) => path.verdict !== 'delivered') || met.includes(pod),
    ),
  ]);
  const proxies = unique(
    podsOf(
      mesh,
      paths.flatMap((path) => path.stops.filter((stop) => stop.role === 'waypoint' || stop.role === 'gateway')),
    ),
  );
  const source = question.source;
  const pods = unique([...(source === null ? [] : [source]), ...proxies, ...destinations]);
  const nodes = [
    ...new Set([
      ...pods.flatMap((pod) => (pod.node === null ? [] : [pod.node])),
      ...(question.sourceNode === null ? [] : [question.sourceNode]),
    ]),
  ];
  return { source, destinations, proxies, pods, nodes };
}

/** The pod that was asked, or the Service's endpoints. */
function meantFor({ mesh, question }: CheckInput): readonly Pod[] {
  if (question.pod !== null) return [question.pod];
  if (question.service === null) return question.ip === null ? [] : mesh.podsByIp(question.ip).slice(0, 1);
  return mesh.endpointsOf(question.service).flatMap((endpoint) => {
    const target = endpoint.targetRef;
    const named =
      target?.kind === 'Pod' && target.namespace !== null ? mesh.podByName(target.namespace, target.name) : null;
    const pod = named ?? mesh.podsByIp(endpoint.ip)[0];
    return pod === undefined ? [] : [pod];
  });
}

function lastStops(path: Path): readonly { readonly namespace: string; readonly name: string }[] {
  const last: Stop | undefined = path.stops[path.stops.length - 1];
  if (last === undefined || last.role !== 'workload') return [];
  return [last, ...(last.also ?? [])];
}

function podsOf(mesh: Mesh, stops: readonly { readonly namespace: string; readonly name: string }[]): readonly Pod[] {
  return stops.flatMap((stop) => {
    const pod = mesh.podByName(stop.namespace, stop.name);
    return pod === null ? [] : [pod];
  });
}

function unique(pods: readonly Pod[]): readonly Pod[] {
  const seen = new Map<string, Pod>();
  for (const pod of pods) seen.set(keyOf(pod), pod);
  return [...seen.values()];
}

/** `namespace/name`, as an Effect names the place where it acts. */
export function keyOf(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}

export function subjectOf(pod: Pod): { readonly kind: 'Pod'; readonly namespace: string; readonly name: string } {
  return { kind: 'Pod', namespace: pod.namespace, name: pod.name };
}
