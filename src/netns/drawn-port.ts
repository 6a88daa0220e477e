import { FactMissing, type Choices } from './choices.js';
import { inRange, type Connection, type PortRange } from './connection.js';
import type { Flow } from './flow.js';

/**
 * What rules are told of a source port that nat draws (--random, --random-fully, a range, a clash): packets that come out of lo
 * again, and chains of POSTROUTING behind nat, are asked for it.
 */

/** From which ports nat draws where the rule names none: from those of the same kind (nf_nat_l4proto_unique_tuple, v6.12). */
export function portsLike(port: number): PortRange {
  if (port < 512) return { from: 1, to: 511 };
  return port < 1024 ? { from: 600, to: 1023 } : { from: 1024, to: 65535 };
}

/** Whether the source port is in the range: for a drawn one by the share of the range, where that decides. */
export function sourcePortIn(flow: Flow, range: PortRange): boolean {
  const drawn = drawnOf(flow);
  return drawn === null ? inRange(range, flow.sport) : drawnIn(drawn, range, flow.choices);
}

/** Whether the port to which replies go is in the range, likewise. */
export function replyPortIn({ reply, drawnPort }: Connection, range: PortRange, choices: Choices): boolean {
  return drawnPort === null ? inRange(range, reply.dport) : drawnIn(drawnPort, range, choices);
}

/** The source port as a number. @throws FactMissing where it is drawn */
export function sourcePort(flow: Flow): number {
  if (drawnOf(flow) !== null) throw missing();
  return flow.sport;
}

/** The port to which replies go, likewise. @throws FactMissing where it is drawn */
export function replyPort({ reply, drawnPort }: Connection): number {
  if (drawnPort !== null) throw missing();
  return reply.dport;
}

function drawnOf({ ct, ctReply }: Flow): PortRange | null {
  return ct === null || ctReply ? null : ct.drawnPort;
}

function drawnIn(drawn: PortRange, { from, to }: PortRange, choices: Choices): boolean {
  const inside = Math.min(to, drawn.to) - Math.max(from, drawn.from) + 1;
  const share = inside / (drawn.to - drawn.from + 1);
  if (share <= 0 || share >= 1) return share >= 1;
  const options = [share, 1 - share].map((probability) => ({ probability, condition: null }));
  return choices.decide(`drawn port ${from}-${to}`, options, null) === 0;
}

function missing(): FactMissing {
  return new FactMissing({
    fact: 'the source port behind nat, which a rule asks for',
    reason: 'the kernel draws it by chance',
  });
}
