import { IN6, nft, OUT, SENT, type KernelCase } from './case.js';
import { several } from './battery.js';

/** Chains that look the way up again where the TOS changed: as a packet of root, whoever sent it. */
const FLOWS = [
  SENT,
  { ...SENT, dst: '203.0.113.9', uid: 0, gid: 0 },
  { ...SENT, dst: '203.0.113.9' },
  OUT,
  { ...IN6, direction: 'out' as const, iif: null, src: 'fd00:244:1::5', dst: '2001:db8::7' },
];
const ROUTE = 'type route hook output priority -50; policy accept;';
const FILTER = 'type filter hook output priority -50; policy accept;';
const AS_ROOT = [
  'ip route replace default via 10.1.0.1 dev eth1 table 101 proto 99',
  'ip rule add pref 500 uidrange 0-0 to 203.0.113.0/24 lookup 101',
  'ip rule add pref 501 uidrange 0-0 to 10.244.2.0/24 lookup 101',
  'ip -6 route replace default via fd00:1::1 dev eth1 table 101 proto 99',
  'ip -6 rule add pref 500 uidrange 0-0 lookup 101',
];

export const TOS_CASES: readonly KernelCase[] = [
  ...[
    'ip dscp set cs1',
    'ip ecn set ect0',
    'ip ttl set 5',
    'ip6 dscp set cs1',
    'ip6 hoplimit set 5',
    'ip6 flowlabel set 5',
  ].flatMap((rule) =>
    [ROUTE, FILTER].flatMap((head) =>
      several(`${rule} in ${head}`, FLOWS, { nft: [nft('out_r', head, rule)], shell: AS_ROOT }),
    ),
  ),
  ...['-j DSCP --set-dscp 0x08', '-j TOS --set-tos 0x10', '-j TTL --ttl-set 5', '-j CLASSIFY --set-class 1:2'].flatMap(
    (rule) =>
      ['mangle OUTPUT', 'mangle POSTROUTING'].flatMap((chain) =>
        several(`${chain} ${rule}`, FLOWS, { rules4: [`${chain} ${rule}`], shell: AS_ROOT }),
      ),
  ),
  ...['-j DSCP --set-dscp 0x08', '-j HL --hl-set 5'].flatMap((rule) =>
    several(`IPv6 mangle OUTPUT ${rule}`, FLOWS, { rules6: [`mangle OUTPUT ${rule}`], shell: AS_ROOT }),
  ),
];
