import type { Evidence } from '../formats/evidence.js';
import { textOf, type Addr, type Family } from './address.js';
import { Choices } from './choices.js';
import type { Address, ConntrackEntry, NetnsOutcome, NetnsStep, Packet } from './face.js';
import type { Flow, TraceStep } from './flow.js';
import type { End, Pipeline } from './pipeline.js';

/** More ways than this through one namespace are cut off, aloud. */
const MAX_WAYS = 256;

interface Way {
  readonly end: End;
  probability: number | null;
  conditions: readonly string[];
  unknowns: NetnsOutcome['unknowns'];
}

/** Runs every way a packet can take and merges those that end alike. */
export function sendPacket(pipeline: Pipeline, packet: Packet): readonly NetnsOutcome[] {
  const choices = new Choices();
  const first = pipeline.run(packet, choices);
  if (!choices.forked) return [toOutcome({ end: first, probability: 1, conditions: [], unknowns: [] })];
  const ways = new Map<string, Way>();
  let count = 0;
  let current = first;
  for (;;) {
    count++;
    addWay(ways, current, choices);
    if (!choices.next()) break;
    if (count >= MAX_WAYS) {
      const unknown = { fact: 'the remaining ways of the packet', reason: `more than ${MAX_WAYS} ways fork here` };
      const rest: End = { ...current, verdict: 'unknown', unknown };
      ways.set('rest', { end: rest, probability: null, conditions: [], unknowns: [] });
      break;
    }
    current = pipeline.run(packet, choices);
  }
  const list = [...ways.values()];
  const [only] = list;
  if (list.length === 1 && only !== undefined) {
    // all ways end alike: what they fork on decides nothing
    return [toOutcome({ ...only, probability: 1, conditions: [], unknowns: [] })];
  }
  return list
    .sort((a, b) => (b.probability ?? -1) - (a.probability ?? -1) || compareText(keyOf(a.end), keyOf(b.end)))
    .map(toOutcome);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addWay(ways: Map<string, Way>, end: End, choices: Choices): void {
  const key = keyOf(end);
  const probability = choices.probability();
  const known = ways.get(key);
  if (known === undefined) {
    ways.set(key, { end, probability, conditions: choices.conditions(), unknowns: choices.unknowns() });
    return;
  }
  known.probability = known.probability === null || probability === null ? null : known.probability + probability;
  // reached in several ways: only what they have in common is a condition
  const here = new Set(choices.conditions());
  known.conditions = known.conditions.filter((condition) => here.has(condition));
  const facts = new Set(known.unknowns.map(({ fact }) => fact));
  known.unknowns = [...known.unknowns, ...choices.unknowns().filter(({ fact }) => !facts.has(fact))];
}

/** What makes two ends the same to whoever asks. */
function keyOf({ verdict, flow, socket, unknown }: End): string {
  if (verdict === 'dropped' || verdict === 'rejected') return verdict;
  const nexthop = flow.route?.nexthop?.gateway ?? '';
  const ct = flow.ct;
  const reply = ct === null ? '' : `${ct.reply.src}:${ct.reply.sport}>${ct.reply.dst}:${ct.reply.dport}/${ct.zone}`;
  return [
    verdict,
    flow.src,
    flow.sport,
    flow.dst,
    flow.dport,
    flow.mark,
    ct?.mark ?? 0,
    flow.oif ?? '',
    nexthop,
    socket?.name ?? '',
    reply,
    ct?.randomPort ?? false,
    unknown?.fact ?? '',
  ].join(' ');
}

function addressOf(family: Family, addr: Addr, port: number): Address {
  return { ip: textOf(family, addr), port };
}

function toOutcome({ end, probability, conditions, unknowns }: Way): NetnsOutcome {
  const { flow, verdict, socket, unknown } = end;
  const { family, ct } = flow;
  const leaves = verdict === 'forwarded' || verdict === 'sent';
  const original =
    ct !== null && ct.dstNat && !flow.ctReply && flow.tproxy === null
      ? addressOf(family, ct.original.dst, ct.original.dport)
      : addressOf(family, flow.dst, flow.dport);
  return {
    probability: verdict === 'unknown' ? null : probability,
    verdict,
    src: addressOf(family, flow.src, flow.sport),
    dst: addressOf(family, flow.dst, flow.dport),
    mark: flow.mark,
    connmark: ct?.mark ?? 0,
    oif: leaves ? flow.oif : null,
    nexthop: leaves ? (flow.route?.nexthop?.gateway ?? null) : null,
    socket: socket === null ? null : { name: socket.name, process: socket.process, evidence: socket.evidence },
    originalDst: original,
    conntrack: entryOf(flow),
    steps: flow.steps.map((step) => toStep(family, step)),
    decidedBy: decidedBy(end),
    conditions,
    unknowns: unknown === null ? unknowns : [unknown, ...unknowns.filter(({ fact }) => fact !== unknown.fact)],
    sourcePortRandom: ct?.randomPort === true && !flow.ctReply && leaves,
  };
}

/**
 * The line that decided. Of what was stopped: the last one that spoke. Else the rule that gave the packet its destination
 * or socket, else the route that it took.
 */
function decidedBy({ flow, verdict }: End): Evidence | null {
  if (verdict === 'dropped' || verdict === 'rejected' || verdict === 'unknown') return flow.decidedBy;
  if (flow.directedBy !== null) return flow.directedBy;
  for (let at = flow.steps.length - 1; at >= 0; at--) {
    const step = flow.steps[at];
    const last = step?.evidence[step.evidence.length - 1];
    if (step?.kind === 'route' && last !== undefined) return last;
  }
  return flow.decidedBy;
}

function entryOf({ ct, family, packet, ctReply }: Flow): ConntrackEntry | null {
  if (ct === null) return null;
  const { original, reply } = ct;
  return {
    protocol: packet.protocol,
    original: {
      src: addressOf(family, original.src, original.sport),
      dst: addressOf(family, original.dst, original.dport),
    },
    reply: { src: addressOf(family, reply.src, reply.sport), dst: addressOf(family, reply.dst, reply.dport) },
    mark: ct.mark,
    zone: ct.zone,
    seenReply: ct.seenReply || ctReply,
  };
}

function toStep(family: Family, step: TraceStep): NetnsStep {
  return {
    kind: step.kind,
    summary: typeof step.summary === 'string' ? step.summary : step.summary(),
    evidence: step.evidence,
    src: addressOf(family, step.src, step.sport),
    dst: addressOf(family, step.dst, step.dport),
    mark: step.mark,
    dev: step.dev,
  };
}
