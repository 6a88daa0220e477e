import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';
import { LOOKED_AT } from './world.js';

type Outcomes = readonly ZtunnelOutcome[];

/** By destination: the outcomes, or which bits of LOOKED_AT tell the sources apart that ask for it. */
type Answers = Map<string, Outcomes | number>;

/** More outcomes than this are not kept. */
const MOST = 4_000_000;

/** A source of outbound connections, and the answers that it shares with the sources of each of its classes. */
export interface Source {
  readonly workload: DumpWorkload;
  readonly ip: string;
  /** Index: bits of LOOKED_AT. */
  readonly classes: (Answers | undefined)[];
}

export function sourceOf(workload: DumpWorkload, ip: string): Source {
  return { workload, ip, classes: [] };
}

/**
 * Outbound decisions of sources that ztunnel cannot tell apart: most depend on the source's network only. An answer is
 * kept for the class of sources that are alike in all that its decision looked at, so that no source is ever given the
 * answer of another one that would be decided otherwise.
 */
export class OutboundCache {
  private answers = new Map<string, Answers>();
  private readonly sources = new Set<Source>();
  private size = 0;

  get(source: Source, destination: string): Outcomes | null {
    const entry = this.answersOf(source, 0).get(destination);
    if (typeof entry !== 'number') return entry ?? null;
    const own = this.answersOf(source, entry).get(destination);
    return typeof own === 'object' ? own : null;
  }

  set(source: Source, destination: string, touched: number, outcomes: Outcomes): void {
    this.size += outcomes.length;
    if (this.size > MOST) {
      this.forget();
      this.size = outcomes.length;
    }
    const all = this.answersOf(source, 0);
    const known = all.get(destination);
    // other sources may have been told apart by more: that is exact for this one as well
    const bits = typeof known === 'number' ? known | touched : touched;
    if (bits !== 0) all.set(destination, bits);
    this.answersOf(source, bits).set(destination, outcomes);
  }

  private forget(): void {
    this.answers = new Map();
    for (const source of this.sources) source.classes.length = 0;
    this.sources.clear();
  }

  private answersOf(source: Source, bits: number): Answers {
    const known = source.classes[bits];
    if (known !== undefined) return known;
    const key = classKey(source, bits);
    let answers = this.answers.get(key);
    if (answers === undefined) {
      answers = new Map();
      this.answers.set(key, answers);
    }
    source.classes[bits] = answers;
    this.sources.add(source);
    return answers;
  }
}

/** Equal for sources that are alike in their network and in everything that the bits name. */
function classKey({ workload, ip }: Source, bits: number): string {
  const has = (bit: number, text: string): string | null => ((bits & bit) === 0 ? null : text);
  const { region, zone, subzone } = workload.locality;
  return JSON.stringify([
    bits,
    workload.network,
    has(LOOKED_AT.namespace, workload.namespace),
    has(LOOKED_AT.region, region),
    has(LOOKED_AT.zone, zone),
    has(LOOKED_AT.subzone, subzone),
    has(LOOKED_AT.node, workload.node),
    has(LOOKED_AT.cluster, workload.clusterId),
    has(LOOKED_AT.person, `${workload.evidence.pointer ?? workload.uid} ${ip}`),
  ]);
}
