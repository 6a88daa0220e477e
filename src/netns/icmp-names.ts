import { ICMP } from './flow.js';

/** Type and code as `type/code`, by the name that stands for both. */
type Names = ReadonlyMap<string, string>;

/** icmp_typecodes of ipset lib/icmp.c, 7.17, without the names that are never printed. */
const NAMES: Names = new Map([
  ['echo-reply', '0/0'],
  ['network-unreachable', '3/0'],
  ['host-unreachable', '3/1'],
  ['protocol-unreachable', '3/2'],
  ['port-unreachable', '3/3'],
  ['fragmentation-needed', '3/4'],
  ['source-route-failed', '3/5'],
  ['network-unknown', '3/6'],
  ['host-unknown', '3/7'],
  ['network-prohibited', '3/9'],
  ['host-prohibited', '3/10'],
  ['TOS-network-unreachable', '3/11'],
  ['TOS-host-unreachable', '3/12'],
  ['communication-prohibited', '3/13'],
  ['host-precedence-violation', '3/14'],
  ['precedence-cutoff', '3/15'],
  ['source-quench', '4/0'],
  ['network-redirect', '5/0'],
  ['host-redirect', '5/1'],
  ['TOS-network-redirect', '5/2'],
  ['TOS-host-redirect', '5/3'],
  ['echo-request', '8/0'],
  ['router-advertisement', '9/0'],
  ['router-solicitation', '10/0'],
  ['ttl-zero-during-transit', '11/0'],
  ['ttl-zero-during-reassembly', '11/1'],
  ['ip-header-bad', '12/0'],
  ['required-option-missing', '12/1'],
  ['timestamp-request', '13/0'],
  ['timestamp-reply', '14/0'],
  ['address-mask-request', '17/0'],
  ['address-mask-reply', '18/0'],
]);

/** icmpv6_typecodes of ipset lib/icmpv6.c, 7.17, likewise. */
const NAMES6: Names = new Map([
  ['no-route', '1/0'],
  ['communication-prohibited', '1/1'],
  ['address-unreachable', '1/3'],
  ['port-unreachable', '1/4'],
  ['packet-too-big', '2/0'],
  ['ttl-zero-during-transit', '3/0'],
  ['ttl-zero-during-reassembly', '3/1'],
  ['bad-header', '4/0'],
  ['unknown-header-type', '4/1'],
  ['unknown-option', '4/2'],
  ['echo-request', '128/0'],
  ['echo-reply', '129/0'],
  ['router-solicitation', '133/0'],
  ['router-advertisement', '134/0'],
  ['neighbour-solicitation', '135/0'],
  ['neighbour-advertisement', '136/0'],
  ['redirect', '137/0'],
]);

/** The number that stands for a port where ipset means ICMP: `echo-request`, `3/16`; null: not one of its names. */
export function icmpPort(protocol: number, text: string): number | null {
  const [, type, code] = /^(\d+)\/(\d+)$/.exec((protocol === ICMP ? NAMES : NAMES6).get(text) ?? text) ?? [];
  return type === undefined || code === undefined ? null : Number(type) * 256 + Number(code);
}
