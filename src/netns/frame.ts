import { isMulticast } from './address.js';
import type { Flow } from './flow.js';
import type { Runtime } from './runtime.js';

/** PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST of linux include/uapi/linux/if_packet.h. */
export const FRAME = { host: 0, broadcast: 1, multicast: 2 } as const;

/**
 * How the frame around a packet was addressed (skb->pkt_type). Of packets to this or another machine: to this one, as all
 * that reaches the hooks; a packet to a group or to everybody mostly came in a frame to the same, which it does not say.
 */
export function frameType(flow: Flow, runtime: Runtime): number {
  const { family, dst, iif, choices } = flow;
  if (iif === null || iif === 'lo') return FRAME.host;
  const group = isMulticast(dst);
  if (!group && (family === 6 || runtime.addressType(4, dst, null, flow) !== 'broadcast')) return FRAME.host;
  const kind = group ? 'multicast' : 'broadcast';
  const unknown = { fact: `destination of the Ethernet frame on ${iif}`, reason: 'the packet does not say' };
  return choices.either(`frame ${kind}`, `the frame on ${iif} is a ${kind}, as its packet`, unknown)
    ? FRAME[kind]
    : FRAME.host;
}
