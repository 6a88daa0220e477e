import { isMulticast, textOf } from './address.js';
import { isIcmp, SCTP, TCP, type Flow, type Words } from './flow.js';
import { placeOf, type Runtime } from './runtime.js';
import { localSocket, type LocalSocket } from './socket-table.js';

/** Who takes a packet in that came through INPUT. */
export function giveToSocket(flow: Flow, runtime: Runtime): Flow {
  if (flow.tproxy !== null) return delivered(flow, flow.tproxy);
  const { connectedSocket } = flow.packet;
  if (connectedSocket !== null) {
    const { name, transparent } = connectedSocket;
    return delivered(
      flow,
      localSocket({ name, transparent, process: null, evidence: null, wildcard: false, dual: false }),
    );
  }
  if (isIcmp(flow)) return flow.end('delivered');
  // a reply belongs to the socket that asked: it is not among the listeners
  if (flow.protocol === TCP && flow.ctReply) return flow.end('delivered');
  const sockets = runtime.facts.sockets();
  if (sockets.kind === 'unknown') {
    flow.unknown = sockets.unknown;
    return flow.end('delivered');
  }
  if (flow.protocol === SCTP) {
    return flow.endUnknown({ fact: 'SCTP sockets', reason: 'ss -lt and ss -lu do not show them' });
  }
  const socket = runtime.sockets.lookup(flow.family, flow.protocol, flow.dst, flow.dport, flow.iif);
  if (socket !== null && (!socket.dual || hearsGroup(flow, socket))) return delivered(flow, socket);
  if (flow.listed !== null && flow.protocol === TCP && flow.ctState === 'ESTABLISHED') {
    const fact = `the socket of the connection at ${placeOf(flow.listed.evidence)}`;
    return flow.endUnknown({ fact, reason: 'sockets.txt holds listeners only' });
  }
  flow.note('deliver', nobodyWords, null);
  return flow.end('refused');
}

/**
 * ip_mc_sf_allow (linux net/ipv4/igmp.c, v6.12): of IPv4's groups a socket of IPv6 hears those alone that it joined
 * (IP_MULTICAST_ALL is set where inet_create makes a socket, not in inet6_create).
 */
function hearsGroup({ family, dst, choices }: Flow, { name }: LocalSocket): boolean {
  if (family === 6 || !isMulticast(dst)) return true;
  return choices.either(`joined ${name}`, `socket ${name} joined the group`, {
    fact: `the groups of socket ${name}`,
    reason: 'ss does not print them',
  });
}

function delivered(flow: Flow, socket: LocalSocket): Flow {
  flow.note('deliver', socket.words, socket.evidence);
  flow.socket = socket;
  return flow.end('delivered');
}

const nobodyWords: Words = ({ dst, dport }) => `nobody listens on ${textOf(dst)}:${dport}`;
