import type { Mesh } from '../mesh/model.js';
import type { Link, Path, Stop } from './trace.js';

/** What paths have in common that were walked and paths that should be. */
export type Way = Pick<Path, 'stops' | 'links' | 'probability'>;

/** The stops of a way up to which pod of one workload on one node it is: ways with equal stops are told as one. */
export function stopsOf(mesh: Mesh, way: Way): readonly (readonly (string | null)[])[] {
  return way.stops.map((stop, index) =>
    index === 0
      ? [stop.role, stop.namespace, stop.name]
      : [stop.role, stop.namespace, stop.node, workloadOf(mesh, stop)],
  );
}

function workloadOf(mesh: Mesh, stop: Stop): string {
  const pod = mesh.podByName(stop.namespace, stop.name);
  const owner = pod === null ? null : mesh.ownerOf(pod);
  return owner === null ? stop.name : `${owner.kind}/${owner.name}`;
}

/** Things with an equal key together, in the order in which the keys first came. */
export function grouped<T>(things: readonly T[], keyOf: (thing: T) => string): readonly (readonly [T, ...T[]])[] {
  const groups = new Map<string, [T, ...T[]]>();
  for (const thing of things) {
    const key = keyOf(thing);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [thing]);
    else group.push(thing);
  }
  return [...groups.values()];
}

/** One way for several that are told as one: the others' pods and addresses beside its own, the shares added. */
export function joined(group: readonly [Way, ...Way[]]): Way {
  const [first, ...rest] = group;
  const probability = group.reduce<number | null>(
    (sum, way) => (sum === null || way.probability === null ? null : sum + way.probability),
    0,
  );
  const stops = first.stops.map((stop, index): Stop => {
    const others = rest
      .flatMap((way) => way.stops[index] ?? [])
      .filter((other) => other.name !== stop.name || other.namespace !== stop.namespace);
    const distinct = [...new Map(others.map((other) => [`${other.namespace}/${other.name}`, other])).values()];
    if (distinct.length === 0) return stop;
    return { ...stop, also: distinct.map(({ namespace, name, node }) => ({ namespace, name, node })) };
  });
  const links = first.links.map((link, index): Link => {
    const also = new Set(rest.flatMap((way) => way.links[index]?.to ?? []));
    also.delete(link.to);
    return also.size === 0 ? link : { ...link, also: [...also].sort() };
  });
  return { probability, stops, links };
}

/** Most likely first, an unknown share last. */
export function byShare(a: Way, b: Way): number {
  return (b.probability ?? -1) - (a.probability ?? -1);
}

/** Names of a way's stops, to order ways of one share. */
export function namesOf(way: Way): string {
  return way.stops.map((stop) => `${stop.namespace}/${stop.name}`).join(' ');
}
