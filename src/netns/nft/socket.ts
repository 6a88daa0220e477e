import { stringOf, type JsonObject } from '../../formats/netns-json.js';
import { TCP, type Flow } from '../flow.js';
import { assumeUnmarked, socketMatches } from '../iptables/match-socket.js';
import type { Expression, NftContext } from './context.js';

/** `socket <key>`; null where the key is not known. */
export function socket(json: JsonObject, { runtime, evidence }: NftContext): Expression | null {
  const key = stringOf(json['key']);
  const ask = { nowildcard: true };
  if (key === 'transparent') {
    return {
      get: (flow) => {
        if (flow.hook === 'OUTPUT') return isOwnTransparent(flow) ? 1 : 0;
        if (!socketMatches(flow, runtime, { ...ask, transparent: false }, evidence)) return null;
        return socketMatches(flow, runtime, { ...ask, transparent: true }, evidence) ? 1 : 0;
      },
      kinds: ['int'],
    };
  }
  if (key === 'mark') {
    return {
      get: (flow) => {
        if (flow.hook === 'OUTPUT') return flow.packet.mark >>> 0;
        if (!socketMatches(flow, runtime, { ...ask, transparent: false }, evidence)) return null;
        assumeUnmarked(flow, evidence);
        return 0;
      },
      kinds: ['mark'],
    };
  }
  if (key !== 'wildcard') return null;
  return {
    get: (flow) => {
      // what was bound, or connected, has an address
      if (flow.hook === 'OUTPUT') return flow.protocol === TCP || flow.packet.sourceBound ? 0 : 1;
      if (!socketMatches(flow, runtime, { ...ask, transparent: false }, evidence)) return null;
      return socketMatches(flow, runtime, { ...ask, transparent: false, nowildcard: false }, evidence) ? 0 : 1;
    },
    kinds: ['int'],
  };
}

/** nft_socket_eval: in OUTPUT it is the sender's own socket that is asked for. */
function isOwnTransparent({ packet, choices }: Flow): boolean {
  if (packet.connectedSocket !== null) return packet.connectedSocket.transparent;
  return choices.either('own socket', 'the sending socket is transparent', {
    fact: 'whether the sending socket is transparent',
    reason: 'no tool prints it',
  });
}
