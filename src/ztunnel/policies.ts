import type { Evidence } from '../formats/evidence.js';
import { assertNever } from '../formats/evidence.js';
import type { DumpPolicy } from '../formats/ztunnel-types.js';
import type { Behaviour } from './behaviour.js';
import type { ZtunnelOutcome } from './face.js';
import { certain, outcome, step, undecided, type Branch, type Step } from './outcome.js';
import type { RbacConnection, RbacResult } from './rbac.js';
import type { State } from './state.js';

type Outcomes = readonly Branch<ZtunnelOutcome>[];

/** The answer of the policies: outcomes that end the connection, or null where it goes on; and the step to tell. */
export function checkPolicies(
  state: State,
  local: { readonly namespace: string; readonly policies: readonly string[]; readonly evidence: Evidence },
  connection: RbacConnection,
): { readonly outcomes: Outcomes | null; readonly step: Step } {
  const { missing, verdict } = state.policiesFor(local);
  const result = verdict(connection);
  // Z:src/state.rs assert_rbac: a key that is not known is skipped with a warning
  const skipped = missing.length === 0 ? '' : `; skipping unknown policy ${missing.join(', ')}`;
  const told = rbacStep(result, skipped, local.evidence);
  return { outcomes: rbacOutcomes(result, state.behaviour.rejection), step: told };
}

function rbacStep(result: RbacResult, skipped: string, local: Evidence): Step {
  switch (result.kind) {
    case 'allow':
      return result.by === null
        ? step(`no ALLOW policy applies and no DENY policy matches: allowed${skipped}`, local)
        : step(`allowed by ${result.by.key}${skipped}`, result.by.evidence);
    case 'deny':
      return step(`denied by ${result.by.map(({ key }) => key).join(' or ')}`, ...result.by.map((by) => by.evidence));
    case 'none-allowed':
      return step('ALLOW policies exist, but none matches', ...result.considered.map((policy) => policy.evidence));
    case 'unknown':
      return step('a policy cannot be evaluated', ...result.policies.map((policy) => policy.evidence));
    default:
      return assertNever(result);
  }
}

function rbacOutcomes(result: RbacResult, words: Behaviour['rejection']): Outcomes | null {
  switch (result.kind) {
    case 'allow':
      return null;
    case 'deny':
      return result.by.map((policy) => {
        const error = rejection(words, `explicitly denied by: ${policy.key}`);
        return { share: 1 / result.by.length, value: denied(policy.key, error, policy.evidence, result.by.length > 1) };
      });
    case 'none-allowed': {
      const error = rejection(words, 'allow policies exist, but none allowed');
      return certain(denied('none allowed', error, result.considered[0]?.evidence ?? null, false));
    }
    case 'unknown':
      return certain(undecided(result.policies.map(unknownPolicy), []));
    default:
      return assertNever(result);
  }
}

/** Z:src/proxy.rs AuthorizationPolicyRejection; named since 1.24, up to 1.21 only a status. */
function rejection(words: Behaviour['rejection'], why: string): string {
  switch (words) {
    case 'status':
      return 'http status: 401 Unauthorized';
    case 'policy':
      return 'connection closed due to policy rejection';
    case 'named':
      return `connection closed due to policy rejection: ${why}`;
    default:
      return assertNever(words);
  }
}

function unknownPolicy(policy: DumpPolicy): { readonly fact: string; readonly reason: string } {
  return {
    fact: `what policy ${policy.key} means: ${policy.evidence.file}${policy.evidence.pointer ?? ''}`,
    reason: 'it has a part that is not known to this program',
  };
}

function denied(policy: string, error: string, evidence: Evidence | null, perProcess: boolean): ZtunnelOutcome {
  const log = error.startsWith('http status') ? 'RBAC rejected' : `error="${error}"`;
  return outcome({ action: 'deny', policy, error, log, decidedBy: evidence, perProcess });
}
