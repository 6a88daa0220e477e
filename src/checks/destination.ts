import type { Unknown } from '../formats/evidence.js';
import type { Pod, Service } from '../formats/kubernetes-types.js';
import type { WaypointBinding } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfPod, waypointOfService } from '../mesh/waypoints.js';
import type { Link, Path } from '../walk/trace.js';
import type { CheckContext } from './context.js';
import { keyOf } from './subjects.js';

/** The pod's own port that the traffic is for; null where a name resolves to none or nothing is known. */
export function targetPort(context: CheckContext, pod: Pod): number | null {
  const { service, port } = context.question;
  if (service === null || port === null) return port;
  const target = service.ports.find((entry) => entry.port === port)?.targetPort;
  if (typeof target === 'number') return target;
  if (target === undefined) return null;
  for (const container of pod.containers) {
    const named = container.ports.find((entry) => entry.name === target);
    if (named !== undefined) return named.port;
  }
  return null;
}

/** The connection that reaches (or was to reach) the destination's side, from whatever stop before it; null: none. */
function lastLink(path: Path): Link | null {
  for (const link of [...path.links].reverse()) if (link.own !== true && link.encrypted !== undefined) return link;
  return null;
}

/** True where the path comes to the destination as plaintext. */
export function arrivesPlain(path: Path): boolean {
  return lastLink(path)?.encrypted === false;
}

/** What a waypoint was asked for, and for what: the Service that is called, or the pods that are. */
interface Binding {
  readonly binding: WaypointBinding;
  readonly subject: { readonly kind: string; readonly namespace: string; readonly name: string };
  readonly service: Service | null;
}

/** The waypoint of what is called: of the Service, of the pod that is called by its address. */
export function bindingOf(context: CheckContext, open: (unknown: Unknown) => void): Binding | null {
  const { mesh, question, subjects } = context;
  const { service } = question;
  const pod = question.pods[0] ?? (service === null ? subjects.destinations[0] : undefined) ?? null;
  if (service === null && pod === null) return null;
  const binding =
    service === null ? (pod === null ? null : waypointOfPod(mesh, pod)) : waypointOfService(mesh, service);
  if (binding === null) return null;
  for (const unknown of binding.unknowns) open(unknown);
  const called = service ?? pod;
  if (called === null) return null;
  return { binding, subject: { kind: called.kind, namespace: called.namespace, name: called.name }, service };
}

/** What tells which waypoint is asked for, and how it stands: the `inputs` of every check on it. */
export const BINDING_FILES: readonly string[] = [
  'kubernetes/configmaps.json',
  'kubernetes/endpointslices.discovery.k8s.io.json',
  'kubernetes/gateways.gateway.networking.k8s.io.json',
  'kubernetes/namespaces.json',
  'kubernetes/pods.json',
  'kubernetes/services.json',
];

/** A binding to a waypoint that is asked for by name. */
export interface AskedBinding extends Binding {
  readonly waypoint: NonNullable<WaypointBinding['requested']>;
}

/** The waypoint that is asked for, where this client goes through waypoints; null: there is nothing to judge. */
export function askedWaypoint(context: CheckContext, open: (unknown: Unknown) => void): AskedBinding | null {
  if (!clientUsesWaypoints(context)) return null;
  const found = bindingOf(context, open);
  const waypoint = found?.binding.requested ?? null;
  return found === null || waypoint === null ? null : { ...found, waypoint };
}

/**
 * Whether the client of this trace is of a kind that goes through waypoints at all: ztunnel's pods always; sidecars and
 * gateways up to 1.21; a gateway since 1.24 where the label asks for it, which MP4002 judges.
 */
function clientUsesWaypoints(context: CheckContext): boolean {
  const { mesh, subjects, paths } = context;
  if (paths.some((path) => path.stops.some((stop) => stop.role === 'waypoint'))) return true;
  if (subjects.source === null) return false;
  const { mode } = modeOf(mesh, subjects.source);
  if (mode === 'ambient') return true;
  const release = mesh.release('istiod');
  return mode === 'sidecar' && release !== null && !atLeast(release, 22);
}

/** Places at which a waypoint fault shows: the waypoint's pods, and whoever sends to it. */
export function aroundWaypoint(context: CheckContext, binding: WaypointBinding): readonly string[] {
  return [...binding.pods.map(keyOf), ...context.paths.flatMap((path) => path.stops.map(keyOf))];
}
