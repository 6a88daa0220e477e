import type { Evidence, ParseProblem } from './evidence.js';

/**
 * `tc qdisc show`, then `tc -s filter show dev DEV ingress|egress` of every device. The filters carry no device name where
 * tc was asked for one device: then only which devices can have some, and whether there are any, is certain.
 */
export interface TrafficControl {
  readonly file: string;
  /** Devices with a clsact or ingress qdisc, and its line. */
  readonly hooked: ReadonlyMap<string, Evidence>;
  /** What may keep a packet from passing as it is. */
  readonly acts: readonly TrafficAct[];
  readonly problems: readonly ParseProblem[];
}

export interface TrafficAct {
  /** An eBPF filter, or an action that drops a packet, changes it or sends it elsewhere. */
  readonly kind: 'program' | 'action';
  /** Null: the filter does not say. */
  readonly device: string | null;
  readonly direction: 'ingress' | 'egress' | null;
  readonly evidence: Evidence;
}

/** Lets the packet pass as it is; of a mirror (which sends a copy) the word behind says what becomes of the original. */
const HARMLESS =
  /action order \d+:\s+(?:gact action (?:pass|continue|ok)\b|mirred \((?:Egress|Ingress) Mirror[^)]*\) (?:pipe|pass|continue)\b)/;
/** A second line of `gact`: with some probability another action. */
const BY_CHANCE = /^\s*random type (?!none)\S+/;

/** Lines that tc begins at the margin; of a device without such a qdisc it complains on its error stream. */
const KNOWN = /^(?:qdisc|filter|class|action|chain|block|total acts|Error: Parent Qdisc|We have an error talking)\b/;

export function parseTrafficControl(file: string, text: string): TrafficControl {
  const hooked = new Map<string, Evidence>();
  const acts: TrafficAct[] = [];
  const problems: ParseProblem[] = [];
  let place: Pick<TrafficAct, 'device' | 'direction'> = { device: null, direction: null };
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    const evidence = { file, line, text: row.trim() };
    const qdisc = /^qdisc (?:clsact|ingress) \S+ dev (\S+)/.exec(row);
    if (qdisc?.[1] !== undefined) hooked.set(qdisc[1], evidence);
    if (row.startsWith('filter ')) place = placeIn(row);
    // each filter prints a head line and one for its program; only the latter has a handle
    if (/^filter .*\bbpf\b.*\bhandle\b/.test(row)) acts.push({ kind: 'program', ...place, evidence });
    // "action order 1: mirred (Egress Redirect to device ifb0) stolen", "gact action pass", "police … action drop"
    const ordered = /^\s*action order \d+:/.test(row) && !HARMLESS.test(row);
    const direct = /^filter .*\baction (?:drop|reclassify|shot)\b/.test(row);
    if (ordered || direct || BY_CHANCE.test(row)) acts.push({ kind: 'action', ...place, evidence });
    if (/^\S/.test(row) && !KNOWN.test(row))
      problems.push({ file, line, message: `not a line of tc: ${row.slice(0, 120)}` });
  }
  return { file, hooked, acts, problems };
}

/** "filter dev eth0 ingress protocol all …": as far as tc was not asked for just that. */
function placeIn(row: string): Pick<TrafficAct, 'device' | 'direction'> {
  const direction = /\s(ingress|egress)\s/.exec(row)?.[1];
  return {
    device: /\sdev (\S+)/.exec(row)?.[1] ?? null,
    direction: direction === 'ingress' || direction === 'egress' ? direction : null,
  };
}
