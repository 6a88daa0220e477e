import type { Evidence, Unknown } from '../formats/evidence.js';
import type { LabelSelector, Pod } from '../formats/kubernetes-types.js';
import { captureOf } from '../intent/capture.js';
import { isTerminated } from '../mesh/order.js';
import { selectorMatches } from '../mesh/labels.js';
import type { Mesh, Mode, ModeConflict, WaypointState } from '../mesh/model.js';
import { modeOf } from '../mesh/modes.js';
import { waypointOfPod, waypointOfService } from '../mesh/waypoints.js';
import { loadEngines } from '../walk/engines.js';
import { placeOfPod } from '../walk/place.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { CheckContext } from './context.js';
import { foundEnrolment, type Enrolment } from './enrolment-found.js';

/** The result of `meshpath ls`: what is in the mesh, and whether it really is. */
export interface WorkloadList {
  readonly apiVersion: 'meshpath.dev/v1';
  readonly kind: 'WorkloadList';
  /** In order of namespace and name; pods that have ended are left out. */
  readonly items: readonly Workload[];
  /** Files that could not be used whole. */
  readonly problems: readonly { readonly file: string; readonly line?: number; readonly message: string }[];
  readonly unknowns: readonly Unknown[];
}

export interface Workload {
  /** Context of its cluster, where the snapshot holds several. */
  readonly cluster?: string;
  readonly namespace: string;
  readonly name: string;
  /** Deployment, StatefulSet, … that owns the pod. */
  readonly owner: { readonly kind: string; readonly name: string } | null;
  readonly ips: readonly string[];
  readonly node: string | null;
  readonly serviceAccount: string;
  readonly ready: boolean | null;
  readonly mode: Mode;
  readonly decidedBy: Evidence;
  /** The ztunnel of its node. */
  readonly ztunnel: { readonly namespace: string; readonly name: string; readonly ready: boolean | null } | null;
  /** Waypoints that are asked for on the way to it: by its Services, or by its own address. */
  readonly waypoints: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly state: WaypointState;
    /** `Service bar/httpbin`, or `Pod` for its own address. */
    readonly of: string;
    readonly reason: string;
  }[];
  /** Whose proxy takes its traffic by labels, annotations and release. */
  readonly expected: Enrolment;
  /** The same as the data plane has it. */
  readonly found: Enrolment;
  /** Null: one of the two is not known. */
  readonly agrees: boolean | null;
  readonly conflicts: readonly { readonly kind: ModeConflict; readonly message: string }[];
}

/** `namespace` null: all; `selector`: of the pods' labels, null: all. */
export function listWorkloads(
  snapshot: Snapshot,
  mesh: Mesh,
  namespace: string | null,
  selector: LabelSelector | null = null,
): WorkloadList {
  const context = withoutTrace(snapshot, mesh);
  const pods = mesh.list('pods').items.filter((pod) => !isTerminated(pod));
  const items = pods
    .filter((pod) => namespace === null || pod.namespace === namespace)
    .filter((pod) => selector === null || selectorMatches(selector, pod.labels) === true)
    .sort((a, b) => compare(a.namespace, b.namespace) || compare(a.name, b.name))
    .map((pod) => workloadOf(context, pod));
  const missing = mesh.unknownOf('pods', 'the pods');
  const problems = mesh
    .problems()
    .map(({ file, line, message }) => ({ file, ...(line === undefined ? {} : { line }), message }));
  const unknowns = [
    ...(missing === null ? [] : [missing]),
    ...items.flatMap((item) => [...item.expected.unknowns, ...item.found.unknowns]),
  ];
  return {
    apiVersion: 'meshpath.dev/v1',
    kind: 'WorkloadList',
    items,
    problems,
    unknowns: [...new Map(unknowns.map((unknown) => [`${unknown.fact}\n${unknown.reason}`, unknown])).values()],
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What the readers of the data plane are given where no traffic is asked about. */
function withoutTrace(snapshot: Snapshot, mesh: Mesh): CheckContext {
  const engines = loadEngines(snapshot, mesh);
  return {
    snapshot,
    mesh,
    question: {
      source: null,
      sourceNode: null,
      service: null,
      pods: [],
      ip: null,
      port: null,
      host: null,
      request: { protocol: 'tcp' },
    },
    paths: [],
    expected: [],
    lacking: [],
    netns: (pod) => engines.netns(placeOfPod(pod)),
    ztunnel: (pod) => engines.ztunnelDump(pod),
    envoy: (pod) => engines.envoy(pod),
    subjects: { source: null, destinations: [], proxies: [], pods: [], nodes: [] },
  };
}

function workloadOf(context: CheckContext, pod: Pod): Workload {
  const { mesh } = context;
  const mode = modeOf(mesh, pod);
  const expected = expectedEnrolment(mesh, pod);
  const found = foundEnrolment(context, pod, mode.mode);
  const ztunnel = pod.node === null ? undefined : mesh.ztunnelsOn(pod.node)[0];
  return {
    namespace: pod.namespace,
    name: pod.name,
    owner: mesh.ownerOf(pod),
    ips: pod.ips,
    node: pod.node,
    serviceAccount: pod.serviceAccount,
    ready: pod.ready,
    mode: mode.mode,
    decidedBy: mode.decidedBy,
    ztunnel: ztunnel === undefined ? null : { namespace: ztunnel.namespace, name: ztunnel.name, ready: ztunnel.ready },
    waypoints: waypointsOf(mesh, pod, mode.mode),
    expected,
    found,
    agrees: expected.by === 'unknown' || found.by === 'unknown' ? null : expected.by === found.by,
    conflicts: mode.conflicts.map(({ kind, message }) => ({ kind, message })),
  };
}

function expectedEnrolment(mesh: Mesh, pod: Pod): Enrolment {
  const capture = captureOf(mesh, pod);
  if (capture.by === 'unknown')
    return { by: 'unknown', reason: capture.reason, evidence: [], unknowns: capture.unknowns };
  const mode = modeOf(mesh, pod).mode;
  const own = capture.by === 'gateway' || capture.by === 'waypoint' || mode === 'ztunnel';
  return {
    by: own ? 'itself' : capture.by === 'ztunnel' || capture.by === 'sidecar' ? capture.by : 'none',
    reason: capture.reason,
    evidence: capture.evidence,
    unknowns: [],
  };
}

function waypointsOf(mesh: Mesh, pod: Pod, mode: Mode): Workload['waypoints'] {
  if (mode === 'ztunnel' || mode === 'waypoint' || mode === 'gateway' || pod.hostNetwork) return [];
  const bindings = [
    ...mesh.servicesOf(pod).map((service) => ({
      of: `Service ${service.namespace}/${service.name}`,
      binding: waypointOfService(mesh, service),
    })),
    { of: 'Pod', binding: waypointOfPod(mesh, pod) },
  ];
  return bindings.flatMap(({ of, binding }) => {
    const { requested, state, reason } = binding;
    // the default waypoint is for Services: that it does not take a pod's own address is no news
    if (requested === null || (of === 'Pod' && state === 'wrong-type')) return [];
    return [{ namespace: requested.namespace, name: requested.name, state, of, reason }];
  });
}
