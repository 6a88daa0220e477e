import { newPacket, type NetnsOutcome, type Packet } from '../../src/netns/face.js';
import type { Files } from './netns-files.js';
import { namespaceOf } from './vectors.js';

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

export type Ask = (files: Files, over?: Partial<Packet>) => readonly NetnsOutcome[];

/** Asks how that packet ends in a namespace of these files, and of others that a test names. */
export function asking(base: Files, usual: Partial<Packet> = {}): Ask {
  return (files, over = {}) => namespaceOf({ ...base, ...files }).send(firstPacket({ ...usual, ...over }));
}

export const verdicts = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict }) => verdict).sort();
