import type { Mesh } from '../mesh/model.js';
import { byShare, grouped, joined, namesOf, stopsOf } from '../walk/alike.js';
import type { Path } from '../walk/trace.js';
import { toPath, type Ended } from './way.js';

/**
 * Ways that differ in nothing but which pod of one workload on one node takes them become one path, with the other pods
 * beside its stops, as src/walk/merge.ts does for the walked ones. Most likely first.
 */
export function mergeWays(mesh: Mesh, ways: readonly Ended[]): readonly Path[] {
  return grouped(ways, (way) => keyOf(mesh, way))
    .map((group) => toPath({ ...group[0], ...joined(group) }))
    .sort((a, b) => byShare(a, b) || (namesOf(a) < namesOf(b) ? -1 : 1));
}

function keyOf(mesh: Mesh, way: Ended): string {
  const links = way.links.map((link) => [link.protocol, link.via, link.encrypted, link.own]);
  const reason = way.verdict === 'delivered' ? '' : way.reason;
  return JSON.stringify([way.verdict, reason, stopsOf(mesh, way), links]);
}
