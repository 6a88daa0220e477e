import type { Evidence } from '../formats/evidence.js';
import type { Socket } from '../formats/sockets.js';
import type { Addr, Family } from './address.js';
import type { NetnsOutcome } from './face.js';
import { need, type NetnsFacts } from './facts.js';
import { TCP, UDP } from './flow.js';

/** A socket that a packet can be given to. */
export interface LocalSocket {
  readonly name: string;
  readonly process: string | null;
  readonly evidence: Evidence | null;
  /** Bound to the wildcard address: `-m socket` overlooks it without --nowildcard. */
  readonly wildcard: boolean;
  /** A socket of IPv6 that takes IPv4, too. */
  readonly dual: boolean;
  /** IP_TRANSPARENT; null: ss does not show it. */
  readonly transparent: boolean | null;
  /** "to socket 0.0.0.0:15006 of ztunnel (pid 1)". */
  readonly words: string;
  /** As an outcome names it. */
  readonly shown: NonNullable<NetnsOutcome['socket']>;
}

export function localSocket({
  name,
  process,
  evidence,
  wildcard,
  dual,
  transparent,
}: Omit<LocalSocket, 'words' | 'shown'>): LocalSocket {
  const who = process === null ? '' : ` of ${process}`;
  // written out, not spread: all sockets have one shape
  const words = `to socket ${name}${who}`;
  return { name, process, evidence, wildcard, dual, transparent, words, shown: { name, process, evidence } };
}

/** What look-ups ask of a socket again and again. */
interface Candidate {
  readonly local: LocalSocket;
  readonly takes4: boolean;
  readonly takes6: boolean;
  /** Null: any. */
  readonly addr: Addr | null;
  readonly device: string | null;
}

/** Which socket takes a packet (inet_lookup_listener and udp4_lib_lookup: the bound address before the wildcard). */
export class SocketTable {
  private readonly facts: NetnsFacts;
  private byPort: Map<number, Candidate[]> | null = null;

  constructor(facts: NetnsFacts) {
    this.facts = facts;
  }

  private index(): Map<number, Candidate[]> {
    if (this.byPort !== null) return this.byPort;
    const map = new Map<number, Candidate[]>();
    for (const socket of need(this.facts.sockets()).sockets) {
      const key = (socket.protocol === 'tcp' ? 0 : 65536) + socket.port;
      const list = map.get(key);
      const candidate = candidateOf(socket);
      if (list === undefined) map.set(key, [candidate]);
      else list.push(candidate);
    }
    this.byPort = map;
    return map;
  }

  /** Ends the flow where sockets.txt is missing. `device`: where the packet arrived. */
  lookup(family: Family, protocol: number, addr: Addr, port: number, device: string | null): LocalSocket | null {
    if (protocol !== TCP && protocol !== UDP) return null;
    const list = this.index().get((protocol === TCP ? 0 : 65536) + port);
    if (list === undefined) return null;
    let best: LocalSocket | null = null;
    let bestScore = -1;
    for (let at = 0; at < list.length; at++) {
      const candidate = list[at];
      if (candidate === undefined) break;
      const score = scoreOf(candidate, family, addr, device);
      if (score > bestScore) {
        best = candidate.local;
        bestScore = score;
      }
    }
    return best;
  }
}

function candidateOf(socket: Socket): Candidate {
  const { name, process, evidence, ip, device, families } = socket;
  const takes4 = families.includes(4);
  const takes6 = families.includes(6);
  const dual = takes4 && takes6;
  return {
    local: localSocket({ name, process, evidence, wildcard: ip === null, dual, transparent: null }),
    takes4,
    takes6,
    addr: ip === null ? null : ip.value,
    device,
  };
}

/** -1: does not take it. The address counts more than the device, the device more than the family (compute_score). */
function scoreOf(
  { takes4, takes6, addr: own, device: bound }: Candidate,
  family: Family,
  addr: Addr,
  device: string | null,
): number {
  if (!(family === 4 ? takes4 : takes6)) return -1;
  if (bound !== null && bound !== device) return -1;
  if (own !== null && own !== addr) return -1;
  return (own === null ? 0 : 4) + (bound === null ? 0 : 2) + (takes4 && takes6 ? 0 : 1);
}
