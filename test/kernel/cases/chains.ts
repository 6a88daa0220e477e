import { several, to } from './battery.js';
import { IN, IN6, type KernelCase } from './case.js';

const hosts = (from: number, below: number): readonly number[] =>
  Array.from({ length: below - from }, (_, at) => from + at);
/** Long enough for an index by destination, with rules for all between those for one. */
const LONG = (chain: string, net: string): readonly string[] => [
  `${chain} -p tcp -j MARK --set-xmark 0x1000/0x1000`,
  ...hosts(60, 90).flatMap((host) => [
    `${chain} -d ${net}${host} -m mark --mark 0x0/0xff -j MARK --set-xmark 0x${host.toString(16)}/0xff`,
    ...(host % 10 === 7
      ? [`${chain} -m mark --mark 0x${host.toString(16)}/0xff -j MARK --set-xmark 0x2000/0x2000`]
      : []),
    ...(host % 10 === 8
      ? [`${chain} -d ${net}${host} -j RETURN`, `${chain} -d ${net}${host} -j MARK --set-xmark 0x4000/0x4000`]
      : []),
    ...(host % 10 === 9
      ? [`${chain} -d ${net}${host} -p tcp -j ACCEPT`, `${chain} ! -d ${net}${host} -j MARK --set-xmark 0x8000/0x8000`]
      : []),
  ]),
  `${chain} -d ${net}77 -m mark --mark 0x1000/0x1000 -j MARK --set-xmark 0x10000/0x10000`,
  `${chain} -s 10.244.0.0/16 -j MARK --set-xmark 0x20000/0x20000`,
];
const LONG_FLOWS = (['tcp', 'udp'] as const).flatMap((protocol) =>
  to({ ...IN, protocol }, '10.1.0.60', '10.1.0.67', '10.1.0.77', '10.1.0.78', '10.1.0.79', '10.1.0.89', '10.1.0.5'),
);
const LONG6_FLOWS = (['tcp', 'udp'] as const).flatMap((protocol) =>
  to({ ...IN6, src: 'fd00:244:1::9', protocol }, 'fd00:1::60', 'fd00:1::77', 'fd00:1::78', 'fd00:1::79', 'fd00:1::5'),
);

/** Long chains, jumps and gotos. */
export const CHAINS: readonly KernelCase[] = [
  ...several('a long chain', LONG_FLOWS, { rules4: LONG('mangle PREROUTING', '10.1.0.') }),
  ...several('a long chain that is jumped to', LONG_FLOWS, {
    rules4: [
      'mangle PREROUTING -j ISTIO_A',
      'mangle PREROUTING -j MARK --set-xmark 0x100000/0x100000',
      ...LONG('mangle ISTIO_A', '10.1.0.'),
    ],
  }),
  ...several('a long chain of IPv6', LONG6_FLOWS, {
    rules6: LONG('mangle PREROUTING', 'fd00:1::').filter((rule) => !rule.includes('-s 10.')),
  }),
  ...several('many jumps', [IN, { ...IN, protocol: 'udp' }], {
    rules4: [
      ...Array.from({ length: 140 }, () => 'mangle PREROUTING -j ISTIO_A'),
      'mangle ISTIO_A -p tcp -j MARK --set-xmark 0x1/0x1',
      'mangle PREROUTING -j MARK --set-xmark 0x2/0x2',
    ],
  }),
  ...several('a chain that goes on in another', [IN, { ...IN, protocol: 'udp' }], {
    rules4: [
      'mangle PREROUTING -p tcp -g ISTIO_A',
      'mangle PREROUTING -j MARK --set-xmark 0x2/0x2',
      'mangle ISTIO_A -j ISTIO_B',
      'mangle ISTIO_A -j MARK --set-xmark 0x4/0x4',
      'mangle ISTIO_B -p tcp -j RETURN',
      'mangle ISTIO_B -j MARK --set-xmark 0x8/0x8',
    ],
  }),
];
