import type { Unknown } from '../formats/evidence.js';
import type { Pod, Service } from '../formats/kubernetes-types.js';
import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import type { Envoy } from '../envoy/face.js';
import type { Mesh } from '../mesh/model.js';
import type { NetworkNamespace } from '../netns/face.js';
import type { Snapshot } from '../snapshot/snapshot.js';
import type { Finding, Path, Severity, TraceRequest, Verdict } from '../walk/trace.js';
import type { Evidence } from '../formats/evidence.js';

/** Who asks whom, as the model found it. */
export interface Question {
  /** Null for a process on a node and for a client outside the cluster. */
  readonly source: Pod | null;
  /** The node of a process on a node; null else. */
  readonly sourceNode: string | null;
  /** Null where a pod's own address, or something that is no Service, is asked. */
  readonly service: Service | null;
  /** The pods that are asked by their own address, the one that is meant first; empty for a Service. */
  readonly pods: readonly Pod[];
  readonly ip: string | null;
  readonly port: number | null;
  readonly host: string | null;
  readonly request: TraceRequest;
}

/** What the checks are given. Everything is read lazily: a check that does not ask for a file does not open it. */
export interface CheckInput {
  readonly snapshot: Snapshot;
  readonly mesh: Mesh;
  readonly question: Question;
  /** The configured ways, as the walk found them. */
  readonly paths: readonly Path[];
  /** The ways that labels, policies and routes ask for. */
  readonly expected: readonly Path[];
  /** What the walk could not find out, with the file that would tell. */
  readonly lacking: readonly Unknown[];
  /** The engine of a pod's network namespace. */
  readonly netns: (pod: Pod) => NetworkNamespace;
  readonly ztunnel: (pod: Pod) => ZtunnelDump | Unknown;
  readonly envoy: (pod: Pod) => Envoy | Unknown;
}

export interface CheckContext extends CheckInput {
  readonly subjects: Subjects;
}

/** The pods that a trace is about. */
export interface Subjects {
  readonly source: Pod | null;
  /** Pods that the traffic reaches; where no way reaches one, those that it was meant for. */
  readonly destinations: readonly Pod[];
  /** Waypoints and gateways that it passes. */
  readonly proxies: readonly Pod[];
  /** All of the above, each once. */
  readonly pods: readonly Pod[];
  /** Nodes of the above, each once. */
  readonly nodes: readonly string[];
}

/** Where a fault acts: what makes a finding explain a path's end. */
export interface Effect {
  /** How a path ends that meets it. */
  readonly verdicts: readonly Verdict[];
  /** The pods (`namespace/name`) or nodes (`node/<name>`) at which it acts. */
  readonly at: readonly string[];
}

/** One finding before it is numbered and sorted. */
export interface Draft {
  /** Where it is not the check's default. */
  readonly severity?: Severity;
  /** Where it is not the check's own. */
  readonly title?: string;
  /** Where it is not the check's own. */
  readonly depth?: Check['depth'];
  readonly subject: Finding['subject'];
  readonly message: string;
  readonly fix: string;
  readonly evidence: readonly Evidence[];
  /** Null: it ends no path by itself. */
  readonly effect: Effect | null;
}

export interface CheckResult {
  readonly drafts: readonly Draft[];
  /** Facts that would decide whether it fires, and are missing. */
  readonly unknowns: readonly Unknown[];
}

/** One file under src/checks/, one page under docs/codes/, one folder under test/checks/. */
export interface Check {
  /** `MP1001`; never reused. */
  readonly code: string;
  readonly title: string;
  readonly severity: Severity;
  /**
   * What explains what, where several findings explain one end: 0 is a cause (ztunnel is down), 1 its consequence (nobody
   * listens), 2 what follows from that (the endpoint promises what is not served).
   */
  readonly depth: 0 | 1 | 2;
  /** Files that it reads, `*` for one name: a test holds it to that. */
  readonly inputs: readonly string[];
  /** Files that only some snapshots make it read (a release that is not at hand, a variant, a mode). */
  readonly mayRead?: readonly string[];
  readonly run: (context: CheckContext) => CheckResult;
}
