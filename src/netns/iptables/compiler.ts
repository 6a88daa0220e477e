import type { Evidence } from '../../formats/evidence.js';
import type { RuleMatch } from '../../formats/iptables-save.js';
import type { Family } from '../address.js';
import type { Predicate } from '../flow.js';
import type { Runtime } from '../runtime.js';

/** Makes a match into a test of the packet; null where it does not understand an option. */
export type MatchCompiler = (
  match: RuleMatch,
  family: Family,
  runtime: Runtime,
  evidence: Evidence,
) => Predicate | null;
