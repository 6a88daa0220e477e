import { parseIpv4 } from '../formats/ip.js';
import { familyOf, parseColons, type Family } from './address.js';
import type { Choices } from './choices.js';
import type { NetnsStep, Packet } from './face.js';
import { Flow, ICMP, ICMPV6, SCTP, TCP, UDP } from './flow.js';

/** Makes flows of packets. */
export class FlowReader {
  private readonly sources = new QuadReader();
  private readonly destinations = new QuadReader();

  /** The packet at its beginning; at its end already where its addresses cannot be read. */
  read(packet: Packet, choices: Choices, steps: NetnsStep[] | null): Flow {
    const src4 = this.sources.read(packet.src.ip);
    const dst4 = this.destinations.read(packet.dst.ip);
    const src = src4 ?? parseColons(packet.src.ip);
    const dst = dst4 ?? parseColons(packet.dst.ip);
    const family = dst === null ? 4 : familyOf(dst);
    const protocol = protocolOf(packet, family);
    const zero = family === 4 ? 0 : 0n;
    const flow = new Flow(family, protocol, packet, src ?? zero, dst ?? zero, src4, dst4, choices, steps);
    if (src !== null && dst !== null && familyOf(src) === family) return flow;
    const fact = `addresses of the packet (${packet.src.ip} to ${packet.dst.ip})`;
    return flow.endUnknown({ fact, reason: 'not two addresses of one family' });
  }
}

/** Reads dotted quads: one end of most packets is an address of the namespace, the same as of the packet before. */
class QuadReader {
  private text = '';
  private value: number | null = null;

  read(text: string): number | null {
    if (text !== this.text) {
      this.text = text;
      this.value = parseIpv4(text);
    }
    return this.value;
  }
}

function protocolOf({ protocol }: Packet, family: Family): number {
  switch (protocol) {
    case 'tcp':
      return TCP;
    case 'udp':
      return UDP;
    case 'sctp':
      return SCTP;
    case 'icmp':
      return family === 4 ? ICMP : ICMPV6;
  }
}
