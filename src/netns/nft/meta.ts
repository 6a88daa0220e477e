import { FactMissing } from '../choices.js';
import { frameType } from '../frame.js';
import { asTest, type Test } from '../head.js';
import type { Runtime } from '../runtime.js';
import type { Expression, NftContext } from './context.js';
import { deviceGroup, type Value } from './value.js';

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
        kinds: [key === 'iif' ? 'ifindex' : 'ifname'],
        equals: deviceTest('iif'),
      };
    case 'oif':
    case 'oifname':
      return {
        get: (flow) => flow.oif ?? '',
        kinds: [key === 'oif' ? 'ifindex' : 'ifname'],
        equals: deviceTest('oif'),
      };
    case 'iiftype':
      return { get: (flow) => linkType(runtime, flow.iif), kinds: ['iftype'] };
    case 'oiftype':
      return { get: (flow) => linkType(runtime, flow.oif), kinds: ['iftype'] };
    case 'iifgroup':
      return { get: (flow) => groupOf(runtime, flow.iif), kinds: ['devgroup'] };
    case 'oifgroup':
      return { get: (flow) => groupOf(runtime, flow.oif), kinds: ['devgroup'] };
    // no device of a VRF: what passes through one ends as unknown before
    case 'sdif':
    case 'sdifname':
      return { get: () => '', kinds: [key === 'sdif' ? 'ifindex' : 'ifname'] };
    case 'iifkind':
      return { get: (flow) => kindOf(runtime, flow.iif), kinds: ['ifname'] };
    case 'oifkind':
      return { get: (flow) => kindOf(runtime, flow.oif), kinds: ['ifname'] };
    case 'skuid':
      return { get: (flow) => (flow.local ? flow.uid : null), kinds: ['int'], owner: 'uid' };
    case 'skgid':
      return { get: (flow) => (flow.local ? flow.gid : null), kinds: ['int'], owner: 'gid' };
    case 'pkttype':
      return { get: (flow) => frameType(flow, runtime), kinds: ['pkttype'] };
    default:
      return null;
  }
}

/** nft_meta_store_ifkind: a device without rtnl_link_ops, as lo, has no kind, and the rule breaks off. */
function kindOf(runtime: Runtime, device: string | null): string | null {
  return device === null ? null : (runtime.devices.get(device)?.kind ?? null);
}

/** ARPHRD_* of what ip calls otherwise than nft, or nft not at all (ll_types of iproute2 lib/ll_types.c, v6.1). */
const LINK_TYPES: Readonly<Record<string, number>> = {
  ether: 1,
  infiniband: 32,
  ppp: 512,
  ipip: 768,
  tunnel6: 769,
  loopback: 772,
  sit: 776,
  gre: 778,
  gre6: 823,
  none: 65534,
};

/** nft_meta_store_iftype: without a device the rule breaks off. */
function linkType(runtime: Runtime, device: string | null): number | null {
  if (device === null) return null;
  const text = runtime.devices.get(device)?.linkType ?? null;
  const type = LINK_TYPES[text ?? ''];
  if (type === undefined) throw new FactMissing({ fact: `link type of ${device}`, reason: linkReason(text) });
  return type;
}

function linkReason(text: string | null): string {
  return text === null ? 'the list of devices does not say' : `nobody here knows the number of ${text}`;
}

/** nft_meta_store_ifgroup, likewise. */
function groupOf(runtime: Runtime, device: string | null): Value | null {
  if (device === null) return null;
  const text = runtime.devices.get(device)?.group ?? null;
  if (text === null) {
    throw new FactMissing({ fact: `group of ${device}`, reason: 'the list of devices does not say' });
  }
  return deviceGroup(text);
}

/** The test in one step for the mark behind a mask. */
export const markTest =
  (mask: number) =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'number' && wanted >= 0 && wanted <= 0xffffffff
      ? { kind: 'mark', value: wanted, mask, negated }
      : asTest(() => negated);

const deviceTest =
  (kind: 'iif' | 'oif') =>
  (wanted: Value, negated: boolean): Test =>
    typeof wanted === 'string' ? { kind, name: wanted, negated } : asTest(() => negated);
