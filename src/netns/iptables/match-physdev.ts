import { placeOf } from '../runtime.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

const OPTIONS = ['--physdev-is-bridged', '--physdev-is-in', '--physdev-is-out', '--physdev-in', '--physdev-out'];

/**
 * physdev_mt (linux net/netfilter/xt_physdev.c, v6.12): a packet that did not come through a bridge's port passes what is
 * negated. Of one that did, the port is not in the question.
 */
export const physdev: MatchCompiler = (match, _family, runtime, evidence) => {
  const options = new Options(match);
  const used = OPTIONS.flatMap((name) => options.take(name) ?? []);
  if (used.length === 0 || !options.done) return null;
  const allNegated = used.every(({ negated }) => negated);
  const words = used
    .map(({ name, negated, values }) => [...(negated ? ['!'] : []), name, ...values].join(' '))
    .join(' ');
  const condition = `-m physdev at ${placeOf(evidence)} matches`;
  const unknown = {
    fact: `the port of the bridge that the packet came by (${words})`,
    reason: 'the packet does not say',
  };
  return (flow) => {
    const addresses = runtime.facts.addresses();
    const { iif } = flow;
    const bridged = iif !== null && (addresses.kind === 'unknown' || runtime.devices.get(iif)?.kind === 'bridge');
    return bridged ? flow.choices.either(`match ${placeOf(evidence)} physdev`, condition, unknown) : allNegated;
  };
};
