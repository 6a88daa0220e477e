import type { Mesh } from '../mesh/model.js';
import type { Link, Path, Stop } from '../walk/trace.js';
import { toPath, type Ended } from './way.js';

/**
 * Ways that differ in nothing but which pod of one workload on one node takes them become one path, with the other pods
 * beside its stops, as src/walk/merge.ts does for the walked ones. Most likely first.
 */
export function mergeWays(mesh: Mesh, ways: readonly Ended[]): readonly Path[] {
  const groups = new Map<string, Ended[]>();
  for (const way of ways) {
    const key = keyOf(mesh, way);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [way]);
    else group.push(way);
  }
  return [...groups.values()]
    .map((group) => toPath(join(group)))
    .sort((a, b) => (b.probability ?? -1) - (a.probability ?? -1) || (names(a) < names(b) ? -1 : 1));
}

function names(path: Path): string {
  return path.stops.map((stop) => `${stop.namespace}/${stop.name}`).join(' ');
}

function keyOf(mesh: Mesh, way: Ended): string {
  const stops = way.stops.map((stop, index) =>
    index === 0
      ? [stop.role, stop.namespace, stop.name]
      : [stop.role, stop.namespace, stop.node, workloadOf(mesh, stop)],
  );
  const links = way.links.map((link) => [link.protocol, link.via, link.encrypted, link.own]);
  const reason = way.verdict === 'delivered' ? '' : way.reason;
  return JSON.stringify([way.verdict, reason, stops, links]);
}

function workloadOf(mesh: Mesh, stop: Stop): string {
  const pod = mesh.podByName(stop.namespace, stop.name);
  const owner = pod === null ? null : mesh.ownerOf(pod);
  return owner === null ? stop.name : `${owner.kind}/${owner.name}`;
}

function join(group: readonly Ended[]): Ended {
  const [first, ...rest] = group;
  if (first === undefined) throw new Error('an empty group of ways');
  if (rest.length === 0) return first;
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
  return { ...first, probability, stops, links };
}
