import type { Evidence } from '../../formats/evidence.js';
import type { Flow } from '../flow.js';
import { placeOf } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { numberRange, Options } from './values.js';

/** owner_mt of linux net/netfilter/xt_owner.c (v6.12): without a socket only what is negated matches. */
export const owner: MatchCompiler = (match, _family, _runtime, evidence) => {
  const options = new Options(match);
  const uid = options.take('--uid-owner');
  const gid = options.take('--gid-owner');
  const socket = options.take('--socket-exists');
  const supplementary = options.flag('--suppl-groups');
  const uids = uid === null ? null : numberRange(uid.values[0], 0xffffffff, '-');
  const gids = gid === null ? null : numberRange(gid.values[0], 0xffffffff, '-');
  if (!options.done || (uid !== null && uids === null) || (gid !== null && gids === null)) return null;
  return (flow) => {
    if (!flow.local) {
      return [uid, gid, socket].every((option) => option === null || option.negated);
    }
    if (socket?.negated === true) return false;
    if (uid !== null && uids !== null && processHas(flow, 'uid', uids, evidence) === uid.negated) return false;
    if (gid !== null && gids !== null) {
      let inside = processHas(flow, 'gid', gids, evidence);
      if (!inside && supplementary) {
        inside = flow.choices.either(
          `suppl ${gids.from}-${gids.to}`,
          `the sending process has a supplementary group in ${gids.from}-${gids.to}`,
          { fact: 'supplementary groups of the sending process', reason: 'not in a snapshot' },
        );
      }
      if (inside === gid.negated) return false;
    }
    return true;
  };
};

function processHas(
  flow: Flow,
  which: 'uid' | 'gid',
  range: { readonly from: number; readonly to: number },
  evidence: Evidence,
): boolean {
  const known = flow[which];
  if (known !== null) return known >= range.from && known <= range.to;
  const words = range.from === range.to ? `${which} ${range.from}` : `a ${which} in ${range.from}-${range.to}`;
  const answer = flow.choices.either(`${which} ${range.from}-${range.to}`, `the sending process has ${words}`, {
    fact: `${which} of the sending process (${placeOf(evidence)})`,
    reason: 'the packet does not say',
  });
  if (answer && range.from === range.to) flow[which] = range.from;
  return answer;
}
