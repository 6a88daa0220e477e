import { FRAME, frameType } from '../frame.js';
import { placeOf } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

/** pkttype_mt of linux net/netfilter/xt_pkttype.c (v6.12). */
export const pkttype: MatchCompiler = (match, _family, runtime) => {
  const options = new Options(match);
  const option = options.take('--pkt-type');
  if (option === null || !options.done) return null;
  const name = option.values[0]?.toLowerCase();
  const wanted =
    name === 'unicast'
      ? FRAME.host
      : name === 'host' || name === 'broadcast' || name === 'multicast'
        ? FRAME[name]
        : null;
  if (wanted === null) return null;
  return (flow) => (frameType(flow, runtime) === wanted) !== option.negated;
};

/** mac_mt of linux net/netfilter/xt_mac.c (v6.12): what did not come through Ethernet never matches, `!` or not. */
export const mac: MatchCompiler = (match, _family, runtime, evidence) => {
  const options = new Options(match);
  const option = options.take('--mac-source');
  const address = option?.values[0]?.toLowerCase();
  if (option === null || address === undefined || !options.done) return null;
  return ({ iif, choices }) => {
    if (iif === null || (runtime.devices.get(iif)?.linkType ?? 'ether') !== 'ether') return false;
    const unknown = { fact: `source MAC address of the packet on ${iif}`, reason: 'the packet does not say' };
    const condition = `the source of the Ethernet frame is ${address} (${placeOf(evidence)})`;
    const hit = choices.either(`mac src ${address} ${iif}`, condition, unknown);
    return hit !== option.negated;
  };
};
