import type { Evidence } from '../../formats/evidence.js';
import type { Ipset } from '../../formats/ipset-save.js';
import type { RuleTarget } from '../../formats/iptables-save.js';
import type { Family } from '../address.js';
import { FactMissing } from '../choices.js';
import { CONTINUE, type Action, type Flow } from '../flow.js';
import type { Runtime } from '../runtime.js';
import { placeOf } from '../runtime.js';
import { compileSet, type SetTest } from '../ipset.js';
import type { Dimension } from '../ipset-fields.js';
import { Options } from './values.js';

/** What tells one question of a packet about a set from another. */
export function setKey({ src, sport, dst, dport }: Flow, dims: readonly string[]): string {
  return `${dims.join()} ${src} ${sport} ${dst} ${dport}`;
}

/** The test of a set as the packet finds it that may itself have changed it a rule before (set_target_v2, xt_set.c, v6.12). */
export function afterChanges(runtime: Runtime, name: string, dims: readonly string[], test: SetTest): SetTest {
  const unknown = { fact: `set ${name} after -j SET`, reason: 'the packet itself changed it' };
  return (flow) => {
    const changes = flow.ipsetChanges?.get(name);
    if (changes === undefined) return test(flow);
    const key = setKey(flow, dims);
    const last = changes.at(-1);
    if (last?.key === key && (last.added || !test(flow) || holdsSingles(runtime, name))) return last.added;
    return flow.choices.either(`${name} ${key}`, `set ${name} holds the packet's ${dims.join()} by now`, unknown);
  };
}

/** Whether each element is one value: deleting it leaves nothing that holds it. */
function holdsSingles(runtime: Runtime, name: string): boolean {
  const type = setOf(runtime, name)?.type;
  return type !== undefined && !type.includes('net') && !type.startsWith('list:');
}

function setOf(runtime: Runtime, name: string): Ipset | undefined {
  const fact = runtime.ipsets();
  return fact.kind === 'known' ? fact.value.sets.get(name) : undefined;
}

/** --add-set and --del-set change a set, for this packet too; --map-set takes what the element holds for the packet. */
export function setTarget(target: RuleTarget, family: Family, runtime: Runtime, evidence: Evidence): Action | null {
  const options = new Options(target);
  const actions: Action[] = [];
  for (const [option, added] of [
    ['--add-set', true],
    ['--del-set', false],
  ] as const) {
    const [name, dims] = options.take(option)?.values ?? [];
    if (name === undefined || dims === undefined) continue;
    actions.push(change(runtime, family, name, dims.split(','), added));
  }
  const [mapped, dims] = options.take('--map-set')?.values ?? [];
  const marks = options.flag('--map-mark');
  for (const silent of ['--map-prio', '--map-queue', '--exist', '--timeout']) options.take(silent);
  if (!options.done) return null;
  if (mapped !== undefined && dims !== undefined && marks)
    actions.push(mapMark(runtime, family, mapped, dims, evidence));
  return (flow) => {
    for (const action of actions) action(flow);
    return CONTINUE;
  };
}

function change(runtime: Runtime, family: Family, name: string, dims: readonly string[], added: boolean): Action {
  return (flow) => {
    const set = setOf(runtime, name);
    const other = set !== undefined && (set.options.get('family') === 'inet6') !== (family === 6);
    // ip_set_add: a set of the other family takes nothing
    if (other && /ip|net/.test(set.type)) return CONTINUE;
    flow.ipsetChanges ??= new Map();
    flow.ipsetChanges.set(name, [...(flow.ipsetChanges.get(name) ?? []), { key: setKey(flow, dims), added }]);
    return CONTINUE;
  };
}

function mapMark(runtime: Runtime, family: Family, name: string, dims: string, evidence: Evidence): Action {
  const known = dims.split(',').flatMap((dim): readonly Dimension[] => (dim === 'src' || dim === 'dst' ? [dim] : []));
  const unknown = { fact: `mark that set ${name} holds (${placeOf(evidence)})`, reason: '--map-mark is not followed' };
  return (flow) => {
    const fact = runtime.ipsets();
    const question = { name, family, dims: known, returnNomatch: false, counters: null };
    const compiled = fact.kind === 'known' ? compileSet(fact.value, question) : null;
    if (compiled?.kind === 'test' && !compiled.test(flow)) return CONTINUE;
    throw new FactMissing(unknown);
  };
}
