import { IN, IN6 } from '../cases/case.js';
import type { Flow, RuleSet } from '../bench.js';
import type { Form } from './program.js';

/** Sets that rules change, elements with a limit of their own, headers that a packet does not have: what nft makes of them. */
const UDP: Flow = { ...IN, protocol: 'udp' };
const PING: Flow = { ...IN, protocol: 'icmp' };
const ALL: readonly Flow[] = [IN, UDP, PING, IN6];
const MARK = 'meta mark set 0x4000';

function prerouting(objects: string, ...rules: readonly string[]): RuleSet {
  return {
    nft: `table inet t {
${objects}
chain u1 { meta mark set meta mark or 0x100; }
chain p { type filter hook prerouting priority -150; policy accept;
${rules.join('\n')}
}
}`,
  };
}

const changed = (objects: string, ...rules: readonly string[]): RuleSet => prerouting(objects, ...rules, MARK);
const DYNAMIC = 'set s { type ipv4_addr; size 100; flags dynamic,timeout; timeout 1m; }';

export const NFT_FORMS: readonly Form[] = [
  ...ALL.slice(0, 3).flatMap((flow): readonly Form[] => [
    {
      name: `a limit in an update, ${flow.protocol}`,
      rules: changed(DYNAMIC, 'update @s { ip saddr limit rate over 100/second burst 5 packets } drop'),
      flows: [flow],
      open: true,
    },
    {
      name: `a count in an add, ${flow.protocol}`,
      rules: changed('set s { type ipv4_addr; size 100; flags dynamic; }', 'add @s { ip saddr ct count over 20 } drop'),
      flows: [flow],
      open: true,
    },
    {
      name: `a limit of an element, ${flow.protocol}`,
      rules: changed(
        'set s { type ipv4_addr; limit rate over 100/second burst 5 packets; elements = { 10.244.1.1 } }',
        'ip saddr @s drop',
      ),
      flows: [flow],
      open: true,
    },
  ]),
  {
    name: 'a limit of an element that is not asked: the set does not hold the packet',
    rules: changed(
      'set s { type ipv4_addr; limit rate over 100/second burst 5 packets; elements = { 10.244.1.9 } }',
      'ip saddr @s drop',
      'ip saddr != @s meta mark set 0x1',
    ),
    flows: ALL,
  },
  {
    name: 'added, then looked up',
    rules: prerouting(DYNAMIC, 'add @s { ip saddr }', `ip saddr @s ${MARK}`),
    flows: [IN],
  },
  {
    name: 'added for one protocol, then looked up',
    rules: prerouting(DYNAMIC, 'udp dport 443 add @s { ip saddr }', `ip saddr @s ${MARK}`),
    flows: [IN, PING],
  },
  {
    name: 'deleted, then looked up',
    rules: prerouting(
      'set s { type ipv4_addr; size 100; flags dynamic; elements = { 10.244.1.1 } }',
      'delete @s { ip saddr }',
      `ip saddr @s ${MARK}`,
    ),
    flows: [IN],
  },
  {
    name: 'the key has no value',
    rules: prerouting(
      'set s { type ipv4_addr . inet_service; size 100; flags dynamic; }\nset s6 { type ipv6_addr; size 100; flags dynamic; }',
      `add @s { ip saddr . tcp dport } ${MARK}`,
      'add @s6 { ip6 saddr } meta mark set meta mark or 0x1',
    ),
    flows: ALL,
  },
  {
    name: 'the set is full',
    rules: prerouting(
      'set s { type ipv4_addr; size 1; flags dynamic; elements = { 1.2.3.4 } }',
      `add @s { ip saddr } ${MARK}`,
    ),
    flows: ALL,
  },
  {
    name: 'the set is full of just this one',
    rules: prerouting(
      'set s { type ipv4_addr; size 1; flags dynamic; elements = { 10.244.1.1 } }',
      `add @s { ip saddr } ${MARK}`,
    ),
    flows: [IN],
  },
  {
    name: 'a map without the key ends a rule that decides nothing',
    rules: changed(
      '',
      'meta priority set tcp dport map { 80 : 1:2 } accept',
      'meta priority set ip saddr map { 10.244.1.1 : 1:2 } accept',
    ),
    flows: ALL,
  },
  {
    name: 'fields of the other family are not set',
    rules: prerouting('', `ip dscp set cs1 ${MARK}`, 'ip6 dscp set cs2 meta mark set mark or 1'),
    flows: ALL,
  },
  {
    name: 'headers of other protocols',
    rules: changed(
      '',
      'igmp type membership-query drop',
      'esp spi 1 drop',
      'exthdr frag exists drop',
      'ip frag-off & 0x1fff != 0 drop',
    ),
    flows: ALL,
  },
  {
    name: 'hop limit and DSCP of IPv6, of IPv4 packets',
    rules: changed('', 'ip6 dscp cs1 drop', 'ip6 hoplimit 1 drop'),
    flows: [IN, UDP, PING],
  },
  {
    name: 'flags of TCP',
    rules: changed(
      '',
      'tcp flags & (fin|syn) == (fin|syn) drop',
      'tcp flags & (fin|syn|rst|psh|ack|urg) == 0x0 drop',
      'tcp flags ! syn drop',
      'tcp flags vmap { syn : jump u1, syn | ack : drop }',
      'tcp flags { ack, syn } meta mark set mark or 0x2',
    ),
    flows: ALL,
  },
  {
    name: 'a number drawn from many',
    rules: prerouting(
      '',
      'meta mark set numgen random mod 100 map { 0-99 : 5 }',
      'numgen random mod 200 vmap { 0-99 : jump u1, 100-199 : jump u1 }',
      'numgen random mod 1000 < 0 drop',
    ),
    flows: ALL,
  },
  {
    name: 'a hash of what the packet does not have',
    rules: prerouting(
      '',
      'meta mark set jhash ip saddr . tcp sport mod 1 offset 7',
      'ip6 saddr fd00::/8 meta mark set 0x9',
    ),
    flows: ALL,
  },
  {
    name: 'bits of headers',
    rules: prerouting('', `@nh,96,32 0x0af40101 ${MARK}`, '@th,16,16 443 meta mark set mark or 1'),
    flows: [IN, UDP],
  },
];
