import type { Evidence } from '../../formats/evidence.js';
import { FactMissing } from '../choices.js';
import { TCP, UDP, type Flow } from '../flow.js';
import { placeOf, type Runtime } from '../runtime.js';
import { quotedTuple } from '../icmp-error.js';
import { endsOf, findsConnected, type Ends } from '../tproxy.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

/** socket_match of linux net/netfilter/xt_socket.c (v6.12). */
export const socket: MatchCompiler = (match, _family, runtime, evidence) => {
  const options = new Options(match);
  const transparent = options.flag('--transparent');
  const nowildcard = options.flag('--nowildcard');
  const restore = options.flag('--restore-skmark');
  if (!options.done) return null;
  return (flow) => {
    if (!socketMatches(flow, runtime, { transparent, nowildcard }, evidence)) return false;
    if (restore) restoreMark(flow, evidence);
    return true;
  };
};

/** --restore-skmark: the packet gets the SO_MARK of the socket, which `ss -l` does not print. */
function restoreMark(flow: Flow, evidence: Evidence): void {
  assumeUnmarked(flow, evidence);
  if (flow.mark === 0) return;
  flow.mark = 0;
  flow.note('netfilter', 'mark becomes 0x0, as that of the socket', evidence);
}

/** Most sockets have no SO_MARK; the other way ends as unknown. */
export function assumeUnmarked(flow: Flow, evidence: Evidence): void {
  const unknown = { fact: `SO_MARK of the socket found at ${placeOf(evidence)}`, reason: 'ss does not print it' };
  if (!flow.choices.either(`skmark ${placeOf(evidence)}`, 'the socket has no mark', unknown)) {
    throw new FactMissing(unknown);
  }
}

interface SocketQuestion {
  readonly transparent: boolean;
  readonly nowildcard: boolean;
}

export function socketMatches(flow: Flow, runtime: Runtime, ask: SocketQuestion, evidence: Evidence): boolean {
  const { connectedSocket } = flow.packet;
  const wanted = wantedEnds(flow);
  // a reply to what was sent under a translated source: the socket is bound to the original one; IPv6 does not look there
  const back = flow.family === 4 && isReply(flow) && flow.ct?.srcNat === true ? flow.ct.original : null;
  const local = back === null ? wanted.local : { addr: back.src, port: back.sport };
  if (flow.tproxy === null && connectedSocket !== null && findsConnected(flow, { local, peer: wanted.peer })) {
    return !ask.transparent || connectedSocket.transparent;
  }
  if (flow.tproxy === null && connectedSocket === null && isUnderWay(flow)) {
    const owned = flow.choices.either('connected socket', 'a connected socket of this machine owns the packet', {
      fact: `the connected sockets (${placeOf(evidence)})`,
      reason: 'sockets.txt holds listeners only',
    });
    if (owned) return !ask.transparent || isTransparent(flow, 'the connected one', evidence);
  }
  let found = flow.tproxy;
  if (found === null) {
    if (wanted.protocol !== TCP && wanted.protocol !== UDP) return false;
    found = runtime.sockets.lookup(flow.family, wanted.protocol, local.addr, local.port, flow.iif);
  }
  if (found === null) return false;
  if (found.wildcard && !ask.nowildcard) return false;
  if (ask.transparent && flow.tproxy === null) {
    const known = found.transparent;
    if (known !== null) return known;
    return isTransparent(flow, found.name, evidence);
  }
  return true;
}

/** Whose socket is looked for: an ICMP error is for who sent what it quotes (extract_icmp4_fields). */
function wantedEnds(flow: Flow): Ends & { readonly protocol: number } {
  const { packet, protocol } = flow;
  const quotes = packet.icmp?.quotes ?? null;
  if (quotes === null) return { protocol, ...endsOf(flow) };
  const [quoted, { src, sport, dst, dport }] = quotedTuple(quotes);
  return { protocol: quoted, local: { addr: dst, port: dport }, peer: { addr: src, port: sport } };
}

function isReply({ ctReply, ctState, packet }: Flow): boolean {
  return ctReply && ctState === (packet.icmp?.quotes == null ? 'ESTABLISHED' : 'RELATED');
}

/** A question that calls the connection established does not say whose it is. */
function isUnderWay({ packet, local, protocol }: Flow): boolean {
  return packet.assumed?.ctstate === 'ESTABLISHED' && !local && (protocol === TCP || protocol === UDP);
}

function isTransparent({ choices }: Flow, name: string, evidence: Evidence): boolean {
  return choices.either(`transparent ${name}`, `socket ${name} is transparent`, {
    fact: `IP_TRANSPARENT of socket ${name} (${placeOf(evidence)})`,
    reason: 'ss does not print it',
  });
}
