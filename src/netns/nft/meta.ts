import { asTest, type Test } from '../head.js';
import type { Runtime } from '../runtime.js';
import type { Expression, NftContext } from './context.js';
import type { Value } from './value.js';

/** `meta <key>`; null where the key is not known. */
export function meta(key: string, { family, runtime }: NftContext): Expression | null {
  switch (key) {
    case 'mark':
      return { get: (flow) => flow.mark, kinds: ['mark'], equals: markTest(0xffffffff) };
    case 'l4proto':
      return { get: (flow) => flow.protocol, kinds: ['proto'] };
    case 'nfproto':
      return { get: () => (family === 4 ? 2 : 10), kinds: ['nfproto'] };
    case 'protocol':
      return { get: () => (family === 4 ? 0x0800 : 0x86dd), kinds: ['ethertype'] };
    // nft_meta_store_ifname: a device that is not there is the empty name
    case 'iif':
    case 'iifname':
      return {
        get: (flow) => flow.iif ?? '',
        kinds: ['ifname'],
        equals: deviceTest('iif'),
      };
    case 'oif':
    case 'oifname':
      return {
        get: (flow) => flow.oif ?? '',
        kinds: ['ifname'],
        equals: deviceTest('oif'),
      };
    case 'iifkind':
      return { get: (flow) => kindOf(runtime, flow.iif), kinds: ['ifname'] };
    case 'oifkind':
      return { get: (flow) => kindOf(runtime, flow.oif), kinds: ['ifname'] };
    case 'skuid':
      return { get: (flow) => (flow.local ? flow.uid : null), kinds: ['int'], owner: 'uid' };
    case 'skgid':
      return { get: (flow) => (flow.local ? flow.gid : null), kinds: ['int'], owner: 'gid' };
    case 'pkttype':
      return { get: (flow) => (flow.route?.kind === 'broadcast' ? 1 : 0), kinds: ['pkttype'] };
    default:
      return null;
  }
}

/** nft_meta_store_ifkind: a device without rtnl_link_ops, as lo, has no kind, and the rule breaks off. */
function kindOf(runtime: Runtime, device: string | null): string | null {
  return device === null ? null : (runtime.devices.get(device)?.kind ?? null);
}

/** The test in one step for the mark behind a mask. */
export const markTest =
  (mask: number) =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number' && wanted >= 0 && wanted <= 0xffffffff
      ? { kind: 'mark', value: wanted | 0, mask: mask | 0, negated }
      : asTest(() => negated);

const deviceTest =
  (kind: 'iif' | 'oif') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'string' ? { kind, name: wanted, negated } : asTest(() => negated);
