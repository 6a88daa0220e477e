import type { ConnectionTable } from './connections.js';
import type { Addr } from './address.js';
import { FactMissing } from './choices.js';
import { sameTuple, type Connection, type KnownConnection } from './connection.js';
import { portsLike } from './drawn-port.js';
import { isTranslatedByPort, type Flow } from './flow.js';
import { placeOf } from './runtime.js';

/**
 * What connections that were there before forbid a new one: no two may have the same reply (get_unique_tuple of linux
 * net/netfilter/nf_nat_core.c, v6.12). The list is of another moment than the packet: both ways.
 */
function isStillThere(flow: Flow, { listed }: KnownConnection): boolean {
  if (listed === null) return false;
  const place = placeOf(listed.evidence);
  return flow.choices.either(`there ${place}`, `the connection at ${place} is there when the packet comes`, {
    fact: `whether the connection at ${place} is there when the packet comes`,
    reason: 'the list is of another moment',
  });
}

/**
 * nf_nat_used_tuple: where the reply of the connection is that of another one, the kernel picks another source port by
 * chance. Asked when its source is settled, whether a rule did that or none (nf_nat_alloc_null_binding).
 */
export function keepUnique(flow: Flow, ct: Connection, others: ConnectionTable): void {
  if (flow.ctState !== 'NEW' || ct.drawnPort !== null || ct.template || !isTranslatedByPort(flow)) return;
  const { original, reply } = ct;
  const taken = others.withTuple(flow.protocol, reply).find(({ entry }) => {
    if (sameTuple(entry.original, original)) return false;
    return sameTuple(entry.original, reply) ? entry.zone === ct.zone : entry.zoneReply === ct.zoneReply;
  });
  if (taken === undefined || !isStillThere(flow, taken)) return;
  if (reply.dport !== original.sport) {
    throw new FactMissing({
      fact: `what becomes of the packet whose source port ${reply.dport} another connection has`,
      reason: 'the rule leaves no other one, and conntrack may drop it',
    });
  }
  ct.srcNat = true;
  ct.drawnPort = portsLike(original.sport);
  const words = 'another connection has this source port: the kernel picks one by chance';
  flow.note('netfilter', words, taken.listed?.evidence ?? null);
}

/**
 * find_appropriate_src: what is sent from the same address and port to somewhere else keeps the translation that it has
 * there, where the range allows that. Null: there is none, or it is what the range makes of it anyway.
 */
export function mappedSource(
  flow: Flow,
  ct: Connection,
  others: ConnectionTable,
  from: Addr,
  to: Addr,
): { readonly addr: Addr; readonly port: number } | null {
  if (flow.ctState !== 'NEW' || !isTranslatedByPort(flow)) return null;
  const { src, sport } = ct.original;
  for (const known of others.fromSource(flow.protocol, src, sport)) {
    const { dst: addr, dport: port } = known.entry.reply;
    if (known.entry.zone !== ct.zone || addr < from || addr > to || sameTuple(known.entry.original, ct.original))
      continue;
    if (from === to && port === sport) continue;
    if (isStillThere(flow, known)) return { addr, port };
  }
  return null;
}
