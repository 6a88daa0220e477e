import type { Mesh } from '../mesh/model.js';
import { byShare, grouped, joined, namesOf, stopsOf } from './alike.js';
import type { Path } from './trace.js';
import type { Walked } from './route.js';

/**
 * Ways that hang on a fact which no file tells. Where all of them come to the same end by the same stops, the fact does not
 * matter; where they differ, none of them is certain, and the fact is named.
 */
export function settleForks(walked: readonly Walked[]): readonly Walked[] {
  const open = walked.filter((one) => one.conditions.length > 0);
  if (open.length === 0) return walked;
  const settled = walked.filter((one) => one.conditions.length === 0);
  const first = open[0];
  // a way of unknown share may be the other side of the same fork
  const others = settled.filter((one) => one.path.probability === null);
  if (first !== undefined && new Set([...open, ...others].map((one) => endOf(one.path))).size === 1) {
    const share = settled.reduce(
      (sum: number | null, one) => (sum === null ? null : add(sum, one.path.probability)),
      0,
    );
    const probability = share === null ? null : Math.max(0, 1 - share);
    return [...settled, { ...first, path: { ...first.path, probability }, conditions: [], undecided: [] }];
  }
  return [...settled, ...open.map(undecided)];
}

function add(sum: number, share: number | null): number | null {
  return share === null ? null : sum + share;
}

function endOf(path: Path): string {
  const stops = path.stops.map((stop) => [stop.role, stop.namespace, stop.name]);
  return JSON.stringify([path.verdict, path.encryption, stops, path.links]);
}

function undecided(one: Walked): Walked {
  const conditions = [...new Set(one.conditions)];
  const unknowns =
    one.undecided.length > 0
      ? one.undecided
      : conditions.map((fact) => ({ fact, reason: 'nothing in the snapshot decides it' }));
  if (one.path.verdict === 'unknown') return { ...one, unknowns: [...one.unknowns, ...unknowns] };
  const reason = `if ${conditions.join(', and ')}: ${one.path.verdict}, ${one.path.reason}`;
  return { ...one, path: { ...one.path, verdict: 'unknown', reason }, unknowns: [...one.unknowns, ...unknowns] };
}

/**
 * Endpoints that share a way become one path: the same stops but for which pod of one workload on one node it is, the same
 * links, encryption and verdict. The merged stops list the other pods; shares are added. Most likely first.
 */
export function mergeWays(mesh: Mesh, walked: readonly Walked[]): readonly Walked[] {
  return grouped(walked, (one) => wayOf(mesh, one.path))
    .map(([first, ...rest]) => ({
      ...first,
      path: { ...first.path, ...joined([first.path, ...rest.map((one) => one.path)]) },
      unknowns: [first, ...rest].flatMap((one) => one.unknowns),
    }))
    .sort(
      (a, b) =>
        byShare(a.path, b.path) || compare(a.path.verdict, b.path.verdict) || compare(namesOf(a.path), namesOf(b.path)),
    );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function wayOf(mesh: Mesh, path: Path): string {
  const stops = stopsOf(mesh, path);
  const links = path.links.map((link) => [link.protocol, link.via, link.encrypted, link.own, link.endpointAddressType]);
  // Ways that are not known are told apart by where they go, not by what is missing on them.
  if (path.verdict === 'unknown') return JSON.stringify([path.verdict, stops, links]);
  const kinds = path.hops.map((hop) => [hop.kind, hop.phase, hop.basis, hop.netns.split('/')[0]]);
  const reason = path.verdict === 'delivered' ? '' : generalised(path);
  return JSON.stringify([path.verdict, path.encryption, stops, links, kinds, reason]);
}

/** The reason without the names and addresses in which merged ways differ. */
function generalised(path: Path): string {
  return path.reason
    .replaceAll(/\d+\.\d+\.\d+\.\d+(:\d+)?|\[?[0-9a-f:]*::[0-9a-f:]*\]?(:\d+)?/gi, 'ADDRESS')
    .replaceAll(/veth\w+/g, 'DEV');
}
