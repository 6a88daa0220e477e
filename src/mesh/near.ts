import { ofService, podsOfService, workloadsNamed, type Candidate } from './candidates.js';
import type { Role } from './find-names.js';
import type { Mesh } from './model.js';
import { isTerminated } from './order.js';

/** As many as a person takes in at a glance. */
const SHOWN = 5;

/** What a slip of the keyboard may have meant: things of nearly this name, nearest first. `namespace` null: anywhere. */
export function nearNames(mesh: Mesh, name: string, namespace: string | null, role: Role): readonly Candidate[] {
  const inside = (one: { readonly namespace: string }): boolean => namespace === null || one.namespace === namespace;
  const services = mesh
    .list('services')
    .items.filter((service) => inside(service) && isNear(service.name, name))
    .map(ofService)
    .filter((one) => role !== 'source' || (one.is === 'service' && podsOfService(mesh, one.service).length > 0));
  const workloads = new Map<string, Candidate>();
  for (const pod of mesh.list('pods').items) {
    if (!inside(pod) || isTerminated(pod)) continue;
    const owner = mesh.ownerOf(pod) ?? { kind: 'Pod', name: pod.name };
    const key = `${pod.namespace} ${owner.kind} ${owner.name}`;
    if (workloads.has(key) || !isNear(owner.name, name)) continue;
    const [found] = workloadsNamed(mesh, { namespace: pod.namespace, name: owner.name }, owner.kind);
    workloads.set(key, found ?? { is: 'pods', namespace: pod.namespace, kind: 'Pod', name: pod.name, pods: [pod] });
  }
  const all = role === 'destination' ? [...services, ...workloads.values()] : [...workloads.values(), ...services];
  const ranked = all.map((candidate, order) => ({ candidate, order, distance: distance(candidate.name, name) }));
  ranked.sort((a, b) => a.distance - b.distance || a.order - b.order);
  return ranked.slice(0, SHOWN).map(({ candidate }) => candidate);
}

/** The namespaces of nearly this name. */
export function nearNamespaces(mesh: Mesh, name: string): readonly string[] {
  const near = mesh.list('namespaces').items.filter((one) => isNear(one.name, name));
  return near.map((one) => one.name).slice(0, SHOWN);
}

/** Nodes by their names, those of nearly this name first. */
export function nearNodes(mesh: Mesh, name: string): readonly string[] {
  const names = mesh.list('nodes').items.map((node) => node.name);
  const ranked = names.map((node) => ({ node, distance: distance(node, name) }));
  ranked.sort((a, b) => a.distance - b.distance || (a.node < b.node ? -1 : 1));
  return ranked.slice(0, 4 * SHOWN).map(({ node }) => node);
}

function isNear(a: string, b: string): boolean {
  const most = Math.max(1, Math.floor(Math.min(a.length, b.length) / 3));
  return Math.abs(a.length - b.length) <= most && distance(a, b) <= most;
}

/** Letters to put in, take out, replace or swap with their neighbour (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const here = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      const steps = [
        (last[column] ?? 0) + 1,
        (here[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        ...(row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
          ? [(before[column - 2] ?? 0) + 1]
          : []),
      ];
      here.push(Math.min(...steps));
    }
    [before, last] = [last, here];
  }
  return last[b.length] ?? 0;
}
