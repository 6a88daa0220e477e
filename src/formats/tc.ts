import type { Evidence, ParseProblem } from './evidence.js';

/**
 * `tc qdisc show`, then `tc -s filter show dev DEV ingress|egress` of every device. The filters carry no device name where
 * tc was asked for one device: only which devices can have programs, and whether there are any, is certain.
 */
export interface TrafficControl {
  readonly file: string;
  /** Devices with a clsact or ingress qdisc. */
  readonly hooked: ReadonlySet<string>;
  /** eBPF filters. */
  readonly programs: readonly Evidence[];
  /** Actions of other filters that drop a packet, change it or send it elsewhere. */
  readonly actions: readonly Evidence[];
  readonly problems: readonly ParseProblem[];
}

/** Lets the packet pass as it is; of a mirror (which sends a copy) the word behind says what becomes of the original. */
const HARMLESS =
  /action order \d+:\s+(?:gact action (?:pass|continue|ok)\b|mirred \((?:Egress|Ingress) Mirror[^)]*\) (?:pipe|pass|continue)\b)/;
/** A second line of `gact`: with some probability another action. */
const BY_CHANCE = /^\s*random type (?!none)\S+/;

export function parseTrafficControl(file: string, text: string): TrafficControl {
  const hooked = new Set<string>();
  const programs: Evidence[] = [];
  const actions: Evidence[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    const qdisc = /^qdisc (?:clsact|ingress) \S+ dev (\S+)/.exec(row);
    if (qdisc?.[1] !== undefined) hooked.add(qdisc[1]);
    // each filter prints a head line and one for its program; only the latter has a handle
    if (/^filter .*\bbpf\b.*\bhandle\b/.test(row)) programs.push({ file, line, text: row });
    // "action order 1: mirred (Egress Redirect to device ifb0) stolen", "gact action pass", "police … action drop"
    const acts = /^\s*action order \d+:/.test(row) && !HARMLESS.test(row);
    if (acts || BY_CHANCE.test(row)) actions.push({ file, line, text: row.trim() });
    if (/^filter .*\baction (?:drop|reclassify|shot)\b/.test(row)) actions.push({ file, line, text: row });
  }
  return { file, hooked, programs, actions, problems: [] };
}
