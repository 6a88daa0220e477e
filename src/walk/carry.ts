import type { Unknown } from '../formats/evidence.js';
import {
  newPacket,
  type Address,
  type ConntrackEntry,
  type Device,
  type NetnsOutcome,
  type NetnsStep,
  type Packet,
  type Protocol,
} from '../netns/face.js';
import { plainOutcome } from '../netns/flow-outcome.js';
import type { Engines } from './engines.js';
import { addressText, nextPlace, type Place } from './place.js';
import type { Hop, HopKind } from './trace.js';

/** What conntrack holds, per place: carried from packet to packet of a connection. */
export type Flow = ReadonlyMap<string, readonly ConntrackEntry[]>;

export type Phase = 'request' | 'reply' | 'later';

/**
 * How a packet ends. delivered: to a socket · outside: left the cluster · nobody: no host has the address (ARP is not
 * answered) · loop: came back to where it was · the others as a network namespace says them.
 */
export type Ending = 'delivered' | 'dropped' | 'rejected' | 'refused' | 'unknown' | 'outside' | 'nobody' | 'loop';

export interface Arrival {
  readonly probability: number | null;
  readonly ending: Ending;
  /** Where it ended. */
  readonly place: Place;
  /** The namespace's last word, null where it ended between places. */
  readonly outcome: NetnsOutcome | null;
  readonly hops: readonly Hop[];
  readonly flow: Flow;
  readonly conditions: readonly string[];
  readonly unknowns: readonly Unknown[];
  readonly summary: string;
}

/** Which sockets own the flow already, in which places; and what a tunnel's packet is taken by. */
export interface Owners {
  socketAt(place: Place): { readonly name: string; readonly transparent: boolean } | null;
}

export interface Carriage {
  readonly engines: Engines;
  readonly phase: Phase;
  /** Index of the stop before which the packet is under way. */
  readonly stop: number;
  readonly owners: Owners;
  /** True for the packet that a tunnel wraps around another: its own way is a detail. */
  readonly outer: boolean;
}

/** More than any sane way through namespaces; a packet that needs more goes in circles. */
const MAX_PLACES = 24;

/** Carries one packet from a place through all that follow until it ends, along every fork. */
export function carry(carriage: Carriage, place: Place, packet: Packet, flow: Flow): readonly Arrival[] {
  return step(carriage, place, packet, { probability: 1, hops: [], flow, conditions: [], unknowns: [], visits: 0 });
}

interface Sofar {
  readonly probability: number | null;
  readonly hops: readonly Hop[];
  readonly flow: Flow;
  readonly conditions: readonly string[];
  readonly unknowns: readonly Unknown[];
  readonly visits: number;
}

function step(carriage: Carriage, place: Place, packet: Packet, sofar: Sofar): readonly Arrival[] {
  if (sofar.visits > MAX_PLACES) {
    const summary = `the packet goes in circles: ${place.id} sees it again and again`;
    return [ended(sofar, 'loop', place, null, summary)];
  }
  const entry = findEntry(sofar.flow.get(place.id) ?? [], packet);
  const socket =
    packet.tcpFlags.includes('SYN') && !packet.tcpFlags.includes('ACK') ? null : carriage.owners.socketAt(place);
  const asked: Packet = {
    ...packet,
    conntrack: entry,
    connectedSocket: packet.connectedSocket ?? socket,
  };
  const arrivals: Arrival[] = [];
  const outcomes = carriage.engines.netns(place).send(asked);
  for (const given of outcomes) {
    const outcome = given.probability === null ? undecided(place, given, outcomes) : given;
    const next: Sofar = {
      probability: multiply(sofar.probability, outcome.probability),
      hops: [...sofar.hops, ...hopsOf(carriage, place, asked, outcome)],
      flow: remember(sofar.flow, place, entry, outcome.conntrack),
      conditions: [...sofar.conditions, ...outcome.conditions],
      unknowns: [...sofar.unknowns, ...outcome.unknowns],
      visits: sofar.visits + 1,
    };
    arrivals.push(...follow(carriage, place, asked, outcome, next));
  }
  return arrivals;
}

/** An outcome of unknown share is one side of a fork, also where nobody could say on which condition alone. */
function undecided(place: Place, outcome: NetnsOutcome, all: readonly NetnsOutcome[]): NetnsOutcome {
  const conditions =
    outcome.conditions.length > 0 ? outcome.conditions : [`what is not known in ${place.id} allows it`];
  const unknowns = outcome.unknowns.length > 0 ? outcome.unknowns : all.flatMap((one) => one.unknowns);
  return { ...plainOutcome(outcome), conditions, unknowns };
}

function follow(
  carriage: Carriage,
  place: Place,
  packet: Packet,
  outcome: NetnsOutcome,
  sofar: Sofar,
): readonly Arrival[] {
  switch (outcome.verdict) {
    case 'delivered':
    case 'dropped':
    case 'rejected':
    case 'refused':
    case 'unknown': {
      const last = outcome.steps.at(-1)?.summary ?? `${outcome.verdict} in ${place.id}`;
      return [ended(sofar, outcome.verdict, place, outcome, last)];
    }
    case 'sent':
    case 'forwarded':
      return leave(carriage, place, packet, outcome, sofar);
  }
}

function leave(
  carriage: Carriage,
  place: Place,
  packet: Packet,
  outcome: NetnsOutcome,
  sofar: Sofar,
): readonly Arrival[] {
  const device = carriage.engines.netns(place).devices.find((d) => d.name === outcome.oif);
  if (device?.tunnel?.remote != null) return encapsulate(carriage, place, packet, outcome, device, sofar);
  const next = nextPlace(carriage.engines, place, outcome);
  switch (next.kind) {
    case 'outside':
      return [ended(sofar, 'outside', place, outcome, next.summary)];
    case 'nobody':
      return [ended(sofar, 'nobody', place, outcome, next.summary)];
    case 'unknown':
      return [
        ended(
          { ...sofar, unknowns: [...sofar.unknowns, ...next.unknowns] },
          'unknown',
          place,
          outcome,
          next.unknowns[0]?.fact ?? '',
        ),
      ];
    case 'place': {
      const moved: Packet = { ...arriving(packet, outcome, next.iif), mark: 0 };
      const hop: Hop = {
        node: next.place.node,
        netns: next.place.id,
        kind: next.how === 'wire' || next.how === 'overlay' ? 'wire' : 'route',
        summary: next.summary,
        ...(next.how === 'veth' || next.how === 'bridge' || carriage.outer ? { detail: true } : {}),
        packet: packetOf(moved, next.iif),
        phase: carriage.phase,
        stop: carriage.stop,
        basis: next.assumed ? 'assumed' : 'observed',
        evidence: device === undefined || next.how === 'wire' ? [] : [device.evidence],
      };
      return step(carriage, next.place, moved, { ...sofar, hops: [...sofar.hops, hop] });
    }
  }
}

/** The packet as it arrives in another place: conntrack and sockets are each namespace's own. */
function arriving(packet: Packet, outcome: NetnsOutcome, iif: string): Packet {
  return {
    ...packet,
    direction: 'in',
    iif,
    src: outcome.src,
    dst: outcome.dst,
    mark: outcome.mark,
    conntrack: null,
    assumed: null,
    uid: null,
    gid: null,
    connectedSocket: null,
    sourceBound: true,
  };
}

/**
 * A device with a fixed remote (GENEVE, VXLAN, GRE …) wraps the packet: the outer one is sent from the same place with the
 * inner one's mark, and where it arrives the twin device unwraps it.
 */
function encapsulate(
  carriage: Carriage,
  place: Place,
  packet: Packet,
  outcome: NetnsOutcome,
  device: Device,
  sofar: Sofar,
): readonly Arrival[] {
  const tunnel = device.tunnel;
  if (tunnel === null || tunnel.remote === null) return [];
  const remote = tunnel.remote;
  const port = tunnel.port ?? 0;
  const twinAt = (other: Place): Device | undefined =>
    other.id === place.id
      ? undefined
      : carriage.engines
          .netns(other)
          .devices.find((d) => d.tunnel?.kind === tunnel.kind && d.tunnel.id === tunnel.id && d.up);
  const hop: Hop = {
    node: place.node,
    netns: place.id,
    kind: 'tunnel',
    summary: `${tunnel.kind} device ${device.name}${tunnel.id === null ? '' : ` (id ${tunnel.id})`} wraps it for ${addressText({ ip: remote, port })}`,
    packet: packetOf({ ...packet, src: outcome.src, dst: outcome.dst, mark: outcome.mark }, device.name),
    phase: carriage.phase,
    stop: carriage.stop,
    basis: 'observed',
    evidence: [device.evidence],
  };
  const outer = newPacket({
    direction: 'out',
    iif: null,
    protocol: 'udp',
    src: { ip: remote.includes(':') ? '::' : '0.0.0.0', port: 40_000 },
    dst: { ip: remote, port },
    mark: outcome.mark,
    sourceBound: false,
  });
  const wrapped: Carriage = {
    ...carriage,
    outer: true,
    owners: {
      socketAt: (other) =>
        twinAt(other) === undefined ? null : { name: `${tunnel.kind} device on UDP ${port}`, transparent: false },
    },
  };
  const arrivals: Arrival[] = [];
  for (const arrival of step(wrapped, place, outer, { ...sofar, hops: [...sofar.hops, hop] })) {
    const twin = arrival.ending === 'delivered' ? twinAt(arrival.place) : undefined;
    if (twin === undefined) {
      arrivals.push(arrival.ending === 'unknown' ? arrival : lostInTunnel(arrival, device, remote));
      continue;
    }
    const inner: Packet = { ...arriving(packet, outcome, twin.name), mark: 0 };
    const unwrapped: Hop = {
      node: arrival.place.node,
      netns: arrival.place.id,
      kind: 'tunnel',
      summary: `${twin.name} unwraps it`,
      packet: packetOf(inner, twin.name),
      phase: carriage.phase,
      stop: carriage.stop,
      basis: 'observed',
      evidence: [twin.evidence],
    };
    arrivals.push(
      ...step(carriage, arrival.place, inner, {
        probability: arrival.probability,
        hops: [...arrival.hops, unwrapped],
        flow: arrival.flow,
        conditions: arrival.conditions,
        unknowns: arrival.unknowns,
        visits: sofar.visits + 1,
      }),
    );
  }
  return arrivals;
}

/** A tunnel does not tell the sender of what it carries that its own packet found nobody. */
function lostInTunnel(arrival: Arrival, device: Device, remote: string): Arrival {
  const kind = device.tunnel?.kind ?? 'tunnel';
  const why =
    arrival.ending === 'delivered' ? `${arrival.place.id} has no ${kind} device that unwraps it` : arrival.summary;
  return {
    ...arrival,
    ending: 'dropped',
    summary: `what ${kind} device ${device.name} sends to ${remote} is lost: ${why}`,
  };
}

function ended(sofar: Sofar, ending: Ending, place: Place, outcome: NetnsOutcome | null, summary: string): Arrival {
  return {
    probability: sofar.probability,
    ending,
    place,
    outcome,
    hops: sofar.hops,
    flow: sofar.flow,
    conditions: sofar.conditions,
    unknowns: sofar.unknowns,
    summary,
  };
}

const STEP_KIND: Readonly<Record<'netfilter' | 'route' | 'deliver', HopKind>> = {
  netfilter: 'netfilter',
  route: 'route',
  deliver: 'deliver',
};

function hopsOf(carriage: Carriage, place: Place, packet: Packet, outcome: NetnsOutcome): readonly Hop[] {
  return outcome.steps.map((s) => ({
    node: place.node,
    netns: place.id,
    kind: STEP_KIND[s.kind],
    summary: s.summary,
    packet: packetOf({ ...packet, src: s.src, dst: s.dst, mark: s.mark }, s.dev),
    phase: carriage.phase,
    stop: carriage.stop,
    ...(carriage.outer || isRoutine(s) ? { detail: true } : {}),
    basis: 'observed',
    evidence: s.evidence,
  }));
}

/** Routes of the main and local tables: what any packet would take. Rules for marks, sources and the like are not. */
function isRoutine(step: NetnsStep): boolean {
  return step.kind === 'route' && /\btable (main|local|default)\b/.test(step.summary);
}

export function packetOf(
  packet: { readonly src: Address; readonly dst: Address; readonly protocol: Protocol; readonly mark: number },
  dev: string | null,
): NonNullable<Hop['packet']> {
  return {
    src: addressText(packet.src),
    dst: addressText(packet.dst),
    protocol: packet.protocol,
    mark: `0x${packet.mark.toString(16)}`,
    dev,
  };
}

/** Product of shares; unknown times anything is unknown. */
export function multiply(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a * b;
}

function same(a: Address, b: Address): boolean {
  return a.ip === b.ip && a.port === b.port;
}

/** The connection that a packet belongs to here, in either direction. */
function findEntry(entries: readonly ConntrackEntry[], packet: Packet): ConntrackEntry | null {
  for (const entry of entries) {
    if (entry.protocol !== packet.protocol) continue;
    const forward = same(entry.original.src, packet.src) && same(entry.original.dst, packet.dst);
    const back = same(entry.reply.src, packet.src) && same(entry.reply.dst, packet.dst);
    if (forward || back) return entry;
  }
  return null;
}

function remember(flow: Flow, place: Place, before: ConntrackEntry | null, after: ConntrackEntry | null): Flow {
  if (after === null || after === before) return flow;
  const others = (flow.get(place.id) ?? []).filter((entry) => entry !== before);
  return new Map(flow).set(place.id, [...others, after]);
}
