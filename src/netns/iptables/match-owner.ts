import type { Evidence } from '../../formats/evidence.js';
import type { RuleMatch } from '../../formats/iptables-save.js';
import type { Flow } from '../flow.js';
import { asTest, type Test } from '../head.js';
import { askOwner, isOwnedBy, ownerTest } from '../owner.js';
import { numberRange, Options, type NumberRange } from './values.js';

/** owner_mt of linux net/netfilter/xt_owner.c (v6.12): without a socket, or a process that has it, only what is negated matches. */
export function owner(match: RuleMatch, evidence: Evidence): readonly Test[] | null {
  const options = new Options(match);
  const uid = options.take('--uid-owner');
  const gid = options.take('--gid-owner');
  const socket = options.take('--socket-exists');
  const supplementary = options.flag('--suppl-groups');
  const uids = uid === null ? null : numberRange(uid.values[0], 0xffffffff, '-');
  const gids = gid === null ? null : numberRange(gid.values[0], 0xffffffff, '-');
  if (!options.done || (uid !== null && uids === null) || (gid !== null && gids === null)) return null;
  const tests: Test[] = [];
  if (socket !== null) tests.push(asTest(({ hasSocket }) => hasSocket !== socket.negated));
  if (uid !== null && uids !== null) tests.push(processTest('uid', uids, uid.negated, evidence));
  if (gid !== null && gids !== null) {
    tests.push(
      supplementary ? groupsTest(gids, gid.negated, evidence) : processTest('gid', gids, gid.negated, evidence),
    );
  }
  return tests;
}

function processTest(which: 'uid' | 'gid', range: NumberRange, negated: boolean, evidence: Evidence): Test {
  if (range.from !== range.to) {
    return asTest((flow) => (flow.local ? processHas(flow, which, range, evidence) !== negated : negated));
  }
  return ownerTest(which, range.from, negated, negated, evidence);
}

function groupsTest(range: NumberRange, negated: boolean, evidence: Evidence): Test {
  return asTest((flow) => {
    if (!flow.local) return negated;
    const inside =
      processHas(flow, 'gid', range, evidence) ||
      flow.choices.either(
        `suppl ${range.from}-${range.to}`,
        `the sending process has a supplementary group in ${range.from}-${range.to}`,
        { fact: 'supplementary groups of the sending process', reason: 'not in a snapshot' },
      );
    return inside !== negated;
  });
}

function processHas(flow: Flow, which: 'uid' | 'gid', { from, to }: NumberRange, evidence: Evidence): boolean {
  if (from === to) return isOwnedBy(flow, which, from, evidence);
  const known = flow[which];
  if (known !== null) return known >= from && known <= to;
  return askOwner(flow, which, `${which} ${from}-${to}`, `a ${which} in ${from}-${to}`, evidence);
}
