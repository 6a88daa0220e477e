import type { Evidence } from '../../formats/evidence.js';
import { compileSet, type SetQuestion, type SetTest } from '../ipset.js';
import type { Dimension } from '../ipset-fields.js';
import { placeOf, type Runtime } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { afterChanges, setKey } from './set-target.js';
import { Options } from './values.js';

/** What they compare is a member's counters, at the time of the packet. */
const COUNTERS = ['packets', 'bytes'].flatMap((what) => ['eq', 'lt', 'gt'].map((how) => `--${what}-${how}`));

/** set_match_v4 of linux net/netfilter/xt_set.c (v6.12). */
export const set: MatchCompiler = (match, family, runtime, evidence) => {
  const options = new Options(match);
  const option = options.take('--match-set');
  for (const harmless of ['--update-counters', '--update-subcounters']) options.take(harmless);
  const returnNomatch = options.flag('--return-nomatch');
  const counters = COUNTERS.flatMap((name) => options.take(name) ?? []).map(
    ({ name, negated, values }) => `${negated ? '! ' : ''}${name} ${values.join(' ')}`,
  );
  const [name, dims] = option?.values ?? [];
  if (option === null || name === undefined || dims === undefined || !options.done) return null;
  const directions = dims.split(',');
  const known = directions.filter((dim): dim is Dimension => dim === 'src' || dim === 'dst');
  if (known.length !== directions.length) return null;
  const question = {
    name,
    family,
    dims: known,
    returnNomatch,
    counters: counters.length === 0 ? null : counters.join(' '),
  };
  let test: SetTest | null = null;
  return (flow) => {
    test ??= setTest(runtime, question, evidence);
    return test(flow) !== option.negated;
  };
};

function setTest(runtime: Runtime, question: SetQuestion, evidence: Evidence): SetTest {
  const { name, dims } = question;
  const fact = runtime.ipsets();
  const compiled =
    fact.kind === 'unknown'
      ? { kind: 'unsupported' as const, reason: fact.unknown.reason }
      : compileSet(fact.value, question);
  if (compiled.kind === 'test') return afterChanges(runtime, name, dims, compiled.test);
  const unknown = {
    fact: fact.kind === 'unknown' ? `${fact.unknown.fact} (set ${name})` : `set ${name} (${placeOf(evidence)})`,
    reason: compiled.reason,
  };
  return (flow) => {
    const key = `set ${name} ${setKey(flow, dims)}`;
    return flow.choices.either(key, `set ${name} holds the packet's ${dims.join(',')}`, unknown);
  };
}
