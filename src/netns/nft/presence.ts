import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Family } from '../address.js';
import { SCTP, TCP, type Flow } from '../flow.js';
import type { Expression } from './context.js';

/**
 * What a packet may have or not: extension headers, options, chunks. `exists` and `missing` ask for a 1 or 0
 * (NFT_EXTHDR_F_PRESENT), also of a packet that cannot have it; a field of what is not there breaks the rule off (linux
 * net/netfilter/nft_exthdr.c, v6.12). Questions are about packets without extension headers and without options of IPv4.
 * Null: the expression is another one, or only the packet itself would tell.
 */
export function presence(json: JsonObject, family: Family): Expression | null {
  if (isObject(json['exthdr'])) return absent(json['exthdr'], family === 6);
  if (isObject(json['ip option'])) return absent(json['ip option'], family === 4);
  for (const [key, protocol] of [
    ['tcp option', TCP],
    ['sctp chunk', SCTP],
  ] as const) {
    const body = json[key];
    if (!isObject(body) || body['field'] !== undefined) continue;
    const words = `${key} ${stringOf(body['name']) ?? JSON.stringify(body)}`;
    return { get: (flow) => (flow.protocol === protocol && isThere(flow, words) ? 1 : 0), kinds: ['bool'] };
  }
  return null;
}

/** nft tests the family before (meta nfproto), also where it does not print that. */
function absent(body: JsonObject, ofFamily: boolean): Expression {
  const asksPresence = body['field'] === undefined;
  return { get: () => (asksPresence && ofFamily ? 0 : null), kinds: [asksPresence ? 'bool' : 'int'] };
}

function isThere(flow: Flow, words: string): boolean {
  const unknown = { fact: `whether the packet has ${words}`, reason: 'the packet does not say' };
  return flow.choices.either(words, `the packet has ${words}`, unknown);
}
