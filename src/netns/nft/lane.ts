import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { laneOf, SCTP, TCP, UDP, type Lane } from '../flow.js';
import { protocolNumber } from '../protocols.js';

/**
 * The only lane whose packets can pass these matches, as far as it can be seen without asking anything that forks; null: any
 * may. `tcp dport` demands TCP by itself (nft adds the match on l4proto and hides it).
 */
export function laneOfMatch(matches: readonly unknown[]): Lane | null {
  for (const json of matches) {
    const match = isObject(json) && isObject(json['match']) ? json['match'] : null;
    if (match === null || !isPlain(match['left'])) return null;
    const lane = demanded(match);
    if (lane !== null) return lane;
  }
  return null;
}

/** Whether the match says no more than that the packet is of this lane (`meta l4proto tcp`). */
export function onlyDemands(json: unknown, lane: Lane | null): boolean {
  const match = isObject(json) && isObject(json['match']) ? json['match'] : null;
  if (match === null || lane === null || lane === 2 || !isObject(match['left'])) return false;
  return isObject(match['left']['meta']) && demanded(match) === lane;
}

function demanded({ op, left, right }: JsonObject): Lane | null {
  if (!isObject(left)) return null;
  const { payload, meta } = left;
  if (isObject(payload)) {
    const protocol = PORTS[stringOf(payload['protocol']) ?? ''];
    if (protocol !== undefined) return laneOf(protocol);
  }
  const onProtocol =
    (isObject(meta) && meta['key'] === 'l4proto') || (isObject(payload) && payload['field'] === 'protocol');
  if (!onProtocol || op !== '==') return null;
  const number = typeof right === 'number' ? right : typeof right === 'string' ? protocolNumber(right) : null;
  return number === null ? null : laneOf(number);
}

const PORTS: Readonly<Record<string, number | undefined>> = { tcp: TCP, udp: UDP, sctp: SCTP };

/** What the packet itself decides: addresses, ports, devices, marks. */
function isPlain(left: unknown): boolean {
  if (!isObject(left)) return false;
  if (isObject(left['payload'])) return true;
  if (isObject(left['meta'])) return PLAIN_META.has(stringOf(left['meta']['key']) ?? '');
  if (isObject(left['ct'])) return left['ct']['key'] === 'mark' || left['ct']['key'] === 'state';
  const masked = left['&'];
  return Array.isArray(masked) && masked.every((side) => typeof side === 'number' || isPlain(side));
}

const PLAIN_META: ReadonlySet<string> = new Set([
  'mark',
  'l4proto',
  'nfproto',
  'protocol',
  'iif',
  'iifname',
  'oif',
  'oifname',
]);
