import type { Evidence } from '../../formats/evidence.js';
import type { Family } from '../address.js';
import { compileSet, type Dimension, type SetTest } from '../ipset.js';
import { placeOf, type Runtime } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

export const set: MatchCompiler = (match, family, runtime, evidence) => {
  const options = new Options(match);
  const option = options.take('--match-set');
  for (const harmless of ['--update-counters', '--update-subcounters']) options.take(harmless);
  const [name, dims] = option?.values ?? [];
  if (option === null || name === undefined || dims === undefined || !options.done) return null;
  const directions = dims.split(',');
  const known = directions.filter((dim): dim is Dimension => dim === 'src' || dim === 'dst');
  if (known.length !== directions.length) return null;
  let test: SetTest | null = null;
  return (flow) => {
    test ??= setTest(runtime, name, family, known, evidence);
    return test(flow) !== option.negated;
  };
};

function setTest(
  runtime: Runtime,
  name: string,
  family: Family,
  dims: readonly Dimension[],
  evidence: Evidence,
): SetTest {
  const fact = runtime.ipsets();
  const compiled =
    fact.kind === 'unknown'
      ? { kind: 'unsupported' as const, reason: fact.unknown.reason }
      : compileSet(fact.value, name, family, dims);
  if (compiled.kind === 'test') return compiled.test;
  const unknown = {
    fact: fact.kind === 'unknown' ? `${fact.unknown.fact} (set ${name})` : `set ${name} (${placeOf(evidence)})`,
    reason: compiled.reason,
  };
  return (flow) => {
    const key = `set ${name} ${dims.join()} ${flow.src} ${flow.sport} ${flow.dst} ${flow.dport}`;
    return flow.choices.either(key, `set ${name} holds the packet's ${dims.join(',')}`, unknown);
  };
}
