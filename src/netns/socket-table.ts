import type { Evidence } from '../formats/evidence.js';
import type { Socket } from '../formats/sockets.js';
import type { Addr, Family } from './address.js';
import { need, type NetnsFacts } from './facts.js';
import { TCP, UDP } from './flow.js';

/** A socket that a packet can be given to. */
export interface LocalSocket {
  readonly name: string;
  readonly process: string | null;
  readonly evidence: Evidence | null;
  /** Bound to the wildcard address: `-m socket` overlooks it without --nowildcard. */
  readonly wildcard: boolean;
  /** IP_TRANSPARENT; null: ss does not show it. */
  readonly transparent: boolean | null;
}

/** Which socket takes a packet (inet_lookup_listener and udp4_lib_lookup: the bound address before the wildcard). */
export class SocketTable {
  private readonly facts: NetnsFacts;
  private byPort: Map<number, Socket[]> | null = null;

  constructor(facts: NetnsFacts) {
    this.facts = facts;
  }

  private index(): Map<number, Socket[]> {
    if (this.byPort !== null) return this.byPort;
    const map = new Map<number, Socket[]>();
    for (const socket of need(this.facts.sockets()).sockets) {
      const key = (socket.protocol === 'tcp' ? 0 : 65536) + socket.port;
      const list = map.get(key);
      if (list === undefined) map.set(key, [socket]);
      else list.push(socket);
    }
    this.byPort = map;
    return map;
  }

  /** Ends the flow where sockets.txt is missing. `device`: where the packet arrived. */
  lookup(family: Family, protocol: number, addr: Addr, port: number, device: string | null): LocalSocket | null {
    if (protocol !== TCP && protocol !== UDP) return null;
    const list = this.index().get((protocol === TCP ? 0 : 65536) + port);
    if (list === undefined) return null;
    let best: Socket | null = null;
    let bestScore = -1;
    for (const socket of list) {
      const score = scoreOf(socket, family, addr, device);
      if (score > bestScore) {
        best = socket;
        bestScore = score;
      }
    }
    return best === null ? null : toLocal(best);
  }
}

function toLocal(socket: Socket): LocalSocket {
  const { name, process, evidence } = socket;
  return { name, process, evidence, wildcard: socket.ip === null, transparent: null };
}

/** -1: does not take it. The address counts more than the device, the device more than the family (compute_score). */
function scoreOf(socket: Socket, family: Family, addr: Addr, device: string | null): number {
  if (!socket.families.includes(family)) return -1;
  if (socket.device !== null && socket.device !== device) return -1;
  if (socket.ip !== null && (socket.ip.family !== family || socket.ip.value !== addr)) return -1;
  const exact = socket.ip === null ? 0 : 4;
  const bound = socket.device === null ? 0 : 2;
  return exact + bound + (socket.families.length === 1 ? 1 : 0);
}
