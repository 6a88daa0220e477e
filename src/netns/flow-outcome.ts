import type { Evidence, Unknown } from '../formats/evidence.js';
import type { Address, ConntrackEntry, NetnsOutcome, NetnsStep, NetnsVerdict, Packet } from './face.js';
import { addressOf, evidenceOf, type Cause, type Flow } from './flow.js';

/** Goes a packet's way again, and tells of it. */
export interface StepSource {
  steps(packet: Packet, answers: readonly number[]): readonly NetnsStep[];
}

/**
 * An outcome as the engine hands it out: verdict, share and what they hang on are there, all else is written out of the
 * engine's numbers when it is read. The properties are getters: `plainOutcome` copies them where an object of data is
 * needed (a spread would lose them), JSON has them all.
 */
export class FlowOutcome implements NetnsOutcome {
  declare readonly probability: number | null;
  declare readonly verdict: NetnsVerdict;
  declare readonly conditions: readonly string[];
  declare readonly unknowns: readonly Unknown[];
  declare private readonly flow: Flow;
  declare private readonly source: StepSource;
  declare private readonly answers: readonly number[];
  declare private told: readonly NetnsStep[] | null;

  /** `answers`: to the choices of its way, in their order. */
  constructor(
    flow: Flow,
    probability: number | null,
    conditions: readonly string[],
    unknowns: readonly Unknown[],
    source: StepSource,
    answers: readonly number[],
  ) {
    const { verdict, unknown } = flow;
    this.probability = verdict === 'unknown' ? null : probability;
    this.verdict = verdict;
    this.conditions = conditions;
    this.unknowns = unknown === null ? unknowns : [unknown, ...unknowns.filter(({ fact }) => fact !== unknown.fact)];
    this.flow = flow;
    this.source = source;
    this.answers = answers;
    this.told = null;
  }

  get src(): Address {
    const { src, sport, givenSrc, packet } = this.flow;
    return src === givenSrc ? given(packet.src, sport) : addressOf(src, sport);
  }

  get dst(): Address {
    const { dst, dport, givenDst, packet } = this.flow;
    return dst === givenDst ? given(packet.dst, dport) : addressOf(dst, dport);
  }

  get mark(): number {
    return this.flow.mark;
  }

  get connmark(): number {
    return this.flow.ct?.mark ?? 0;
  }

  private get leaves(): boolean {
    return this.verdict === 'forwarded' || this.verdict === 'sent';
  }

  get oif(): string | null {
    return this.leaves ? this.flow.oif : null;
  }

  get nexthop(): string | null {
    return this.leaves ? (this.flow.route?.nexthop?.gateway ?? null) : null;
  }

  get socket(): NetnsOutcome['socket'] {
    return this.flow.socket?.shown ?? null;
  }

  get originalDst(): Address {
    const { ct, ctReply, tproxy } = this.flow;
    if (ct === null || !ct.dstNat || ctReply || tproxy !== null) return this.dst;
    return addressOf(ct.original.dst, ct.original.dport);
  }

  get conntrack(): ConntrackEntry | null {
    return entryOf(this.flow);
  }

  get steps(): readonly NetnsStep[] {
    return (this.told ??= this.source.steps(this.flow.packet, this.answers));
  }

  get decidedBy(): Evidence | null {
    return decidedBy(this.flow, this.verdict);
  }

  get sourcePortRandom(): boolean {
    const { ct, ctReply } = this.flow;
    return ct !== null && ct.drawnPort !== null && !ctReply;
  }

  toJSON(): NetnsOutcome {
    return plainOutcome(this);
  }
}

/** All properties of an outcome as data: to be spread, changed or compared. */
export function plainOutcome(outcome: NetnsOutcome): NetnsOutcome {
  return {
    probability: outcome.probability,
    verdict: outcome.verdict,
    src: outcome.src,
    dst: outcome.dst,
    mark: outcome.mark,
    connmark: outcome.connmark,
    oif: outcome.oif,
    nexthop: outcome.nexthop,
    socket: outcome.socket,
    originalDst: outcome.originalDst,
    conntrack: outcome.conntrack,
    steps: outcome.steps,
    decidedBy: outcome.decidedBy,
    conditions: outcome.conditions,
    unknowns: outcome.unknowns,
    sourcePortRandom: outcome.sourcePortRandom === true,
  };
}

/** A dotted quad that nothing changed, as the question has it. */
function given(address: Address, port: number): Address {
  return address.port === port ? address : { ip: address.ip, port };
}

/**
 * The line that decided. Of what was stopped: the last one that spoke. Else the rule that gave the packet its destination
 * or socket, else the route that it took.
 */
function decidedBy(flow: Flow, verdict: NetnsVerdict): Evidence | null {
  if (verdict === 'dropped' || verdict === 'rejected' || verdict === 'unknown') return lastOf(flow.decidedBy);
  if (flow.directedBy !== null) return flow.directedBy;
  return lastOf(flow.routedBy) ?? lastOf(flow.decidedBy);
}

function lastOf(cause: Cause): Evidence | null {
  return evidenceOf(cause).at(-1) ?? null;
}

function entryOf({ ct, packet }: Flow): ConntrackEntry | null {
  if (ct === null || ct.template) return null;
  const { original, reply } = ct;
  return {
    protocol: packet.protocol,
    original: { src: addressOf(original.src, original.sport), dst: addressOf(original.dst, original.dport) },
    reply: { src: addressOf(reply.src, reply.sport), dst: addressOf(reply.dst, reply.dport) },
    mark: ct.mark,
    zone: ct.zone,
    ...(ct.zoneReply === ct.zone ? {} : { zoneReply: ct.zoneReply }),
    seenReply: ct.seenReply,
  };
}
