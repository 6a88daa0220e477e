import { newPacket, type Packet } from '../../src/netns/face.js';

/** The first packet of a TCP connection from another pod, with nothing special to it but `over`. */
export function firstPacket(over: Partial<Packet>): Packet {
  return newPacket({
    direction: 'in',
    iif: 'eth0',
    protocol: 'tcp',
    src: { ip: '10.0.0.9', port: 40000 },
    dst: { ip: '10.0.0.5', port: 80 },
    tcpFlags: ['SYN'],
    sourceBound: true,
    ...over,
  });
}
