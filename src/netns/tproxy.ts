import type { Evidence } from '../formats/evidence.js';
import { textOf, type Addr } from './address.js';
import { TCP, UDP, type Flow } from './flow.js';
import type { Runtime } from './runtime.js';
import { localSocket } from './socket-table.js';

/**
 * tproxy_tg4, tproxy_tg6 (linux net/netfilter/xt_TPROXY.c, v6.12): an own connection first, then a listener on the given
 * address and port. False: there is none, and the packet is dropped. ss does not print IP_TRANSPARENT: a listener where a
 * TPROXY rule points is taken to have it.
 */
export function tproxyDeliver(flow: Flow, runtime: Runtime, onIp: Addr, onPort: number, evidence: Evidence): boolean {
  if (flow.protocol !== TCP && flow.protocol !== UDP) return false;
  const { connectedSocket } = flow.packet;
  if (connectedSocket !== null && findsConnected(flow) && isConnected(flow)) {
    if (!connectedSocket.transparent) return false;
    const { name } = connectedSocket;
    flow.tproxy = localSocket({ name, process: null, evidence: null, wildcard: false, dual: false, transparent: true });
    flow.directedBy = evidence;
    flow.note('netfilter', `to its own socket ${name}`, evidence);
    return true;
  }
  const any = onIp === 0 || onIp === 0n;
  const addr = any ? primaryAddress(flow, runtime) : onIp;
  const port = onPort === 0 ? flow.dport : onPort;
  const found = runtime.sockets.lookup(flow.family, flow.protocol, addr, port, flow.iif);
  if (found === null) {
    flow.note('netfilter', () => `TPROXY: nobody listens on ${textOf(addr)}:${port}, dropped`, evidence);
    return false;
  }
  flow.tproxy = { ...found, transparent: true };
  flow.directedBy = evidence;
  flow.note('netfilter', () => `TPROXY to ${found.name}`, evidence);
  return true;
}

/** nf_tproxy_get_sock_v4: a UDP socket that only sends, without connect(), owns no flow. */
function isConnected({ protocol, choices }: Flow): boolean {
  if (protocol === TCP) return true;
  return choices.either('connects', 'the UDP socket is connected', {
    fact: 'whether the UDP socket is connected',
    reason: 'only what a connected socket waits for passes TPROXY by',
  });
}

/**
 * Whether a look-up of established sockets by the packet's addresses finds the connection's own (TPROXY and -m socket run
 * before nat): the packet must come from whom the socket speaks with, and name the socket's own address. `asked`: where a
 * look-up asks for others than the packet's (nf_sk_lookup_slow_v4: a source that was translated, what an ICMP error quotes).
 */
export function findsConnected(flow: Flow, asked: Ends = endsOf(flow)): boolean {
  const { ct, known, src, sport } = flow;
  const [first] = known;
  const entry = ct === null || ct.template ? (first?.entry ?? null) : ct;
  if (entry === null) return true;
  const reply = entry === ct ? flow.ctReply : entry.reply.src === src && entry.reply.sport === sport;
  const own = reply
    ? { addr: entry.original.src, port: entry.original.sport }
    : { addr: entry.reply.src, port: entry.reply.sport };
  const peer = reply
    ? { addr: entry.original.dst, port: entry.original.dport }
    : { addr: entry.reply.dst, port: entry.reply.dport };
  return isEnd(own, asked.local) && isEnd(peer, asked.peer);
}

interface Endpoint {
  readonly addr: Addr;
  readonly port: number;
}

/** The addresses and ports of a socket: its own, and whom it speaks with. */
export interface Ends {
  readonly local: Endpoint;
  readonly peer: Endpoint;
}

export function endsOf({ src, sport, dst, dport }: Flow): Ends {
  return { local: { addr: dst, port: dport }, peer: { addr: src, port: sport } };
}

function isEnd(a: Endpoint, b: Endpoint): boolean {
  return a.addr === b.addr && a.port === b.port;
}

/** nf_tproxy_laddr4: without --on-ip the first address of the incoming device, else the destination itself. */
function primaryAddress(flow: Flow, runtime: Runtime): Addr {
  const device = flow.iif === null ? null : runtime.devices.get(flow.iif);
  const first = device?.addresses.find(
    (address) => address.ip.family === flow.family && !address.secondary && !address.tentative,
  );
  if (flow.family === 6) {
    const usable = device?.addresses.find(
      ({ ip, tentative, deprecated }) => ip.family === 6 && !tentative && !deprecated,
    );
    return usable?.ip.value ?? flow.dst;
  }
  return first?.ip.value ?? flow.dst;
}
