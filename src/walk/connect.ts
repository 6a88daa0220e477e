import type { Evidence, Unknown } from '../formats/evidence.js';
import { newPacket, type Address, type Protocol, type TcpFlag } from '../netns/face.js';
import { carry, multiply, packetOf, type Arrival, type Carriage, type Flow } from './carry.js';
import type { Engines } from './engines.js';
import { addressText, type Place } from './place.js';
import type { Hop } from './trace.js';

/** A process that opens a connection. */
export interface Opening {
  readonly from: Place;
  /** Of the process; null: not known. */
  readonly uid: number | null;
  readonly gid: number | null;
  /** SO_MARK of its socket. */
  readonly mark: number;
  /** Address that it binds (a spoofed client address, 127.0.0.6); null: the kernel's choice. */
  readonly source: string | null;
  readonly dst: Address;
  readonly protocol: Protocol;
  /** Where the packets come from outside of the cluster: the device of the first node by which they arrive. */
  readonly arrivesBy: string | null;
}

/**
 * connected: a socket took it and both ways carry packets · outside: left the cluster, assumed to arrive · hangs: silence
 * in one of the two directions · refused: RST or ICMP error · unreachable: no route, no such host · unknown.
 */
export type ConnectResult = 'connected' | 'outside' | 'hangs' | 'refused' | 'unreachable' | 'unknown';

export interface Connection {
  readonly probability: number | null;
  readonly result: ConnectResult;
  readonly reason: string;
  /** Where it was accepted (or ended). */
  readonly place: Place;
  readonly socket: {
    readonly name: string;
    readonly process: string | null;
    readonly evidence: Evidence | null;
  } | null;
  /** What the accepting process takes for the address that the client called (SO_ORIGINAL_DST). */
  readonly originalDst: Address;
  /** The client's address as the accepting process sees it. */
  readonly client: Address;
  readonly hops: readonly Hop[];
  readonly conditions: readonly string[];
  readonly unknowns: readonly Unknown[];
}

/** A port of the ephemeral range: rules that look at client ports of it would tell in the evidence. */
const CLIENT_PORT = 43_211;

/**
 * Opens a connection and follows its first packets: the SYN to a socket, the answer back, then a packet each way, since
 * rules may treat the packets after the first differently (Istio 1.18: the SYN goes through the tunnel, later packets by
 * connection mark; a missing set entry or route lets the answer vanish).
 */
export function open(engines: Engines, opening: Opening, stop: number): readonly Connection[] {
  const family6 = opening.dst.ip.includes(':');
  const syn = newPacket({
    direction: opening.arrivesBy === null ? 'out' : 'in',
    iif: opening.arrivesBy,
    protocol: opening.protocol,
    src: { ip: opening.source ?? (family6 ? '::' : '0.0.0.0'), port: opening.protocol === 'icmp' ? 0 : CLIENT_PORT },
    dst: opening.dst,
    mark: opening.mark,
    uid: opening.uid,
    gid: opening.gid,
    tcpFlags: opening.protocol === 'tcp' ? ['SYN'] : [],
    sourceBound: opening.source !== null,
  });
  const first = carry(carriageOf(engines, 'request', stop, []), opening.from, syn, new Map());
  return first.flatMap((arrival) => answered(engines, opening, stop, arrival));
}

function carriageOf(engines: Engines, phase: Carriage['phase'], stop: number, ends: readonly Place[]): Carriage {
  return {
    engines,
    phase,
    stop,
    outer: false,
    owners: {
      socketAt: (place) =>
        ends.some((end) => end.id === place.id) ? { name: 'of this connection', transparent: true } : null,
    },
  };
}

function connectionOf(opening: Opening, arrival: Arrival, result: ConnectResult, reason: string): Connection {
  const moved = arrival.place.id !== opening.from.id;
  const fallback = moved && arrival.outcome !== null ? arrival.outcome.originalDst : opening.dst;
  return {
    probability: arrival.probability,
    result,
    reason,
    place: arrival.place,
    socket: arrival.outcome?.socket ?? null,
    originalDst: arrival.ending === 'delivered' ? (arrival.outcome?.originalDst ?? fallback) : fallback,
    client: arrival.outcome?.src ?? { ip: opening.source ?? '', port: CLIENT_PORT },
    hops: arrival.hops,
    conditions: arrival.conditions,
    unknowns: arrival.unknowns,
  };
}

function answered(engines: Engines, opening: Opening, stop: number, syn: Arrival): readonly Connection[] {
  const to = addressText(opening.dst);
  switch (syn.ending) {
    case 'delivered':
      break;
    case 'outside':
      return [connectionOf(opening, syn, 'outside', syn.summary)];
    case 'dropped':
      return [connectionOf(opening, syn, 'hangs', `the SYN to ${to} is dropped ${whereOf(syn)}`)];
    case 'loop':
      return [connectionOf(opening, syn, 'hangs', syn.summary)];
    case 'refused':
      return refused(engines, opening, stop, syn, to);
    case 'rejected':
      return [
        connectionOf(
          opening,
          syn,
          isRoute(syn) ? 'unreachable' : 'refused',
          `connection to ${to} is rejected ${whereOf(syn)}`,
        ),
      ];
    case 'nobody':
      return [connectionOf(opening, syn, 'unreachable', `no route to host: ${syn.summary}`)];
    case 'unknown':
      return [connectionOf(opening, syn, 'unknown', syn.unknowns.at(-1)?.fact ?? syn.summary)];
  }
  if (opening.protocol !== 'tcp' || syn.outcome === null) return [connectionOf(opening, syn, 'connected', syn.summary)];

  const outcome = syn.outcome;
  const ends = [opening.from, syn.place];
  const server = { from: syn.place, src: outcome.dst, dst: outcome.src };
  const answers = send(
    carriageOf(engines, 'reply', stop, opening.arrivesBy === null ? ends : [syn.place]),
    server,
    ['SYN', 'ACK'],
    syn.flow,
  );
  return answers.flatMap((answer): readonly Connection[] => {
    const base = connectionOf(opening, merge(syn, answer), 'connected', '');
    const connection: Connection = {
      ...base,
      place: syn.place,
      socket: outcome.socket,
      originalDst: outcome.originalDst,
      client: outcome.src,
    };
    const lost = lostAnswer(opening, answer, to);
    if (lost !== null) return [{ ...connection, ...lost }];
    return [listening(continued(engines, opening, stop, syn, answer, connection), outcome.dst)];
  });
}

/**
 * A packet that is delivered to no known socket: the list of sockets is missing, so whether anybody listens, and who, is
 * not known. The port is.
 */
function listening(connection: Connection, dst: Address): Connection {
  if (connection.socket !== null || connection.result !== 'connected') return connection;
  const fact = `who listens on ${addressText(dst)} in ${connection.place.id} (${connection.place.folder}/sockets.txt)`;
  const unknowns = connection.unknowns.some((one) => one.fact.includes('sockets.txt'))
    ? connection.unknowns
    : [...connection.unknowns, { fact, reason: 'the list of sockets could not be read' }];
  return {
    ...connection,
    result: 'unknown',
    reason: fact,
    socket: {
      name: addressText({ ip: dst.ip.includes(':') ? '::' : '0.0.0.0', port: dst.port }),
      process: null,
      evidence: null,
    },
    unknowns,
  };
}

/** Nobody listens: the kernel there answers with a RST, which has to find its way back as any answer. */
function refused(engines: Engines, opening: Opening, stop: number, syn: Arrival, to: string): readonly Connection[] {
  const reason = `connection to ${to} is refused: ${syn.summary}`;
  if (syn.outcome === null || opening.protocol !== 'tcp' || syn.place.id === opening.from.id) {
    return [connectionOf(opening, syn, 'refused', reason)];
  }
  const server = { from: syn.place, src: syn.outcome.dst, dst: syn.outcome.src };
  const resets = send(carriageOf(engines, 'reply', stop, [opening.from]), server, ['RST', 'ACK'], syn.flow);
  return resets.map((reset): Connection => {
    const connection = { ...connectionOf(opening, syn, 'refused', reason), hops: [...syn.hops, ...reset.hops] };
    const shared = { ...connection, probability: multiply(syn.probability, reset.probability) };
    const lost = lostAnswer(opening, reset, to);
    if (lost === null) return shared;
    const why =
      lost.result === 'hangs'
        ? `${syn.summary}, and the RST is lost on its way back ${whereOf(reset)}: the client hangs`
        : lost.reason;
    return { ...shared, result: lost.result, reason: why, unknowns: [...shared.unknowns, ...reset.unknowns] };
  });
}

/** Why an answer does not reach the client; null where it does. */
function lostAnswer(
  opening: Opening,
  answer: Arrival,
  to: string,
): { readonly result: ConnectResult; readonly reason: string } | null {
  if (opening.arrivesBy !== null && answer.ending === 'outside') return null;
  switch (answer.ending) {
    case 'delivered':
      if (answer.place.id === opening.from.id) {
        const source = answer.outcome?.src;
        const called = opening.dst;
        if (source === undefined || (source.ip === called.ip && source.port === called.port)) return null;
        return {
          result: 'hangs',
          reason: `the answer comes from ${addressText(source)}, not from ${to} which was called: the client does not take it`,
        };
      }
      return {
        result: 'hangs',
        reason: `the SYN arrives, but the answer to it ends at ${answer.outcome?.socket?.name ?? 'a socket'} in ${answer.place.id}, not at the client: the client hangs`,
      };
    case 'unknown':
      return {
        result: 'unknown',
        reason: `whether the answer comes back: ${answer.unknowns.at(-1)?.fact ?? answer.summary}`,
      };
    case 'dropped':
    case 'refused':
    case 'rejected':
    case 'loop':
    case 'nobody':
    case 'outside':
      return {
        result: 'hangs',
        reason: `the SYN arrives, but the answer to it is lost ${whereOf(answer)}: the client hangs`,
      };
  }
}

/** The packets after the handshake: one each way. */
function continued(
  engines: Engines,
  opening: Opening,
  stop: number,
  syn: Arrival,
  answer: Arrival,
  connection: Connection,
): Connection {
  const outcome = syn.outcome;
  if (outcome === null || opening.arrivesBy !== null) return connection;
  const carriage = carriageOf(engines, 'later', stop, [opening.from, syn.place]);
  const seen = answer.outcome?.dst ?? { ip: opening.source ?? '', port: CLIENT_PORT };
  const client = {
    from: opening.from,
    src: seen,
    dst: opening.dst,
    mark: opening.mark,
    uid: opening.uid,
    gid: opening.gid,
  };
  const later = send(carriage, client, ['ACK'], answer.flow)[0];
  if (later === undefined) return connection;
  const hops = [...connection.hops, ...later.hops];
  if (later.ending === 'unknown') {
    return {
      ...connection,
      hops,
      result: 'unknown',
      reason: `whether packets after the first arrive: ${later.unknowns.at(-1)?.fact ?? later.summary}`,
      unknowns: [...connection.unknowns, ...later.unknowns],
    };
  }
  if (later.ending !== 'delivered' || later.place.id !== syn.place.id) {
    return {
      ...connection,
      hops,
      result: 'hangs',
      reason: `the first packet arrives, the packets after it do not (they end ${whereOf(later)}): the connection hangs`,
    };
  }
  const data = send(carriage, { from: syn.place, src: outcome.dst, dst: outcome.src }, ['PSH', 'ACK'], later.flow)[0];
  if (data === undefined) return connection;
  const lost = lostAnswer(opening, data, addressText(opening.dst));
  return { ...connection, hops: [...hops, ...data.hops], ...(lost ?? {}) };
}

interface Sender {
  readonly from: Place;
  readonly src: Address;
  readonly dst: Address;
  readonly mark?: number;
  readonly uid?: number | null;
  readonly gid?: number | null;
}

/** A packet of an established connection. */
function send(carriage: Carriage, sender: Sender, flags: readonly TcpFlag[], flow: Flow): readonly Arrival[] {
  const packet = newPacket({
    direction: 'out',
    iif: null,
    protocol: 'tcp',
    src: sender.src,
    dst: sender.dst,
    mark: sender.mark ?? 0,
    uid: sender.uid ?? null,
    gid: sender.gid ?? null,
    tcpFlags: flags,
    sourceBound: true,
  });
  return carry(carriage, sender.from, packet, flow);
}

function merge(syn: Arrival, answer: Arrival): Arrival {
  return {
    ...answer,
    probability: multiply(syn.probability, answer.probability),
    hops: [...syn.hops, ...answer.hops],
    conditions: [...syn.conditions, ...answer.conditions],
    unknowns: [...syn.unknowns, ...answer.unknowns],
  };
}

/** "in node/node-b by -A FORWARD … -j DROP (nodes/node-b/netns/iptables-save.txt:27)". */
function whereOf({ place, outcome, summary }: Arrival): string {
  const by = outcome?.decidedBy ?? null;
  if (by === null || (outcome?.verdict !== 'dropped' && outcome?.verdict !== 'rejected'))
    return `in ${place.id} (${summary})`;
  const at = by.line === undefined ? `${by.file}${by.pointer ?? ''}` : `${by.file}:${by.line}`;
  return `in ${place.id} by ${by.text} (${at})`;
}

function isRoute(arrival: Arrival): boolean {
  return arrival.outcome?.steps.at(-1)?.kind === 'route';
}

/** The hop in which a process sends its first packet. */
export function sendHop(opening: Opening, stop: number, summary: string, basis: Hop['basis']): Hop {
  return {
    node: opening.from.node,
    netns: opening.from.id,
    kind: 'send',
    summary,
    packet: packetOf(
      {
        src: { ip: opening.source ?? '', port: 0 },
        dst: opening.dst,
        protocol: opening.protocol,
        mark: opening.mark,
      },
      null,
    ),
    phase: 'request',
    stop,
    basis,
    evidence: [],
  };
}
