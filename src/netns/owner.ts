import type { Evidence } from '../formats/evidence.js';
import type { Flow } from './flow.js';
import type { OwnerTest } from './head.js';
import { placeOf } from './runtime.js';

/**
 * Whether the sending process has this user or group. A process that the packet does not name forks; from then on it is the
 * one that was said.
 */
export function isOwnedBy(flow: Flow, which: 'uid' | 'gid', id: number, evidence: Evidence): boolean {
  const known = flow[which];
  if (known !== null) return known === id;
  const answer = askOwner(flow, which, `${which} ${id}-${id}`, `${which} ${id}`, evidence);
  if (answer) flow[which] = id;
  return answer;
}

/** The fork of a test on a user or group that the packet does not say. `key`: the same question has the same answer. */
export function askOwner(flow: Flow, which: 'uid' | 'gid', key: string, words: string, evidence: Evidence): boolean {
  return flow.choices.either(key, `the sending process has ${words}`, {
    fact: `${which} of the sending process (${placeOf(evidence)})`,
    reason: 'the packet does not say',
  });
}

/** `withoutProcess`: the answer for a packet that no local process sends. */
export function ownerTest(
  which: 'uid' | 'gid',
  id: number,
  negated: boolean,
  withoutProcess: boolean,
  evidence: Evidence,
): OwnerTest {
  const unknown = (flow: Flow): boolean => isOwnedBy(flow, which, id, evidence) !== negated;
  return { kind: 'owner', which, id, negated, withoutProcess, unknown };
}
